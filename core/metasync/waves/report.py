"""A rehearsal of one wave: who is in it, who was found where, what a plan would do for each, and what speaks against his cut-over.

Those who wait are worked as if they were moving already, in a transaction that is taken back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from metasync.contract import Kind, Operation
from metasync.runs.lease import EngineBusy, EngineLease
from metasync.store import directories, readiness, waves
from metasync.store.normalise import normalise
from metasync.store.rows import Status
from metasync.store.waves import MOVING, WAITING, Book, Holder, StateRow
from metasync.synchronising.needs import PEOPLE, profiles_of_waves
from metasync.synchronising.trial import trial
from metasync.waves import membership
from metasync.waves.fresh import up_to_date
from metasync.waves.people import Person, of_wave
from metasync.waves.people import known as exists
from metasync.waves.readiness import Work, all_against, look
from metasync.words import listed
from metasync.workspace import Workspace

ALONE = "left alone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An object that stands for somebody, or that has his key."""

    directory: str
    object: str
    """`directory/anchor`."""
    label: str
    kind: str
    joined: bool
    created: bool
    """Metasync created it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a plan of one profile would do for somebody."""

    profile: str
    what: str
    """`create`, `update`, ..., `left alone`, or how he stands: `out of scope`, `problem`, ..."""
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsed:
    """One person."""

    key: str
    label: str
    state: str
    reason: str
    author: str
    since: datetime | None
    in_file: bool
    found: Sequence[Found]
    missing: Sequence[str]
    """Directories of his profiles that have nobody for him."""
    joined: bool
    outcomes: Sequence[Outcome]
    pending: Sequence[str]
    """What waits to be planned or exported now, as he is: `staff: update`."""
    problems: Sequence[str]
    held: Sequence[str]
    against: Sequence[str]
    """What speaks against his cut-over."""

    @property
    def ready(self) -> bool:
        """He may be cut over, once he moves."""
        return not self.against


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One wave."""

    wave: str
    file: str
    key: str
    people: Sequence[Rehearsed]
    problems: Sequence[str]
    """Of the file and its keys."""
    not_tried: Mapping[str, str]
    """Profile -> why what it would do is not known."""
    imported: Mapping[str, datetime | None]
    """Directory -> when it was last imported completely."""
    read_by: Sequence[str]
    """Profiles that read `wave`."""
    as_of_now: bool = True
    """False: another run works, and the file is as it was read last."""

    def states(self) -> Counter[str]:
        """State -> people."""
        return Counter(one.state for one in self.people)

    def outcomes(self) -> Counter[tuple[str, str]]:
        """(profile, what) -> people."""
        return Counter((outcome.profile, outcome.what) for one in self.people for outcome in one.outcomes)

    def found_in(self) -> Mapping[str, tuple[int, int]]:
        """Directory -> (people who were found there, people who are missing)."""
        there = Counter(name for one in self.people for name in {found.directory for found in one.found})
        missing = Counter(name for one in self.people for name in one.missing)
        return {name: (there[name], missing[name]) for name in self.imported if name in there or name in missing}


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """A wave in one line."""

    wave: str
    file: str
    key: str
    keys: int
    meant: int
    waiting: int
    moving: int
    cut_over: int
    problems: int


def summaries(workspace: Workspace) -> list[Summary]:
    """All waves of the document, and those that it has no more and people still move with."""
    _look_at_the_files(workspace)
    with workspace.backend.read() as connection:
        states = waves.states(connection, workspace.engagement_id)
        names = dict.fromkeys([*workspace.engagement.waves, *(row.name for row in states if row.state != WAITING)])
        wrong = Counter(one.of for one in _problems(connection, workspace))
        found = []
        for name in names:
            people, known = of_wave(workspace, connection, name), workspace.engagement.waves.get(name)
            counts = Counter(one.state for one in people if one.is_meant)
            found.append(
                Summary(
                    wave=name,
                    file=known.file if known else "",
                    key=known.key if known else "",
                    keys=sum(one.in_file for one in people),
                    meant=sum(one.is_meant and one.in_file for one in people),
                    waiting=counts[WAITING],
                    moving=counts[MOVING],
                    cut_over=counts[waves.CUT_OVER],
                    problems=wrong[name],
                )
            )
        return found


def report(workspace: Workspace, name: str) -> Report:
    """Rehearse a wave. Raises `NoSuchWave`."""
    with workspace.backend.read() as connection:
        exists(workspace, connection, name)
    try:
        with up_to_date(workspace, f"report of {name}") as not_ready:
            return _report(workspace, name, not_ready, as_of_now=True)
    except EngineBusy:
        return _report(workspace, name, {}, as_of_now=False)


def _report(workspace: Workspace, name: str, not_ready: Mapping[str, str], *, as_of_now: bool) -> Report:
    with workspace.backend.read() as connection:
        people = of_wave(workspace, connection, name)
        now = look(workspace, connection, people)
        why = all_against(workspace, connection, people, not_ready)
        book = _supposed(workspace, connection, name)
        known = directories.of_engagement(connection, workspace.engagement_id)
        wrong = [one.text for one in _problems(connection, workspace) if one.of == name]
        keyed = _keyed(workspace, connection, name, people)
    ids = {one.id for work in now for one in work.objects}
    then, not_tried = trial(workspace, ids, book, lambda connection: (look(workspace, connection, people), _places(connection, people)))
    supposed, places = then
    told = [
        _rehearsed(workspace, one, work, later, keyed[at], places, why[at])
        for at, (one, work, later) in enumerate(zip(people, now, supposed, strict=True))
    ]
    wave = workspace.engagement.waves.get(name)
    return Report(
        wave=name,
        file=wave.file if wave else "",
        key=wave.key if wave else "",
        people=told,
        problems=wrong,
        not_tried=not_tried,
        imported={one: known[one].completed if one in known else None for one in workspace.engagement.directories},
        read_by=sorted(profiles_of_waves(workspace.engagement, workspace.host)),
        as_of_now=as_of_now,
    )


def _look_at_the_files(workspace: Workspace) -> bool:
    """False where another run works: then it is as it was read last."""
    try:
        with EngineLease(workspace.backend, workspace.engagement.name):
            membership.refresh(workspace)
    except EngineBusy:
        return False
    return True


def _supposed(workspace: Workspace, connection: Connection, name: str) -> Book:
    """As if those of this wave who wait were moving."""
    members = waves.members(connection, workspace.engagement_id)
    states = waves.states(connection, workspace.engagement_id)
    elsewhere = {row.identity_id for row in states if row.state != WAITING}
    now = datetime.now(UTC)
    begun = [
        StateRow(
            identity_id=one.identity_id if one.identity_id is not None else -one.object_id,
            object_id=one.object_id,
            name=name,
            key=one.key,
            state=MOVING,
            reason="",
            author="",
            at=now,
            began=now,
        )
        for one in members
        if one.name == name and one.object_id is not None and one.identity_id not in elsewhere
    ]
    return Book(members, [*states, *begun])


def _keyed(workspace: Workspace, connection: Connection, name: str, people: Sequence[Person]) -> Sequence[Sequence[Holder]]:
    """Every living object of any directory that has somebody's key."""
    wave = workspace.engagement.waves.get(name)
    if wave is None:
        return [()] * len(people)
    keys, kinds = [normalise(one.key) for one in people], [kind.value for kind in PEOPLE]
    found = waves.holders(workspace.backend, connection, workspace.directory_ids.values(), wave.key, keys, kinds)
    return [[one for one in found.get(key, ()) if one.state != "gone"] for key in keys]


