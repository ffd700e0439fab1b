"""The database's clock: the only one by which leases and due times are judged, since workers' clocks differ."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, text

_SQLITE = text("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')")
_POSTGRESQL = text("SELECT clock_timestamp()")


def now(connection: Connection) -> datetime:
    """The time in UTC."""
    if connection.dialect.name == "sqlite":
        return datetime.fromisoformat(str(connection.execute(_SQLITE).scalar_one()))
    at: datetime = connection.execute(_POSTGRESQL).scalar_one()
    return at.astimezone(UTC)
