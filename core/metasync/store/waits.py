"""Queries of keys that source objects wait for: values by which their partner would be found, once somebody has them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection, and_, delete, select

from metasync.store.backend import Backend
from metasync.store.matching import by_name
from metasync.store.portions import portions
from metasync.store.rows import Status
from metasync.store.tables import join, sync_state, wanted

ANCHOR = "anchor"
"""The name of the key of those who wait for an object by its anchor, because people paired them."""
CREATING = (Status.IN_STEP, Status.PENDING, Status.IN_FLIGHT)
"""How an object stands for which another one is created, or was."""


def of_objects(connection: Connection, profile: str, object_ids: Collection[int]) -> dict[int, set[tuple[int, str, str]]]:
    """source object -> (directory, key name, value) that it waited for."""
    found: dict[int, set[tuple[int, str, str]]] = {}
    for part in portions(object_ids):
        for row in connection.execute(select(wanted).where(wanted.c.profile == profile, wanted.c.object_id.in_(part))):
            found.setdefault(row.object_id, set()).add((row.directory_id, row.name, row.value))
    return found


def on_keys(connection: Connection, keys: Collection[tuple[int, str, str]], but: Collection[int] = ()) -> list[tuple[str, int]]:
    """(profile, source object) that wait for one of these keys (directory, name, value)."""
    found: set[tuple[str, int]] = set()
    without = set(but)
    by_name: dict[tuple[int, str], list[str]] = {}
    for directory_id, name, value in keys:
        by_name.setdefault((directory_id, name), []).append(value)
    for (directory_id, name), values in by_name.items():
        for part in portions(values):
            query = select(wanted.c.profile, wanted.c.object_id).where(
                wanted.c.directory_id == directory_id, wanted.c.name == name, wanted.c.value.in_(part)
            )
            found |= {(row.profile, row.object_id) for row in connection.execute(query) if row.object_id not in without}
    return sorted(found)


CREATING_BY_RESERVATION = """
SELECT reserved.profile, own.object_id, reserved.value
FROM reserved
CROSS JOIN "join" AS own
CROSS JOIN sync_state AS state
WHERE reserved.directory_id = ? AND reserved.attribute = ? AND reserved.value IN ? AND reserved.released IS NULL
  AND own.identity_id = reserved.identity_id
  AND state.profile = reserved.profile AND state.object_id = own.object_id AND state.status IN ('in step', 'pending', 'in flight')"""
"""The joins in the order in which they are to be followed: few values are asked for, of many."""


def creating_by_reservation(
    backend: Backend, connection: Connection, keys: Collection[tuple[int, str, str]], profiles: Collection[str] | None = None
) -> list[tuple[str, int, tuple[int, str, str]]]:
    """(profile, source object, key) of those that are creating an object with one of these keys (directory, name, value), or did and no
    import has shown it yet: the values that may stand only once are reserved for them."""
    found: list[tuple[str, int, tuple[int, str, str]]] = []
    by_attribute: dict[tuple[int, str], list[str]] = {}
    for directory_id, name, value in keys:
        by_attribute.setdefault((directory_id, name), []).append(value)
    for (directory_id, name), values in by_attribute.items():
        rows = backend.fetch(connection, CREATING_BY_RESERVATION, directory_id, name.removesuffix("@path"), values)
        found += [(row[0], row[1], (directory_id, name, row[2])) for row in rows if profiles is None or row[0] in profiles]
    return found


def creating(
    backend: Backend, connection: Connection, keys: Collection[tuple[int, str, str]], profiles: Collection[str]
) -> dict[tuple[int, str, str], set[str]]:
    """(directory, name, value) -> those of the profiles that are creating an object with it, or did and no import has shown it yet."""
    found: dict[tuple[int, str, str], set[str]] = {}
    same = and_(sync_state.c.profile == wanted.c.profile, sync_state.c.object_id == wanted.c.object_id)
    for directory_id, name in sorted({(directory_id, name) for directory_id, name, _ in keys}):
        for part in portions([value for one, other, value in keys if (one, other) == (directory_id, name)]):
            about = (wanted.c.directory_id == directory_id) & (wanted.c.name == name) & wanted.c.value.in_(part)
            query = select(wanted.c.value, wanted.c.profile).join(sync_state, same).where(about, wanted.c.profile.in_(sorted(profiles)))
            for row in connection.execute(query.where(sync_state.c.status.in_(CREATING))):
                found.setdefault((directory_id, name, row.value), set()).add(row.profile)
    for profile, _, key in creating_by_reservation(backend, connection, keys, profiles):
        found.setdefault(key, set()).add(profile)
    return found


def put(
    backend: Backend,
    connection: Connection,
    engagement_id: int,
    profile: str,
    object_ids: Collection[int],
    rows: Sequence[tuple[int, int, str, str]],
) -> None:
    """Replace what these objects wait for: (object, directory, key name, value)."""
    for part in portions(object_ids):
        connection.execute(delete(wanted).where(wanted.c.profile == profile, wanted.c.object_id.in_(part)))
    add(backend, connection, engagement_id, profile, sorted(set(rows)))


def add(backend: Backend, connection: Connection, engagement_id: int, profile: str, rows: Iterable[tuple[int, int, str, str]]) -> None:
    """What objects wait for that waited for nothing: (object, directory, key name, value)."""
    columns = ("engagement_id", "profile", "object_id", "directory_id", "name", "value")
    backend.insert(connection, wanted, columns, ((engagement_id, profile, *row) for row in rows))


def wanted_by(
    backend: Backend, connection: Connection, profile: str, directory_id: int, keys: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Those of these keys (name, value) that an object of the profile waits for, and one that does."""
    query = "SELECT value, object_id FROM wanted WHERE directory_id = ? AND name = ? AND value IN ? AND profile = ?"
    return {
        (name, row[0]): row[1]
        for name, values in by_name(keys).items()
        for row in backend.fetch(connection, query, directory_id, name, values, profile)
    }


def of_target(connection: Connection, directory_id: int, target_id: int, name: str) -> list[tuple[str, int]]:
    """(value, identity) of each value that whoever stands for this target object waits for."""
    own, source = join.alias("own"), join.alias("source")
    query = (
        select(wanted.c.value, own.c.identity_id)
        .distinct()
        .select_from(own.join(source, source.c.identity_id == own.c.identity_id).join(wanted, wanted.c.object_id == source.c.object_id))
        .where(own.c.object_id == target_id, wanted.c.directory_id == directory_id, wanted.c.name == name)
    )
    return [(row.value, row.identity_id) for row in connection.execute(query.order_by(wanted.c.value))]