def _places(connection: Connection, people: Sequence[Person]) -> Mapping[int, Sequence[readiness.Place]]:
    """Source object -> all objects of its identity, as they were joined in the trial."""
    source_ids = {one.source.id for one in people if one.source is not None}
    identities = {one.id: one.identity_id for one in waves.objects_of(connection, (), source_ids) if one.identity_id is not None}
    places: dict[int, list[readiness.Place]] = {}
    for place in readiness.places(connection, set(identities.values())):
        places.setdefault(place.identity_id, []).append(place)
    return {number: places.get(identity, []) for number, identity in identities.items()}


def _rehearsed(
    workspace: Workspace,
    person: Person,
    work: Work,
    later: Work,
    keyed: Sequence[Holder],
    places: Mapping[int, Sequence[readiness.Place]],
    why: Sequence[str],
) -> Rehearsed:
    names = {number: name for name, number in workspace.directory_ids.items()}
    own = [one for one in places.get(person.source.id if person.source else 0, ()) if one.state != "gone" and one.directory_id in names]
    found = [_found(names[one.directory_id], one.anchor, one.label, one.kind, joined=True, created=one.created) for one in own]
    known = {one.object for one in found}
    for holder in keyed:
        one = _found(names[holder.directory_id], holder.anchor, holder.label, holder.kind, joined=False, created=False)
        if one.object not in known:
            found.append(one)
    outcomes = _outcomes(workspace, later)
    there = {one.directory for one in found}
    expected = {name for one in workspace.engagement.profiles.values() for name in _ends(one.name, workspace)}
    return Rehearsed(
        key=person.key,
        label=person.label,
        state=person.state,
        reason=person.row.reason if person.row else "",
        author=person.row.author if person.row else "",
        since=person.row.at if person.row else None,
        in_file=person.in_file,
        found=found,
        missing=[name for name in workspace.engagement.directories if name in expected and name not in there],
        joined=len({one.directory for one in found if one.joined}) > 1,
        outcomes=outcomes if person.is_meant else (),
        pending=_pending(work),
        problems=list(dict.fromkeys(f"{one.severity}: {one.of}: {one.text}" for one in work.problems)),
        held=[f"{one.profile}: {one.attribute}" for one in work.holds],
        against=why,
    )


