"""One scenario for a tenant, through the connector: users, a manager, a group and its members, a guest, delete, restore, and deltas.

    python plugins/entra/tests/scenario.py            a lab tenant of its own
    python plugins/entra/tests/scenario.py --live     the tenant that the environment names; unverified: nobody has run it yet

A live tenant is touched only where all of these name it: METASYNC_ENTRA_LIVE_TENANT (its identifier), METASYNC_ENTRA_LIVE_DOMAIN (a
verified domain of it), METASYNC_ENTRA_LIVE_APPLICATION, METASYNC_ENTRA_LIVE_CERTIFICATE (a PEM or PFX file), and
METASYNC_ENTRA_LIVE_WRITE, which repeats the tenant's identifier. The scenario reads users and groups, and writes nothing but what it
made: two users, a guest who is told nothing, and a group, with names of their own; it deletes them again, whatever happens.
"""

from __future__ import annotations

import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from metasync.contract import (
    Change,
    Connector,
    DirectorySettings,
    Entry,
    Gone,
    Item,
    Kind,
    MetasyncError,
    Operation,
    Outcome,
    Patch,
    ReadRequest,
    Reference,
    Result,
    Value,
    Values,
)
from metasync.testing.context import TestContext
from metasync_entra.connector import EntraID
from metasync_entra.lab import Lab, tenant
from metasync_entra.options import EntraOptions

MARK = "extensionAttribute15"
LIVE = "METASYNC_ENTRA_LIVE_"
LIVE_NAMES = ("TENANT", "DOMAIN", "APPLICATION", "CERTIFICATE", "WRITE")
LIVE_PATIENCE = 900.0
"""Seconds that a live tenant may take to show what was written."""
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_READ: Mapping[str, tuple[frozenset[Kind], frozenset[str]]] = {
    "users": (frozenset({Kind.USER, Kind.GUEST}), frozenset({"displayName", "jobTitle", "userPrincipalName", "enabled", "manager"})),
    "groups": (frozenset({Kind.GROUP}), frozenset({"displayName", "description", "members"})),
}


class ScenarioFailed(MetasyncError):
    """The tenant did not do what Microsoft's pages say; see which step, and what came instead."""


class NotNamed(MetasyncError):
    """A live tenant is touched only where the environment names it in full."""


@dataclass(kw_only=True, slots=True)
class Known:
    """What the deltas said so far of one object."""

    kind: Kind
    attributes: dict[str, Values | None] = field(default_factory=dict[str, "Values | None"])

    def holds(self, **wanted: Values | None) -> bool:
        """Do its attributes have these values? The order of several does not count."""
        return all(set(_several(self.attributes.get(name))) == set(_several(values)) for name, values in wanted.items())

    def patch(self, item: Patch) -> None:
        """Take a change over."""
        self.attributes.update(item.attributes)
        for name in {*item.added, *item.removed}:
            left = [one for one in _several(self.attributes.get(name)) if one not in item.removed.get(name, ())]
            self.attributes[name] = (*left, *(one for one in item.added.get(name, ()) if one not in left))


