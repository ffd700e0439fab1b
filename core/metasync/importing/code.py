"""Which code an image comes from: what one version of it made of an object counts for the same version alone."""

from __future__ import annotations

import hashlib
import sys
from functools import lru_cache
from pathlib import Path

import metasync
from metasync.contract import Connector, model
from metasync.host.registry import BEGAN
from metasync.store import codec, normalise

OURS = (codec, normalise, model)
"""What makes an image of values."""


@lru_cache(maxsize=64)
def code_of(connector: type[Connector]) -> bytes | None:
    """Digest of the sources that a connector class and its images come from, with the versions of Python and Metasync; None where there
    are none to be read, or where they may not be what runs: a worker goes on with what it loaded when a plugin is upgraded beside it.
    Releases differ in it, and so do two states of a plugin that is being worked on."""
    digest = hashlib.sha256(f"{sys.version} {metasync.__version__} {connector.__module__} {connector.__qualname__}".encode())
    try:
        theirs = {path for one in connector.__mro__ for path in _sources(one.__module__)}
        for path in sorted(theirs | {_file(one.__name__) for one in OURS}):
            digest.update(f"{path.name}\0".encode() + hashlib.sha256(_read(path)).digest())
    except (OSError, ValueError):
        return None
    return digest.digest()


def _sources(module: str) -> list[Path]:
    """The Python files of the package that a plugin's module is of; Python's and ours are known by their versions."""
    top = module.partition(".")[0]
    if top == "metasync" or top in sys.stdlib_module_names:
        return []
    folders = getattr(sys.modules.get(top), "__path__", None)
    return [_file(module)] if folders is None else [path for folder in folders for path in Path(folder).rglob("*.py")]


def _read(path: Path) -> bytes:
    """A source; not its time of modification, which installers set, tells when it came there."""
    if path.stat().st_ctime > BEGAN:
        raise ValueError(f"{path} is newer than this process")
    return path.read_bytes()


def _file(module: str) -> Path:
    name = getattr(sys.modules.get(module), "__file__", None)
    if not name or not name.endswith(".py"):
        raise ValueError(f"{module} has no source")
    return Path(name)
