"""Queries of holds: what an undo restored, and synchronising leaves alone until it is released."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select

from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.tables import change, hold, plan


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldRow:
    """What an undo restored, and the next run shall leave alone."""

    profile: str
    object_id: int
    attribute: str
    run_id: int
    reason: str


def those(
    connection: Connection,
    engagement_id: int,
    *,
    profile: str | None = None,
    objects: Collection[int] | None = None,
    run_id: int | None = None,
    attribute: str | None = None,
    undo: int | None = None,
) -> list[HoldRow]:
    """The holds that these conditions name. `undo`: the run that planned or wrote the undo, or the run that it took back."""
    query = select(hold).where(*_those(engagement_id, profile, objects, run_id, attribute, undo)).order_by(hold.c.id)
    return [
        HoldRow(profile=row.profile, object_id=row.object_id, attribute=row.attribute, run_id=row.run_id, reason=row.reason)
        for row in connection.execute(query)
    ]


def of_objects(connection: Connection, profile: str, object_ids: Collection[int]) -> dict[int, set[str]]:
    """source object -> attributes that an undo holds; `*`: the object itself."""
    found: dict[int, set[str]] = {}
    for part in portions(object_ids):
        for row in connection.execute(
            select(hold.c.object_id, hold.c.attribute).where(hold.c.profile == profile, hold.c.object_id.in_(part))
        ):
            found.setdefault(row.object_id, set()).add(row.attribute)
    return found


def add(backend: Backend, connection: Connection, engagement_id: int, rows: Iterable[HoldRow]) -> None:
    """Hold attributes of objects (`*`: the object) until they are released; what is held already is held by these from now on."""
    values = [
        {
            "engagement_id": engagement_id,
            "profile": row.profile,
            "object_id": row.object_id,
            "attribute": row.attribute,
            "run_id": row.run_id,
            "reason": row.reason,
        }
        for row in rows
    ]
    query = backend.upsert(hold)
    newer = {"run_id": query.excluded.run_id, "reason": query.excluded.reason}
    query = query.on_conflict_do_update(index_elements=[hold.c.profile, hold.c.object_id, hold.c.attribute], set_=newer)
    if values:
        connection.execute(query, values)


def release(
    connection: Connection,
    engagement_id: int,
    *,
    profile: str | None = None,
    objects: Collection[int] | None = None,
    run_id: int | None = None,
    attribute: str | None = None,
    undo: int | None = None,
) -> None:
    """Take holds back."""
    connection.execute(delete(hold).where(*_those(engagement_id, profile, objects, run_id, attribute, undo)))


def by_run(connection: Connection, engagement_id: int) -> dict[int, int]:
    """Run that wrote an undo -> number of holds that it left."""
    query = select(hold.c.run_id, func.count()).where(hold.c.engagement_id == engagement_id).group_by(hold.c.run_id)
    return {row[0]: row[1] for row in connection.execute(query.order_by(hold.c.run_id))}


def _those(
    engagement_id: int,
    profile: str | None,
    objects: Collection[int] | None,
    run_id: int | None,
    attribute: str | None,
    undo: int | None,
) -> list[Any]:
    where: list[Any] = [hold.c.engagement_id == engagement_id]
    if profile is not None:
        where.append(hold.c.profile == profile)
    if objects is not None:
        where.append(hold.c.object_id.in_(list(objects)))
    if run_id is not None:
        where.append(hold.c.run_id == run_id)
    if attribute is not None:
        where.append(or_(hold.c.attribute == attribute, hold.c.attribute == "*"))
    if undo is not None:
        of_it = select(change.c.id).join(plan, plan.c.id == change.c.plan_id)
        of_it = of_it.where(
            change.c.run_id == hold.c.run_id,
            change.c.profile == hold.c.profile,
            change.c.object_id == hold.c.object_id,
            plan.c.purpose == "undo",
            or_(plan.c.run_id == undo, plan.c.undoes == undo),
        )
        where.append(or_(hold.c.run_id == undo, of_it.exists()))
    return where
