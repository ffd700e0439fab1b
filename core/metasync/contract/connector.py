"""What a connector is, and what it may be able to do.

A connector class is registered once, by `metasync_register_connectors`. It is synchronous; the engine makes one instance per
directory and thread, uses it, and closes it. A capability is a protocol that the class implements, never also a flag.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, runtime_checkable

from metasync.contract.model import Change, Check, Found, Kind, Objection, Operation, Page, ReadRequest, Result, Schema
from metasync.contract.options import Options, SecretReference


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectorySettings:
    """What the document says of a directory beside its connector's own options."""

    mark: str | None = None
    """The attribute where objects that Metasync creates carry their durable mark."""
    must_change: bool = True
    """New accounts must change their password at the first sign-in."""
    allow_privileged: frozenset[str] = frozenset()
    """Privileged objects, by anchor or path, that may be written all the same."""
    connections: int | None = None
    """How many connections to the directory may be open at once, over all who work; None: the document does not say."""
    written: frozenset[Kind] | None = None
    """Kinds that profiles write there; None: nobody said."""
    places: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)
    """Those of them that profiles make or move, and what the document writes out of where: paths, or parts of an expression that leads to
    one. What follows from data is not among it."""


class StopToken(Protocol):
    """Asked between two steps; a connector that is told to stop ends as soon as what it has begun is whole."""

    def is_set(self) -> bool:
        """True once the run shall stop."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """Of something that all who speak to a directory share, so much may be taken in a time."""

    name: str
    """The same for all who share it, such as tenant, application and what is counted; it holds no secret."""
    rate: float
    """So much comes in each second."""
    within: float
    """What came in within so many seconds can be taken at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """When what was reserved may be used."""

    wait: timedelta
    """So long not yet; zero: now."""
    left: float
    """What could be taken at once after it, as far as is known."""
    refusals: int
    """How often somebody was refused so far. If it grew while you waited, ask again with an amount of 0; and slow down."""


class Context(Protocol):
    """What the engine hands to a connector. A connector needs nothing else of the engine."""

    directory: str
    settings: DirectorySettings
    logger: logging.Logger
    stop: StopToken
    deadline: datetime | None
    """No call may last beyond it (UTC)."""

    def secret(self, reference: SecretReference) -> str:
        """The secret itself, at the moment of use; do not keep it. Raises `SecretMissing`."""
        ...

    def new_password(self, *, avoid: Sequence[str] = ()) -> str:
        """A new random password by the document's policy, holding none of the words in `avoid`. Write it, then forget it."""
        ...

    def progress(self, done: int, total: int | None = None, what: str = "") -> None:
        """Tell how far a long call is."""
        ...

    def wait(self, until: datetime, why: str) -> None:
        """Sleep until then (UTC), visibly, or until the run shall stop: raises `Stopped`."""
        ...

    def reserve(self, quota: Quota, amount: float) -> Turn:
        """Take so much of what all workers share, and learn when it may be used; 0: only look. It never fails: where the others cannot be
        asked, it gives little. For half a second it may not know yet what another worker was told."""
        ...

    def refused(self, quota: Quota, wait: timedelta) -> None:
        """The directory asked for a pause: nobody's turn comes before it is over, and nothing that was saved before counts."""
        ...


