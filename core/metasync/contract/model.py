"""The nouns that cross the border between the engine and a plugin.

Every noun is a frozen, keyword-only dataclass, so that a field can be added without breaking anyone. Attribute values:

* a single-valued attribute is one `Scalar` or one `Reference`;
* a multi-valued attribute is always a `tuple` of them, also with one value; the order carries no meaning;
* an attribute without a value is absent from the mapping. It is never `None`, an empty string or an empty tuple,
  except where a field's docstring says that `None` means "cleared".
* a `datetime` is aware and in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

ELSEWHERE = "elsewhere:"
"""What the key of a reference to an object of another directory begins with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """Points at another object of the same directory.

    `key` is `anchor`, or the name of an attribute whose value names the object (a manager's e-mail address in a file).
    Prefer the anchor: it survives renames and moves. With `ELSEWHERE` before that name the object is one of another directory of the
    engagement (a member from another domain, by its SID): such a reference is read, and never written.
    """

    value: str
    key: str = "anchor"


Scalar: TypeAlias = str | int | bool | bytes | datetime
Value: TypeAlias = Scalar | Reference
Values: TypeAlias = Value | tuple[Value, ...]


class Kind(StrEnum):
    """What an object is."""

    USER = "user"
    GUEST = "guest"
    GROUP = "group"
    CONTACT = "contact"
    CONTAINER = "container"


class Operation(StrEnum):
    """What a change does to one object. Limits, approvals and reports count by operation."""

    CREATE = "create"
    UPDATE = "update"
    CLEAR = "clear"
    SIGN_IN = "sign-in change"
    RENAME = "rename"
    MOVE = "move"
    ENABLE = "enable"
    DISABLE = "disable"
    DELETE = "delete"
    RESTORE = "restore"
    MEMBER_ADD = "member add"
    MEMBER_REMOVE = "member remove"
    PASSWORD = "password"  # noqa: S105 - the word of an operation
    SID = "SID"


class Type(StrEnum):
    """The type of an attribute's values."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    BYTES = "bytes"
    TIME = "time"
    REFERENCE = "reference"


class Equality(StrEnum):
    """When two values of an attribute are the same to the directory, so that writing one over the other changes nothing."""

    EXACT = "exact"
    IGNORE_CASE = "ignore case"
    IGNORE_SPACE = "ignore case and space"
    """Case, leading, trailing and repeated spaces do not count."""
    DN = "distinguished name"
    """Case and the spaces around commas and equals signs do not count (RFC 4514)."""


class Role(StrEnum):
    """What the engine must know an attribute as."""

    ANCHOR = "anchor"
    NAME = "name"
    """Changing it is a rename."""
    PATH = "path"
    """Names the parent; changing it is a move."""
    ENABLED = "enabled"
    """Boolean; changing it is an enable or a disable."""
    SIGN_IN = "sign-in"
    """People sign in with it or are reached by it: UPN, sAMAccountName, primary address."""


class Unique(StrEnum):
    """Where a value may stand only once, whatever its case."""

    DIRECTORY = "directory"
    PARENT = "parent"


class Allow(StrEnum):
    """What a directory lets be done with an attribute."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    CLEAR = "clear"


