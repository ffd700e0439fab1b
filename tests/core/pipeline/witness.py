"""A directory that remembers every write that reached it, and can take the whole process down in the middle of one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from metasync.contract import Change, Operation, Outcome, Page, ReadRequest, Reference, Result
from metasync.testing.memory import MemoryConnector, MemoryDirectory
from metasync.testing.memory.index import Index
from metasync.testing.memory.writing import Writer


class Killed(BaseException):
    """The process is no more. Whatever it still does on its way out is not kept: see `Witness.dies`."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One write as the directory got it, whether or not it liked it."""

    change: Change
    applied: bool
    number: str
    """Whom it is about."""
    again: bool
    """The directory had made this very change before, and nobody has undone it since."""


class Witness(MemoryDirectory):
    """A memory directory that tells what it was told."""

    def __init__(self, database: Path, seed: int) -> None:
        super().__init__(seed=seed)
        self.heard: list[Heard] = []
        self.database = database
        self.calls_left: int | None = None
        """The process dies at the call (a page read, or a change written) after so many."""
        self._made: dict[str, tuple[str, bool]] = {}
        """Tag of a change -> (anchor of the object that it changed, whether it made a reference)."""

    def number(self, anchor: str | None) -> str:
        """Whom an object stands for, also once it is deleted; "" for what others made."""
        with self.now() as (index, _):
            stored = index.objects.get(anchor or "")
            return "" if stored is None else str(stored.attributes.get("employeeID") or stored.attributes.get("description") or "")

    def hear(self, change: Change, result: Result) -> None:
        """Remember a write."""
        applied, anchor = result.outcome is Outcome.APPLIED, result.anchor or change.anchor or ""
        self.heard.append(Heard(change=change, applied=applied, number=self.number(anchor), again=applied and change.tag in self._made))
        if applied:
            refers = change.member is not None or any(isinstance(value, Reference) for value in change.after.values())
            self._made[change.tag] = (anchor, refers)
        if applied and change.operation is Operation.DELETE:
            self._made = {tag: (held, refers) for tag, (held, refers) in self._made.items() if not refers}

    def touched(self, anchor: str) -> None:
        """Somebody else changes or deletes an object: what he takes back may be written again."""
        self._made = {tag: (held, refers) for tag, (held, refers) in self._made.items() if held != anchor and not refers}

    def dies(self) -> None:
        """Maybe the process dies here: the database keeps what was committed by now, and nothing that comes after."""
        if self.calls_left is None:
            return
        self.calls_left -= 1
        if self.calls_left < 0:
            self.calls_left = None
            self.corpse.unlink(missing_ok=True)
            with closing(sqlite3.connect(self.database)) as now, closing(sqlite3.connect(self.corpse)) as kept:
                now.backup(kept)
            raise Killed

    @property
    def corpse(self) -> Path:
        """The database as the dead process left it."""
        return self.database.with_suffix(".corpse")

    def bury(self) -> None:
        """Take over what the dead process left; the database must be closed."""
        for ending in ("-wal", "-shm"):
            Path(f"{self.database}{ending}").unlink(missing_ok=True)
        # Into the same file: another one would be taken for a copy, from which nothing is written.
        self.database.write_bytes(self.corpse.read_bytes())
        self.corpse.unlink()


class WitnessedWriter(Writer):
    """Tells the directory what it was told, after it happened and before anybody gets an answer."""

    def decided(self, change: Change, index: Index) -> Result:
        result = super().decided(change, index)
        if isinstance(self.directory, Witness):
            self.directory.hear(change, result)
            self.directory.dies()
        return result


class WitnessedConnector(MemoryConnector):
    """The memory connector, witnessed."""

    Writer: ClassVar[type[Writer]] = WitnessedWriter

    def read(self, request: ReadRequest) -> Iterator[Page]:
        return self._witnessed(super().read(request))

    def follow(self, request: ReadRequest, cursor: str) -> Iterator[Page]:
        return self._witnessed(super().follow(request, cursor))

    def _witnessed(self, pages: Iterator[Page]) -> Iterator[Page]:
        for page in pages:
            if isinstance(self.directory, Witness):
                self.directory.dies()
            yield page
