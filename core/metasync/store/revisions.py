"""Queries of revisions: the accepted versions of an engagement's document, numbered from 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from metasync.store.tables import engagement, revision


@dataclass(frozen=True, kw_only=True, slots=True)
class RevisionRow:
    """One accepted version."""

    number: int
    path: str
    document: str
    digest: str
    configurations: Mapping[str, str]
    """Profile -> digest of its effective configuration when it was accepted."""
    author: str
    created: datetime


def engagement_id(connection: Connection, name: str) -> int | None:
    """The id of an engagement; None: it was never loaded."""
    found = connection.execute(select(engagement.c.id).where(engagement.c.name == name)).scalar_one_or_none()
    return None if found is None else int(found)


def add_engagement(connection: Connection, name: str, at: datetime) -> int:
    """A new engagement; its id."""
    return int(connection.execute(insert(engagement).values(name=name, created=at).returning(engagement.c.id)).scalar_one())


def newest(connection: Connection, engagement: int) -> RevisionRow | None:
    """The newest revision."""
    columns = (c for c in revision.c if c.name not in ("id", "engagement_id"))
    query = select(*columns).where(revision.c.engagement_id == engagement).order_by(revision.c.number.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return RevisionRow(**row._mapping) if row else None


def newest_number(connection: Connection, engagement: int) -> int:
    """The number of the newest revision; 0: there is none."""
    return int(connection.execute(select(func.max(revision.c.number)).where(revision.c.engagement_id == engagement)).scalar() or 0)


def add(connection: Connection, engagement: int, row: RevisionRow) -> None:
    """A new revision; its number is the newest's and one, which the table's uniqueness holds against a second writer."""
    connection.execute(
        insert(revision).values(
            engagement_id=engagement,
            number=row.number,
            path=row.path,
            document=row.document,
            digest=row.digest,
            configurations=dict(row.configurations),
            author=row.author,
            created=row.created,
        )
    )
