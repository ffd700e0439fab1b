"""Queries of objects, their match keys and links: what an import compares with and writes.

The hot paths go through `Backend.insert`, `update` and `delete`. A directory's anchors are unique by a partial index of its own, built
after its first load: a live one makes loads grow faster than their size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, inspect, select, text, type_coerce, update
from sqlalchemy.types import NullType

from metasync.contract import Kind
from metasync.store.backend import Backend
from metasync.store.joins import portions
from metasync.store.rows import LinkRow, ObjectRow, State
from metasync.store.tables import join, link, match_key, object_, seen

COLUMNS = (
    "id",
    "engagement_id",
    "directory_id",
    "kind",
    "anchor",
    "label",
    "state",
    "digest",
    "blob",
    "generation",
    "mark",
    "privileged",
    "run_id",
)
CHANGED = ("kind", "label", "state", "digest", "blob", "generation", "mark", "privileged", "run_id")
PORTION = 5000


class Known(NamedTuple):
    """What an import must know of an object that is there already, to see whether it changed."""

    id: int
    anchor: str
    kind: str
    state: str
    digest: bytes


class Link(NamedTuple):
    """One reference, to be written."""

    object_id: int
    attribute: str
    key: str
    value: str
    target_id: int | None = None


# --- reading ---------------------------------------------------------------------------------------------------------------------------


def known(connection: Connection, directory_id: int, anchors: Collection[str]) -> dict[str, Known]:
    """anchor -> what is known, of those that are there (tombstones too)."""
    # The driver gives bytes as bytes; SQLAlchemy would convert each digest again.
    digest = type_coerce(object_.c.digest, NullType())
    columns = (object_.c.id, object_.c.anchor, object_.c.kind, object_.c.state, digest)
    found: dict[str, Known] = {}
    # In the order of the index.
    for part in portions(sorted(anchors)):
        query = select(*columns).where(object_.c.directory_id == directory_id, object_.c.anchor.in_(part))
        found.update((row[1], Known._make(row)) for row in connection.execute(query).all())
    return found


def ids_by_anchor(connection: Connection, directory_id: int, anchors: Collection[str]) -> dict[str, int]:
    """anchor -> id, of objects that are not gone."""
    found: dict[str, int] = {}
    for part in portions(anchors):
        query = select(object_.c.anchor, object_.c.id).where(
            object_.c.directory_id == directory_id, object_.c.anchor.in_(part), object_.c.state != State.GONE
        )
        found.update((anchor, object_id) for anchor, object_id in connection.execute(query))
    return found


def get(connection: Connection, object_ids: Collection[int]) -> dict[int, ObjectRow]:
    """id -> object."""
    found: dict[int, ObjectRow] = {}
    for part in portions(object_ids):
        for row in connection.execute(select(object_).where(object_.c.id.in_(part))):
            found[row.id] = ObjectRow(
                id=row.id,
                directory_id=row.directory_id,
                kind=Kind(row.kind),
                anchor=row.anchor,
                label=row.label,
                state=State(row.state),
                digest=row.digest,
                blob=row.blob,
                mark=row.mark,
                privileged=bool(row.privileged),
                run_id=row.run_id,
            )
    return found


def containers(connection: Connection, directory_id: int) -> list[ObjectRow]:
    """Every container of a directory."""
    query = select(object_.c.id).where(object_.c.directory_id == directory_id, object_.c.kind == Kind.CONTAINER.value)
    return list(get(connection, list(connection.execute(query).scalars())).values())


def images(connection: Connection, directory_id: int, *, after: int = 0) -> list[tuple[int, Kind, str, bytes]]:
    """(id, kind, anchor, blob) of the next objects of a directory; empty: that was all."""
    query = (
        select(object_.c.id, object_.c.kind, object_.c.anchor, object_.c.blob)
        .where(object_.c.directory_id == directory_id, object_.c.id > after)
        .order_by(object_.c.id)
        .limit(PORTION)
    )
    return [(row[0], Kind(row[1]), row[2], row[3]) for row in connection.execute(query)]


def kinds(connection: Connection, object_ids: Collection[int]) -> dict[int, Kind]:
    """id -> kind."""
    found: dict[int, Kind] = {}
    for part in portions(object_ids):
        query = select(object_.c.id, object_.c.kind).where(object_.c.id.in_(part))
        found.update((row[0], Kind(row[1])) for row in connection.execute(query))
    return found


def of_other_kinds(connection: Connection, directory_id: int, kinds: Collection[str]) -> dict[int, Kind]:
    """id -> kind of live objects that are of none of these kinds."""
    query = select(object_.c.id, object_.c.kind).where(
        object_.c.directory_id == directory_id, object_.c.state == State.LIVE, object_.c.kind.not_in(sorted(kinds))
    )
    return {row[0]: Kind(row[1]) for row in connection.execute(query)}


def any_objects(connection: Connection, directory_id: int) -> bool:
    """Does the directory hold any object, tombstones included?"""
    return connection.execute(select(object_.c.id).where(object_.c.directory_id == directory_id).limit(1)).first() is not None


def ids(connection: Connection, directory_id: int) -> Iterator[int]:
    """Every object of a directory, tombstones too."""
    yield from connection.execute(select(object_.c.id).where(object_.c.directory_id == directory_id)).scalars()


def count(connection: Connection, directory_id: int) -> dict[str, int]:
    """state -> number of objects."""
    query = select(object_.c.state, func.count()).where(object_.c.directory_id == directory_id).group_by(object_.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def total(connection: Connection, directory_id: int) -> int:
    """Number of objects, tombstones too; reads the index alone."""
    return int(connection.execute(select(func.count()).where(object_.c.directory_id == directory_id)).scalar_one())


def keys_of(connection: Connection, object_ids: Collection[int]) -> dict[int, set[tuple[str, str]]]:
    """object id -> its (name, value) match keys."""
    found: dict[int, set[tuple[str, str]]] = {}
    for part in portions(object_ids):
        query = select(match_key.c.object_id, match_key.c.name, match_key.c.value).where(match_key.c.object_id.in_(part))
        for object_id, name, value in connection.execute(query):
            found.setdefault(object_id, set()).add((name, value))
    return found


def links_of(connection: Connection, object_ids: Collection[int]) -> Iterator[LinkRow]:
    """Every reference that these objects hold, object by object, without all being in memory at once."""
    columns = (link.c.object_id, link.c.attribute, link.c.key, link.c.value, link.c.target_id)
    for part in portions(sorted(object_ids)):
        query = select(*columns).where(link.c.object_id.in_(part)).order_by(link.c.object_id)
        for row in connection.execute(query.execution_options(yield_per=PORTION)):
            yield LinkRow(object_id=row[0], attribute=row[1], key=row[2], value=row[3], target_id=row[4])


def links_by_value(
    connection: Connection, object_id: int, attribute: str, references: Collection[tuple[str, str]] | None = None
) -> dict[tuple[str, str], int | None]:
    """(key, value) -> target, of one object's attribute: all, or those of these references that are there."""
    about = (link.c.object_id == object_id) & (link.c.attribute == attribute)
    if references is None:
        query = select(link.c.key, link.c.value, link.c.target_id).where(about)
        return {(key, value): target for key, value, target in connection.execute(query)}
    found: dict[tuple[str, str], int | None] = {}
    by_key: dict[str, list[str]] = {}
    for key, value in references:
        by_key.setdefault(key, []).append(value)
    for key, values in by_key.items():
        for part in portions(values):
            query = select(link.c.value, link.c.target_id).where(about, link.c.key == key, link.c.value.in_(part))
            found.update(((key, row[0]), row[1]) for row in connection.execute(query))
    return found