@dataclass(kw_only=True)
class Scenario:
    """The steps, in their order. Each raises `ScenarioFailed` where something else comes than what must."""

    connector: Connector
    domain: str
    """Verified in the tenant: users are made in it."""
    patience: float = 0.0
    """Seconds that the tenant may take to show what was written."""
    say: Callable[[str], None] = print
    pause: Callable[[float], None] = time.sleep
    name: str = field(default_factory=lambda: f"metasync-scenario-{uuid.uuid4().hex[:8]}")
    made: dict[str, Kind] = field(default_factory=dict[str, Kind], init=False)
    """What this scenario made and has not deleted yet: the only objects that it writes to."""
    cursors: dict[str, str] = field(default_factory=dict[str, str], init=False)
    told: dict[str, Known | None] = field(default_factory=dict[str, "Known | None"], init=False)
    """What the deltas said so far of each object; None: it is gone."""

    def play(self) -> None:
        """All of it; what was made is deleted, also where a step fails."""
        try:
            self._step("check what the application may do", self.check)
            self._step("read everything, and begin to follow", self.begin)
            self._step("make two users, a group and a guest", self.make)
            self._step("change, clear, and set a manager", self.change)
            self._step("add members, and take one out", self.join)
            self._step("hear of all that by deltas", self.hear)
            self._step("delete a user, and hear of it", self.delete)
            self._step("restore the user, and hear of it", self.restore)
        finally:
            self._step("delete what was made", self.clean)

    def _step(self, words: str, step: Callable[[], None]) -> None:
        self.say(words)
        step()

    # -- the steps ---------------------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """The tenant answers."""
        self.connector.check()

    def begin(self) -> None:
        """A full read of both streams, for a cursor each."""
        for stream in _READ:
            *_, last = self.connector.read(self._request(stream))
            _need(last.complete and last.cursor is not None, f"the full read of {stream} ended without a cursor")
            self.cursors[stream] = str(last.cursor)

    def make(self) -> None:
        """Their anchors are known by `ada`, `bob`, `team` and `guest`."""
        common = {"jobTitle": "Engineer", "department": "Scenario"}
        self.ada = self._create(Kind.USER, "Ada", userPrincipalName=f"{self.name}-ada@{self.domain}", usageLocation="CH", **common)
        self.bob = self._create(Kind.USER, "Bob", userPrincipalName=f"{self.name}-bob@{self.domain}", **common)
        self.team = self._create(Kind.GROUP, "Team", description="Made by a scenario")
        self.guest = self._create(Kind.GUEST, "Guest", mail=f"{self.name}@example.com")

    def change(self) -> None:
        """An attribute changed, one cleared, an account enabled, and a manager."""
        self._apply(Operation.UPDATE, self.ada, before={"jobTitle": "Engineer"}, after={"jobTitle": "Head"})
        self._apply(Operation.CLEAR, self.bob, before={"jobTitle": "Engineer"}, after={"jobTitle": None})
        self._apply(Operation.ENABLE, self.ada, before={"enabled": False}, after={"enabled": True})
        self._apply(Operation.UPDATE, self.bob, after={"manager": Reference(value=self.ada)})

    def join(self) -> None:
        """Both users and the guest join; one leaves."""
        for one in (self.ada, self.bob, self.guest):
            self._apply(Operation.MEMBER_ADD, self.team, member=Reference(value=one))
        self._apply(Operation.MEMBER_REMOVE, self.team, member=Reference(value=self.bob))

    def hear(self) -> None:
        """The deltas show all four, as they are now."""
        ada, guest = Reference(value=self.ada), Reference(value=self.guest)
        self._await("users", self.ada, lambda one: one is not None and one.holds(jobTitle="Head", enabled=True))
        self._await("users", self.bob, lambda one: one is not None and one.holds(jobTitle=None, enabled=False, manager=ada))
        self._await("users", self.guest, lambda one: one is not None and one.kind is Kind.GUEST)
        self._await("groups", self.team, lambda one: one is not None and one.holds(members=(ada, guest)))

    def delete(self) -> None:
        """Into the bin."""
        self._apply(Operation.DELETE, self.bob)
        self._await("users", self.bob, lambda one: one is None)
        self._until(lambda: self.bob in self.connector.restorable([self.bob]), "who was deleted does not lie in the bin")

    def restore(self) -> None:
        """And out of it again."""
        self._apply(Operation.RESTORE, self.bob)
        self._await("users", self.bob, lambda one: one is not None)

    def clean(self) -> None:
        """Delete what was made, and nothing else. All of it is tried before a failure is told."""
        failed: list[str] = []
        for anchor in list(self.made):
            try:
                self._apply(Operation.DELETE, anchor)
                del self.made[anchor]
            except MetasyncError as error:
                failed.append(f"{anchor}: {error}")
        _need(not failed, f"these were made and could not be deleted; delete {self.name}* by hand: {'; '.join(failed)}")

    # -- writing and hearing -----------------------------------------------------------------------------------------------------------

    def _create(self, kind: Kind, called: str, **attributes: Any) -> str:
        label = f"{self.name} {called}"
        tag = uuid.uuid4().hex
        after = {"displayName": label, **attributes}
        change = Change(
            id=tag, operation=Operation.CREATE, kind=kind, anchor=None, label=label, after=after, tag=tag, mark=f"metasync:{tag}"
        )
        result = self._write(change)
        _need(result.anchor is not None, f"{label} was made and has no anchor")
        self.made[str(result.anchor)] = kind
        return str(result.anchor)

    def _apply(self, operation: Operation, anchor: str, **more: Any) -> None:
        tag = uuid.uuid4().hex
        kind = self.made[anchor]  # of others there is none, so that nothing else is ever written to
        self._write(Change(id=tag, operation=operation, kind=kind, anchor=anchor, label=f"{self.name} {anchor}", tag=tag, **more))

    def _write(self, change: Change) -> Result:
        """Written, also where the tenant asks to try again later."""
        last: list[Result] = []

        def tried() -> bool:
            last[:] = self.connector.write([replace(change, retried=bool(last))])
            return last[0].outcome is not Outcome.RETRY

        self._until(tried, f"{change.operation} of {change.label} is put off without an end")
        _need(last[0].outcome is Outcome.APPLIED, f"{change.operation} of {change.label}: {last[0].outcome}: {last[0].detail}")
        return last[0]

    def _await(self, stream: str, anchor: str, holds: Callable[[Known | None], bool]) -> None:
        def heard() -> bool:
            for page in self.connector.follow(self._request(stream), self.cursors[stream]):
                for item in page.items:
                    self._hear(item)
                if page.complete:
                    self.cursors[stream] = str(page.cursor)
            return anchor in self.told and holds(self.told[anchor])

        self._until(heard, lambda: f"the delta of {stream} says of {anchor}: {self.told.get(anchor)!r}")

    def _hear(self, item: Item) -> None:
        if isinstance(item, Gone):
            self.told[item.anchor] = None
        elif isinstance(item, Entry):
            self.told[item.anchor] = Known(kind=item.kind, attributes=dict(item.attributes))
        elif isinstance(item, Patch):
            known = self.told.get(item.anchor) or Known(kind=item.kind)
            known.patch(item)
            self.told[item.anchor] = known

    def _until(self, holds: Callable[[], bool], otherwise: str | Callable[[], str]) -> None:
        end = time.monotonic() + self.patience
        while not holds():
            _need(time.monotonic() < end, otherwise if isinstance(otherwise, str) else otherwise())
            self.pause(min(10.0, self.patience))

    @staticmethod
    def _request(stream: str) -> ReadRequest:
        kinds, attributes = _READ[stream]
        return ReadRequest(stream=stream, kinds=kinds, attributes=dict.fromkeys(kinds, attributes), page_size=1000)


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ScenarioFailed(otherwise)


