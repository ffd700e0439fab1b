"""Queries for exporters: pages of pairs, and what an exporter keeps for each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, and_, insert, or_, select, update

from metasync.store import ledger
from metasync.store.portions import portions
from metasync.store.tables import exporter_state, join, object_


@dataclass(frozen=True, kw_only=True, slots=True)
class PairRow:
    """A join in a target directory, with the object of the same identity and kind in the source directory."""

    id: int
    identity_id: int
    kind: str
    source_anchor: str
    target_anchor: str
    source_id: int
    label: str
    source_blob: bytes
    source_run: int | None
    target_blob: bytes | None
    """None while it was created and not imported yet."""
    target_run: int | None


def pairs(
    connection: Connection,
    engagement_id: int,
    *,
    source: int,
    target: int,
    kinds: Collection[str],
    after_id: int = 0,
    limit: int = ledger.PORTION,
) -> list[PairRow]:
    """Identities with an object of the same kind in both directories, behind a join's number: pages for exporters."""
    own, other = join.alias("own"), join.alias("other")
    left, right = object_.alias("left"), object_.alias("right")
    query = (
        select(
            other.c.id,
            other.c.identity_id,
            other.c.kind,
            own.c.anchor.label("source_anchor"),
            other.c.anchor.label("target_anchor"),
            left.c.id.label("source_id"),
            left.c.label,
            left.c.blob.label("source_blob"),
            left.c.run_id.label("source_run"),
            right.c.blob.label("target_blob"),
            right.c.run_id.label("target_run"),
        )
        .select_from(
            other.join(own, and_(own.c.identity_id == other.c.identity_id, own.c.directory_id == source, own.c.kind == other.c.kind))
            .join(left, left.c.id == own.c.object_id)
            .outerjoin(right, right.c.id == other.c.object_id)
        )
        .where(
            other.c.engagement_id == engagement_id,
            other.c.directory_id == target,
            other.c.kind.in_(list(kinds)),
            other.c.id > after_id,
            left.c.state == "live",
            or_(right.c.id.is_(None), and_(right.c.state == "live", right.c.privileged.is_(False))),
            left.c.privileged.is_(False),
        )
        .order_by(other.c.id)
        .limit(limit)
    )
    return [PairRow(**row._mapping) for row in connection.execute(query)]


def exporter_states(connection: Connection, engagement_id: int, exporter: str, pair_ids: Collection[str]) -> dict[str, str | None]:
    """pair -> what the exporter kept for it."""
    found: dict[str, str | None] = {}
    for part in portions(pair_ids):
        where = (exporter_state.c.engagement_id == engagement_id, exporter_state.c.exporter == exporter, exporter_state.c.pair.in_(part))
        found |= {row.pair: row.state for row in connection.execute(select(exporter_state.c.pair, exporter_state.c.state).where(*where))}
    return found


def object_ids(connection: Connection, directory_id: int, anchors: Collection[str]) -> dict[str, int]:
    """anchor -> the object's number; a living one before its tombstones."""
    found: dict[str, int] = {}
    for part in portions(anchors):
        query = select(object_.c.id, object_.c.anchor, object_.c.state).where(
            object_.c.directory_id == directory_id, object_.c.anchor.in_(part)
        )
        for row in connection.execute(query):
            if row.state != "gone" or row.anchor not in found:
                found[row.anchor] = row.id
    return found


def keep_exporter_state(connection: Connection, engagement_id: int, exporter: str, pair: str, state: str | None) -> None:
    """Keep this for a pair; for the pair "" it is the exporter's cursor."""
    where = (exporter_state.c.engagement_id == engagement_id, exporter_state.c.exporter == exporter, exporter_state.c.pair == pair)
    if connection.execute(update(exporter_state).where(*where).values(state=state)).rowcount == 0:
        connection.execute(insert(exporter_state).values(engagement_id=engagement_id, exporter=exporter, pair=pair, state=state))
