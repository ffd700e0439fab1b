"""Move, cut over, back: how far people are, said by somebody who gives a reason.

A wave moves as a whole or not at all, unless it is said who is left out, or that those who are ready shall go alone. Whoever moves on is
marked dirty, nobody else; what was planned for him before, and is not written, goes back to review.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from metasync import roles
from metasync.contract import MetasyncError
from metasync.engagement.model import Role
from metasync.runs.lease import EngineLease
from metasync.store import audit, joins, waves
from metasync.store import written as written_rows
from metasync.store.joins import SOURCE
from metasync.store.waves import CUT_OVER, MOVING, WAITING, Holder, StateRow
from metasync.synchronising.needs import profiles_of_waves
from metasync.waves import membership
from metasync.waves.fresh import up_to_date
from metasync.waves.people import ELSEWHERE, Person, chosen, known, of_wave, sources
from metasync.waves.readiness import all_against
from metasync.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Somebody who cannot go on, and why."""

    person: Person
    why: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """What became of a wave."""

    wave: str
    state: str
    """Where they are now."""
    done: bool
    """False: nobody moved, because somebody could not."""
    people: Sequence[Person]
    refused: Sequence[Refused]
    already: int
    """How many were there before."""
    sent_back: int = 0
    """Changes that were planned for them before, and go back to review."""
    read_by: Sequence[str] = ()
    """The profiles that read `wave`."""


Against = Callable[[Connection, Sequence[Person], Mapping[str, str]], Sequence[Sequence[str]]]


def move(
    workspace: Workspace, name: str, *, reason: str, objects: Collection[str] = (), but: Collection[str] = (), ready: bool = False
) -> Moved:
    """Those who are waiting begin to move."""

    def against(connection: Connection, people: Sequence[Person], _: Mapping[str, str]) -> list[list[str]]:
        return [[] if one.is_meant else [one.words] for one in people]

    return _go(workspace, name, (WAITING,), MOVING, "move", reason, objects, but, ready, against)


def cut_over(
    workspace: Workspace, name: str, *, reason: str, objects: Collection[str] = (), but: Collection[str] = (), ready: bool = False
) -> Moved:
    """Authority over those who are moving goes to the target, where nothing of them is pending, on its way, or drifting."""

    def against(connection: Connection, people: Sequence[Person], not_ready: Mapping[str, str]) -> list[list[str]]:
        found = all_against(workspace, connection, people, not_ready)
        return [
            [f"is {WAITING}; begin with `metasync wave move {name}`"] if one.state == WAITING and one.is_meant else found[at]
            for at, one in enumerate(people)
        ]

    return _go(workspace, name, (WAITING, MOVING), CUT_OVER, "cut over", reason, objects, but, ready, against)


def back(
    workspace: Workspace, name: str, *, reason: str, to: str = MOVING, objects: Collection[str] = (), but: Collection[str] = ()
) -> Moved:
    """Those who are cut over are moving again; with `to` waiting, everybody is as if he had never moved."""
    leaving = (CUT_OVER,) if to == MOVING else (MOVING, CUT_OVER)
    done = _go(workspace, name, leaving, to, "back", reason, objects, but, False, lambda _, people, __: [[] for _ in people])
    if not done.people and to == MOVING and done.already:
        raise MetasyncError(
            f"nobody of {name} is cut over; to take back those who are moving: `metasync wave back {name} --to waiting --reason TEXT`"
        )
    return done


def _go(
    workspace: Workspace,
    name: str,
    leaving: Sequence[str],
    to: str,
    word: str,
    reason: str,
    objects: Collection[str],
    but: Collection[str],
    ready: bool,
    against: Against,
) -> Moved:
    if not reason.strip():
        raise MetasyncError("to move people needs a reason; give one with `--reason TEXT`")
    roles.need(workspace, Role.OPERATOR, f"{word} the wave {name}")
    with workspace.backend.read() as connection:
        known(workspace, connection, name)
    with _alone(workspace, name, word) as not_ready:
        with workspace.backend.read() as connection:
            everybody = of_wave(workspace, connection, name)
        people = chosen(workspace, everybody, name, objects, but)
        going = [one for one in people if _may_leave(one, name, leaving, back=word == "back")]
        reading = profiles_of_waves(workspace.engagement, workspace.host)
        with workspace.backend.write(durable=True) as connection:
            whys = against(connection, going, not_ready)
            refused = [Refused(person=one, why=why) for one, why in zip(going, whys, strict=True) if why]
            able = [one for one, why in zip(going, whys, strict=True) if not why]
            moved = Moved(
                wave=name,
                state=to,
                done=bool(able) and (ready or not refused),
                people=able,
                refused=refused,
                already=sum(one.state == to for one in people),
                read_by=sorted(reading),
            )
            if not moved.done:
                return moved
            concerned = _set(workspace, connection, name, able, to, reason.strip(), reading)
            membership.mark(workspace, connection, concerned)
            text = f"the wave {name} went on: who it is about is {to} now; plan again"
            sent_back = waves.send_back(connection, reading, {one.id for one in concerned}, text) if reading else 0
            detail = {
                "reason": reason.strip(),
                "state": to,
                "people": [one.key for one in able],
                "left out": [one.person.key for one in refused],
            }
            audit.append(connection, workspace.engagement_id, workspace.author, f"wave {word}", name, detail)
            return replace(moved, sent_back=sent_back)


