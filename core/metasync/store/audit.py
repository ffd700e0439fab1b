"""The audit log: who decided and did what, and when. Rows can only be added, and each one seals those before it.

A row's hash is SHA-256 over the canonical JSON of its content and the hash of the row before it, so that an edited, deleted or
reordered row is found by `verify`. It is written in the transaction of what it records: what cannot be audited does not happen (I6).
What is cut off at the end cannot be seen from inside; compare the last hash with a copy kept elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from metasync.store import clock
from metasync.store.tables import audit

GENESIS = "0" * 64
PORTION = 2000
CHAIN = 0x43686169
"""The lock of a server that whoever adds a row holds until his transaction ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRow:
    """One row of the log."""

    seq: int
    engagement_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """A place where the chain does not hold."""

    seq: int
    text: str


def append(
    connection: Connection, engagement_id: int, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None
) -> str:
    """Add a row in the caller's transaction; its hash. `detail` is plain JSON and never holds a secret."""
    if connection.dialect.name == "postgresql":
        # One chain for all engagements, which otherwise do not wait for each other.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({CHAIN})")
    newest = select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
    last = connection.execute(newest).one_or_none()
    row = AuditRow(
        seq=last.seq + 1 if last else 1,
        engagement_id=engagement_id,
        at=clock.now(connection),
        actor=actor,
        action=action,
        subject=subject,
        detail=orjson.loads(orjson.dumps(dict(detail or {}))),
        previous=last.hash if last else GENESIS,
        hash="",
    )
    sealed = seal(row)
    connection.execute(
        insert(audit).values(
            seq=row.seq,
            engagement_id=engagement_id,
            at=row.at,
            actor=actor,
            action=action,
            subject=subject,
            detail=row.detail,
            previous=row.previous,
            hash=sealed,
        )
    )
    return sealed


def seal(row: AuditRow) -> str:
    """The hash that a row must carry."""
    at = row.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    content = [row.seq, row.engagement_id, at, row.actor, row.action, row.subject, row.detail, row.previous]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def rows(connection: Connection, engagement_id: int | None = None, *, after: int = 0) -> Iterator[AuditRow]:
    """The log in its order, of one engagement or of all, in portions."""
    while True:
        query = select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(PORTION)
        if engagement_id is not None:
            query = query.where(audit.c.engagement_id == engagement_id)
        found = [AuditRow(**row._mapping) for row in connection.execute(query)]
        yield from found
        if len(found) < PORTION:
            return
        after = found[-1].seq


def newest_of(connection: Connection, engagement_id: int, actions: Collection[str]) -> dict[str, AuditRow]:
    """Subject -> the newest row about it with one of these actions."""
    query = select(audit).where(audit.c.engagement_id == engagement_id, audit.c.action.in_(list(actions))).order_by(audit.c.seq)
    return {row.subject: AuditRow(**row._mapping) for row in connection.execute(query)}


def about(connection: Connection, engagement_id: int, action: str, subject: str) -> list[AuditRow]:
    """Every row with this action about this subject, in their order."""
    query = select(audit).where(audit.c.engagement_id == engagement_id, audit.c.action == action, audit.c.subject == subject)
    return [AuditRow(**row._mapping) for row in connection.execute(query.order_by(audit.c.seq))]


def verify(connection: Connection) -> list[Broken]:
    """Every row that was edited, and every place where rows were deleted or reordered; empty: the chain holds."""
    broken: list[Broken] = []
    expected, previous = 1, GENESIS
    for row in rows(connection):
        if row.seq != expected:
            missing = f"row {expected} is" if row.seq == expected + 1 else f"rows {expected} to {row.seq - 1} are"
            broken.append(Broken(seq=row.seq, text=f"{missing} missing"))
        elif row.previous != previous:
            broken.append(Broken(seq=row.seq, text=f"row {row.seq} does not follow row {row.seq - 1}: one of them was replaced or moved"))
        if seal(row) != row.hash:
            broken.append(Broken(seq=row.seq, text=f"row {row.seq} was edited: it does not carry the hash of its content"))
        expected, previous = row.seq + 1, row.hash
    return broken