class Connector(ABC):
    """Speaks to one kind of directory."""

    name: ClassVar[str]
    """What the document says after `connector:`."""
    title: ClassVar[str]
    """One line for a person."""
    Options: ClassVar[type[Options]]
    options_version: ClassVar[int] = 1
    commit_size: ClassVar[int] = 1
    """The most changes that one `write` call is given."""
    idempotent: ClassVar[frozenset[Operation]] = frozenset()
    """Operations that do no harm when done twice."""
    lag: ClassVar[timedelta] = timedelta(0)
    """How long after a write a read may still show the old state."""
    connections: int = 1
    """How many connections to the directory an instance opens at most: so many count against the document's `rate`. Where options decide,
    set it in `__init__`, to no more than `context.settings.connections`."""

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        """`options` has passed the schema. Do not connect yet."""
        self.options = options
        self.context = context

    @classmethod
    def upgrade(cls, options: Mapping[str, Any], from_version: int) -> Mapping[str, Any]:
        """Options of an older version in today's form; both as they stand in the document.

        A document does not say which version it was written for. Options that today's schema takes are of today; else each older
        version is tried, the newest first, and the first that today's schema takes after `upgrade` counts. So give a key that means
        something else another name, and raise `options_version`.
        """
        return options

    @abstractmethod
    def check(self) -> Check:
        """Connect, and say what the directory is and which rights we have. Raises `Unavailable`."""

    @abstractmethod
    def discover(self) -> Schema:
        """The kinds and attributes of the directory. Raises `Unavailable`."""

    def streams(self, kinds: Collection[str]) -> tuple[str, ...]:
        """The independent parts that these kinds are read by, each with a cursor of its own."""
        return ("all",)

    @abstractmethod
    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Everything that is there. The last page says `complete`; a read that cannot be completed raises `ImportIncomplete` or
        `Unavailable`, and never ends as if it were."""

    def close(self) -> None:
        """Give back connections. Called once, also after an error."""
        return None


@runtime_checkable
class Follows(Protocol):
    """Can tell what changed since a cursor. Do not implement it where the directory may forget a change without saying so."""

    def follow(self, request: ReadRequest, cursor: str) -> Iterator[Page]:
        """What changed since then; replaying a cursor gives at least the same changes again. Raises `CursorExpired`."""
        ...


@runtime_checkable
class Writes(Protocol):
    """Can change the directory."""

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        """Apply at most `commit_size` changes, in their order where they concern one object; yield exactly one result each, as
        soon as it is certain. Raises `Unavailable` to end the batch: results already given stand, the others are unknown.

        What is there already, or gone already, is applied (`already=True`). Old values are compared before a write.
        """
        ...

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        """Read back the objects of these changes: by anchor; a create by its mark, else by its planned name. Writes nothing.
        Raises `Unavailable`."""
        ...


@runtime_checkable
class Reviews(Protocol):
    """Knows of changes that the directory would refuse, before anything is written: of objects that are mastered elsewhere, of values
    against its rules. Do not implement it for what `discover` can say: the engine compares every change with the schema by itself."""

    def review(self, changes: Sequence[Change]) -> Iterator[Objection]:
        """Those of the changes that the directory would refuse as it stands now, in any order. Asked in portions while a plan is made,
        without any transaction open; read in bulk, and write nothing. A change that is not named may be refused by `write` all the same.

        A reference to what the plan has yet to create names nothing in the directory: its `key` is not `anchor`. Such a reference of a
        new object comes as an update without an anchor. No `mark` is made yet, and the tag is not the one that will be written.
        Raises `Unavailable`: then the plan is made without.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """How long writes will take, by what the directory lets be written in a time."""

    lasts: timedelta
    words: str
    """What it was worked out from, such as `10,000 writes at the published 3,000 in 150 seconds`."""


@runtime_checkable
class Estimates(Protocol):
    """Knows before how long writes take at least: of a directory that lets only so much be written in a time."""

    @classmethod
    def estimate(cls, options: Mapping[str, Any], writes: Mapping[Operation, int]) -> Estimate | None:
        """From the options, as they passed the schema, and how many changes of each operation there are. Asks nobody. None: there is
        nothing to say."""
        ...


@runtime_checkable
class Taken(Protocol):
    """Knows of values in use by objects that are not imported (computers, other domains)."""

    def taken(self, attribute: str, values: Collection[str]) -> frozenset[str]:
        """Those of the values that are in use, in the form given."""
        ...


@runtime_checkable
class Restores(Protocol):
    """Can bring back deleted objects whole (a recycle bin). A `restore` change then goes through `write`."""

    def restorable(self, anchors: Collection[str]) -> Mapping[str, str]:
        """Per anchor, what cannot return with it ("" where everything returns); an anchor that cannot be restored is absent."""
        ...


@runtime_checkable
class SetsPasswords(Protocol):
    """Can set a password that is known in clear."""

    def set_password(self, anchor: str, password: str, *, must_change: bool) -> None:
        """Raises `Unavailable` or `MetasyncError` with the reason, never with the password."""
        ...


@runtime_checkable
class ReadsPasswordHashes(Protocol):
    """Can read password hashes. They live in one process's memory only."""

    def password_hashes(self, anchors: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """(anchor, NT hash of 16 bytes) of those that have one."""
        ...


@runtime_checkable
class WritesPasswordHashes(Protocol):
    """Can set a password by its hash."""

    def set_password_hash(self, anchor: str, nt_hash: bytes) -> None:
        """Raises `Unavailable` or `MetasyncError` with the reason, never with the hash."""
        ...


@runtime_checkable
class KeepsSidHistory(Protocol):
    """Can add a security identifier of another domain to an account."""

    def add_sid_history(self, anchor: str, sid: str) -> None:
        """Raises `Unavailable` or `MetasyncError` with the reason."""
        ...


CAPABILITIES: Mapping[str, type[Any]] = {
    "follows changes": Follows,
    "writes": Writes,
    "reviews changes": Reviews,
    "estimates writes": Estimates,
    "knows taken values": Taken,
    "restores deleted objects": Restores,
    "sets passwords": SetsPasswords,
    "reads password hashes": ReadsPasswordHashes,
    "writes password hashes": WritesPasswordHashes,
    "keeps SID history": KeepsSidHistory,
}


def capabilities(connector: type[Connector]) -> tuple[str, ...]:
    """The names of the protocols that a connector class implements."""
    return tuple(name for name, protocol in CAPABILITIES.items() if issubclass(connector, protocol))
