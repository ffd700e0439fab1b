"""What people are shown of runs and plans: with their steps, their changes, and the names of what these refer to.

A plan may have a million changes, and a profile as many problems: they are read page by page while they are shown, each page by the key of
the last one, and nothing of it is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from metasync.blame import ConnectorFailed, blamed
from metasync.contract import Estimate, Estimates, Operation, Reference
from metasync.opening import UsageError
from metasync.planning import PlanSummary
from metasync.planning.plan import summary
from metasync.store import ledger, looking, plans, queue
from metasync.store import runs as run_rows
from metasync.store.ledger import ChangeRow
from metasync.store.looking import ProblemRow, Seen
from metasync.store.plans import PlanRow
from metasync.store.runs import RunRow, StepRow
from metasync.synchronising.created import CREATED_FOR
from metasync.workspace import Workspace

_log = logging.getLogger(__name__)

FIRST_PAGE = 50
"""Rows of the first page: so many are there at once, whatever follows."""
PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class ShownRun:
    """A run with its steps and plans."""

    run: RunRow
    steps: Sequence[StepRow]
    plans: Sequence[PlanSummary]
    written: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ShownPlan:
    """A plan, but its changes."""

    plan: PlanSummary
    created: str
    states: Mapping[str, int]
    """State of a change -> number, of the rows that will be written."""
    approved_by: str
    target: str
    """The directory that the plan writes to: references by anchor are to its objects."""
    problems: int
    """How many stand against its profile."""
    takes: Estimate | None = None
    """How long it takes to write it at least, while that is to be done and where the directory's connector knows."""


@dataclass(frozen=True, kw_only=True)
class ShownChange:
    """A change, and the names of what it refers to."""

    row: ChangeRow
    names: Mapping[str, str]
    """DIRECTORY/ANCHOR of the objects that it refers to -> what people call them; of its neighbours, too."""


def open_plans(workspace: Workspace) -> list[PlanSummary]:
    """Plans that wait for a decision, or to be exported."""
    with workspace.backend.read() as connection:
        found = plans.newest(connection, workspace.engagement_id, states=("planned", "approved"))
    return [summary(row) for row in reversed(found)]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnderWay:
    """What is worked now."""

    runs: Sequence[ShownRun]
    """Those that run, or that come next, with their steps."""
    queued: int
    """How many more wait."""
    workers: int
    """How many processes work what is on the queue."""


def under_way(workspace: Workspace) -> UnderWay:
    """What is worked now, whoever works it."""
    with workspace.backend.read() as connection:
        running = run_rows.in_states(connection, workspace.engagement_id, ("running",))
        queued = run_rows.in_states(connection, workspace.engagement_id, ("queued",), limit=1)
        number = run_rows.count_in_states(connection, workspace.engagement_id, ("queued",))
        alive = len(queue.workers(connection, workspace.engagement_id, workspace.backend.now(connection)))
        runs = [_with_steps(connection, row) for row in (*running, *queued)]
    return UnderWay(runs=runs, queued=number - len(queued), workers=alive)


def oldest_open_run(workspace: Workspace) -> int:
    """The number of the first run that is not at its end; where all are, the number that the next one will at least have."""
    with workspace.backend.read() as connection:
        return run_rows.oldest_open(connection, workspace.engagement_id)


def runs_since(workspace: Workspace, number: int) -> list[ShownRun]:
    """The runs from this number on that were begun, with their steps, in their order."""
    with workspace.backend.read() as connection:
        return [_with_steps(connection, row) for row in run_rows.begun_since(connection, workspace.engagement_id, number)]


def _with_steps(connection: Connection, row: RunRow) -> ShownRun:
    return ShownRun(run=row, steps=run_rows.steps(connection, row.id), plans=[], written={})


def show_run(workspace: Workspace, run_id: int) -> ShownRun:
    """One run, its steps, its plans."""
    with workspace.backend.read() as connection:
        row = known_run(connection, workspace, run_id)
        made = plans.of_run(connection, workspace.engagement_id, run_id)
        return ShownRun(
            run=row,
            steps=run_rows.steps(connection, run_id),
            plans=[summary(one) for one in made],
            written=ledger.count_of_run(connection, workspace.engagement_id, run_id),
        )


def show_plan(workspace: Workspace, plan_id: int) -> ShownPlan:
    """One plan. What it would do is in `changes_of`."""
    with workspace.backend.read() as connection:
        row = known_plan(connection, workspace, plan_id)
        given = plans.approval_of(connection, plan_id)
        target = _target_of(connection, workspace, row)
        return ShownPlan(
            plan=summary(row),
            created=f"{row.created:%Y-%m-%dT%H:%M:%SZ}",
            states=ledger.count(connection, [plan_id]),
            approved_by=f"{given.author}: {given.reason}" if given else "",
            target=target,
            problems=sum(looking.problem_totals(connection, workspace.engagement_id, [row.profile]).values()),
            takes=_takes(workspace, summary(row), target),
        )


