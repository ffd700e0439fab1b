"""Queries of pinned containers: what a path of the document meant when it was first used, whatever it is called now."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from metasync.store.tables import pin


def of_profile(connection: Connection, engagement_id: int, profile: str) -> dict[str, tuple[int, str]]:
    """path as written -> (directory, anchor of the container that it meant first)."""
    query = select(pin).where(pin.c.engagement_id == engagement_id, pin.c.profile == profile)
    return {row.path: (row.directory_id, row.anchor) for row in connection.execute(query)}


def add(connection: Connection, engagement_id: int, profile: str, path: str, directory_id: int, anchor: str) -> None:
    """Remember which container a path means."""
    connection.execute(
        insert(pin).values(engagement_id=engagement_id, profile=profile, path=path, directory_id=directory_id, anchor=anchor)
    )
