"""Queries of links: the references that objects hold, and the objects that these mean.

The hot paths go through `Backend.insert`, `update` and `delete`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import Connection, func, select, update

from metasync.contract import ELSEWHERE
from metasync.store import match_keys
from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.rows import LinkRow, State
from metasync.store.tables import link, match_key, object_

PORTION = 5000


class Link(NamedTuple):
    """One reference, to be written."""

    object_id: int
    attribute: str
    key: str
    value: str
    target_id: int | None = None


def each_of(connection: Connection, object_ids: Collection[int]) -> Iterator[LinkRow]:
    """Every reference that these objects hold, object by object, without all being in memory at once."""
    columns = (link.c.object_id, link.c.attribute, link.c.key, link.c.value, link.c.target_id)
    for part in portions(sorted(object_ids)):
        query = select(*columns).where(link.c.object_id.in_(part)).order_by(link.c.object_id)
        for row in connection.execute(query.execution_options(yield_per=PORTION)):
            yield LinkRow(object_id=row[0], attribute=row[1], key=row[2], value=row[3], target_id=row[4])


def of_objects(
    connection: Connection, object_ids: Collection[int], attributes: Collection[str]
) -> dict[int, dict[str, list[tuple[str, str, int | None]]]]:
    """object id -> attribute -> (key, value, target object id)."""
    found: dict[int, dict[str, list[tuple[str, str, int | None]]]] = {}
    if not attributes:
        return found
    for part in portions(object_ids):
        query = (
            select(link.c.object_id, link.c.attribute, link.c.key, link.c.value, link.c.target_id)
            .where(link.c.object_id.in_(part), link.c.attribute.in_(sorted(attributes)))
            .order_by(link.c.object_id, link.c.attribute, link.c.key, link.c.value)
        )
        for row in connection.execute(query):
            found.setdefault(row.object_id, {}).setdefault(row.attribute, []).append((row.key, row.value, row.target_id))
    return found


def holders(connection: Connection, target_ids: Collection[int]) -> list[tuple[int, str, int, int, str]]:
    """(holder, attribute, target, holder's directory, holder's kind) of every reference to these objects."""
    found: list[tuple[int, str, int, int, str]] = []
    for part in portions(target_ids):
        query = (
            select(link.c.object_id, link.c.attribute, link.c.target_id, object_.c.directory_id, object_.c.kind)
            .join(object_, object_.c.id == link.c.object_id)
            .where(link.c.target_id.in_(part))
        )
        found += [(row.object_id, row.attribute, row.target_id, row.directory_id, row.kind) for row in connection.execute(query)]
    return found


def by_value(
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


def to(connection: Connection, directory_id: int, key: str, values: Collection[str]) -> list[LinkRow]:
    """The references that name their target by one of these values."""
    columns = (link.c.object_id, link.c.attribute, link.c.key, link.c.value, link.c.target_id)
    return [
        LinkRow(object_id=row[0], attribute=row[1], key=row[2], value=row[3], target_id=row[4])
        for part in portions(values)
        for row in connection.execute(
            select(*columns).where(link.c.directory_id == directory_id, link.c.key == key, link.c.value.in_(part))
        )
    ]


def by_key(connection: Connection, directory_id: int, key: str) -> list[LinkRow]:
    """The references of a directory that name their targets by this key."""
    columns = (link.c.object_id, link.c.attribute, link.c.key, link.c.value, link.c.target_id)
    query = select(*columns).where(link.c.directory_id == directory_id, link.c.key == key)
    return [LinkRow(object_id=row[0], attribute=row[1], key=row[2], value=row[3], target_id=row[4]) for row in connection.execute(query)]


def key_names(connection: Connection, directory_id: int) -> set[str]:
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


def add(backend: Backend, connection: Connection, rows: Iterable[tuple[int, int, str, str, str, int | None]]) -> None:
    """New references: (directory id, then the parts of a `Link`)."""
    backend.insert(connection, link, ("directory_id", *Link._fields), rows)


def remove(backend: Backend, connection: Connection, rows: Iterable[Link]) -> None:
    """References that an object holds no more."""
    backend.delete(connection, link, ("object_id", "attribute", "key", "value"), (row[:4] for row in rows))


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
                match_keys.of_directory(directory_id),
                match_key.c.name == link.c.key,
                match_key.c.value == link.c.value,
                object_.c.state != State.GONE,
            )
            .having(func.count(match_key.c.object_id.distinct()) == 1)
        )
        unresolved &= (key != "anchor") & ~key.startswith(ELSEWHERE)
    connection.execute(update(link).where(unresolved).values(target_id=found.scalar_subquery()))
