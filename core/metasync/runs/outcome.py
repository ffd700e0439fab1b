"""What a run came to: for whoever asked for it, also where others did it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Waits(StrEnum):
    """Why a plan was not written."""

    APPROVAL = "waits for approval"
    LIMIT = "stopped by a limit"
    STAGING = "staging: planned, never exported"
    PAUSED = "paused"
    WINDOW = "waits until its directory may be written"


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What became of the import of one directory."""

    directory: str
    full: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    problems: int = 0
    reason: str = ""
    """Why everything was read; empty where a delta was."""
    error: str | None = None
    """Set where it is not complete; nothing was deleted then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutcome:
    """What a run did."""

    run: int
    state: str
    imports: Sequence[Imported] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Profile -> why it did not go on."""
    plans: Sequence[int] = ()
    waiting: Mapping[int, Waits] = field(default_factory=dict)
    written: Mapping[str, int] = field(default_factory=dict)
    """State of a change -> number, of the plans that were exported, as they stand now."""
    unwritable: Mapping[str, str] = field(default_factory=dict)
    """Directory -> why it could not be written; its changes wait for the next export."""
    finished: Mapping[int, int] = field(default_factory=dict)
    """Plan that was to be exported and had nothing left to write -> the run that wrote the last of it."""
    errors: int = 0
    """Errors of single objects that this run found and that did not stand before: rows that were rejected, values that do not fit."""

    @property
    def unavailable(self) -> bool:
        """A directory could not be read or written."""
        return bool(self.unwritable) or any(one.error is not None for one in self.imports)

    @property
    def failed(self) -> int:
        """Changes that were not written, or that the next import did not show."""
        return sum(self.written.get(state, 0) for state in ("rejected", "stale", "not_reimported", "approved", "in_flight"))

    def as_json(self) -> dict[str, Any]:
        """For the database."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RunOutcome:
        """Again what `as_json` gave; JSON knows no numbers as keys."""
        fields = dict(stored)
        fields["imports"] = [Imported(**one) for one in fields["imports"]]
        fields["waiting"] = {int(plan): Waits(why) for plan, why in fields["waiting"].items()}
        fields["finished"] = {int(plan): run for plan, run in fields["finished"].items()}
        return cls(**fields)
