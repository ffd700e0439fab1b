"""What the query modules take and give, where it is more than a number or a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from metasync.contract import Kind, Operation, Values

MARK_PREFIX = "metasync:"
"""What our durable mark begins with, in the attribute that a directory's `mark:` names; then the create's tag of 32 hex digits."""
LEAVING = "leaving: "
"""What the rule of a leaving step begins with; the ledger records such steps in the join, so that they can be reversed."""
MOVED_MEMBERS = (6001, 6002)
"""The stages of memberships that go over to another object, added there and then removed here: what follows for the same source object
depends on them."""
REPLACING = "replaces: "
"""What the rules begin with of what one object hands over to another one that takes its place, of another profile."""
RETURNING = "returning"
"""The rule of a step that reverses one."""


class State(StrEnum):
    """What is known of an object."""

    LIVE = "live"
    UNREAD = "unread"
    """It exists, or may exist, but the last import did not read it: the request changed, or it became unreadable."""
    GONE = "gone"
    """The directory deleted it; the row is its tombstone, and holds what was last known."""


class Status(StrEnum):
    """How a source object stands under a profile. Every object is in exactly one, with a reason in words (I5)."""

    IN_STEP = "in step"
    PENDING = "pending"
    WAITING = "waiting"
    """In scope, without partner, and the profile may not create one."""
    OUT_OF_SCOPE = "out of scope"
    LEAVING = "leaving"
    LEFT = "left"
    HELD = "held"
    IGNORED = "ignored"
    SKIPPED = "skipped"
    UNREAD = "unread"
    PROBLEM = "problem"
    IN_FLIGHT = "in flight"


class Severity(StrEnum):
    """How much a problem matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectoryRow:
    """A directory as the database knows it."""

    id: int
    name: str
    connector: str
    pinned: str | None
    requested: Mapping[str, frozenset[str]] | None
    """Kind to attributes of the last complete full import; None before the first."""
    scope: str | None
    """Digest of everything else that decided what was read: paths and the connector's options."""
    keys: Mapping[str, frozenset[str] | None] | None
    """Names that the match keys hold, and of which kinds (None: all)."""
    completed: datetime | None
    generation: int


class ObjectRow(NamedTuple):
    """An object as last imported. `blob` holds no references: those are links."""

    id: int
    directory_id: int
    kind: Kind
    anchor: str
    label: str
    state: State
    digest: bytes
    blob: bytes
    mark: str | None
    privileged: bool
    run_id: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkRow:
    """One reference that an object holds."""

    object_id: int
    attribute: str
    key: str
    value: str
    target_id: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingOperation:
    """One operation that a profile wants to do to one object."""

    operation: Operation
    before: Mapping[str, Values] = field(default_factory=dict)
    after: Mapping[str, Values | None] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    """Per attribute, the mapping that decided, in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something a person should know of one object, attribute or directory."""

    code: str
    text: str
    severity: Severity = Severity.ERROR
    object_id: int = 0
    anchor: str = ""
    """Or where in the directory."""
    attribute: str = ""
