"""Planning: what is pending becomes a plan, frozen and hashed, which never changes again.

A newer plan takes back what is unwritten of an older one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from metasync import garbage
from metasync.contract import Kind, MetasyncError, Operation, Reference, RunNotice
from metasync.engagement.model import Limit, Profile
from metasync.equality import Attributes
from metasync.planning.carried import carried
from metasync.planning.freezer import Draft, Freezer, Subject
from metasync.planning.limits import Exceeded, exceeded
from metasync.planning.objections import NONE, Objections
from metasync.planning.replaced import freeze_replaced, served, tried_first
from metasync.planning.reviewing import review
from metasync.store import directories, freezing, ledger, plans
from metasync.store import pending as pending_rows
from metasync.store import problems as problem_rows
from metasync.store import written as written_rows
from metasync.synchronising.created import CREATED_FOR
from metasync.workspace import Workspace

IMAGED = frozenset({Operation.RENAME, Operation.MOVE, Operation.DELETE})
"""Operations whose order depends on more of the object than they change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanSummary:
    """A plan without its changes."""

    id: int
    profile: str
    purpose: str
    """`synchronise`, `undo` or `exporter`."""
    state: str
    """`planned`, `approved`, `exported`, `superseded` or `empty`."""
    hash: str
    configuration: str
    revision: int
    counts: Mapping[Operation, int]
    """Operations on objects: the references of a new object belong to its create."""
    joined: int
    exceeded: tuple[Exceeded, ...]
    undoes: int | None = None
    note: str = ""
    reused: bool = False
    """It stood already, with the same content."""

    @property
    def changes(self) -> int:
        """How many operations there are."""
        return sum(self.counts.values())


class _Unchanged(Exception):
    """Rolls a freeze back: the same plan stands already."""

    def __init__(self, row: plans.PlanRow, problems: list[dict[str, Any]]) -> None:
        self.row = row
        self.problems = problems


def freeze(workspace: Workspace, run_id: int, profiles: Iterable[str], *, objects: Collection[int] | None = None) -> list[PlanSummary]:
    """Freeze one plan per profile: everything that is pending, or a pilot of these source objects."""
    chosen = None if objects is None else frozenset(objects)
    summaries = []
    for name in profiles:
        workspace.check_stop()
        profile = workspace.engagement.profiles.get(name)
        if profile is None:
            known = ", ".join(sorted(workspace.engagement.profiles))
            raise MetasyncError(f"there is no profile {name!r}; the document has: {known}")
        workspace.report(0, None, f"planning {name}")
        summaries.append(_freeze_profile(workspace, run_id, profile, chosen))
    return summaries


