"""The plugin that brings the memory connector into a host. An object, not a module: each test has directories of its own."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from metasync.contract import Connector, OptionsError, hookimpl
from metasync.testing.memory.connector import MemoryConnector
from metasync.testing.memory.directory import MemoryDirectory


class Directories:
    """The directories that connectors of one plugin can open, by the option `store` or `file`."""

    def __init__(self, known: Mapping[str, MemoryDirectory] | None = None) -> None:
        self.known: dict[str, MemoryDirectory] = dict(known or {})
        self._lock = threading.Lock()

    def open(self, options: Mapping[str, Any]) -> MemoryDirectory:
        """The directory that the options name; one with a `file` is opened, and made, at the first call."""
        store, file = options.get("store"), options.get("file")
        name = f"{store or ''}:{Path(file).resolve()}" if file else store or ""
        with self._lock:
            if file and name not in self.known:
                self.known[name] = MemoryDirectory(file=Path(file), **({"base": options["base"]} if options.get("base") else {}))
            if name not in self.known:
                raise OptionsError(f"there is no memory directory {name!r}; there are {', '.join(sorted(self.known)) or 'none'}")
            return self.known[name]

    def close(self) -> None:
        """Give all files back."""
        for directory in self.known.values():
            directory.close()


class MemoryPlugin:
    """Registers the connector `memory`, bound to these directories: `Host.of(MemoryPlugin({"hr": MemoryDirectory()}))`."""

    def __init__(
        self, directories: Mapping[str, MemoryDirectory] | None = None, *, connector: type[MemoryConnector] = MemoryConnector
    ) -> None:
        self.directories = Directories(directories)
        opened = self.directories

        class Bound(connector):  # type: ignore[valid-type, misc]
            """The memory connector over this plugin's directories: the engine makes instances from options alone."""

            directories: ClassVar[Directories] = opened

        Bound.__name__ = connector.__name__
        self.connector: type[MemoryConnector] = Bound

    @hookimpl
    def metasync_register_connectors(self) -> Sequence[type[Connector]]:
        """The one connector."""
        return (self.connector,)
