"""The memory connector keeps everything that the suite asks, and leaves nothing out, in every way that it can be set up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from metasync.contract import DirectorySettings, Kind, Values
from metasync.testing.memory import MemoryDirectory, MemoryPlugin, WriteFault
from metasync.testing.suite import ConnectorSuite, Harness


class MemoryHarness(Harness):
    """A memory directory with two containers."""

    connector = MemoryPlugin().connector
    settings = DirectorySettings(mark="adminDescription")
    secrets = MappingProxyType({"memory-password": "correct horse battery staple"})
    multi = "proxyAddresses"
    reference = "manager"
    unique = "mail"
    limited = "sn"
    group = Kind.GROUP
    places = ("OU=Staff,DC=memory,DC=test", "OU=Leavers\\, old,DC=memory,DC=test")
    extra: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.directory = self.opened(folder)
        self.plugin = MemoryPlugin({"it": self.directory}, connector=self.connector)
        self.connector = self.plugin.connector  # type: ignore[misc]
        self.directory.add(Kind.CONTAINER, name="Staff")
        self.directory.add(Kind.CONTAINER, name="Leavers, old")

    def opened(self, folder: Path) -> MemoryDirectory:
        return MemoryDirectory()

    def options(self) -> Mapping[str, Any]:
        return {"store": "it", "password": {"secret": "memory-password"}, **self.extra}

    def put(self, kind: Kind, attributes: Mapping[str, Values]) -> str:
        return self.directory.add(kind, attributes)

    def change(self, anchor: str, attributes: Mapping[str, Values | None]) -> None:
        self.directory.change(anchor, attributes)

    def delete(self, anchor: str) -> None:
        self.directory.delete(anchor)

    def cut(self) -> None:
        self.directory.faults.cut_after_pages = 1

    def cut_write(self, done: int) -> None:
        self.directory.faults.on_write(done + 1, WriteFault.UNAVAILABLE)

    def expire(self) -> None:
        self.directory.expire_cursors()

    def reserve(self, value: str) -> None:
        self.directory.reserve("mail", value)

    def verifies(self, anchor: str, password: str) -> bool:
        return self.directory.verifies(anchor, password)

    def dispose(self) -> None:
        self.directory.close()


class TestMemory(ConnectorSuite):
    Harness = MemoryHarness

    def test_nothing_is_left_out(self) -> None:
        assert self.left_out == {}


class WithoutMark(MemoryHarness):
    """Its creates are known by name alone."""

    settings = DirectorySettings()


class TestMemoryWithoutMark(ConnectorSuite):
    Harness = WithoutMark


class InStreams(MemoryHarness):
    """Each kind has a stream and a cursor of its own, and a delta lists everything."""

    extra = MappingProxyType({"streams": "kinds", "deltas": "everything"})


class TestMemoryInStreams(ConnectorSuite):
    Harness = InStreams


class InFile(MemoryHarness):
    """Kept in a file."""

    def opened(self, folder: Path) -> MemoryDirectory:
        return MemoryDirectory(file=folder / "directory.db")


class TestMemoryInFile(ConnectorSuite):
    Harness = InFile


class Lagging(MemoryHarness):
    """Reads show what was written only after a while."""

    def settle(self) -> None:
        self.directory.settle()
        self.directory.lag()


class TestMemoryThatLags(ConnectorSuite):
    Harness = Lagging