def _ends(name: str, workspace: Workspace) -> list[str]:
    """The directories that a profile of people connects."""
    profile = workspace.engagement.profiles[name]
    return [*profile.sources, profile.target] if profile.source_kind in PEOPLE else []


def _found(directory: str, anchor: str, label: str | None, kind: str, *, joined: bool, created: bool) -> Found:
    name = f"{directory}/{anchor}"
    return Found(directory=directory, object=name, label=label or anchor, kind=str(Kind(kind)), joined=joined, created=created)


def _outcomes(workspace: Workspace, work: Work) -> list[Outcome]:
    """What each profile would do, in the order of the document."""
    found = []
    wishes = {(one.profile, one.object_id): one for one in work.wishes}
    for name in workspace.engagement.profiles:
        for stand in (one for one in work.stands if one.profile == name):
            wish = wishes.get((name, stand.object_id))
            if wish is not None and wish.operations:
                for operation in wish.operations:
                    about = "" if operation.operation is Operation.CREATE else listed(sorted({*operation.before, *operation.after}))
                    found.append(Outcome(profile=name, what=operation.operation.value, words=about))
            elif stand.status == Status.IN_STEP:
                found.append(Outcome(profile=name, what=ALONE, words=stand.reason))
            else:
                found.append(Outcome(profile=name, what=stand.status, words=stand.reason))
    return found


def _pending(work: Work) -> list[str]:
    words = [f"{wish.profile}: {operation.operation.value}" for wish in work.wishes for operation in wish.operations]
    words += [f"{one.profile}: {one.operation.value}" for one in work.memberships]
    return list(dict.fromkeys(words))


def _problems(connection: Connection, workspace: Workspace) -> list[readiness.Trouble]:
    return readiness.of_area(connection, workspace.engagement_id, membership.AREA)
