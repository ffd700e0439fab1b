"""What a test can make go wrong in a `MemoryDirectory`. Nothing here depends on time or chance: faults are counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class WriteFault(StrEnum):
    """What happens to one write."""

    UNAVAILABLE = "unavailable"
    """Nothing is written; the batch ends."""
    CUT = "cut"
    """It is written, then the connection breaks before the answer: the batch ends without a result for it."""
    ANSWER_LOST = "answer lost"
    """It is written; the result says unknown."""
    UNKNOWN = "unknown"
    """Nothing is written; the result says unknown."""
    REFUSED = "refused"
    """Nothing is written; the result says rejected."""
    RETRY = "retry"
    """Nothing is written; the result says retry."""


@dataclass
class Faults:
    """The faults that are armed. Each but `unavailable` acts once."""

    unavailable: str | None = None
    """Why every call fails, until it is None again."""
    cut_after_pages: int | None = None
    """The next read or delta breaks off after so many pages."""
    incomplete_after_pages: int | None = None
    """The next read or delta says after so many pages that the directory stopped early."""
    writes: dict[int, WriteFault] = field(default_factory=dict)
    """By number of the write, the next one being 1."""

    def on_write(self, number: int, fault: WriteFault) -> None:
        """Arm a fault for the n-th write from now on."""
        self.writes[number] = fault

    def next_write(self) -> WriteFault | None:
        """Count one write, and say what happens to it."""
        fault = self.writes.pop(1, None)
        self.writes = {number - 1: other for number, other in self.writes.items()}
        return fault

    def clear(self) -> None:
        """Everything works again."""
        self.unavailable = self.cut_after_pages = self.incomplete_after_pages = None
        self.writes.clear()
