"""Measures reading, creating and joining against a lab tenant in a process of its own, beside a bare loop over the same session that
only counts: `python plugins/entra/tests/measure.py [USERS]`."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from metasync.contract import Change, DirectorySettings, Kind, Operation, Outcome, ReadRequest, Reference
from metasync.testing.context import TestContext
from metasync_entra import calls
from metasync_entra.connector import EntraID
from metasync_entra.lab import Lab
from metasync_entra.lab.remote import process
from metasync_entra.options import EntraOptions

ATTRIBUTES = frozenset(
    ["userPrincipalName", "displayName", "givenName", "surname", "mail", "jobTitle", "department", "employeeId", "enabled", "city"]
)
TURNS = 3


def connector(lab: Lab) -> EntraID:
    """With throttling off, so that nothing waits."""
    options = {
        "tenant": lab.tenant_id, "application": lab.client_id, "certificate": str(lab.certificate.pem), "login": lab.login_url,
        "graph": lab.graph_url, "ca file": str(lab.ca_file), "pace": "adaptive",
    }  # fmt: skip
    return EntraID(EntraOptions().load(options), TestContext("measure", settings=DirectorySettings(mark="extensionAttribute15")))


def bare(one: EntraID) -> int:
    """One chain of pages, counted."""
    found = 0
    path: str | None = f"/users?$select={','.join(sorted(ATTRIBUTES - {'enabled'}))},accountEnabled&$top=999"
    while path:
        fields = one.session.ask(calls.get(path)).fields
        found += len(fields["value"])
        path = fields.get("@odata.nextLink")
    return found


def read(one: EntraID) -> int:
    """As the engine does."""
    request = ReadRequest(stream="users", kinds=frozenset({Kind.USER}), attributes={Kind.USER: ATTRIBUTES}, page_size=1000)
    return sum(len(page.items) for page in one.read(request))


def created(number: int) -> Iterator[Change]:
    """New users."""
    for at in range(number):
        after = {"userPrincipalName": f"new{at}@contoso.com", "displayName": f"New {at}", "department": "Sales"}
        tag = f"{at:032x}"
        yield Change(
            id=str(at), operation=Operation.CREATE, kind=Kind.USER, anchor=None, label=f"New {at}", after=after, tag=tag,
            mark=f"metasync:{tag}",
        )  # fmt: skip


def written(one: EntraID, changes: list[Change]) -> list[str]:
    """In calls of the commit size; the anchors."""
    found: list[str] = []
    for start in range(0, len(changes), one.commit_size):
        for result in one.write(changes[start : start + one.commit_size]):
            assert result.outcome is Outcome.APPLIED, result.detail
            found.append(str(result.anchor))
    return found


def main() -> None:
    """Print one line per measurement."""
    users = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder, process(Path(folder), users=users) as lab:
        one = connector(lab)
        one.check()
        for _ in range(TURNS):
            start, busy = time.perf_counter(), time.process_time()
            assert bare(one) == users
            middle, busy_middle = time.perf_counter(), time.process_time()
            assert read(one) == users
            end, busy_end = time.perf_counter(), time.process_time()
            rates = users / (middle - start), users / (end - middle)
            work = (busy_middle - busy) / (busy_end - busy_middle)
            print(f"read {users:,}: counted {rates[0]:,.0f}/s, read {rates[1]:,.0f}/s: {rates[1] / rates[0]:.0%}, by CPU time {work:.0%}")
        lab.control.clear_stats()
        number = 10_000
        start = time.perf_counter()
        anchors = written(one, list(created(number)))
        batches = sum(count for route, count in lab.control.stats()["calls"].items() if "batch" in route)
        rate, least = number / (time.perf_counter() - start), batches * 20 / number
        print(f"create {number:,}: {rate:,.0f}/s, {batches} batches ({least:.2f} of the least)")
        group = lab.control.create("group", {"displayName": "Team", "securityEnabled": True, "mailEnabled": False, "mailNickname": "team"})
        lab.control.clear_stats()
        start = time.perf_counter()
        adds = [
            Change(
                id=str(at), operation=Operation.MEMBER_ADD, kind=Kind.GROUP, anchor=group, label="Team", member=Reference(value=member),
                tag=f"{at:032x}",
            )
            for at, member in enumerate(anchors)
        ]  # fmt: skip
        written(one, adds)
        batches = sum(count for route, count in lab.control.stats()["calls"].items() if "batch" in route)
        print(f"join {number:,}: {number / (time.perf_counter() - start):,.0f}/s, {batches} batches")
        one.close()
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
