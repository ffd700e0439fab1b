"""What speaks against a cut-over: authority over a person moves only where nothing is left to be done for him, or on its way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from metasync.contract import Operation
from metasync.store import readiness as rows
from metasync.store import written as written_rows
from metasync.store.readiness import Stand, Trouble, Under, Wish
from metasync.store.rows import Status
from metasync.store.waves import Holder
from metasync.synchronising.created import CREATED_FOR
from metasync.waves.people import Person, sources
from metasync.words import listed
from metasync.workspace import Workspace

DRIFT = " (drift)"
"""What the rule of a difference ends with that somebody made in the target."""
DIFFERS = "enabled differs"
GOOD = (Status.IN_STEP, Status.PENDING)
SETTLED = (Status.OUT_OF_SCOPE, Status.LEFT, Status.SKIPPED, Status.IGNORED)
"""How somebody may stand under a profile that does not keep him: nothing is about to happen."""


@dataclass(kw_only=True, slots=True)
class Work:
    """What is known of one person's objects."""

    objects: list[Holder] = field(default_factory=list)
    stands: list[Stand] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    memberships: list[rows.Membership] = field(default_factory=list)
    dirty: list[tuple[str, int]] = field(default_factory=list)
    under_way: list[Under] = field(default_factory=list)
    """Of the person's own objects, and of groups that he joins or leaves."""
    problems: list[Trouble] = field(default_factory=list)
    holds: list[rows.Hold] = field(default_factory=list)


def look(workspace: Workspace, connection: Connection, people: Sequence[Person]) -> list[Work]:
    """What is known of each of these people, in their order."""
    found = [Work() for _ in people]
    owner: dict[int, Work] = {}
    keys: dict[tuple[int, str], Work] = {}
    """(directory, anchor), for anchors are one directory's own; or (0, `directory/anchor`) of whom something is created for."""
    names = {number: name for name, number in workspace.directory_ids.items()}
    for at, objects in sources(connection, people).items():
        found[at].objects = objects
        for one in objects:
            owner[one.id] = found[at]
            keys[one.directory_id, one.anchor] = keys[0, f"{names.get(one.directory_id, '')}/{one.anchor}"] = found[at]
    ids = list(owner)
    now = workspace.backend.now(connection)
    for stand in rows.stands(connection, ids):
        owner[stand.object_id].stands.append(stand)
    for wish in rows.wishes(connection, ids):
        owner[wish.object_id].wishes.append(wish)
    for profile, object_id in rows.to_be_looked_at(connection, ids, now):
        owner[object_id].dirty.append((profile, object_id))
    for under in rows.under_way(connection, ids):
        owner[under.object_id].under_way.append(under)
    for trouble in rows.problems(connection, workspace.engagement_id, ids):
        owner[trouble.object_id].problems.append(trouble)
    for hold in rows.holds(connection, ids):
        owner[hold.object_id].holds.append(hold)
    for member in rows.memberships(connection, workspace.engagement_id, {key for _, key in keys}):
        work = keys.get((0 if member.created else _written(workspace, member.profile), member.member_key))
        if work is not None:
            work.memberships.append(member)
    for change, reference in written_rows.on_their_way(connection, workspace.directory_ids.values()):
        work = keys.get((0 if reference.key == CREATED_FOR else change.directory_id, reference.value))
        if work is not None:
            work.under_way.append(Under(change.profile, change.object_id, change.state, change.plan_id, change.run_id))
    return found


def _written(workspace: Workspace, name: str) -> int:
    """The directory that a profile writes; none has the number -1, where the document does not have the profile any more."""
    profile = workspace.engagement.profiles.get(name)
    return -1 if profile is None else workspace.directory_ids[profile.target]


def against(workspace: Workspace, person: Person, work: Work, not_ready: Mapping[str, str]) -> list[str]:
    """What speaks against his cut-over, and what to do about it; nothing: he is ready. `not_ready`: profile -> why it is not known what it
    would do."""
    if not person.is_meant:
        return [person.words]
    if unsure := sorted({one.profile for one in work.stands} & not_ready.keys()):
        return [f"{profile}: {not_ready[profile]}" for profile in unsure]
    checks: tuple[Callable[[Workspace, Work], list[str]], ...] = (_lost, _old, _wanted, _on_its_way, _wrong, _held, _standing)
    return [words for check in checks for words in check(workspace, work)]