def _several(values: Values | None) -> tuple[Value, ...]:
    return values if isinstance(values, tuple) else () if values is None else (values,)


def _live() -> Mapping[str, str]:
    """What the environment names, in full. Raises `NotNamed`."""
    found = {name: os.environ.get(LIVE + name, "").strip() for name in LIVE_NAMES}
    missing = [LIVE + name for name, value in found.items() if not value]
    if missing:
        raise NotNamed(f"a live tenant is named by {', '.join(LIVE + name for name in LIVE_NAMES)}; missing: {', '.join(missing)}")
    for name in ("TENANT", "WRITE"):
        if not _GUID.fullmatch(found[name].lower()):
            raise NotNamed(f"{LIVE}{name} must be the tenant's identifier as the portal shows it, not a domain")
    if found["TENANT"].lower() != found["WRITE"].lower():
        raise NotNamed(f"{LIVE}WRITE names another tenant than {LIVE}TENANT; nothing was sent")
    return found


class PatientContext(TestContext):
    """Whoever waits, waits."""

    def wait(self, until: datetime, why: str) -> None:
        """As long as it takes."""
        super().wait(until, why)
        # A live tenant sets the time; the lab's own goes by a clock that is moved.
        time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))


@contextmanager
def connected(options: Mapping[str, Any]) -> Iterator[EntraID]:
    """A connector with these options of the document."""
    connector = EntraID(EntraOptions().load(dict(options)), PatientContext("scenario", settings=DirectorySettings(mark=MARK)))
    try:
        yield connector
    finally:
        connector.close()


def play_lab(lab: Lab, say: Callable[[str], None] = print) -> None:
    """The scenario in a lab tenant."""
    with connected(lab.options) as connector:
        Scenario(connector=connector, domain=lab.domains[-1], say=say).play()


def play_live(say: Callable[[str], None] = print, options: Mapping[str, Any] | None = None, patience: float = LIVE_PATIENCE) -> None:
    """The scenario in the tenant that the environment names. `options`: more of the document's. Raises `NotNamed`."""
    named = _live()
    plain = {"tenant": named["TENANT"], "application": named["APPLICATION"], "certificate": named["CERTIFICATE"]}
    with connected({**plain, **(options or {})}) as connector:
        if connector.tenant != named["WRITE"].lower():
            raise NotNamed(f"the sign-in leads to the tenant {connector.tenant}, which is not the one that is named; nothing was written")
        if named["DOMAIN"].lower() not in connector.domains.federated:
            raise NotNamed(f"{named['DOMAIN']} is no verified domain of this tenant; nothing was written")
        Scenario(connector=connector, domain=named["DOMAIN"], say=say, patience=patience).play()


def main(arguments: list[str]) -> int:
    """See above."""
    if arguments not in ([], ["--live"]):
        print(__doc__, end="")
        return 0 if arguments in (["-h"], ["--help"]) else 2
    try:
        if arguments:
            play_live()
        else:
            with tenant() as lab:
                play_lab(lab)
    except MetasyncError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