def summary(row: plans.PlanRow, *, reused: bool = False) -> PlanSummary:
    """A plan's row for callers."""
    return PlanSummary(
        id=row.id,
        profile=row.profile,
        purpose=row.purpose,
        state=row.state,
        hash=row.hash,
        configuration=row.configuration,
        revision=row.revision,
        counts={Operation(operation): number for operation, number in row.counts.items()},
        joined=row.joined,
        exceeded=tuple(Exceeded.from_json(one) for one in row.exceeded),
        undoes=row.undoes,
        note=row.note,
        reused=reused,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class NewPlan:
    """A plan that shall be made."""

    profile: str
    purpose: str
    """As a summary has it."""
    directory: str
    """Whose connector writes it."""
    configuration: str
    """The hash that an approval binds."""
    limits: Mapping[Operation, Limit]
    joined: Callable[[Connection], int]
    """What percentages of the limits are of."""
    fill: Callable[[Connection, Freezer], None]
    """Hands the drafts to the freezer."""
    objects: frozenset[int] | None = None
    """A pilot: of these source objects alone."""
    undoes: int | None = None
    """The run that it takes back."""
    note: str = ""
    after: Callable[[Connection, int], None] = lambda connection, plan_id: None
    """What else belongs into the transaction, with the plan's id."""

    @property
    def area(self) -> str:
        """Where its problems are kept."""
        return "undo" if self.purpose == "undo" else "plan"


def frozen(workspace: Workspace, run_id: int, new: NewPlan) -> PlanSummary:
    """Make one plan in one transaction. What stands already is found again instead."""
    workspace.backend.gather_statistics()
    with workspace.backend.write() as connection:
        # Where an export ended before it could say that all is written; an undo may be long over when the profile is planned again.
        approved = plans.of_profile(connection, workspace.engagement_id, new.profile, states=("approved",))
        ledger.close_plans(connection, [row.id for row in approved if row.purpose in (new.purpose, "undo")])
    # What exporters carry across is not written by the directory's connector.
    exporter = new.purpose == "exporter"
    objections = NONE if exporter else review(workspace, profile=new.profile, directory=new.directory, fill=new.fill)
    try:
        with workspace.backend.write("undo.freeze" if new.purpose == "undo" else "plan.freeze", durable=True) as connection:
            row, problems = _write(workspace, connection, run_id, new, objections)
            _keep(workspace, connection, new, row.id, problems)
    except _Unchanged as same:
        with workspace.backend.write() as connection:
            _keep(workspace, connection, new, same.row.id, same.problems)
        return summary(same.row, reused=True)
    made = summary(row)
    notice = RunNotice(
        engagement=workspace.engagement.name,
        run=run_id,
        profiles=(new.profile,),
        plan=made.id,
        state=made.state,
        counts=tuple((operation.value, number) for operation, number in made.counts.items()),
    )
    workspace.host.tell("metasync_planned", notice=notice)
    return made


def _write(
    workspace: Workspace, connection: Connection, run_id: int, new: NewPlan, objections: Objections
) -> tuple[plans.PlanRow, list[dict[str, Any]]]:
    """The plan with all of its changes, and the problems that were found on the way."""
    now = workspace.backend.now(connection)
    revision = workspace.engagement.revision
    plan_id = plans.add(
        connection,
        {
            "engagement_id": workspace.engagement_id,
            "profile": new.profile,
            "purpose": new.purpose,
            "run_id": run_id,
            "state": "planned",
            "hash": "",
            "configuration": new.configuration,
            "revision": revision,
            "created": now,
            "counts": {},
            "joined": 0,
            "exceeded": [],
            "undoes": new.undoes,
            "note": new.note if new.objects is None else f"a pilot of {len(new.objects)} objects",
        },
    )
    freezer = Freezer(
        connection, workspace, plan_id=plan_id, profile=new.profile, directory=new.directory, revision=revision, objections=objections
    )
    with garbage.paused():
        new.fill(connection, freezer)
        content = freezer.finish()
    if objections.unasked:
        freezer.problems.append(_unasked(new.directory, objections.unasked))
    standing = problem_rows.known(connection, workspace.engagement_id, new.area, new.profile)
    for one in freezer.problems:
        one.setdefault("attribute", "")
        one.setdefault("since", standing.get((one["anchor"], one["attribute"], one["code"]), now))
        one.setdefault("run_id", run_id)
    states = ("planned", "approved", "empty")
    for row in plans.of_profile(connection, workspace.engagement_id, new.profile, states=states, purpose=new.purpose):
        same_gate = row.configuration == new.configuration and row.undoes == new.undoes
        if row.id != plan_id and same_gate and _stands(connection, row, content):
            raise _Unchanged(row, freezer.problems)
    if freezer.taken_back:
        written_rows.set_undone_by(workspace.backend, connection, plan_id, freezer.taken_back)
    total = new.joined(connection)
    passed = exceeded(freezer.counts, total, new.limits)
    plans.change_plan(
        connection,
        plan_id,
        state="planned" if +freezer.counts else "empty",
        hash=content,
        counts={operation.value: freezer.counts[operation] for operation in Operation if freezer.counts[operation]},
        joined=total,
        exceeded=[one.as_json() for one in passed],
    )
    plans.supersede(connection, workspace.engagement_id, new.profile, new.purpose, newer=plan_id, objects=new.objects)
    made = plans.get(connection, workspace.engagement_id, plan_id)
    assert made is not None
    return made, freezer.problems


def _keep(workspace: Workspace, connection: Connection, new: NewPlan, plan_id: int, problems: list[dict[str, Any]]) -> None:
    """The problems of those whom the plan is about (0: of no single object), and what else belongs to it."""
    about = None if new.objects is None else new.objects | {0}
    problem_rows.replace(connection, workspace.engagement_id, new.area, new.profile, problems, objects=about)
    new.after(connection, plan_id)


def _unasked(directory: str, why: str) -> dict[str, Any]:
    text = (
        f"{directory} could not be asked what it would refuse of this plan: {why}. What it refuses shows when it is exported; "
        "plan again to know it before"
    )
    return {"object_id": 0, "anchor": "", "code": "not reviewed", "text": text, "severity": "warning"}


def _goes_along(profile: Profile, count: int) -> dict[str, Any]:
    text = (
        f"moves that are not in this plan: {count}. Who is in a container of {profile.target} that is to be renamed or moved goes along "
        "with it; export the plan of the containers"
    )
    return {"object_id": 0, "anchor": "", "code": "goes along", "text": text, "severity": "notice"}


def _stands(connection: Connection, row: plans.PlanRow, content: str) -> bool:
    """What is still unwritten of the older plan says the same."""
    return plans.content_hash(connection, row.id, states=plans.UNWRITTEN) == content


def _freeze_profile(workspace: Workspace, run_id: int, profile: Profile, objects: frozenset[int] | None) -> PlanSummary:
    def joined(connection: Connection) -> int:
        return joined_by(workspace, connection, profile)

    new = NewPlan(
        profile=profile.name,
        purpose="synchronise",
        directory=profile.target,
        configuration=profile.configuration,
        limits=profile.limits,
        joined=joined,
        fill=lambda connection, freezer: _fill(workspace, connection, freezer, profile, objects),
        objects=objects,
        after=lambda connection, _: problem_rows.clear_refused(connection, workspace.engagement_id, profile.name),
    )
    return frozen(workspace, run_id, new)


def joined_by(workspace: Workspace, connection: Connection, profile: Profile) -> int:
    """What percentages of the profile's limits are of."""
    return freezing.joined(
        connection,
        workspace.engagement_id,
        sources=[workspace.directory_ids[source] for source in profile.sources],
        source_kind=profile.source_kind.value,
        target=workspace.directory_ids[profile.target],
        target_kind=profile.target_kind.value,
    )


def _fill(workspace: Workspace, connection: Connection, freezer: Freezer, profile: Profile, objects: frozenset[int] | None) -> None:
    busy = freezing.in_flight(connection, workspace.engagement_id, profile.name)
    handed = served(workspace, connection, profile, objects)
    attributes = Attributes(directories.schema_of(connection, workspace.directory_ids[profile.target])) if handed else None
    along = carried(workspace, connection, profile)
    done = 0
    for creates in (False, True):
        for page in freezing.pending_objects(
            workspace.backend, connection, workspace.engagement_id, profile.name, creates=creates, objects=objects
        ):
            free = [row for row in page if row.object_id not in busy] if busy else page
            if creates and (nobody := next((row for row in free if row.identity_id is None), None)) is not None:
                raise MetasyncError(f"{nobody.source} shall be created in {profile.target} without an identity; synchronise it again")
            rest = freezer.add_creates(free) if creates else free
            rows = [(row, pending_rows.restored(row.operations, row.reference_operations)) for row in rest]
            imaged = [row.target_id for row, operations in rows if row.target_id and any(one.operation in IMAGED for one in operations)]
            images = freezing.images(connection, imaged) if imaged else {}
            for row, operations in rows:
                subject = Subject(
                    object_id=row.object_id,
                    source=row.source,
                    identity_id=row.identity_id,
                    kind=Kind(row.kind),
                    target_id=row.target_id,
                    anchor=row.anchor,
                    label=row.label,
                    image=images.get(row.target_id or 0, {}),
                )
                drafts = [Draft(operation=one.operation, before=one.before, after=one.after, rules=one.rules) for one in operations]
                if along and not (drafts := along.without(drafts)):
                    continue
                if attributes is not None and row.object_id in handed:
                    first, drafts = tried_first(drafts, attributes.of(subject.kind))
                    freezer.add(subject, first)
                freezer.add(subject, drafts)
            done += len(page)
            workspace.report(done, None, f"planning {profile.name}")
    if along.count:
        freezer.problems.append(_goes_along(profile, along.count))
    freeze_replaced(workspace, connection, freezer, profile, objects=objects, busy=busy)
    members = freezing.pending_members(
        connection,
        workspace.engagement_id,
        profile.name,
        target_id=workspace.directory_ids[profile.target],
        target_kind=profile.target_kind.value,
        objects=objects,
    )
    for portion in members:
        free_members = [member for member in portion if member.object_id not in busy] if busy else portion
        for member in freezer.add_members(free_members, profile.target_kind):
            freezer.add(_group(member, profile.target_kind), [_member_draft(member)])
        done += len(portion)
        workspace.report(done, None, f"planning {profile.name}")


def _group(row: freezing.PendingMember, kind: Kind) -> Subject:
    return Subject(
        object_id=row.object_id,
        source=row.source,
        identity_id=row.identity_id,
        kind=kind,
        target_id=row.target_id,
        anchor=row.anchor,
        label=row.label,
    )


def _member_draft(row: freezing.PendingMember) -> Draft:
    reference = Reference(value=row.member_key, key=CREATED_FOR) if row.member_created else Reference(value=row.member_key)
    image = {row.attribute: (reference,)}
    rules = {row.attribute: row.rule}
    if row.operation is Operation.MEMBER_ADD:
        return Draft(operation=row.operation, after=image, rules=rules)
    return Draft(operation=row.operation, before=image, rules=rules)


def counts_of(summaries: Iterable[PlanSummary]) -> Counter[Operation]:
    """Operations of several plans together."""
    total: Counter[Operation] = Counter()
    for one in summaries:
        total.update(one.counts)
    return total
