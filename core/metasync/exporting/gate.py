"""What holds a change back: an earlier change of the same object that is not done.

Kept in memory while one worker exports to one directory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from metasync.contract import Operation
from metasync.exporting.order import MEMBERS, Stage
from metasync.store.ledger import FAILED, ChangeRow
from metasync.store.rows import MOVED_MEMBERS

MAKING = frozenset({Operation.CREATE, Operation.RESTORE})
"""Members and references of an object depend on these alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """An earlier change that is not done."""

    stage: int
    id: int
    operation: Operation
    state: str
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Why a change must not be begun: `state` is what becomes of it, `approved` where it only waits."""

    state: str
    error: str


class Gate:
    """Remembers obstacles per plan and object."""

    def __init__(self, obstacles: Iterable[tuple[int, int, int, int, Operation, str, str]] = ()) -> None:
        self._obstacles: dict[tuple[int, int], list[Obstacle]] = {}
        for plan_id, object_id, stage, number, operation, state, error in obstacles:
            found = Obstacle(stage=stage, id=number, operation=operation, state=state, error=error)
            self._obstacles.setdefault((plan_id, object_id), []).append(found)

    def shut(self, row: ChangeRow, state: str, error: str) -> None:
        """This change was not done."""
        if row.operation not in MEMBERS or row.stage in MOVED_MEMBERS:
            found = Obstacle(stage=row.stage, id=row.id, operation=row.operation, state=state, error=error)
            self._obstacles.setdefault((row.plan_id, row.object_id), []).append(found)

    def failed(self, row: ChangeRow) -> bool:
        """Another change of the same object was refused, or sent back: what was told of it still stands when this one is done."""
        others = self._obstacles.get((row.plan_id, row.object_id), ())
        return any(one.id != row.id and one.state in FAILED for one in others)

    def held(self, row: ChangeRow) -> Held | None:
        """What stands in this change's way, if anything."""
        for obstacle in self._obstacles.get((row.plan_id, row.object_id), ()):
            if obstacle.id == row.id or (obstacle.stage, obstacle.id) > (row.stage, row.id):
                continue
            if row.stage in (Stage.MEMBER, Stage.REFERENCE) and obstacle.operation not in MAKING:
                continue
            if obstacle.state in FAILED:
                state = "rejected" if obstacle.state == "rejected" else "stale"
                because = f": {obstacle.error}" if obstacle.error else ""
                return Held(state=state, error=f"not begun, because the {obstacle.operation} before it was not done{because}")
            return Held(state="approved", error=f"waits for the {obstacle.operation} before it")
        return None
