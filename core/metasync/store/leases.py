"""Queries of leases: who may act now. A lease runs out by the database's clock; its fence grows with every new owner, never back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from metasync.store import tables

_lease = tables.lease.c


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseRow:
    """One lease."""

    name: str
    owner: str
    fence: int
    until: datetime


def get(connection: Connection, name: str) -> LeaseRow | None:
    """The lease as it stands, also when it has run out."""
    row = connection.execute(select(tables.lease).where(_lease.name == name)).one_or_none()
    return LeaseRow(name=row.name, owner=row.owner, fence=row.fence, until=row.until) if row else None


def take(connection: Connection, name: str, *, owner: str, until: datetime) -> int:
    """Make `owner` the holder, whoever held it before; the new fence. The caller has looked with `get` in the same transaction."""
    before = get(connection, name)
    if before is None:
        connection.execute(insert(tables.lease).values(name=name, owner=owner, fence=1, until=until))
        return 1
    fence = before.fence + 1
    connection.execute(update(tables.lease).where(_lease.name == name).values(owner=owner, fence=fence, until=until))
    return fence


def renew(connection: Connection, name: str, *, fence: int, until: datetime) -> bool:
    """Hold it longer; False: somebody else has it by now."""
    return connection.execute(update(tables.lease).where(_lease.name == name, _lease.fence == fence).values(until=until)).rowcount == 1


def forget(connection: Connection, name: str, *, fence: int) -> None:
    """Let nothing tell that it ever was: of a name that nobody takes again, so that no fence of it can be met later."""
    connection.execute(delete(tables.lease).where(_lease.name == name, _lease.fence == fence))


def forget_old(connection: Connection, beginning: str, *, before: datetime) -> None:
    """The same for all whose names begin like this and that ran out before then."""
    connection.execute(delete(tables.lease).where(_lease.name.startswith(beginning, autoescape=True), _lease.until < before))


def give_back(connection: Connection, name: str, *, fence: int, at: datetime) -> None:
    """Let it run out now."""
    connection.execute(update(tables.lease).where(_lease.name == name, _lease.fence == fence).values(until=at, owner=""))
