"""Where a `MemoryDirectory` with a file keeps its objects: SQLite, synchronous, so that a process killed at any point finds them again.

Several processes may open one file; each sees what the others committed (`PRAGMA data_version`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path


class File:
    """Two tables: one row of JSON per object, and a few facts about the directory itself."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS object (anchor TEXT PRIMARY KEY, data TEXT NOT NULL)")
        self._connection.execute("CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        self._version: int | None = None

    def changed_elsewhere(self) -> bool:
        """Has another connection committed since the last call? True at the first."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        changed = version != self._version
        self._version = version
        return bool(changed)

    def objects(self) -> dict[str, str]:
        """Every object's JSON by its anchor, in the order in which they were made."""
        return dict(self._connection.execute("SELECT anchor, data FROM object ORDER BY rowid"))

    def facts(self) -> dict[str, str]:
        """The facts by name."""
        return dict(self._connection.execute("SELECT name, value FROM fact"))

    def begin(self) -> None:
        """Start the one write transaction; waits for those of other processes."""
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self, objects: Mapping[str, str], removed: Iterable[str], facts: Mapping[str, str]) -> None:
        """Write and end the transaction; what was written survives the process once this returns."""
        upsert = "INSERT INTO object VALUES (?, ?) ON CONFLICT (anchor) DO UPDATE SET data = excluded.data"
        self._connection.executemany(upsert, objects.items())
        self._connection.executemany("DELETE FROM object WHERE anchor = ?", [(anchor,) for anchor in removed])
        self._connection.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", facts.items())
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """End the transaction; nothing was written."""
        self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()