def _lost(workspace: Workspace, work: Work) -> list[str]:
    living = [one for one in work.objects if one.state == "live"]
    return [] if living else ["no directory has him any more; take him out of the file, or leave him out with `--except`"]


def _old(workspace: Workspace, work: Work) -> list[str]:
    profiles = sorted({profile for profile, _ in work.dirty if profile in workspace.engagement.profiles})
    return [f"{listed(profiles)}: something changed since the last plan; run `metasync plan`"] if profiles else []


def _wanted(workspace: Workspace, work: Work) -> list[str]:
    words = []
    for wish in work.wishes:
        drifting = sorted({name for one in wish.operations for name, rule in one.rules.items() if rule.endswith(DRIFT)})
        others = sorted({one.operation.value for one in wish.operations if not all(rule.endswith(DRIFT) for rule in one.rules.values())})
        target = _target(workspace, wish.profile)
        if drifting:
            words.append(f"{wish.profile}: drifts: somebody changed {listed(drifting)} in {target}; plan and export, or change it back")
        if others or not drifting:
            words.append(f"{wish.profile}: pending: {listed(others) or 'changes'}; plan, approve and export first")
    groups: dict[tuple[str, Operation], int] = {}
    for member in work.memberships:
        groups[member.profile, member.operation] = groups.get((member.profile, member.operation), 0) + 1
    for (profile, operation), number in groups.items():
        words.append(f"{profile}: pending: {operation} ({number}); plan, approve and export first")
    return words


def _on_its_way(workspace: Workspace, work: Work) -> list[str]:
    texts = {
        "approved": lambda one: f"plan {one.plan_id} of {one.profile} is approved and not written; run `metasync export {one.plan_id}`",
        "in_flight": lambda one: f"run {one.run_id} sent something for {one.profile}, in flight still; run `metasync export {one.plan_id}`",
        "written": lambda one: f"what run {one.run_id} wrote for {one.profile} is not confirmed yet; run `metasync confirm`",
    }
    return list(dict.fromkeys(texts[one.state](one) for one in work.under_way))


def _wrong(workspace: Workspace, work: Work) -> list[str]:
    errors = [f"{one.of}: problem: {one.text}" for one in work.problems if one.severity == "error"]
    differs = [f"{one.of}: drifts: {one.text}; make both sides agree" for one in work.problems if one.code == DIFFERS]
    return list(dict.fromkeys([*errors, *differs]))


def _held(workspace: Workspace, work: Work) -> list[str]:
    by_profile: dict[str, list[str]] = {}
    for one in work.holds:
        by_profile.setdefault(one.profile, []).append("all of it" if one.attribute == "*" else one.attribute)
    return [f"{profile}: an undo holds {listed(sorted(set(names)))}; see `metasync release`" for profile, names in by_profile.items()]


def _standing(workspace: Workspace, work: Work) -> list[str]:
    """Somebody is handed over only where a profile keeps him in step, and none is in doubt about him."""
    mine = [one for one in work.stands if one.profile in workspace.engagement.profiles]
    words = [_stands(one) for one in mine if one.status not in (*GOOD, *SETTLED, Status.PROBLEM)]
    if any(one.status in GOOD for one in mine):
        return words
    if not mine:
        return ["he was never synchronised; run `metasync plan`"]
    # What is an error was told already; where there is one, what the other profiles do with him is no reason beside it.
    told = {one.of for one in work.problems if one.severity == "error"}
    if words or any(one.status == Status.PROBLEM and one.profile in told for one in mine):
        return words
    return ["no profile keeps him in step: " + "; ".join(map(_stands, mine))]


def _stands(one: Stand) -> str:
    """Many reasons begin with the status itself."""
    return f"{one.profile}: {one.reason}" if one.reason.startswith(f"{one.status}:") else f"{one.profile}: {one.status}: {one.reason}"


def _target(workspace: Workspace, profile: str) -> str:
    known = workspace.engagement.profiles.get(profile)
    return known.target if known is not None else "its target"


def all_against(workspace: Workspace, connection: Connection, people: Sequence[Person], not_ready: Mapping[str, str]) -> list[list[str]]:
    """What speaks against the cut-over of each of these."""
    return [against(workspace, one, work, not_ready) for one, work in zip(people, look(workspace, connection, people), strict=True)]
