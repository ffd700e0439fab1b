"""What can be wrong with the database itself, in words that say what to do."""

from __future__ import annotations

from metasync.contract import MetasyncError


class StoreError(MetasyncError):
    """The database cannot be used."""


class StoreMissing(StoreError):
    """There is no database yet; make one with `metasync load FILE`."""


class NotOurs(StoreError):
    """The file is not a Metasync database; give `--database` another path."""


class Corrupt(StoreError):
    """The database is damaged; restore it from a backup, then run a full import."""


class Busy(StoreError):
    """Another process has been writing to the database for too long; wait for it to end, then run again."""


class Unreachable(StoreError):
    """The server of the database does not answer; run again once it does."""


class DiskFailed(StoreError):
    """The disk of the database is full, or failed; make room, or check it, then run again."""


class OlderSchema(StoreError):
    """The database was made by an older version of Metasync; make a backup, then run `metasync migrate`."""


class NewerSchema(StoreError):
    """The database was made by a newer version of Metasync; use that version, or a newer one."""
