"""Members that were changed again behind a plan: what an import shows of a group is then not what this plan wrote.

A group of 100,000 members has as many changes; so for each member only what later plans did to it is looked up, and remembered for as long
as the pages are of that group. Within one plan a member is changed once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from metasync.contract import Operation
from metasync.exporting.order import MEMBERS
from metasync.exporting.shown import Showing
from metasync.store import ledger
from metasync.store import written as written_rows
from metasync.store.ledger import ChangeRow


class Later(NamedTuple):
    """What became of a member later."""

    operation: Operation
    state: str


class LaterMembers:
    """Remembers for the groups of the present page."""

    def __init__(self, directory_id: int) -> None:
        self._directory_id = directory_id
        self._known: dict[tuple[int, str], dict[str, list[Later]]] = {}
        """(plan, anchor of the group) -> anchor of the member -> what later plans did, in the order in which it was written."""

    def look(self, connection: Connection, showing: Showing, rows: Collection[ChangeRow]) -> None:
        """Look up what must be known of the members in these rows."""
        wanted = {(row.plan_id, row.anchor) for row in rows if row.operation in MEMBERS and row.anchor}
        known = {pair: self._known[pair] for pair in wanted & self._known.keys()}
        missing: dict[int, list[str]] = {}
        for plan_id, anchor in sorted(wanted - known.keys()):
            missing.setdefault(plan_id, []).append(anchor)
        for plan_id, anchors in missing.items():
            last = ledger.last_of(connection, plan_id)
            found = written_rows.of_anchors(connection, self._directory_id, anchors, ledger.DONE, after_id=last, members=True)
            for anchor in anchors:
                known[plan_id, anchor] = _by_member(connection, showing, found.get(anchor, []))
        self._known = known

    def of(self, row: ChangeRow, member: str) -> Sequence[Later]:
        """What later plans did to a member that this change adds or removes."""
        return self._known.get((row.plan_id, row.anchor or ""), {}).get(member, ())


def _by_member(connection: Connection, showing: Showing, rows: Sequence[ChangeRow]) -> dict[str, list[Later]]:
    showing.learn(connection, rows)
    found: dict[str, list[Later]] = {}
    for row in rows:
        for _, member in showing.members(row):
            found.setdefault(member.value, []).append(Later(row.operation, row.state))
    return found
