"""The engagement document as the engine sees it: checked, complete, with defaults filled in. `load` makes it from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from metasync.contract import Event, Kind, Operation


@dataclass(frozen=True, kw_only=True, slots=True)
class PasswordPolicy:
    """How passwords of new accounts are made, at write time."""

    length: int = 24
    must_change: bool = True
    classes: int = 4
    """How many of: upper case, lower case, digits, signs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """A connected system."""

    name: str
    connector: str
    options: Mapping[str, Any]
    """As the connector's schema loaded them."""
    mark: str | None = None
    new_passwords: PasswordPolicy = PasswordPolicy()
    allow_privileged: frozenset[str] = frozenset()
    joins_file: str | None = None
    reserve_names: timedelta = timedelta(days=180)
    windows: tuple[str, ...] = ()
    rate: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """How an attribute of the metaverse comes about: the first contributor that has a value, or the union of all."""

    contributors: tuple[tuple[str, str], ...]
    """(directory, attribute), best first."""
    union: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RewriteCall:
    """One step of a `rewrite:` pipeline, its arguments in the order of the rewrite's parameters."""

    name: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Merge:
    """A further source that joins the same identity: the one object whose attribute `key` equals `expression` after `rewrite`."""

    directory: str
    key: str
    expression: str
    rewrite: tuple[RewriteCall, ...] = ()


class Origin(StrEnum):
    """Which objects may be a source."""

    NATIVE = "native"
    """Only what Metasync did not create."""
    ANY = "any"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Which objects of the source a profile is about."""

    under: tuple[str, ...] = ()
    where: str | None = None
    origin: Origin = Origin.NATIVE


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchRule:
    """One rule of `match:`; `options` are the matcher's own keys."""

    matcher: str
    options: Mapping[str, Any]
    skip_other_kinds: bool = False
    """`any kind: skip`: a candidate of another kind ends the search, and the object is skipped with its reason."""


class Action(StrEnum):
    """What a profile may do about an object without partner, and with one."""

    CREATE_OR_UPDATE = "create or update"
    CREATE_ONLY = "create only"
    UPDATE_ONLY = "update only"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where objects live in the target. Neither `mirror` nor `expression`: the connector has no places."""

    mirror: Mapping[str, str] = field(default_factory=dict)
    """Source path to target path; what lies below is mirrored below. The longest source path decides."""
    expression: str | None = None
    move_existing: bool = False
    """True: also established and matched objects are moved there."""


class Strength(StrEnum):
    """When a mapping acts."""

    ENFORCED = "enforced"
    ONCE = "once"
    FILL = "fill"


class Several(StrEnum):
    """How several values are written."""

    REPLACE = "replace"
    ADD = "add"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mapping_:
    """How one attribute of the target comes about."""

    attribute: str
    expression: str
    rewrite: tuple[RewriteCall, ...] = ()
    unique: tuple[str, ...] = ()
    """Patterns with {value}, {local}, {domain} and {n}; the first free one is taken, {n} counts from 2."""
    strength: Strength = Strength.ENFORCED
    values: Several = Several.REPLACE
    authoritative: bool = False
    when: str | None = None


class Cause(StrEnum):
    """Why an object leaves."""

    OUT_OF_SCOPE = "out of scope"
    DISABLED = "disabled"
    DELETED = "deleted"


class Leave(StrEnum):
    """What a step of leaving does."""

    KEEP = "keep"
    DISABLE = "disable"
    MOVE = "move"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True, slots=True)
class LeavingStep:
    """One step of `leaving:`."""

    action: Leave
    place: str | None = None
    """Of a move: an expression."""
    after: timedelta = timedelta(0)
    """Since the object left."""
    only_created: bool = True
    """Only objects that Metasync created; False (`delete: joined`, `{move: ..., of: joined}`): also those that were merely matched.
    `disable` applies to both."""
    when: str | None = None
    """Only where this expression is true."""

    @property
    def texts(self) -> list[str]:
        """Its expressions."""
        return [text for text in (self.place, self.when) if text]


@dataclass(frozen=True, kw_only=True, slots=True)
class Returning:
    """What is undone when somebody comes back."""

    enable: bool = True
    """Reverse a disable that was our own (`disabled by us`); `never` leaves it to people."""
    rejoin: bool = True
    """An object that was made anew with the same key takes the place of the old one (`recreated: rejoin`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """The most that one plan may do of one operation; passing either stops it before the first write."""

    count: int | None = None
    percent: float | None = None
    """Of what the profile has joined."""


class Role(StrEnum):
    """What some accounts may do in an engagement, and others may not."""

    ENGINEER = "engineer"
    """Loads the document, and sets its secrets."""
    OPERATOR = "operator"
    """Begins and stops whatever is a run, and decides about objects and waves."""
    APPROVER = "approver"
    """Approves plans."""


class Approval(StrEnum):
    """When a person must approve."""

    ALWAYS = "always"
    FIRST = "first"
    NEVER = "never"


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One flow from source(s) to a target."""

    name: str
    source_kind: Kind
    target_kind: Kind
    sources: tuple[str, ...]
    target: str
    merge: tuple[Merge, ...] = ()
    scope: Scope = Scope()
    match: tuple[MatchRule, ...] = ()
    action: Action = Action.CREATE_OR_UPDATE
    place: Place | None = None
    map: Mapping[str, Mapping_] = field(default_factory=dict)
    leaving: Mapping[Cause, tuple[LeavingStep, ...]] = field(default_factory=dict)
    returning: Returning = Returning()
    limits: Mapping[Operation, Limit] = field(default_factory=dict)
    """For every operation, the defaults filled in."""
    approval: Approval = Approval.ALWAYS
    staging: bool = False
    schedule: Any = None
    replaces: str | None = None
    disjoint: str | None = None
    configuration: str = ""
    """Digest of the effective configuration: this profile's own part, what it uses of directories and metaverse, and the plugins'
    versions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wave:
    """People who move together, named by a file with their keys."""

    name: str
    file: str
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ExporterUse:
    """One use of an exporter, between two directories."""

    name: str
    source: str
    target: str
    when: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class NotifierUse:
    """One use of a notifier."""

    name: str
    """The notifier's; where it is used several times, `email 2` and so on for the further ones."""
    notifier: str
    on: frozenset[Event]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """Something in the document that a person should know: a key that does not act yet, a promise that a directory cannot keep."""

    line: int
    key: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Engagement:
    """One document."""

    name: str
    path: str
    """Where the document was loaded from; files that it names are relative to its folder."""
    plugins: Mapping[str, str]
    directories: Mapping[str, Directory]
    profiles: Mapping[str, Profile]
    metaverse: Mapping[Kind, Mapping[str, Ranking]] = field(default_factory=dict)
    waves: Mapping[str, Wave] = field(default_factory=dict)
    exporters: tuple[ExporterUse, ...] = ()
    notifiers: tuple[NotifierUse, ...] = ()
    roles: Mapping[Role, frozenset[str]] = field(default_factory=dict)
    """Who has each role; one that is not here is everybody's."""
    notices: tuple[Notice, ...] = ()
    revision: int = 0
    """0 until the document was accepted into a database."""

    @property
    def roots(self) -> frozenset[str]:
        """The names that an expression may start with."""
        return frozenset({"source", "target", "mv", "wave", *self.directories})