EVERYTHING = frozenset(Allow)
READ_ONLY = frozenset({Allow.READ})


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributeSchema:
    """One attribute of one kind, as `Connector.discover` reports it."""

    name: str
    type: Type = Type.STRING
    multi: bool = False
    equality: Equality = Equality.EXACT
    max_length: int | None = None
    """In characters (bytes for `Type.BYTES`)."""
    allow: frozenset[Allow] = EVERYTHING
    role: Role | None = None
    unique: Unique | None = None
    alias: str | None = None
    """The standard name that the same value goes by: `cn` has the alias `name`. The connector delivers and takes the
    standard name; documents may use either."""
    fixed: str | None = None
    """Another attribute of this kind, by its standard name. What it refers to stands in this one too and cannot be taken out of it, so
    that no plan tries: whoever is a member because a group is his primary one."""
    elsewhere: str | None = None
    """Of references with `ELSEWHERE`: the attribute whose value names the object. Where the document reads this one, all directories of
    the same connector are asked for that attribute, and their objects are found by it."""
    help: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class KindSchema:
    """One kind of object in one directory."""

    kind: Kind
    attributes: Mapping[str, AttributeSchema]
    operations: frozenset[Operation] = frozenset()
    """What can be written. A kind that cannot be disabled does not list `Operation.DISABLE`."""
    open: bool = False
    """True where attributes that are not listed are accepted as single-valued strings (a file that can grow columns)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schema:
    """All that a directory can hold."""

    kinds: Mapping[Kind, KindSchema]


class Purpose(StrEnum):
    """What a right is for."""

    IMPORT = "import"
    EXPORT = "export"
    PASSWORDS = "passwords"
    SID_HISTORY = "SID history"


@dataclass(frozen=True, kw_only=True, slots=True)
class Right:
    """One right that a purpose takes, and whether we have it."""

    purpose: Purpose
    right: str
    """In words that an administrator of that directory knows."""
    granted: bool
    optional: str = ""
    """What is worse without it; empty: the purpose cannot do without it."""
    commands: tuple[str, ...] = ()
    """What an administrator runs to grant it, each complete; one of them suffices where they are for different tools."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What `Connector.check` found. Rights are short phrases that an administrator of that directory knows."""

    identity: str
    """The directory's own, lasting identity: domain SID, tenant id; for a file its resolved path, anchor column and header."""
    software: str = ""
    granted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    excessive: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rights: tuple[Right, ...] = ()
    """Those that depend on what the directory is used for, whether or not it is. The engine adds to `missing` what the document needs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadRequest:
    """What to read. The same request gives the same kinds of entries again."""

    stream: str
    """One of the names that `Connector.streams` gave."""
    kinds: frozenset[Kind]
    attributes: Mapping[Kind, frozenset[str]]
    """Per kind, by standard name where there is one. `anchor` is always delivered."""
    under: tuple[str, ...] = ()
    """Read only below these paths; empty means everything. A connector that cannot push this down reads everything."""
    page_size: int = 1000
    resume: str | None = None
    """The `Page.resume` of the last page that was stored of an interrupted read: go on behind it, or from the start."""
    versions: bool = False
    """Whoever reads keeps the versions of objects: entries should say theirs."""
    compares: bool = False
    """And compares them with those of an earlier read: objects may come as `Versioned`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """The whole of one object, as far as it was requested."""

    anchor: str
    kind: Kind
    attributes: Mapping[str, Values]
    version: bytes | None = None
    """Opaque bytes that are never the same for two states of this object which differ in anything that a directory may be asked for: its
    etag, the text of its row with its header. They are compared as long as the request, the options, the schema and the connector's code
    are the same; then the same version stands for the same attributes. None: not known. Leave it out where it is not certain."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """A delta of one object: attributes that are not named are unchanged."""

    anchor: str
    kind: Kind
    attributes: Mapping[str, Values | None] = field(default_factory=dict)
    """The new value; None: cleared."""
    added: Mapping[str, tuple[Reference, ...]] = field(default_factory=dict)
    removed: Mapping[str, tuple[Reference, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gone:
    """An object that the directory says was deleted, or that left the scope."""

    anchor: str
    unlinked: bool = False
    """True where nothing refers to it any more, although the delta does not say so of those that did: Active Directory takes a deleted
    user out of all groups, and reports none of them as changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reject:
    """One entry that cannot be taken (a ragged row, a duplicate anchor). It is listed as a problem; what is known of the
    object stays as it was: it is neither changed nor deleted."""

    where: str
    """Where in the directory: `row 17`, a DN."""
    reason: str
    anchor: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Versioned:
    """An entry whose values nobody has looked at yet: who knows this version of the object need not have them worked out."""

    anchor: str
    kind: Kind
    version: bytes
    """As `Entry.version`."""
    read: Callable[[], Entry | Reject]
    """Works it out: the entry, of this anchor, kind and version, or why it cannot be taken. Called at most once, before the next page is
    asked for."""


Item: TypeAlias = Entry | Versioned | Patch | Gone | Reject


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A part of a read. It is stored in one transaction before the next one is asked for.

    The last page of a read, and only it, has `complete=True`, given on positive evidence that nothing is missing. A read that ends
    without it deletes nothing.
    """

    items: tuple[Item, ...] = ()
    resume: str | None = None
    complete: bool = False
    cursor: str | None = None
    """On the last page, if the connector `Follows`: where the next delta starts, taken *before* this read began. Opaque and replayable."""
    everything: bool = False
    """On the last page of a delta: this delta listed every object, so what it did not list is gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One operation on one object, approved in exactly this form."""

    id: str
    """Echoed in the `Result`."""
    operation: Operation
    kind: Kind
    anchor: str | None
    """None for a create."""
    label: str
    """The object's name, for messages."""
    before: Mapping[str, Values] = field(default_factory=dict)
    """What the changed attributes must still be in the directory (absent: must be empty); else the result is a conflict."""
    after: Mapping[str, Values | None] = field(default_factory=dict)
    """What they shall be. None: cleared. A create holds every attribute, `path` and `name` among them."""
    member: Reference | None = None
    """Of `member add` and `member remove`: the member, by its anchor in this directory."""
    tag: str = ""
    """32 hexadecimal digits, made with the change and never used for another."""
    mark: str | None = None
    """Of a create: the durable mark to write, in the attribute that the directory's `mark:` names."""
    retried: bool = False
    """True if an earlier attempt may have reached the directory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Objection:
    """Why a directory would refuse a change, and what to do about it. Neither holds a secret."""

    change: str
    """The change's id."""
    reason: str
    """Such as `it is mastered by an Active Directory`."""
    remedy: str
    """Such as `change it there`."""
    attribute: str = ""
    """The attribute that it is about, where it is about one."""


class Outcome(StrEnum):
    """What became of one change."""

    APPLIED = "applied"
    """Done, or found done already (`Result.already`)."""
    CONFLICT = "conflict"
    """The object is not what `before` says, or another object is in the way. Nothing was written."""
    REJECTED = "rejected"
    """The directory will never take this. Nothing was written."""
    RETRY = "retry"
    """Nothing was written; later it may work."""
    UNKNOWN = "unknown"
    """It may or may not have been written: the engine reads it back before it tries again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of one change: exactly one per change, in any order."""

    id: str
    outcome: Outcome
    anchor: str | None = None
    """Of a create: the new object's anchor."""
    already: bool = False
    detail: str = ""
    """What happened and what to do next, without secrets. Required unless applied."""
    retry_after: timedelta | None = None


class Presence(StrEnum):
    """What a read-back found."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What `Writes.find` saw of a change's object."""

    id: str
    presence: Presence
    anchor: str | None = None
    by_mark: bool = False
    """True where the object carries this change's tag, so that it is certainly ours."""
    attributes: Mapping[str, Values] = field(default_factory=dict)
    """The present values of the attributes that the change names (for member changes: `members` holds the member, or is absent)."""
    detail: str = ""