def link_keys(connection: Connection, directory_id: int) -> set[str]:
    """The names, `anchor` aside, by which references of a directory name their targets."""
    found: set[str] = set()
    key = ""
    while True:
        # From name to name through the index: there may be millions of links, and two names.
        query = select(func.min(link.c.key)).where(link.c.directory_id == directory_id, link.c.key > key)
        following = connection.execute(query).scalar()
        if following is None:
            return found - {"anchor"}
        found.add(following)
        key = following


# --- writing ---------------------------------------------------------------------------------------------------------------------------


def insert_keys(backend: Backend, connection: Connection, rows: Iterable[tuple[int, int, str, str]]) -> None:
    """New match keys: (directory id, object id, name, value)."""
    backend.insert(connection, match_key, ("directory_id", "object_id", "name", "value"), rows)


def delete_keys(backend: Backend, connection: Connection, rows: Iterable[tuple[int, str, str]]) -> None:
    """Match keys that an object has no more: (object id, name, value)."""
    backend.delete(connection, match_key, ("object_id", "name", "value"), rows)


def clear_keys(connection: Connection, directory_id: int, names: Collection[str]) -> None:
    """Forget these match keys of a directory, whatever object has them."""
    connection.execute(delete(match_key).where(match_key.c.directory_id == directory_id, match_key.c.name.in_(sorted(names))))


