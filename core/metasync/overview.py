"""What people are shown of runs and plans: with their steps, their changes, and the names of what these refer to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from metasync.contract import Operation, Reference
from metasync.exporting.references import CREATED_FOR
from metasync.opening import UsageError
from metasync.planning import PlanSummary
from metasync.planning.plan import summary
from metasync.store import ledger, looking, plans
from metasync.store import runs as run_rows
from metasync.store.ledger import ChangeRow
from metasync.store.looking import ProblemRow
from metasync.store.plans import PlanRow
from metasync.store.runs import RunRow, StepRow
from metasync.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class ShownRun:
    """A run with its steps and plans."""

    run: RunRow
    steps: Sequence[StepRow]
    plans: Sequence[PlanSummary]
    written: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ShownPlan:
    """A plan with as many of its changes as were asked for."""

    plan: PlanSummary
    created: str
    states: Mapping[str, int]
    """State of a change -> number, of the rows that will be written."""
    approved_by: str
    changes: Sequence[ChangeRow]
    names: Mapping[str, str]
    """DIRECTORY/ANCHOR of the objects that the changes refer to -> what people call them."""
    target: str
    """The directory that the plan writes to: references by anchor are to its objects."""
    matching: int
    """How many changes fit the filters; more than are shown, maybe."""
    problems: Sequence[ProblemRow]


def open_plans(workspace: Workspace) -> list[PlanSummary]:
    """Plans that wait for a decision, or to be exported."""
    with workspace.backend.read() as connection:
        found = plans.newest(connection, workspace.engagement_id, states=("planned", "approved"))
    return [summary(row) for row in reversed(found)]


def show_run(workspace: Workspace, run_id: int) -> ShownRun:
    """One run, its steps, its plans."""
    with workspace.backend.read() as connection:
        row = run_rows.get(connection, workspace.engagement_id, run_id)
        if row is None:
            raise UsageError(f"there is no run {run_id}; see `metasync runs`")
        made = plans.of_run(connection, workspace.engagement_id, run_id)
        return ShownRun(
            run=row,
            steps=run_rows.steps(connection, run_id),
            plans=[summary(one) for one in made],
            written=ledger.count_of_run(connection, workspace.engagement_id, run_id),
        )


def show_plan(
    workspace: Workspace,
    plan_id: int,
    *,
    limit: int | None = 50,
    operations: Collection[str] = (),
    text: str = "",
    states: Collection[str] = (),
) -> ShownPlan:
    """One plan; the first changes that fit. `text`: a part of an object's name or anchor."""
    wanted = frozenset(operation_named(one) for one in operations)
    with workspace.backend.read() as connection:
        row = _plan_row(connection, workspace, plan_id)
        given = plans.approval_of(connection, plan_id)
        shown: list[ChangeRow] = []
        matching, last = 0, 0
        while page := ledger.changes(connection, workspace.engagement_id, plan_id=plan_id, states=states, after_id=last):
            last = page[-1].id
            fitting = [one for one in page if (not wanted or one.operation in wanted) and _mentions(one, text)]
            matching += len(fitting)
            shown += fitting if limit is None else fitting[: max(0, limit - len(shown))]
        shown = _as_written(shown)
        target = _target_of(workspace, row, shown)
        return ShownPlan(
            names=looking.labels(connection, workspace.engagement_id, _referred(shown, target)),
            target=target,
            plan=summary(row),
            created=f"{row.created:%Y-%m-%dT%H:%M:%SZ}",
            states=ledger.count(connection, [plan_id]),
            approved_by=f"{given.author}: {given.reason}" if given else "",
            changes=shown,
            matching=matching,
            problems=looking.problems(connection, workspace.engagement_id, of=[row.profile], limit=None),
        )


def _as_written(shown: Sequence[ChangeRow]) -> list[ChangeRow]:
    """The changes of one object in the order in which they are written, each object where it was."""
    of_object: dict[int, list[ChangeRow]] = {}
    for one in shown:
        of_object.setdefault(one.object_id, []).append(one)
    following = {number: iter(sorted(rows, key=lambda row: (row.stage, row.id))) for number, rows in of_object.items()}
    return [next(following[one.object_id]) for one in shown]


def operation_named(word: str) -> Operation:
    """The operation of this name. Raises `UsageError`."""
    try:
        return Operation(word)
    except ValueError:
        raise UsageError(f"there is no operation {word!r}; allowed: {', '.join(one.value for one in Operation)}") from None


def _mentions(change: ChangeRow, text: str) -> bool:
    folded = text.casefold()
    return not text or any(folded in (one or "").casefold() for one in (change.label, change.anchor, change.source))


def _target_of(workspace: Workspace, row: PlanRow, shown: Sequence[ChangeRow]) -> str:
    profile = workspace.engagement.profiles.get(row.profile)
    if profile is not None:
        return profile.target
    return workspace.directory_name(shown[0].directory_id) if shown else ""


def _referred(shown: Sequence[ChangeRow], target: str) -> set[str]:
    """DIRECTORY/ANCHOR of everything that these changes refer to."""
    values = (value for one in shown for image in (one.before, one.after) for value in image.values())
    references = (one for value in values for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Reference))
    return {reference_name(one, target) for one in references}


def reference_name(reference: Reference, target: str) -> str:
    """DIRECTORY/ANCHOR of what a change refers to: an object of its target, or the source object of one that is still to be created."""
    return reference.value if reference.key == CREATED_FOR else f"{target}/{reference.value}"


def _plan_row(connection: Connection, workspace: Workspace, plan_id: int) -> PlanRow:
    row = plans.get(connection, workspace.engagement_id, plan_id)
    if row is None:
        raise UsageError(f"there is no plan {plan_id}; see `metasync runs`")
    return row
