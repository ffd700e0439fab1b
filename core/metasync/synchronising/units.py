"""A unit is one source object under one profile: the grain of synchronisation. Units are loaded, worked and written in portions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection

from metasync.contract import Kind, Operation, Reference, Schema, Type
from metasync.engagement.model import Cause
from metasync.expressions import Expression
from metasync.store import codec, holds, joins, objects, states, waves
from metasync.store import links as link_rows
from metasync.store import written as written_rows
from metasync.store.joins import JoinRow
from metasync.store.replaced import Replaced
from metasync.store.rows import ObjectRow, PendingOperation, Problem, State
from metasync.synchronising.images import Image, Written, overlay
from metasync.synchronising.needs import profiles_of_waves
from metasync.synchronising.program import Program

if TYPE_CHECKING:
    from metasync.engagement.model import Engagement, Profile, Ranking
    from metasync.workspace import Workspace

PREFERENCE = (Kind.USER, Kind.GROUP, Kind.GUEST, Kind.CONTACT, Kind.CONTAINER)
"""Which of an identity's objects in one directory stands for it, where a kind is not asked for."""


class Successor(NamedTuple):
    """Another profile's object for the same identity, which ours gives way to."""

    there: bool
    """It exists; False: it is about to be created."""
    words: str


@dataclass(kw_only=True, slots=True)
class Unit:
    """One source object under one profile, with everything that is known of its identity."""

    row: ObjectRow
    source: Image
    program: Program
    before: states.SyncState | None = None
    identity_id: int | None = None
    joins: list[JoinRow] = field(default_factory=list)
    partners: dict[str, Image] = field(default_factory=dict)
    """By directory: the identity's object there; in the target, of the target's kind."""
    target_join: JoinRow | None = None
    target: Image | None = None
    beside: dict[Kind, tuple[JoinRow, Image]] = field(default_factory=dict)
    """The identity's objects of other kinds in the target."""
    wave: waves.Seen = field(default_factory=lambda: waves.IN_NONE)
    """The person's wave, and how far he is."""
    held: frozenset[str] = frozenset()
    in_flight: bool = False
    cleared: frozenset[str] = frozenset()
    """Attributes of the target that were cleared by changes that no import has shown yet."""
    wanted: dict[str, Any] = field(default_factory=dict)
    """What the target object shall hold, fitted to its schema."""
    place: str | None = None
    replaced: Image | None = None
    """What gives way to ours."""
    successor: Successor | None = None
    # What comes out of it:
    status: str = ""
    reason: str = ""
    cause: Cause | None = None
    left_since: datetime | None = None
    due_at: datetime | None = None
    creates: bool = False
    operations: list[PendingOperation] = field(default_factory=list)
    gives_way: Replaced | None = None
    """What becomes of `replaced`."""
    problems: list[Problem] = field(default_factory=list)
    waits: list[tuple[int, str, str]] = field(default_factory=list)
    """(directory, key name, value)."""
    done: list[Mapping[str, Any]] | None = None
    """The steps of leaving that we took, where their record is to be corrected."""
    agreed: bool | None = None
    desired: bytes | None = None
    computed: bytes | None = None
    target_digest: bytes | None = None
    """Of the target object as it was imported, unless something is on its way to it."""

    @property
    def id(self) -> int:
        """The source object's id."""
        return self.row.id

    @property
    def created(self) -> bool:
        """Metasync created the target object."""
        return bool((self.target_join and self.target_join.created) or (self.target and self.target.marked))

    @property
    def is_provisional(self) -> bool:
        """The target object was created, and no import has shown it yet."""
        return self.target is not None and self.target.object_id is None

    def problem(self, code: str, text: str, attribute: str = "", **more: Any) -> None:
        """Note something that a person should know."""
        self.problems.append(Problem(code=code, text=text, attribute=attribute, object_id=self.id, anchor=self.row.anchor, **more))

    def environment(self, engagement: Engagement) -> dict[str, Mapping[str, Any]]:
        """What expressions see."""
        profile = self.program.profile
        found: dict[str, Mapping[str, Any]] = {
            name: image.attributes for name, image in self.partners.items() if image.state is not State.GONE
        }
        found[self.source.directory] = self.source.attributes
        found["source"] = self.source.attributes
        found["target"] = self.target.attributes if self.target is not None and self.target.state is not State.GONE else {}
        found["wave"] = self.wave
        rankings = engagement.metaverse.get(profile.source_kind, {})
        found["mv"] = ranked_values(rankings, found)
        return found


