"""The schema's history (Alembic), and what brings a database to its newest state.

A change of `store/tables.py` is a new file in `versions/`, its number added to `REVISIONS`; a test compares a migrated database with the
tables. A revision never imports `tables`: it must do the same for ever.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from metasync.store import errors

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""Every revision, oldest first. Stands here so that opening a database need not load Alembic."""

HEAD = REVISIONS[-1]


def needed(url: str, schema: str | None, *, upgrade: bool) -> bool:
    """Must a database with this schema be migrated? None: it is empty. Raises `StoreError` where it cannot, or may not, be."""
    if schema not in (None, *REVISIONS):
        raise errors.NewerSchema(f"{url} was made by a newer version of Metasync (schema {schema}); use that version, or a newer one")
    if schema is not None and schema != HEAD and not upgrade:
        raise errors.OlderSchema(
            f"{url} was made by an older version of Metasync (schema {schema}, now {HEAD}); make a backup, then run `metasync migrate`"
        )
    return schema != HEAD


def upgrade(connection: Connection) -> None:
    """Run what is missing, in the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
