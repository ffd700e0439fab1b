"""Queries of the encrypted store. What is stored is ciphertext; keys and plain text never come here.

A row whose name begins with a colon holds a wrapped data key (`:KEY ID`): no secret can be named so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, literal, select, update

from metasync.store.tables import secret

KEY_PREFIX = ":"


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedRow:
    """One sealed secret or data key."""

    name: str
    key_id: str
    """Of the key that sealed it."""
    nonce: bytes
    ciphertext: bytes


_COLUMNS = (secret.c.name, secret.c.key_id, secret.c.nonce, secret.c.ciphertext)
_IS_KEY = secret.c.name.startswith(KEY_PREFIX, autoescape=True)


def get(connection: Connection, engagement_id: int, name: str) -> SealedRow | None:
    """One row."""
    row = connection.execute(select(*_COLUMNS).where(secret.c.engagement_id == engagement_id, secret.c.name == name)).one_or_none()
    return SealedRow(**row._mapping) if row else None


def names(connection: Connection, engagement_id: int) -> list[str]:
    """The names of all secrets, sorted."""
    query = select(secret.c.name).where(secret.c.engagement_id == engagement_id, ~_IS_KEY).order_by(secret.c.name)
    return list(connection.execute(query).scalars())


def keys(connection: Connection, engagement_id: int) -> list[SealedRow]:
    """The wrapped data keys, oldest first: the last one is in use."""
    query = select(*_COLUMNS).where(secret.c.engagement_id == engagement_id, _IS_KEY).order_by(secret.c.id)
    return [SealedRow(**row._mapping) for row in connection.execute(query)]


def put(connection: Connection, engagement_id: int, row: SealedRow, at: datetime) -> None:
    """Add a row, or replace the one of its name."""
    values = {"key_id": row.key_id, "nonce": row.nonce, "ciphertext": row.ciphertext, "changed": at}
    where = (secret.c.engagement_id == engagement_id, secret.c.name == row.name)
    if connection.execute(update(secret).where(*where).values(**values)).rowcount == 0:
        connection.execute(insert(secret).values(engagement_id=engagement_id, name=row.name, **values))


def reseal(connection: Connection, engagement_id: int, before: SealedRow, after: SealedRow) -> bool:
    """Replace what seals a secret; False where somebody set it anew meanwhile. When it was changed stays: its value did not."""
    where = (secret.c.engagement_id == engagement_id, secret.c.name == before.name, secret.c.nonce == before.nonce)
    values = {"key_id": after.key_id, "nonce": after.nonce, "ciphertext": after.ciphertext}
    return connection.execute(update(secret).where(*where).values(**values)).rowcount == 1


def sealed_by_others(connection: Connection, engagement_id: int, key_id: str, limit: int) -> Sequence[SealedRow]:
    """Secrets that another key seals."""
    query = select(*_COLUMNS).where(secret.c.engagement_id == engagement_id, secret.c.key_id != key_id, ~_IS_KEY).order_by(secret.c.id)
    return [SealedRow(**row._mapping) for row in connection.execute(query.limit(limit))]


def remove(connection: Connection, engagement_id: int, name: str) -> bool:
    """True where there was one."""
    return connection.execute(delete(secret).where(secret.c.engagement_id == engagement_id, secret.c.name == name)).rowcount == 1


def drop_unused_keys(connection: Connection, engagement_id: int, but: str) -> None:
    """Remove the data keys that seal no secret any more, all but the newest."""
    used = select(literal(KEY_PREFIX).concat(secret.c.key_id)).where(secret.c.engagement_id == engagement_id, ~_IS_KEY)
    where = (secret.c.engagement_id == engagement_id, _IS_KEY, secret.c.name != but, secret.c.name.not_in(used))
    connection.execute(delete(secret).where(*where))


def wrapping_keys(connection: Connection) -> frozenset[str]:
    """The ids of the keys that data keys of any engagement are sealed with."""
    return frozenset(connection.execute(select(secret.c.key_id).where(_IS_KEY).distinct()).scalars())
