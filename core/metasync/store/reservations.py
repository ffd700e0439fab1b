"""Queries of reserved names: unique values, and the identities that they are kept for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, delete, select, update

from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.tables import reserved

COLUMNS = ("engagement_id", "directory_id", "attribute", "value", "shown", "base", "identity_id", "profile")


class Reservation(NamedTuple):
    """A unique value and the identity that it is kept for."""

    id: int
    attribute: str
    value: str
    shown: str
    base: str
    identity_id: int
    released: datetime | None
    profile: str


def of_identities(connection: Connection, directory_id: int, identity_ids: Collection[int]) -> dict[tuple[int, str], list[Reservation]]:
    """(identity, attribute) -> what is reserved for it, oldest first."""
    found: dict[tuple[int, str], list[Reservation]] = {}
    for part in portions(identity_ids):
        for row in _reservations(connection, and_(reserved.c.directory_id == directory_id, reserved.c.identity_id.in_(part))):
            found.setdefault((row.identity_id, row.attribute), []).append(row)
    return found


def of_values(connection: Connection, directory_id: int, attribute: str, values: Collection[str]) -> dict[str, Reservation]:
    """value -> who holds it."""
    found: dict[str, Reservation] = {}
    for part in portions(values):
        condition = and_(reserved.c.directory_id == directory_id, reserved.c.attribute == attribute, reserved.c.value.in_(part))
        found |= {row.value: row for row in _reservations(connection, condition)}
    return found


def reserve(backend: Backend, connection: Connection, engagement_id: int, directory_id: int, rows: Sequence[Reservation]) -> None:
    """Keep values for identities; reservations that have run out give way."""
    by_attribute: dict[str, list[str]] = {}
    for row in rows:
        by_attribute.setdefault(row.attribute, []).append(row.value)
    for attribute, values in by_attribute.items():
        for part in portions(values):
            connection.execute(
                delete(reserved).where(
                    reserved.c.directory_id == directory_id, reserved.c.attribute == attribute, reserved.c.value.in_(part)
                )
            )
    kept = ((row.attribute, row.value, row.shown, row.base, row.identity_id, row.profile) for row in rows)
    add(backend, connection, engagement_id, directory_id, kept)


def add(
    backend: Backend, connection: Connection, engagement_id: int, directory_id: int, rows: Iterable[tuple[str, str, str, str, int, str]]
) -> None:
    """Keep values that nobody has: (attribute, folded value, value, base, identity, profile). They enter the index in its order, not each
    somewhere else."""
    stored = ((engagement_id, directory_id, *row) for row in sorted(rows))
    backend.insert(connection, reserved, COLUMNS, backend.stored(connection, reserved, COLUMNS, stored))


def held(backend: Backend, connection: Connection, directory_id: int, values: Mapping[str, list[str]]) -> dict[tuple[str, str], int]:
    """Those of these values (attribute -> folded values) that are kept for an identity, or were, and for which."""
    query = "SELECT value, identity_id FROM reserved WHERE directory_id = ? AND attribute = ? AND value IN ?"
    return {
        (attribute, row[0]): row[1]
        for attribute, folded in values.items()
        for row in backend.fetch(connection, query, directory_id, attribute, folded)
    }


def release_all(
    connection: Connection, directory_id: int, identity_id: int, profiles: Collection[str], now: datetime
) -> list[tuple[str, str]]:
    """This identity has no object of these profiles in the directory any more: its names run out; (attribute, value) of each."""
    theirs = and_(reserved.c.identity_id == identity_id, reserved.c.profile.in_(sorted(profiles)))
    held = update(reserved).where(reserved.c.directory_id == directory_id, theirs, reserved.c.released.is_(None))
    found = connection.execute(held.values(released=now).returning(reserved.c.attribute, reserved.c.value))
    return [(row.attribute, row.value) for row in found]


def release(connection: Connection, ids: Collection[int], now: datetime) -> None:
    """These values are not wanted by their identity any more: they run out."""
    for part in portions(ids):
        connection.execute(update(reserved).where(reserved.c.id.in_(part), reserved.c.released.is_(None)).values(released=now))


def _reservations(connection: Connection, condition: Any) -> list[Reservation]:
    columns = [reserved.c[name] for name in Reservation._fields]
    return [Reservation._make(row) for row in connection.execute(select(*columns).where(condition).order_by(reserved.c.id))]