def insert_links(backend: Backend, connection: Connection, directory_id: int, rows: Iterable[Link]) -> None:
    """New references."""
    columns = ("directory_id", "object_id", "attribute", "key", "value", "target_id")
    backend.insert(connection, link, columns, ((directory_id, *row) for row in rows))


def delete_links(backend: Backend, connection: Connection, rows: Iterable[Link]) -> None:
    """References that an object holds no more."""
    backend.delete(connection, link, ("object_id", "attribute", "key", "value"), (row[:4] for row in rows))


def set_state(backend: Backend, connection: Connection, object_ids: Iterable[int], state: State, run_id: int | None) -> None:
    """A new state, everything else as last known."""
    backend.update(connection, object_, ("state", "run_id"), ("id",), ((state.value, run_id, object_id) for object_id in object_ids))


def set_facts(backend: Backend, connection: Connection, rows: Iterable[tuple[str, str | None, bool, int]]) -> None:
    """What the engine reads off an object: (label, mark, privileged, id)."""
    backend.update(connection, object_, ("label", "mark", "privileged"), ("id",), rows)


def remove(connection: Connection, object_ids: Collection[int]) -> None:
    """Delete objects altogether; only what an import itself has just inserted may go this way."""
    for part in portions(object_ids):
        connection.execute(delete(match_key).where(match_key.c.object_id.in_(part)))
        connection.execute(delete(link).where(link.c.object_id.in_(part)))
        connection.execute(delete(object_).where(object_.c.id.in_(part)))


# --- anchors ---------------------------------------------------------------------------------------------------------------------------


def has_anchor_index(connection: Connection, directory_id: int) -> bool:
    """Was the directory loaded once?"""
    return any(index["name"] == _anchor_index(directory_id) for index in inspect(connection).get_indexes(object_.name))


def build_anchor_index(connection: Connection, directory_id: int) -> None:
    """Make anchors unique from now on. Raises `IntegrityError` where they are not.

    `directory_id` stands in it although it is the same everywhere: SQLite would read each row to see that it is.
    """
    name, number = _anchor_index(directory_id), int(directory_id)
    connection.execute(text(f"CREATE UNIQUE INDEX {name} ON object (anchor, directory_id) WHERE directory_id = {number}"))


def drop_anchor_index(connection: Connection, directory_id: int) -> None:
    """A first load begins."""
    connection.execute(text(f"DROP INDEX IF EXISTS {_anchor_index(directory_id)}"))


def repeated_anchors(connection: Connection, directory_id: int) -> dict[str, list[tuple[int, bytes]]]:
    """anchor -> (id, digest) of each object that carries it, where there are several; oldest first."""
    repeated = select(object_.c.anchor).where(object_.c.directory_id == directory_id).group_by(object_.c.anchor).having(func.count() > 1)
    query = (
        select(object_.c.anchor, object_.c.id, object_.c.digest)
        .where(object_.c.directory_id == directory_id, object_.c.anchor.in_(repeated))
        .order_by(object_.c.id)
    )
    found: dict[str, list[tuple[int, bytes]]] = {}
    for anchor, object_id, digest in connection.execute(query):
        found.setdefault(anchor, []).append((object_id, digest))
    return found


def _anchor_index(directory_id: int) -> str:
    return f"uq_object_anchor_{int(directory_id)}"


# --- what references mean --------------------------------------------------------------------------------------------------------------


def ids_by_key(connection: Connection, directory_id: int, name: str, values: Collection[str]) -> dict[str, int]:
    """normalised value -> the one object that has it; several or none: absent."""
    found: dict[str, int | None] = {}
    for part in portions(values):
        query = (
            select(match_key.c.value, match_key.c.object_id)
            .join(object_, object_.c.id == match_key.c.object_id)
            .where(
                match_key.c.directory_id == directory_id,
                match_key.c.name == name,
                match_key.c.value.in_(part),
                object_.c.state != State.GONE,
            )
        )
        for value, object_id in connection.execute(query):
            found[value] = None if found.get(value, object_id) != object_id else object_id
    return {value: object_id for value, object_id in found.items() if object_id is not None}