def _takes(workspace: Workspace, plan: PlanSummary, target: str) -> Estimate | None:
    """What the target's connector says of it. What exporters carry across is not written by it."""
    directory = workspace.engagement.directories.get(target)
    if directory is None or plan.purpose == "exporter" or plan.state not in ("planned", "approved"):
        return None
    connector = workspace.connector_class(target)
    if not issubclass(connector, Estimates):
        return None
    try:
        with blamed(connector.name):
            return connector.estimate(directory.options, plan.counts)
    except ConnectorFailed as error:
        _log.warning("%s", error)
        return None


def changes_of(
    workspace: Workspace, found: ShownPlan, *, limit: int | None = None, operations: Collection[str] = (), text: str = ""
) -> Iterator[ShownChange]:
    """The changes of a plan that fit, or the first of them. `text`: a part of an object's name or anchor. Raises `UsageError` at once."""
    wanted = frozenset(operation_named(one).value for one in operations)
    return _changes(workspace, found, limit, wanted, text)


def _changes(workspace: Workspace, found: ShownPlan, limit: int | None, wanted: Collection[str], text: str) -> Iterator[ShownChange]:
    last, left, size = 0, limit, FIRST_PAGE
    while left is None or left > 0:
        size = size if left is None else min(size, left)
        with workspace.backend.read() as connection:
            page = ledger.changes(
                connection, workspace.engagement_id, plan_id=found.plan.id, operations=wanted, text=text, after_id=last, limit=size
            )
            names = looking.labels(connection, workspace.engagement_id, _referred(page, found.target))
        for row in _as_written(page):
            yield ShownChange(row=row, names=names)
        if len(page) < size:
            return
        last = page[-1].id
        left = left if left is None else left - len(page)
        size = PAGE


def matching(workspace: Workspace, found: ShownPlan, *, operations: Collection[str] = (), text: str = "") -> int:
    """How many changes of a plan fit."""
    if not operations and not text:
        return sum(found.states.values())
    wanted = frozenset(operation_named(one).value for one in operations)
    with workspace.backend.read() as connection:
        return ledger.count_those(connection, workspace.engagement_id, plan_id=found.plan.id, operations=wanted, text=text)


def every_problem(workspace: Workspace, **filters: Any) -> Iterator[ProblemRow]:
    """Problems that stand, the worst and oldest first; filters as `store.looking.problems` names them."""
    after: tuple[str, int] | None = None
    while True:
        with workspace.backend.read() as connection:
            page = looking.problems(connection, workspace.engagement_id, **filters, limit=PAGE, after=after)
        yield from page
        if len(page) < PAGE:
            return
        after = (page[-1].severity, page[-1].id)


def every_object(workspace: Workspace, *, after: tuple[str, str] = ("", ""), **filters: Any) -> Iterator[Seen]:
    """Objects as last imported, by directory and anchor, behind `after`; filters as `store.looking.objects` names them."""
    size = FIRST_PAGE
    while True:
        with workspace.backend.read() as connection:
            page = looking.objects(connection, workspace.engagement_id, **filters, limit=size, after=after)
        yield from page
        if len(page) < size:
            return
        after, size = (page[-1].directory, page[-1].anchor), PAGE


def _as_written(shown: Sequence[ChangeRow]) -> list[ChangeRow]:
    """The changes of one object in the order in which they are written, each object where it was: those of one page."""
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


def _target_of(connection: Connection, workspace: Workspace, row: PlanRow) -> str:
    profile = workspace.engagement.profiles.get(row.profile)
    if profile is not None:
        return profile.target
    first = ledger.changes(connection, workspace.engagement_id, plan_id=row.id, limit=1)
    return workspace.names.get(first[0].directory_id, "") if first else ""


def _referred(shown: Sequence[ChangeRow], target: str) -> set[str]:
    """DIRECTORY/ANCHOR of everything that these changes refer to."""
    values = (value for one in shown for image in (one.before, one.after) for value in image.values())
    references = (one for value in values for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Reference))
    return {reference_name(one, target) for one in references}


def reference_name(reference: Reference, target: str) -> str:
    """DIRECTORY/ANCHOR of what a change refers to: an object of its target, or the source object of one that is still to be created."""
    return reference.value if reference.key == CREATED_FOR else f"{target}/{reference.value}"


def known_run(connection: Connection, workspace: Workspace, run_id: int) -> RunRow:
    """A run of this engagement. Raises `UsageError`."""
    row = run_rows.get(connection, workspace.engagement_id, run_id)
    if row is None:
        raise UsageError(f"there is no run {run_id}; see `metasync runs`")
    return row


def known_plan(connection: Connection, workspace: Workspace, plan_id: int) -> PlanRow:
    """A plan of this engagement. Raises `UsageError`."""
    row = plans.get(connection, workspace.engagement_id, plan_id)
    if row is None:
        raise UsageError(f"there is no plan {plan_id}; see `metasync runs`")
    return row
