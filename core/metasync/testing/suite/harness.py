"""`Harness`: what the author of a connector says about a directory of theirs, so that the suite can try it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pytest

from metasync.contract import AttributeSchema, Connector, Context, DirectorySettings, Kind, KindSchema, Reference, Type, Values


def cannot(reason: str) -> NoReturn:
    """Call it in a harness's method with the reason why this cannot be done here; the test is skipped with it."""
    pytest.skip(reason)


class Harness(ABC):
    """One empty directory, and an administrator's hands on it that do not go through the connector.

    The class attributes say what to try things with; None: the directory has nothing of the sort.
    """

    connector: ClassVar[type[Connector]]
    settings: ClassVar[DirectorySettings] = DirectorySettings()
    secrets: ClassVar[Mapping[str, str]] = {}
    kind: ClassVar[Kind] = Kind.USER
    """The kind that most is tried with."""
    text: ClassVar[str] = "displayName"
    """A writable, single-valued string, by its standard name as all attributes here."""
    other: ClassVar[str] = "title"
    """Another one."""
    multi: ClassVar[str | None] = None
    """A writable, multi-valued string."""
    reference: ClassVar[str | None] = None
    """A writable, single-valued reference to an object of the same kind."""
    unique: ClassVar[str | None] = None
    """A writable string whose value may stand only once in the directory."""
    limited: ClassVar[str | None] = None
    """A writable string with a `max_length`."""
    group: ClassVar[Kind | None] = None
    """The kind that has `members`."""
    places: ClassVar[tuple[str, str] | None] = None
    """Two paths that are there from the start; objects are made in the first."""
    home: ClassVar[str | None] = None
    """Where objects are made, if there are paths; else the first of `places`."""
    examples: ClassVar[int] = 20
    """How many hostile values are tried; fewer where a write takes long."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # What to try

    @abstractmethod
    def options(self) -> Mapping[str, Any]:
        """The connector's options for this directory, as the document would hold them."""

    def sample(self, kind: Kind, number: int) -> dict[str, Values]:
        """A valid new object; objects with different numbers do not get in each other's way."""
        attributes: dict[str, Values] = {"name": f"{kind.value.title()} {number}", self.text: f"Text {number}"}
        if home := self.home or (self.places and self.places[0]):
            attributes["path"] = home
        return attributes

    def value(self, kind: Kind, attribute: AttributeSchema, number: int) -> Values | None:
        """A value for an attribute; numbers give different values. None: leave it alone. For references, see `Bench`."""
        match attribute.type:
            case Type.STRING:
                text = f"{attribute.name[:8]} {number}"
                return (f"{text} a", f"{text} B") if attribute.multi else text[: attribute.max_length]
            case Type.INTEGER:
                return (number, number + 1000) if attribute.multi else number
            case Type.BOOLEAN:
                return None if attribute.multi else number % 2 == 0
            case Type.BYTES:
                return (bytes([number, 0, 255]),) if attribute.multi else bytes([number, 0, 255])
            case Type.TIME:
                time = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC) + timedelta(days=number)
                return (time,) if attribute.multi else time
            case Type.REFERENCE:
                return None

    def open(self, context: Context) -> Connector:
        """A connector for the directory, with a context of its own."""
        return self.connector(self.loaded(), context)

    def loaded(self) -> dict[str, Any]:
        """The options as the connector gets them, through its own schema."""
        loaded = self.connector.Options().load(self.options())
        assert isinstance(loaded, dict)
        return loaded

    # Behind the connector's back

    @abstractmethod
    def put(self, kind: Kind, attributes: Mapping[str, Values]) -> str:
        """Add an object; gives its anchor. References are by anchor."""

    @abstractmethod
    def change(self, anchor: str, attributes: Mapping[str, Values | None]) -> None:
        """Set these attributes; None: clear."""

    @abstractmethod
    def delete(self, anchor: str) -> None:
        """Delete an object."""

    def rename(self, anchor: str, name: str) -> None:
        """Give an object another name."""
        self.change(anchor, {"name": name})

    def move(self, anchor: str, path: str) -> None:
        """Put an object elsewhere."""
        self.change(anchor, {"path": path})

    # Making it difficult. A method that is not overridden means that the tests which need it are left out

    def cut(self) -> None:
        """Let the next read break off after it has begun: a connection that is lost, a file that ends in the middle."""
        cannot("this harness cannot cut a read: override Harness.cut")

    def mend(self) -> None:
        """Undo `cut`, where it does not pass by itself."""
        return None

    def cut_write(self, done: int) -> None:
        """Let the directory go away once that many of the next changes are written; what comes after is not written."""
        cannot("this harness cannot cut a write: override Harness.cut_write")

    def mend_write(self) -> None:
        """Undo `cut_write`, where it does not pass by itself."""
        return None

    def expire(self) -> None:
        """Let the directory forget every cursor that it gave so far."""
        cannot("this harness cannot expire a cursor: override Harness.expire")

    def reserve(self, value: str) -> None:
        """Let an object that is never imported have this value of the attribute `unique`."""
        cannot("this harness cannot reserve a value: override Harness.reserve")

    def protect(self, anchor: str) -> None:
        """Let the directory refuse every change of the attributes of this object, for a reason that the connector can know before."""
        cannot("this harness cannot protect an object: override Harness.protect")

    def verifies(self, anchor: str, password: str) -> bool:
        """Can one sign in with it?"""
        cannot("this harness cannot try a password: override Harness.verifies")

    def settle(self) -> None:
        """Wait until reads show what was written, where the directory lags."""
        return None

    def dispose(self) -> None:
        """Leave nothing behind."""
        return None

    @classmethod
    def writable(cls, kind: KindSchema) -> dict[str, AttributeSchema]:
        """What the suite may write attribute by attribute: all that the schema allows, but the mark. Take out what has rules of its own."""
        from metasync.testing.suite.bench import plain_attributes

        return {name: attribute for name, attribute in plain_attributes(kind).items() if name != cls.settings.mark}

    @staticmethod
    def refer(anchor: str) -> Reference:
        """A reference to an object."""
        return Reference(value=anchor)
