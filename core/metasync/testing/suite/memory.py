"""The suite's hands on the memory connector: an example of a harness that leaves nothing out, and the ground for the mutants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from metasync.contract import Connector, Context, DirectorySettings, Kind, Values
from metasync.testing.memory import MemoryConnector, MemoryDirectory, MemoryPlugin, WriteFault
from metasync.testing.suite.harness import Harness


class MemoryHarness(Harness):
    """A memory directory with two containers."""

    connector = MemoryConnector
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
        assert issubclass(self.connector, MemoryConnector)
        self.bound = MemoryPlugin({"it": self.directory}, connector=self.connector).connector
        self.directory.add(Kind.CONTAINER, name="Staff")
        self.directory.add(Kind.CONTAINER, name="Leavers, old")

    def opened(self, folder: Path) -> MemoryDirectory:
        """The directory that is tried."""
        return MemoryDirectory()

    def options(self) -> Mapping[str, Any]:
        return {"store": "it", "password": {"secret": "memory-password"}, **self.extra}

    def open(self, context: Context) -> Connector:
        return self.bound(self.loaded(), context)

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

    def protect(self, anchor: str) -> None:
        self.directory.protect(anchor)

    def verifies(self, anchor: str, password: str) -> bool:
        return self.directory.verifies(anchor, password)

    def dispose(self) -> None:
        self.directory.close()
