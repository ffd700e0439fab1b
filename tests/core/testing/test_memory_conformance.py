"""The memory connector keeps everything that the suite asks, and leaves nothing out, in every way that it can be set up."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from metasync.contract import DirectorySettings
from metasync.testing.memory import MemoryDirectory
from metasync.testing.suite import ConnectorSuite
from metasync.testing.suite.memory import MemoryHarness


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
