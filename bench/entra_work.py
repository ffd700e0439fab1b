"""What the rows of `script/bench entra` measure, each in a process of its own: `python -m bench.entra_work '{"what": "reading", ...}'`
prints what it found as JSON. The tenant runs in another process, so that its work is not the client's."""

from __future__ import annotations

import csv
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import metasync_csv.plugin
import metasync_entra.plugin
from metasync.contract import Change, DirectorySettings, Kind, Operation, Outcome
from metasync.testing.context import TestContext
from metasync.testing.engine import Engine
from metasync_entra import calls
from metasync_entra.connector import EntraID
from metasync_entra.lab.remote import RemoteControl
from metasync_entra.options import EntraOptions
from metasync_entra.pace import Pace

from .meter import peak_megabytes

ATTRIBUTES = (
    "userPrincipalName", "displayName", "givenName", "surname", "mail", "jobTitle", "department", "employeeId", "enabled", "city",
)  # fmt: skip
"""Ten."""
MARK = "extensionAttribute15"
THREADS = 10
PLUGINS = [metasync_entra.plugin, metasync_csv.plugin]


@dataclass(kw_only=True)
class Work:
    """What was asked for, and what was found."""

    what: str
    size: int
    folder: Path
    url: str
    options: Mapping[str, Any]
    """Of `connector: entra`."""
    control: tuple[str, str, str]
    """Where the tenant is told what to do: URL, key, authority."""
    found: dict[str, float] = field(default_factory=dict)

    def lab(self) -> RemoteControl:
        """The tenant behind the connector's back."""
        return RemoteControl(*self.control)

    def connector(self, context: TestContext, *, pace: str = "adaptive") -> EntraID:
        """Not connected yet."""
        options: Any = EntraOptions().load({**self.options, "pace": pace})
        return EntraID(options, context)

    def engine(self, document: str) -> Engine:
        """On the database that was asked for."""
        return Engine(self.folder, document, {}, plugins=PLUGINS, url=self.url)


def timed(work: Callable[[], object]) -> tuple[float, float, float]:
    """Wall and CPU seconds, and for how much of the wall this thread waited for a core that others had."""
    wall, used, waited = time.monotonic(), time.process_time(), _waited()
    work()
    return time.monotonic() - wall, time.process_time() - used, _waited() - waited


def _waited() -> float:
    """Seconds that this thread could have run and did not (https://docs.kernel.org/scheduler/sched-stats.html); 0 where it is not told."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except OSError:
        return 0.0


# -- reading ---------------------------------------------------------------------------------------------------------------------------


def bare(one: EntraID) -> int:
    """A loop over the pages of one list, by the connector's own session, that only counts objects."""
    found = 0
    select = ",".join("accountEnabled" if name == "enabled" else name for name in ATTRIBUTES)
    path: str | None = f"/users?$select=id,{select}&$top=999"
    while path:
        fields = one.session.ask(calls.get(path)).fields
        found += len(fields["value"])
        path = fields.get("@odata.nextLink")
    return found


def reading(work: Work) -> None:
    """Everybody into a new database, by the whole import, beside the bare loop."""
    one = work.connector(TestContext("tenant"))
    one.check()
    counts: list[int] = []
    wall, used, waited = timed(lambda: counts.append(bare(one)))
    one.close()
    if counts != [work.size]:
        raise RuntimeError(f"the loop counted {counts[0]:,} users where {work.size:,} are")
    engine = work.engine(_reading_document(work))
    try:
        ours, own, lost = timed(lambda: _imported(engine, work.size))
    finally:
        engine.close()
    work.found |= {"bare loop that counts": wall, "bare loop, CPU of the client": used, "bare loop, waiting for a core": waited}
    work.found |= {"full import": ours, "full import, CPU of the client": own, "full import, waiting for a core": lost}


def _reading_document(work: Work) -> str:
    columns = ["id", *(f"a{number}" for number in range(len(ATTRIBUTES)))]
    listed = work.folder / "list.csv"
    listed.write_text(",".join(columns) + "\n", encoding="utf-8")
    mapped = "\n".join(
        f"      a{number}: {'string(source.enabled)' if name == 'enabled' else f'source.{name}'}" for number, name in enumerate(ATTRIBUTES)
    )
    return f"""
engagement: bench
plugins: {{standard: ">=0.1", csv: ">=0.1", entra: ">=0.1"}}
directories:
  tenant: {{connector: entra, options: {json.dumps({**work.options, "pace": "adaptive"})}}}
  list: {{connector: csv, options: {{path: "{listed}", anchor: id}}}}
profiles:
  people:
    kind: user
    source: tenant
    target: list
    match: [{{source: employeeId, target: a7}}]
    map:
{mapped}
"""


def _imported(engine: Engine, size: int) -> None:
    outcome = engine.import_("tenant", full=True)
    if outcome.unavailable or outcome.errors or outcome.imports[0].counts["added"] != size:
        raise RuntimeError(f"the import went wrong: {outcome} {engine.problems()[:3]}")


# -- creating --------------------------------------------------------------------------------------------------------------------------