def ranked_values(rankings: Mapping[str, Ranking], found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The metaverse's attributes with several contributors: of each the first that has a value, or all of them."""
    return {name: value for name, ranking in rankings.items() if (value := _ranked(ranking.contributors, ranking.union, found)) is not None}


def _ranked(contributors: Sequence[tuple[str, str]], union: bool, found: Mapping[str, Mapping[str, Any]]) -> Any:
    values = [value for directory, attribute in contributors if (value := found.get(directory, {}).get(attribute)) is not None]
    if not values:
        return None
    if not union:
        return values[0]
    together: list[Any] = []
    for value in values:
        together += [one for one in (value if isinstance(value, tuple) else (value,)) if one not in together]
    return tuple(together)


class Loader:
    """Loads units of one profile, a portion at a time."""

    def __init__(self, workspace: Workspace, profile: Profile, programs: Mapping[int, Program], schemas: Mapping[str, Schema]) -> None:
        self.workspace, self.profile, self.programs = workspace, profile, programs
        self.names = workspace.names
        self.target_id = workspace.directory_ids[profile.target]
        kinds = [kind for schema in schemas.values() for kind in schema.kinds.values()]
        kept = {name: known for kind in kinds for name, known in kind.attributes.items() if known.type is Type.REFERENCE}
        self.reference_attributes = frozenset(kept) & _read(programs.values())
        self.several = {name for name, known in kept.items() if known.multi}
        self._reads_waves = profile.name in profiles_of_waves(workspace.engagement, workspace.host)
        self._book: waves.Book | None = None

    def look_at_waves_again(self) -> None:
        """Somebody may have come to be another one's partner since."""
        self._book = None

    def suppose(self, book: waves.Book) -> None:
        """As if this were so."""
        self._book = book

    def waves(self, connection: Connection) -> waves.Book:
        """Who is in which wave; read once, and only where the profile reads `wave`."""
        if self._book is None:
            workspace = self.workspace
            self._book = waves.book(connection, workspace.engagement_id) if self._reads_waves else waves.Book()
        return self._book

    def load(self, connection: Connection, object_ids: Collection[int]) -> list[Unit]:
        """Units in the order of the ids given; what is no object any more, or is of another kind and always was, is left out."""
        rows = objects.get(connection, object_ids)
        before = states.of_objects(connection, self.profile.name, rows)
        held = holds.of_objects(connection, self.profile.name, rows)
        flying = written_rows.in_flight(connection, self.profile.name, rows)
        own = joins.of_objects(connection, rows)
        by_identity = joins.of_identities(connection, {row.identity_id for row in own.values()})
        others = {one.object_id for rows_ in by_identity.values() for one in rows_ if one.object_id and one.object_id not in rows}
        partners = objects.get(connection, others) | rows
        links = link_rows.of_objects(connection, partners, self.reference_attributes)
        anchors = {one.anchor for rows_ in by_identity.values() for one in rows_ if one.directory_id == self.target_id}
        written = written_rows.unconfirmed(connection, self.target_id, anchors)
        book = self.waves(connection)
        units = []
        for object_id in object_ids:
            row = rows.get(object_id)
            program = self.programs.get(row.directory_id) if row else None
            if row is None or program is None or (row.kind is not self.profile.source_kind and object_id not in before):
                continue
            unit = Unit(row=row, source=self.image(row, links), program=program, before=before.get(object_id))
            unit.held, unit.in_flight = frozenset(held.get(object_id, ())), object_id in flying
            if object_id in own:
                unit.identity_id = own[object_id].identity_id
                self.attach(unit, by_identity[own[object_id].identity_id], partners, links, written)
            unit.wave = book.of(unit.identity_id, object_id)
            units.append(unit)
        return units

    def image(self, row: ObjectRow, links: Mapping[int, Mapping[str, list[tuple[str, str, int | None]]]]) -> Image:
        """An imported object, decoded."""
        attributes = codec.decode(row.blob)
        for attribute, found in links.get(row.id, {}).items():
            references = tuple(Reference(value=value, key=key) for key, value, _ in found)
            attributes[attribute] = references if attribute in self.several else references[0]
        return Image(
            object_id=row.id,
            directory=self.names[row.directory_id],
            anchor=row.anchor,
            kind=row.kind,
            label=row.label,
            state=row.state,
            attributes=attributes,
            digest=row.digest,
            marked=row.mark is not None,
            privileged=row.privileged,
        )

    def attach(
        self,
        unit: Unit,
        rows: Sequence[JoinRow],
        objects: Mapping[int, ObjectRow],
        links: Mapping[int, Mapping[str, list[tuple[str, str, int | None]]]],
        written: Mapping[str, list[tuple[Operation, dict[str, Any], str]]],
    ) -> None:
        """Give a unit its identity's other objects."""
        unit.joins = list(rows)
        # The preferred kind last, so that it is the one that stays.
        for row in sorted(rows, key=lambda one: PREFERENCE.index(Kind(one.kind)), reverse=True):
            name = self.names[row.directory_id]
            found = objects.get(row.object_id) if row.object_id else None
            image = (
                self.image(found, links)
                if found
                else Image(object_id=None, directory=name, anchor=row.anchor, kind=Kind(row.kind), label=row.anchor, marked=row.created)
            )
            if row.directory_id == self.target_id:
                since = written.get(row.anchor, [])
                overlay(image, [Written(operation=operation, after=after) for operation, after, _ in since])
                if found is None and not since:
                    image.state = State.UNREAD
                if row.kind == self.profile.target_kind.value:
                    unit.target_join, unit.target = row, image
                    unit.target_digest = found.digest if found is not None and not since else None
                    last = {name: value for _, after, _ in since for name, value in after.items()}
                    unit.cleared = frozenset(name for name, value in last.items() if value is None)
                else:
                    unit.beside[image.kind] = row, image
            if row.object_id != unit.id:
                unit.partners[name] = image
        if unit.target is not None:
            unit.partners[self.profile.target] = unit.target


def _read(programs: Collection[Program]) -> frozenset[str]:
    """Every attribute that an expression reads."""
    expressions: list[Expression] = []
    for program in programs:
        expressions += [
            *program.expressions.values(),
            *program.conditions.values(),
            *(one.condition for one in program.references if one.condition is not None),
            *(one for match in program.matches for one in match.sources),
        ]
        expressions += [merge.expression for merge in program.merges]
        expressions += [one for one in (program.where, program.place) if one is not None]
    return frozenset(attribute for one in expressions for _, attribute in one.arguments)
