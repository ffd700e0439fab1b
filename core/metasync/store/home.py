"""Which database this is: a copy, and one that was restored under another name, is told from the one that it came from.

Kept as a lease that never ends: its owner is the place, and its fence grows with every new one.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select, update

from metasync.store import leases, plans, tables

if TYPE_CHECKING:
    from metasync.store.backend import Backend

FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)
Row = tuple[int, str]
"""Number and hash of a row of the audit log."""


def place(backend: Backend, connection: Connection) -> str:
    """Where the database is, by what a copy of it does not share: the file's own number, or the server's and the database's. Neither
    another name of the file nor another machine that it is used from makes it another place."""
    path = getattr(backend, "path", None)
    if path is not None:
        return f"file {os.stat(path).st_ino}"
    query = "SELECT system_identifier FROM pg_control_system()", "SELECT oid FROM pg_database WHERE datname = current_database()"
    server, database = (connection.exec_driver_sql(one).scalar_one() for one in query)
    return f"server {server}, database {database}"


def known(connection: Connection, engagement_id: int) -> str | None:
    """Where the engagement was exported from last; None: from nowhere yet."""
    row = leases.get(connection, _name(engagement_id))
    return row.owner if row else None


def settle(connection: Connection, engagement_id: int, where: str) -> None:
    """From now on it is exported from here."""
    if known(connection, engagement_id) != where:
        leases.take(connection, _name(engagement_id), owner=where, until=FOR_EVER)


def last_row(connection: Connection) -> Row | None:
    """The newest row of the audit log."""
    audit = tables.audit.c
    row = connection.execute(select(audit.seq, audit.hash).order_by(audit.seq.desc()).limit(1)).one_or_none()
    return (row.seq, row.hash) if row else None


def holds(connection: Connection, row: Row) -> bool:
    """The audit log has this very row: it went on from there."""
    audit = tables.audit.c
    return connection.execute(select(audit.hash).where(audit.seq == row[0])).scalar_one_or_none() == row[1]


def withdraw(connection: Connection, engagement_id: int, text: str) -> None:
    """Take back what was planned or approved and never begun. What is in flight is read back, as ever."""
    plan, change = tables.plan, tables.change
    live = select(plan.c.id).where(plan.c.engagement_id == engagement_id, plan.c.state.in_(plans.LIVE))
    for plan_id in connection.execute(live).scalars().all():
        of_plan = change.c.plan_id == plan_id
        connection.execute(update(change).where(of_plan, change.c.state.in_(plans.UNWRITTEN)).values(state="superseded", error=text))
        left = set(connection.execute(select(change.c.state).where(of_plan).distinct()).scalars())
        if "in_flight" not in left:
            plans.change_plan(connection, plan_id, state="exported" if left - {"superseded"} else "superseded")


def _name(engagement_id: int) -> str:
    return f"home/{engagement_id}"