def creating(work: Work) -> None:
    """An approved plan of so many new users, exported by the whole engine and confirmed: how many requests carry the creates."""
    people = work.folder / "people.csv"
    with people.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "given", "surname", "mail", "title"])
        writer.writerows([one, f"Anna {one}", "Müller", f"new{one}@contoso.com", "Clerk"] for one in range(work.size))
    engine = work.engine(f"""
engagement: bench
plugins: {{standard: ">=0.1", csv: ">=0.1", entra: ">=0.1"}}
directories:
  hr: {{connector: csv, options: {{path: "{people}", anchor: id}}}}
  tenant: {{connector: entra, mark: {MARK}, options: {json.dumps({**work.options, "pace": "adaptive"})}}}
profiles:
  people:
    kind: user
    source: hr
    target: tenant
    match: [{{source: mail, target: userPrincipalName}}]
    limits: {{create: {{count: 1000000}}}}
    map:
      userPrincipalName: source.mail
      displayName: source.given + " " + source.surname
      givenName: source.given
      surname: source.surname
      jobTitle: source.title
      employeeId: source.id
""")
    lab = work.lab()
    try:
        engine.import_()
        engine.plan()
        engine.approve()
        lab.clear_stats()
        wall, used, _ = timed(engine.export)
        asked = lab.stats()["calls"]
    finally:
        engine.close()
        lab.close()
    if asked.get("POST /users") != work.size:
        raise RuntimeError(f"{asked.get('POST /users', 0):,} of {work.size:,} were created: {engine.problems()[:3]}")
    work.found |= {"creates, exported and confirmed": wall, "exported and confirmed, CPU of the client": used}
    work.found |= {"batches of that export": float(asked["POST /$batch"])}


# -- the quota, on the tenant's clock --------------------------------------------------------------------------------------------------


class Moving(TestContext):
    """Whoever waits moves the tenant's clock, which otherwise stands still; the client looks at the same one."""

    def __init__(self, lab: RemoteControl) -> None:
        super().__init__("tenant", settings=DirectorySettings(mark=MARK))
        self._lab, self._lock = lab, threading.Lock()
        lab.clock(freeze=True)

    def wait(self, until: datetime, why: str) -> None:
        """Time passes in the tenant, too."""
        with self._lock:
            before = self.now
            super().wait(until, why)
            self._lab.clock(advance=max(0.0, (self.now - before).total_seconds()))


def _new(number: int, name: str) -> Iterator[Change]:
    for at in range(number):
        after = {"userPrincipalName": f"{name}{at}@contoso.com", "displayName": f"New {at}", "department": "Sales"}
        tag = f"{at:032x}"
        yield Change(
            id=str(at), operation=Operation.CREATE, kind=Kind.USER, anchor=None, label=f"New {at}", after=after, tag=tag,
            mark=f"metasync:{tag}",
        )  # fmt: skip


def quota(work: Work, pace: str) -> None:
    """So many creates by the published quotas, which the tenant holds; seconds of the tenant's clock, and what its own record says."""
    lab = work.lab()
    try:
        lab.reset()  # full buckets
        lab.set(throttle=True)
        context = Moving(lab)
        one = work.connector(context, pace=pace)
        one.session.pace = Pace(context, published=pace == "published", clock=lambda: context.now)
        one.tenant  # noqa: B018  the sign-in is no part of it
        lab.trace(on=True)
        began = lab.clock()
        changes = list(_new(work.size, pace))
        record: list[dict[str, Any]] = []
        for start in range(0, len(changes), one.commit_size):
            for result in one.write(changes[start : start + one.commit_size]):
                if result.outcome is not Outcome.APPLIED:
                    raise RuntimeError(result.detail)
            record += lab.trace(on=True)  # the tenant keeps only so many
        took = lab.clock() - began
        lab.trace(on=False)
        one.close()
        lab.reset()
        lab.clock(freeze=False)
    finally:
        lab.close()
    refused, early = judged(record)
    made = sum(row["route"] == "POST /users" and row["status"] == 201 for row in record)
    if made != work.size:
        raise RuntimeError(f"{made:,} of {work.size:,} were created")
    work.found |= {f"{pace}: seconds of the tenant's clock": took}
    work.found |= {f"{pace}: refused with 429": float(refused), f"{pace}: sent too early": float(early)}


def judged(record: list[dict[str, Any]]) -> tuple[int, int]:
    """From the tenant's record: how many were refused with 429, and how many requests came before a refusal's Retry-After was over.

    Too early is whatever comes while the time that a refusal named runs. What is under way when a refusal comes cannot be taken back: at
    its own moment, on a clock that stands still between waits, as many batches may follow as there are threads.
    """
    refused = early = 0
    closed = moment = 0.0
    under_way = 0
    for row in record:
        at = float(row["seconds"])
        if row["route"] == "POST /$batch":
            if at == moment and closed > at:
                under_way += 1
                early += under_way > THREADS
            continue
        if at > moment and at < closed - 1e-3:
            early += 1
        if row["status"] == 429:
            refused += 1
            if at > moment:
                moment, under_way = at, 0
            closed = max(closed, at + float(row["headers"]["Retry-After"]))
    return refused, early


def main(asked: dict[str, Any]) -> dict[str, float]:
    """Measure what was asked for."""
    work = Work(**{**asked, "folder": Path(asked["folder"]), "control": tuple(asked["control"])})
    match work.what:
        case "reading":
            reading(work)
        case "creating":
            creating(work)
        case "published" | "adaptive":
            quota(work, work.what)
        case other:
            raise ValueError(f"nothing is called {other}")
    return {**work.found, "most memory": peak_megabytes()}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
