"""A world of two directories, `hr` and `ad`, whose connectors show what a test wrote down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import insert, select

from metasync.contract import (
    AttributeSchema,
    Change,
    Check,
    Connector,
    CursorExpired,
    Entry,
    Found,
    Item,
    Kind,
    KindSchema,
    Options,
    Page,
    Presence,
    ReadRequest,
    Reference,
    Result,
    Schema,
    Type,
    Unavailable,
    Values,
    hookimpl,
)
from metasync.engagement.model import Directory, Engagement, Mapping_, MatchRule, Profile
from metasync.host import Host
from metasync.importing import ImportOutcome, import_directory
from metasync.store import Backend, codec, directories, open_store, problems
from metasync.store import runs as run_rows
from metasync.store.rows import Problem
from metasync.store.tables import dirty, engagement, identity, join, link, match_key, object_, profile_state, wanted
from metasync.testing.small import SmallPlugin
from metasync.workspace import Workspace

REFERENCES = {
    "manager": AttributeSchema(name="manager", type=Type.REFERENCE),
    "members": AttributeSchema(name="members", type=Type.REFERENCE, multi=True),
}


@dataclass
class Shown:
    """What a directory shows, and how it behaves."""

    entries: dict[str, Entry] = field(default_factory=dict)
    extra: list[Item] = field(default_factory=list)
    """Further items of a full read, at its end."""
    delta: list[Item] = field(default_factory=list)
    everything: bool = False
    identity: str = "the first"
    page: int = 2
    resumable: bool = False
    restarts: bool = False
    """A resumed read begins at the start again."""
    streams: tuple[str, ...] = ("all",)
    fails_after: int | None = None
    """Pages after which a read breaks off, once."""
    silent: bool = False
    """A read that breaks off just ends."""
    cursor: int = 0
    tells: bool = True
    """A read ends with a cursor."""
    expired: bool = False
    presence: Presence = Presence.ABSENT
    there: set[str] = field(default_factory=set)
    """Anchors that are there when asked for, though no read shows them."""
    schema: Schema = field(
        default_factory=lambda: Schema(
            kinds={kind: KindSchema(kind=kind, attributes=REFERENCES, open=True) for kind in (Kind.USER, Kind.GROUP, Kind.CONTACT)}
        )
    )
    reads: list[ReadRequest] = field(default_factory=list)
    follows: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    stop: Any = None
    """Set after the first page."""


SHOWN: dict[str, Shown] = {}


class Plain(Connector):
    """Reads."""

    name = "plain"
    title = "Shows what a test wrote"
    Options = Options

    @property
    def shown(self) -> Shown:
        return SHOWN[self.context.directory]

    def check(self) -> Check:
        return Check(identity=self.shown.identity)

    def discover(self) -> Schema:
        return self.shown.schema

    def streams(self, kinds: Any) -> tuple[str, ...]:
        return self.shown.streams

    def read(self, request: ReadRequest) -> Iterator[Page]:
        shown = self.shown
        shown.reads.append(request)
        items: list[Item] = []
        for anchor, entry in sorted(shown.entries.items()):
            wanted_attributes = request.attributes.get(entry.kind)
            mine = shown.streams == ("all",) or request.stream == entry.kind
            if wanted_attributes is None or not mine:
                continue
            attributes = {name: value for name, value in entry.attributes.items() if name in wanted_attributes}
            items.append(Entry(anchor=anchor, kind=entry.kind, attributes=attributes))
        if request.stream == shown.streams[-1]:
            items += shown.extra
        start = int(request.resume) if request.resume and not shown.restarts else 0
        yield from self.paged(items, start)

    def paged(self, items: Sequence[Item], start: int, *, everything: bool = False) -> Iterator[Page]:
        shown, cursor, pages = self.shown, f"cursor {self.shown.cursor}", 0
        for first in range(start, len(items), shown.page):
            self.maybe_fail(pages)
            following = first + shown.page
            if following >= len(items):
                start = first
                break
            yield Page(items=tuple(items[first:following]), resume=str(following) if shown.resumable else None)
            pages += 1
            if shown.stop is not None:
                shown.stop.set()
                return
        else:
            start = len(items)
        self.maybe_fail(pages)
        if shown.silent and shown.fails_after is None:
            shown.silent = False
            return
        yield Page(items=tuple(items[start:]), complete=True, cursor=cursor if shown.tells else None, everything=everything)

    def maybe_fail(self, pages: int) -> None:
        if self.shown.fails_after == pages:
            self.shown.fails_after = None
            raise Unavailable("the connection broke")


class Following(Plain):
    """Reads and follows."""

    name = "following"

    def follow(self, request: ReadRequest, cursor: str) -> Iterator[Page]:
        self.shown.follows.append((request.stream, cursor))
        if self.shown.expired:
            raise CursorExpired("too old")
        yield from self.paged(self.shown.delta, 0, everything=self.shown.everything)


class Writing(Following):
    """Reads, follows, and can be asked for objects."""

    name = "writing"

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        raise AssertionError("an import writes nothing")

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        for change in changes:
            assert change.anchor is not None
            self.shown.asked.append(change.anchor)
            there = change.anchor in self.shown.there
            yield Found(id=change.id, presence=Presence.PRESENT if there else self.shown.presence, anchor=change.anchor)


class Plugin:
    @hookimpl
    def metasync_register_connectors(self) -> Sequence[type[Connector]]:
        return (Plain, Following, Writing)


STAFF = Profile(
    name="staff",
    source_kind=Kind.USER,
    target_kind=Kind.USER,
    sources=("hr",),
    target="ad",
    match=(MatchRule(matcher="attribute", options={"source": "employeeID", "target": "employeeID"}),),
    map={name: Mapping_(attribute=name, expression=f"source.{name}") for name in ("displayName", "mail", "title", "manager")},
)
TEAMS = Profile(
    name="teams",
    source_kind=Kind.GROUP,
    target_kind=Kind.GROUP,
    sources=("hr",),
    target="ad",
    map={name: Mapping_(attribute=name, expression=f"source.{name}") for name in ("displayName", "members")},
)


class World:
    """One database, two directories."""

    def __init__(self, folder: Path, connector: str, *plugins: object, options: Mapping[str, Any] | None = None) -> None:
        self.folder, self.connector, self.plugins = folder, connector, plugins or (Plugin(),)
        self.backend: Backend = open_store(str(folder / "metasync.db"))
        self.hr, self.ad = Shown(), Shown()
        SHOWN.clear()
        SHOWN.update(hr=self.hr, ad=self.ad)
        self.engagement = Engagement(
            name="test",
            path="",
            plugins={},
            directories={
                "hr": Directory(name="hr", connector=connector, options=options or {}),
                "ad": Directory(name="ad", connector=connector, options=options or {}, mark="adminDescription"),
            },
            profiles={"staff": STAFF, "teams": TEAMS},
        )
        with self.backend.write() as connection:
            connection.execute(insert(engagement).values(name="test", created=self.backend.now(connection)))
            self.ids = directories.ensure(connection, 1, {"hr": connector, "ad": connector})
        self.workspace = self.make_workspace()

    def make_workspace(self) -> Workspace:
        return Workspace(
            backend=self.backend,
            host=Host.of(*self.plugins, SmallPlugin()),
            engagement=self.engagement,
            engagement_id=1,
            directory_ids=self.ids,
            secrets=cast(Any, None),
            author="anna",
        )

    def restart(self) -> None:
        """The process died; another one opens the database."""
        self.backend.close()
        self.backend = open_store(str(self.folder / "metasync.db"))
        self.workspace = self.make_workspace()

    def revise(self, **profiles: Profile) -> None:
        """Other profiles from now on."""
        self.engagement = replace(self.engagement, profiles=profiles)
        self.workspace = self.make_workspace()

    def set_options(self, directory: str, **options: Any) -> None:
        known = dict(self.engagement.directories)
        known[directory] = replace(known[directory], options=options)
        self.engagement = replace(self.engagement, directories=known)
        self.workspace = self.make_workspace()

    # What a directory shows

    def user(self, anchor: str, /, directory: str = "hr", **attributes: Values) -> None:
        SHOWN[directory].entries[anchor] = Entry(anchor=anchor, kind=Kind.USER, attributes=attributes)

    def group(self, anchor: str, *members: str, directory: str = "hr", **attributes: Values) -> None:
        if members:
            attributes["members"] = tuple(Reference(value=member) for member in members)
        SHOWN[directory].entries[anchor] = Entry(anchor=anchor, kind=Kind.GROUP, attributes=attributes)

    def run(self, directory: str = "hr", full: bool | None = None) -> ImportOutcome:
        with self.backend.write() as connection:
            run_id = run_rows.begin(connection, 1, kind="import", what=[directory], author="anna", at=self.backend.now(connection))
        return import_directory(self.workspace, directory, full=full, run_id=run_id)

    def counts(self, directory: str = "hr", full: bool | None = None) -> dict[str, int]:
        """What an import counted, without what it did not."""
        return {name: count for name, count in self.run(directory, full).counts.items() if count}

    # What the database holds

    def stored(self, directory: str = "hr") -> dict[str, dict[str, Any]]:
        """anchor -> attributes, references as they mean: (attribute) -> sorted anchors of targets, or the value in brackets."""
        found: dict[str, dict[str, Any]] = {}
        with self.backend.read() as connection:
            about = object_.c.directory_id == self.ids[directory]
            anchors = {}
            for row in connection.execute(select(object_).where(about)):
                anchors[row.id] = row.anchor
                if row.state != "gone":
                    found[row.anchor] = codec.decode(row.blob)
            for row in connection.execute(select(link).where(link.c.directory_id == self.ids[directory])):
                if (holder := anchors[row.object_id]) in found:
                    target = anchors[row.target_id] if row.target_id else f"[{row.value}]"
                    found[holder].setdefault(row.attribute, []).append(target)
        for image in found.values():
            for name, value in image.items():
                if isinstance(value, list):
                    image[name] = sorted(value)
        return found

    def states(self, directory: str = "hr") -> dict[str, str]:
        with self.backend.read() as connection:
            query = select(object_.c.anchor, object_.c.state).where(object_.c.directory_id == self.ids[directory])
            return {row.anchor: row.state for row in connection.execute(query)}

    def row(self, anchor: str, directory: str = "hr") -> Any:
        with self.backend.read() as connection:
            return connection.execute(
                select(object_).where(object_.c.directory_id == self.ids[directory], object_.c.anchor == anchor)
            ).one()

    def keys(self, anchor: str, directory: str = "hr") -> dict[str, list[str]]:
        with self.backend.read() as connection:
            query = (
                select(match_key.c.name, match_key.c.value)
                .join(object_, object_.c.id == match_key.c.object_id)
                .where(object_.c.anchor == anchor, object_.c.directory_id == self.ids[directory])
                .order_by(match_key.c.value)
            )
            found: dict[str, list[str]] = {}
            for name, value in connection.execute(query):
                found.setdefault(name, []).append(value)
            return found

    def problems(self, directory: str = "hr") -> list[Problem]:
        with self.backend.read() as connection:
            return [row.problem for row in problems.page(connection, 1, area="import", of=directory)]

    def cursors(self, directory: str = "hr") -> dict[str, str | None]:
        with self.backend.read() as connection:
            return {stream: row.cursor for stream, row in directories.cursors(connection, self.ids[directory]).items()}

    # What synchronising left

    def synchronised(self) -> None:
        """All profiles were synchronised: nothing is dirty, and imports mark what they change."""
        with self.backend.write() as connection:
            connection.execute(dirty.delete())
            connection.execute(profile_state.delete())
            for name in self.engagement.profiles:
                connection.execute(insert(profile_state).values(engagement_id=1, profile=name, basis="x", reference_basis="x"))

    def dirty(self) -> set[tuple[str, str, str | None]]:
        """(profile, anchor of the source object, anchor of the member alone or None)."""
        with self.backend.read() as connection:
            anchors = {row.id: row.anchor for row in connection.execute(select(object_.c.id, object_.c.anchor))}
            return {
                (row.profile, anchors[row.object_id], anchors.get(row.member_id))
                for row in connection.execute(select(dirty).where(dirty.c.due_at.is_(None)))
            }

    def clean(self) -> None:
        with self.backend.write() as connection:
            connection.execute(dirty.delete())

    def joined(self, **anchors: str | None) -> None:
        """One identity's objects: directory -> anchor; `ad` may be provisional."""
        with self.backend.write() as connection:
            number = connection.execute(insert(identity).values(engagement_id=1, kind="user").returning(identity.c.id)).scalar_one()
            for directory, anchor in anchors.items():
                row = connection.execute(
                    select(object_).where(object_.c.directory_id == self.ids[directory], object_.c.anchor == anchor)
                ).one_or_none()
                connection.execute(
                    insert(join).values(
                        engagement_id=1,
                        identity_id=number,
                        directory_id=self.ids[directory],
                        kind=row.kind if row else "user",
                        anchor=anchor,
                        object_id=row.id if row else None,
                        rule="test",
                        revision=1,
                        author="anna",
                        created=False,
                    )
                )

    def joins(self, directory: str) -> dict[str, int | None]:
        with self.backend.read() as connection:
            return {row.anchor: row.object_id for row in connection.execute(select(join).where(join.c.directory_id == self.ids[directory]))}

    def waits(self, anchor: str, directory: str, name: str, value: str) -> None:
        """The source object in hr waits for a key of another directory."""
        with self.backend.write() as connection:
            row = {"engagement_id": 1, "profile": "staff", "object_id": self.row(anchor).id}
            connection.execute(insert(wanted).values(**row, directory_id=self.ids[directory], name=name, value=value))


@pytest.fixture
def new_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes worlds of other connectors: (connector, *plugins, options=...)."""
    made: list[World] = []

    def make(connector: str, *plugins: object, **more: Any) -> World:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(World(folder, connector, *plugins, **more))
        return made[-1]

    yield make
    for world in made:
        world.backend.close()


@pytest.fixture
def connector() -> str:
    """Which connector the directories use."""
    return "writing"


@pytest.fixture
def world(tmp_path: Path, connector: str) -> Iterator[World]:
    made = World(tmp_path, connector)
    yield made
    made.backend.close()
