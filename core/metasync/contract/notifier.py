"""A notifier tells people what they would want to know before they look: a run that failed, a limit that was hit, an approval that waits,
and that all is well again.

What it is given holds names of profiles, counts, and the words of limits and errors. It never holds a secret, nor an object's attributes.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from metasync.contract.options import Options, SecretReference


class Event(StrEnum):
    """What there is to tell."""

    FAILED = "failed"
    LIMIT = "limit"
    """A plan passes a limit, and waits for a person."""
    APPROVAL = "approval"
    """A plan waits for a person, because the document says so."""
    RECOVERED = "recovered"
    """The first good run after a failed one."""
    TRIAL = "trial"
    """Somebody tries whether notifications arrive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Notification:
    """One thing to tell, once."""

    event: Event
    engagement: str
    at: datetime
    """UTC."""
    kind: str = ""
    """Of the run: `run`, `import`, `plan`, `export`, `confirm` or `undo`."""
    run: int | None = None
    plan: int | None = None
    profiles: tuple[str, ...] = ()
    text: str = ""
    """The words of the error or of the limits; of `recovered`, what had been wrong. May have several lines."""
    counts: tuple[tuple[str, int], ...] = ()
    """By operation, or by state."""

    @property
    def subject(self) -> str:
        """One line that says it all: `Metasync contoso: run 7 failed (staff)`."""
        name = f"{self.kind} (run {self.run})" if self.kind and self.kind != "run" else f"run {self.run}"
        what = {
            Event.FAILED: f"{name} failed",
            Event.LIMIT: f"plan {self.plan} passes a limit",
            Event.APPROVAL: f"plan {self.plan} waits for approval",
            Event.RECOVERED: f"{name} went well again",
            Event.TRIAL: "a trial notification",
        }[self.event]
        of = ", ".join(self.profiles[:3]) + (f" and {len(self.profiles) - 3} more" if len(self.profiles) > 3 else "")
        return f"Metasync {self.engagement}: {what}" + (f" ({of})" if of else "")

    @property
    def body(self) -> str:
        """Plain text for a person: what happened, how much it is about, and what to do next."""
        parts = [self.text, "\n".join(f"{count:,} {word}" for word, count in self.counts), self._next]
        return "\n\n".join(part for part in parts if part)

    @property
    def _next(self) -> str:
        if self.event is Event.FAILED:
            return "What was imported and written stands. See `metasync runs` and `metasync problems`; the same failure is not told again."
        if self.event in (Event.LIMIT, Event.APPROVAL):
            return f"Nothing of it is written before somebody approves it: look at it with `metasync show {self.plan}`."
        return ""


class NotifierContext(Protocol):
    """What the engine hands to a notifier."""

    logger: logging.Logger
    deadline: float
    """Seconds that one call of `notify` has. Nobody waits for it any longer."""

    def secret(self, reference: SecretReference) -> str:
        """The secret itself, at the moment of use; do not keep it. Raises `SecretMissing`."""
        ...


class Notifier(ABC):
    """Registered once, by `metasync_register_notifiers`. One is made for each notification, and called in a thread of its own."""

    name: ClassVar[str]
    """Its key under `notify:`."""
    title: ClassVar[str]
    Options: ClassVar[type[Options]]
    """May not have an option `on`: that is the document's word for the events to tell."""

    def __init__(self, options: Mapping[str, Any], context: NotifierContext) -> None:
        self.options = options
        self.context = context

    @abstractmethod
    def notify(self, notification: Notification) -> None:
        """Tell it. Raises `Unavailable` where it cannot be delivered now; the run goes on all the same."""
