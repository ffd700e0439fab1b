"""Verified distributions are imported from their sources, hashed again at that moment; cached bytecode is never run.

RECORD has no hash for bytecode, and Python prefers a cached .pyc whose time stamp fits, so tampered bytecode would run under a clean
RECORD. A finder in front of Python's own serves just the packages of verified distributions, also for imports that come later.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import marshal
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import CodeType, ModuleType

from metasync.host.verify import Evidence


class _VerifiedLoader(importlib.machinery.SourceFileLoader):
    """Compiles exactly the bytes whose hash is known."""

    def __init__(self, fullname: str, path: str, files: Mapping[str, tuple[str, bytes]]) -> None:
        super().__init__(fullname, path)
        self.files = files

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        source = self.get_data(path)
        _expect(path, source, self.files, fullname)
        code: CodeType = self.source_to_code(source, path)
        return code


class _VerifiedFinder(MetaPathFinder):
    """Finds the modules of verified distributions, in their own folders alone."""

    def __init__(self) -> None:
        self.packages: dict[str, Evidence] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        evidence = self.packages.get(fullname.partition(".")[0])
        if evidence is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, [str(evidence.root)] if path is None else path, target)
        if spec is None or spec.origin is None:
            return spec
        if isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _VerifiedLoader(fullname, spec.origin, evidence.files)
            spec.cached = None
            return spec
        if isinstance(spec.loader, importlib.machinery.ExtensionFileLoader):
            _expect(spec.origin, Path(spec.origin).read_bytes(), evidence.files, fullname)
            return spec
        raise ImportError(f"{fullname} would be loaded from {spec.origin}, which is not a verified source", name=fullname)


def _expect(path: str, content: bytes, files: Mapping[str, tuple[str, bytes]], fullname: str) -> None:
    algorithm, expected = files.get(os.path.realpath(path), ("sha256", b""))
    if hashlib.new(algorithm, content).digest() != expected:
        raise ImportError(f"{path} changed since it was verified", name=fullname)


_finder = _VerifiedFinder()


def serve(evidence: Evidence) -> str:
    """From now on import these packages from verified sources. Returns why that is not possible, or an empty string.

    A package may have been imported before (a web server starts with its own module): then its modules must lie in this distribution, and
    bytecode that they may have come from must be what their sources compile to.
    """
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in evidence.packages:
            reason = _imported_before(name, module, evidence)
            if reason:
                return reason
    for package in evidence.packages:
        _finder.packages[package] = evidence
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    return ""


def _imported_before(name: str, module: ModuleType, evidence: Evidence) -> str:
    file = getattr(module, "__file__", None)
    if file is None or os.path.realpath(file) not in evidence.files:
        return f"the module {name} was imported from elsewhere ({file or 'no file'}); remove what shadows the plugin"
    spec = getattr(module, "__spec__", None)
    if isinstance(getattr(spec, "loader", None), _VerifiedLoader) or not file.endswith(".py"):
        return ""
    cached = getattr(spec, "cached", None)
    if not cached or not os.path.exists(cached):
        return ""
    bytecode = Path(cached).read_bytes()[16:]
    source = Path(file).read_bytes()
    try:
        # It was run already, so that reading it once more adds no danger.
        if marshal.loads(bytecode) == compile(source, file, "exec", dont_inherit=True):  # noqa: S302
            return ""
    except (ValueError, EOFError, TypeError, SyntaxError):
        pass  # unreadable bytecode is as wrong as other bytecode
    return f"the module {name} was imported from bytecode that is not what its source compiles to; delete {cached} and start again"