def links_to(connection: Connection, directory_id: int, key: str, values: Collection[str]) -> list[LinkRow]:
    """The references that name their target by one of these values."""
    columns = (link.c.object_id, link.c.attribute, link.c.key, link.c.value, link.c.target_id)
    return [
        LinkRow(object_id=row[0], attribute=row[1], key=row[2], value=row[3], target_id=row[4])
        for part in portions(values)
        for row in connection.execute(
            select(*columns).where(link.c.directory_id == directory_id, link.c.key == key, link.c.value.in_(part))
        )
    ]


def set_targets(backend: Backend, connection: Connection, rows: Iterable[Link]) -> None:
    """What references mean from now on."""
    backend.update(
        connection,
        link,
        ("target_id",),
        ("object_id", "attribute", "key", "value"),
        ((row.target_id, row.object_id, row.attribute, row.key, row.value) for row in rows),
    )


def holders_range(connection: Connection, directory_id: int) -> range:
    """The ids among which the objects of a directory are."""
    query = select(func.min(object_.c.id), func.max(object_.c.id)).where(object_.c.directory_id == directory_id)
    first, last = connection.execute(query).one()
    return range(0) if first is None else range(first, last + 1)


def resolve(connection: Connection, directory_id: int, holders: range, *, by_anchor: bool) -> None:
    """Find the targets of all open references of these holders: those by anchor, or those by any other key.

    Anchors of tombstones are found as well: whether an object is gone stands in its row, and reading that costs ten times the look-up.
    """
    # Behind `coalesce`, columns are compared but not looked up by: SQLite would take the index of values, and go through the references of
    # all holders for each range of them.
    unresolved = (
        (func.coalesce(link.c.directory_id, 0) == directory_id)
        & (func.coalesce(link.c.target_id, 0) == 0)
        & link.c.object_id.between(holders.start, holders.stop - 1)
    )
    key = func.coalesce(link.c.key, "")
    if by_anchor:
        found = select(object_.c.id).where(object_.c.directory_id == directory_id, object_.c.anchor == link.c.value)
        unresolved &= key == "anchor"
    else:
        found = (
            select(func.min(match_key.c.object_id))
            .join(object_, object_.c.id == match_key.c.object_id)
            .where(
                match_key.c.directory_id == directory_id,
                match_key.c.name == link.c.key,
                match_key.c.value == link.c.value,
                object_.c.state != State.GONE,
            )
            .having(func.count(match_key.c.object_id.distinct()) == 1)
        )
        unresolved &= key != "anchor"
    connection.execute(update(link).where(unresolved).values(target_id=found.scalar_subquery()))


# --- what a resumable import has seen --------------------------------------------------------------------------------------------------


def forget_seen(connection: Connection, directory_id: int) -> None:
    """A full import begins or is complete."""
    connection.execute(delete(seen).where(seen.c.directory_id == directory_id))


def add_seen(backend: Backend, connection: Connection, directory_id: int, object_ids: Sequence[int]) -> None:
    """An import that may have to be resumed has seen these."""
    backend.insert(connection, seen, ("directory_id", "object_id"), ((directory_id, one) for one in object_ids), ignore=True)


def get_seen(connection: Connection, directory_id: int) -> Iterator[int]:
    """What the interrupted import has seen."""
    yield from connection.execute(select(seen.c.object_id).where(seen.c.directory_id == directory_id)).scalars()


def adopt(connection: Connection, directory_id: int, ids_by_anchor: Mapping[str, int]) -> list[int]:
    """Give provisional joins the objects that came; the ids of these objects."""
    adopted: list[int] = []
    for part in portions(ids_by_anchor):
        waiting = select(join.c.id, join.c.anchor).where(
            join.c.directory_id == directory_id, join.c.object_id.is_(None), join.c.anchor.in_(part)
        )
        for join_id, anchor in connection.execute(waiting).all():
            connection.execute(update(join).where(join.c.id == join_id).values(object_id=ids_by_anchor[anchor]))
            adopted.append(ids_by_anchor[anchor])
    return adopted
