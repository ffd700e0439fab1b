"""The reference connector: a directory in memory that implements every protocol and skips nothing.

Engine tests use it as their double, the suite proves itself on it, and its mutants prove the suite.
"""

from metasync.testing.memory.connector import MemoryConnector, MemoryOptions
from metasync.testing.memory.directory import MemoryDirectory, Stored
from metasync.testing.memory.faults import Faults, WriteFault
from metasync.testing.memory.names import escape, split
from metasync.testing.memory.plugin import MemoryPlugin
from metasync.testing.memory.schema import memory_schema

__all__ = [
    "Faults",
    "MemoryConnector",
    "MemoryDirectory",
    "MemoryOptions",
    "MemoryPlugin",
    "Stored",
    "WriteFault",
    "escape",
    "memory_schema",
    "split",
]
