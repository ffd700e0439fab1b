"""What the results of one portion come to: gathered while they are judged, and stored at once. A statement per result costs more than a
write.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from metasync.contract import Operation
from metasync.exporting.order import MEMBERS
from metasync.store import dirty, holds, joins, ledger
from metasync.store import problems as problem_rows
from metasync.store import written as written_rows
from metasync.store.holds import HoldRow
from metasync.store.joins import JoinRow
from metasync.store.ledger import ChangeRow
from metasync.store.rows import MOVED_MEMBERS
from metasync.workspace import Workspace

STEPS = frozenset({Operation.DISABLE, Operation.ENABLE, Operation.MOVE})
"""What may be a step of leaving, or takes one back."""


@dataclass(kw_only=True)
class Gathered:
    """What is known of the changes of one portion, and what is to be stored of them."""

    ours: Collection[int] = frozenset()
    """The changes whose attempts are ours to end."""
    joined: dict[str, JoinRow] = field(default_factory=dict)
    """Anchor -> the join of that object, of those that were created or took a step of leaving."""
    places: dict[tuple[int, str], str] = field(default_factory=dict)
    """(identity, kind) of what was created -> anchor of its object, if it has one."""
    undone: Mapping[int, Sequence[ChangeRow]] = field(default_factory=dict)
    """Change of an undo -> what it takes back."""
    undoing: frozenset[int] = frozenset()
    """The plans of what is taken back that are undos themselves."""
    ended: list[tuple[Any, ...]] = field(default_factory=list)
    created: list[int] = field(default_factory=list)
    joins: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By anchor."""
    done: dict[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Join -> the steps of leaving that we took."""
    holds: dict[tuple[str, int, str], HoldRow] = field(default_factory=dict)
    released: dict[tuple[str, str, int | None], list[int]] = field(default_factory=dict)
    """(profile, attribute, run that holds) -> source objects."""
    dirty: set[tuple[str, int, int]] = field(default_factory=set)
    problems: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(
        cls, connection: Connection, directory_id: int, rows: Sequence[tuple[ChangeRow, str | None]], *, fence: int, undo: Collection[int]
    ) -> Gathered:
        """What must be known of these (change, anchor that became known). `undo`: the plans that are undos."""
        created = [(row, anchor) for row, anchor in rows if row.operation is Operation.CREATE and anchor]
        stepped = {row.anchor for row, _ in rows if row.operation in STEPS and row.anchor}
        identities = {row.identity_id or 0 for row, _ in created}
        back = [row.id for row, _ in rows if row.plan_id in undo]
        undone = written_rows.undone(connection, back) if back else {}
        plans = {one.plan_id for several in undone.values() for one in several}
        purposes = ledger.purposes(connection, plans) if plans else {}
        anchors = stepped | {anchor for _, anchor in created if anchor}
        return cls(
            ours=ledger.still_ours(connection, [row.id for row, _ in rows], fence=fence),
            joined=joins.of_anchors(connection, directory_id, anchors) if anchors else {},
            places=ledger.places_of(connection, identities, directory_id) if identities else {},
            undone=undone,
            undoing=frozenset(number for number, purpose in purposes.items() if purpose == "undo"),
        )

    def end(self, row: ChangeRow, state: str, **values: Any) -> bool:
        """End an attempt; False where the lease was lost and another owner has the change."""
        if row.id not in self.ours:
            return False
        known = {name: values.get(name, getattr(row, name)) for name in ledger.ENDED[1:]}
        self.ended.append((state, *known.values(), row.id))
        return True

    def store(self, workspace: Workspace, connection: Connection, *, fence: int) -> None:
        """Store all of it."""
        backend, engagement_id = workspace.backend, workspace.engagement_id
        ledger.finish(backend, connection, self.ended, fence=fence)
        ledger.mark_created(connection, self.created)
        joins.add(connection, list(self.joins.values()))
        for join_id, steps in self.done.items():
            joins.set_done(connection, join_id, steps)
        holds.add(backend, connection, engagement_id, self.holds.values())
        for (profile, attribute, run_id), objects in self.released.items():
            holds.release(connection, engagement_id, profile=profile, objects=objects, attribute=attribute, run_id=run_id)
        dirty.mark(backend, connection, engagement_id, self.dirty)
        problem_rows.add_rows(connection, self.problems)


def clear_problems(workspace: Workspace, connection: Connection, rows: Sequence[ChangeRow]) -> None:
    """What was wrong with these changes is judged anew."""
    by_profile: dict[str, set[int]] = {}
    for row in rows:
        if row.attempts > 1 or row.operation not in MEMBERS or row.stage in MOVED_MEMBERS:
            by_profile.setdefault(row.profile, set()).add(row.object_id)
    for profile, objects in by_profile.items():
        problem_rows.clear(connection, workspace.engagement_id, "export", profile, objects)
