"""What the engine needs of a database, and where databases differ. `sqlite` and `postgres` implement it; queries live in one module per
area."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from copy import copy
from datetime import datetime
from threading import Event
from typing import Any, ClassVar, Self

from sqlalchemy import Boolean, Connection, Integer, LargeBinary, Select, Table

from metasync.store import clock

AS_THEY_ARE = (Boolean, Integer, LargeBinary)
"""Types whose values drivers take as they are."""


Guard = Callable[[Connection], None]
"""Raises where nothing may be written any more."""


def _anybody(connection: Connection) -> None:
    """Lets everybody write."""


class Backend(ABC):
    """One database. Shared by all threads of a process."""

    dialect: ClassVar[str]
    """SQLAlchemy's name of the dialect."""
    url: str
    """Where it is, without any password."""
    lane: int | None = None
    """Where a server lets several write at once: those of one lane wait for each other, those without one for everybody."""
    beside: bool = False
    """Those of one lane who are `beside` others do not wait for each other, but for everybody else."""
    guard: Guard = staticmethod(_anybody)
    """Looked at in the beginning of each transaction that writes."""
    leaving: Event | None = None
    """Once it is set, a server that is away is waited for no more."""

    def in_lane(self, lane: int | None) -> Self:
        """The same database for somebody who touches nothing but the rows of one engagement, and the audit log."""
        other = copy(self)
        other.lane = lane
        return other

    def beside_others(self) -> Self:
        """The same database for somebody who shares his work with others: none of them writes a row that another one of them touches."""
        other = copy(self)
        other.beside = True
        return other

    def guarded(self, guard: Guard) -> Self:
        """The same database for somebody who writes only as long as `guard` does not raise: whoever works under a lease (`Lease.check`)
        records nothing any more once it was taken over."""
        other = copy(self)
        other.guard = guard
        return other

    def unguarded(self) -> Self:
        """The same database for what is no part of the work under a lease, and may outlast it."""
        other = copy(self)
        other.guard = _anybody
        return other

    def until(self, leaving: Event) -> Self:
        """The same database for somebody who gives up as soon as he is asked to leave, with the words of a server that is away: for what
        may be left undone. Whoever still has to record what he wrote waits for as long as others do."""
        other = copy(self)
        other.leaving = leaving
        return other

    @abstractmethod
    def read(self) -> AbstractContextManager[Connection]:
        """One consistent view, for as long as the context lasts. Keep it short: an open view keeps old pages alive."""

    @abstractmethod
    def write(self, transaction: str = "", *, durable: bool = False) -> AbstractContextManager[Connection]:
        """One transaction: committed at the end, rolled back by an exception. `durable`: it survives power loss once committed, which
        the ledger needs and an import, which can be repeated, does not. Not to be nested in one thread.

        `transaction`: its name in `metasync.faults`, where tests let it fail."""

    @abstractmethod
    def migrate(self) -> None:
        """Bring an empty or older database to the present schema, in one transaction."""

    @abstractmethod
    def verify(self) -> list[str]:
        """What is damaged, in words; reads the whole database."""

    @abstractmethod
    def close(self) -> None:
        """Give back all connections."""

    def now(self, connection: Connection) -> datetime:
        """The database's clock, in UTC."""
        return clock.now(connection)

    @abstractmethod
    def gather_statistics(self) -> None:
        """Let the planner know what came into the tables since it last looked: where a step begins. Costs little where little came."""

    @abstractmethod
    def call(self, connection: Connection) -> None:
        """Where this transaction gave others something to do: whoever listens hears of it once it is committed."""

    @abstractmethod
    def listen(self, heard: Callable[[], None], stop: Event) -> None:
        """Until `stop`, call `heard` at each `call` of somebody in the same lane; also once what was called before may have been missed.
        Returns at once where the database tells nobody anything: it has to be asked now and then in any case."""

    @abstractmethod
    def reserve_ids(self, connection: Connection, table: Table, count: int) -> Sequence[int]:
        """Ids for rows that this transaction will insert itself: asking for them afterwards costs twice the insert."""

    @abstractmethod
    def insert(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]], *, ignore: bool = False
    ) -> None:
        """The hot path: rows as tuples in the order of `columns`, values as the driver takes them (`stored`). `ignore`: rows that are
        there already are left out."""

    @abstractmethod
    def fetch(self, connection: Connection, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The hot path: all rows of a query, as the driver gives them. `?` stands for a value as the driver takes it, `IN ?` for any of a
        list, however long."""

    @abstractmethod
    def execute(self, connection: Connection, statement: str, *values: Any) -> None:
        """The same for a statement that gives no rows."""

    def any(self, connection: Connection, statement: str, *values: Any) -> bool:
        """Has the query any row?"""
        return bool(self.fetch(connection, f"{statement} LIMIT 1", *values))

    def stored(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]], *, ready: Collection[str] = ()
    ) -> Iterable[tuple[Any, ...]]:
        """Rows for `insert`, with what the columns' types make of values: of times, JSON, and text that no database takes. `ready`: columns
        whose values are as the database takes them."""
        types = [table.c[name].type.dialect_impl(connection.dialect) for name in columns]
        converters = [
            (at, convert)
            for at, type_ in enumerate(types)
            if columns[at] not in ready
            and not isinstance(type_, AS_THEY_ARE)
            and (convert := type_.bind_processor(connection.dialect)) is not None
        ]
        return _converted(rows, converters) if converters else rows

    @abstractmethod
    def update(
        self, connection: Connection, table: Table, columns: Sequence[str], keys: Sequence[str], rows: Iterable[tuple[Any, ...]]
    ) -> None:
        """The hot path: set `columns` where `keys` equal; each row holds the values of `columns`, then of `keys`."""

    @abstractmethod
    def delete(self, connection: Connection, table: Table, keys: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """The hot path: delete where `keys` equal."""

    @abstractmethod
    def upsert(self, table: Table) -> Any:
        """The dialect's INSERT, which knows `on_conflict_do_update` and `on_conflict_do_nothing`."""

    @abstractmethod
    def claimable(self, query: Select[Any]) -> Select[Any]:
        """A query whose rows this transaction takes, and no other: passes over rows that another one is taking."""


def _converted(rows: Iterable[tuple[Any, ...]], converters: Sequence[tuple[int, Callable[[Any], Any]]]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        values = list(row)
        for at, convert in converters:
            values[at] = convert(values[at])
        yield tuple(values)