@contextmanager
def _alone(workspace: Workspace, name: str, word: str) -> Iterator[Mapping[str, str]]:
    """Nobody synchronises meanwhile: he would work with the old state, and take the marks for done."""
    if word == "cut over":
        with up_to_date(workspace, f"cut-over of {name}") as not_ready:
            yield not_ready
        return
    with EngineLease(workspace.backend, workspace.engagement.name):
        membership.refresh(workspace)
        yield {}


def _may_leave(person: Person, wave: str, states: Collection[str], *, back: bool) -> bool:
    """Is it about him? Whoever moves with another wave is told so, and is not taken back from there."""
    mine = person.row is not None and person.row.name == wave
    if back:
        return mine and person.state in states
    return person.state in states or person.code == ELSEWHERE


def _set(
    workspace: Workspace, connection: Connection, name: str, people: Sequence[Person], to: str, reason: str, reading: Collection[str]
) -> list[Holder]:
    """Write how far they are; all objects that stand for them. `reading`: the profiles that read `wave`."""
    now = workspace.backend.now(connection)
    waited = {one.row.identity_id: (one.row.began, one.row.at) for one in people if one.row is not None and one.state == WAITING}
    # Whoever moves again, and of whom nothing was taken back meanwhile, still has the same beginning to go back to.
    goes_on = written_rows.standing(connection, workspace.engagement_id, reading, waited)
    numbers = _identities(workspace, connection, people)
    rows = []
    for one, identity in zip(people, numbers, strict=True):
        assert one.source is not None or one.row is not None
        source_id = one.source.id if one.source is not None else one.row.object_id if one.row is not None else 0
        begins = one.row is None or (one.state == WAITING and to == MOVING and one.row.identity_id not in goes_on)
        rows.append(
            StateRow(
                identity_id=identity,
                object_id=source_id,
                name=name,
                key=one.key,
                state=to,
                reason=reason,
                author=workspace.author,
                at=now,
                began=now if begins or one.row is None else one.row.began,
            )
        )
    waves.put_states(workspace.backend, connection, workspace.engagement_id, rows)
    found = [one for some in sources(connection, people).values() for one in some]
    return list({one.id: one for one in [*found, *waves.objects_of(connection, numbers, ())]}.values())


def _identities(workspace: Workspace, connection: Connection, people: Sequence[Person]) -> list[int]:
    """Everybody's identity; who was never in scope has none yet, and is given one."""
    numbers = {at: _identity(one) for at, one in enumerate(people)}
    without = [at for at, identity in numbers.items() if identity is None]
    made = joins.new_identities(connection, workspace.engagement_id, [people[at].source.kind for at in without])  # type: ignore[union-attr]
    rows = []
    for at, identity in zip(without, made, strict=True):
        source = people[at].source
        assert source is not None
        numbers[at] = identity
        rows.append(
            {
                "engagement_id": workspace.engagement_id,
                "identity_id": identity,
                "directory_id": source.directory_id,
                "kind": source.kind,
                "anchor": source.anchor,
                "object_id": source.id,
                "profile": None,
                "rule": SOURCE,
                "revision": workspace.engagement.revision,
                "run_id": None,
                "author": workspace.author,
            }
        )
    joins.add(connection, rows)
    return [identity for identity in numbers.values() if identity is not None]


def _identity(person: Person) -> int | None:
    if person.row is not None:
        return person.row.identity_id
    return person.source.identity_id if person.source is not None else None
