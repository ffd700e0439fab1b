"""Is an installed distribution what its wheel was? Nothing here imports any of it.

The RECORD of the distribution lists every file with its hash. Three holes of a naive check are closed: no RECORD means refused; files
that RECORD does not list are refused; bytecode carries no hash, so it is never run (`sources.py`). pip adds INSTALLER, REQUESTED and
bytecode to RECORD, therefore the digest is taken over the wheel's own sorted (path, hash) pairs.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath

from metasync.host.info import State

ALGORITHMS = ("sha256", "sha384", "sha512")
_UNHASHED = ("RECORD", "RECORD.jws", "RECORD.p7s")
"""Files of dist-info that cannot hold their own hash."""
_BY_INSTALLER = ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", *_UNHASHED)
_STARTUP = ("sitecustomize.py", "usercustomize.py")
"""Python imports these by itself at its start, before anything could be verified."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What the look at a distribution gave."""

    state: State
    reason: str = ""
    digest: str = ""
    root: Path = Path()
    """The folder that its packages lie in."""
    packages: frozenset[str] = frozenset()
    """Names of its top-level modules and packages."""
    files: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    """Real path -> (algorithm, hash), of every file that has one."""


class _Finding(Exception):
    def __init__(self, state: State, reason: str) -> None:
        self.state = state
        super().__init__(reason)


def examine(distribution: Distribution, *, development: bool) -> Evidence:
    """Compare every file of the distribution with its RECORD."""
    if editable(distribution):
        if development:
            return Evidence(state=State.UNSIGNED, reason="an editable install; loaded because METASYNC_DEVELOPMENT is set")
        return Evidence(
            state=State.REFUSED,
            reason="an editable install, which cannot be verified; install its wheel, or set METASYNC_DEVELOPMENT=1 where you develop it",
        )
    try:
        return _compare(distribution)
    except _Finding as finding:
        digest = _as_found(distribution) if finding.state is State.MODIFIED else ""
        return Evidence(state=finding.state, reason=str(finding), digest=digest)
    except OSError as error:
        return Evidence(state=State.REFUSED, reason=f"its files cannot be read ({error.strerror}); check their permissions")


def editable(distribution: Distribution) -> bool:
    """True where the distribution only points at a source folder (PEP 610)."""
    text = distribution.read_text("direct_url.json")
    if text is None:
        return False
    try:
        return bool(json.loads(text).get("dir_info", {}).get("editable", False))
    except (ValueError, AttributeError):
        return False


def _compare(distribution: Distribution) -> Evidence:
    record = distribution.read_text("RECORD")
    if not record:
        raise _Finding(State.REFUSED, "it has no RECORD, so that nothing vouches for its files; install it again from its wheel")
    root = Path(os.path.realpath(str(distribution.locate_file(""))))
    files: dict[str, tuple[str, bytes]] = {}
    pairs: list[tuple[str, str]] = []
    packages: set[str] = set()
    for path, algorithm, expected in _rows(record):
        _admit(path)
        if not algorithm:
            continue
        location = os.path.realpath(str(distribution.locate_file(path)))
        inside = _inside(path)
        if inside and not Path(location).is_relative_to(root):
            raise _Finding(State.REFUSED, f"{path} is a link that leads out of the distribution; install it again from its wheel")
        if _hash(location, algorithm, path) != expected:
            raise _Finding(State.MODIFIED, f"{path} is not the file of the wheel; install the plugin again")
        files[location] = (algorithm, expected)
        if inside and not _by_installer(path):
            pairs.append((path, f"{algorithm}={expected.hex()}"))
        top = _package(path)
        if top:
            packages.add(top)
    for package in packages:
        _complete(root, package, files)
    return Evidence(state=State.VERIFIED, digest=_digest(pairs), root=root, packages=frozenset(packages), files=files)


def _as_found(distribution: Distribution) -> str:
    """The digest of what lies there instead of the wheel's files: what was changed, added or taken away shows in it."""
    root = os.path.realpath(str(distribution.locate_file("")))
    named = {path: algorithm for path, algorithm, _ in _rows(distribution.read_text("RECORD") or "") if algorithm and _inside(path)}
    for package in {_package(path) for path in named} - {""}:
        for directory, _, names in os.walk(os.path.join(root, package)):
            for name in names:
                path = os.path.relpath(os.path.join(directory, name), root).replace(os.sep, "/")
                named.setdefault(path, ALGORITHMS[0])
    pairs = []
    for path, algorithm in named.items():
        if _by_installer(path):
            continue
        try:
            value = _hash(str(distribution.locate_file(path)), algorithm, path).hex()
        except _Finding:
            value = "gone"
        pairs.append((path, f"{algorithm}={value}"))
    return _digest(pairs)


def _digest(pairs: Iterable[tuple[str, str]]) -> str:
    return hashlib.sha256("".join(f"{path}\t{value}\n" for path, value in sorted(pairs)).encode()).hexdigest()


def _rows(record: str) -> Iterator[tuple[str, str, bytes]]:
    """(path, algorithm, hash) of every line; algorithm empty for the few that may go without."""
    for row in csv.reader(record.splitlines()):
        if not row:
            continue
        path, stated = row[0].replace("\\", "/"), row[1] if len(row) > 1 else ""
        if not stated:
            if path.endswith(".pyc") or (".dist-info/" in path and PurePosixPath(path).name in _UNHASHED):
                yield path, "", b""
                continue
            raise _Finding(State.REFUSED, f"RECORD gives no hash for {path}; install the plugin again from its wheel")
        algorithm, _, text = stated.partition("=")
        if algorithm not in ALGORITHMS:
            raise _Finding(State.REFUSED, f"RECORD has a hash for {path} that is not one of {', '.join(ALGORITHMS)}")
        try:
            yield path, algorithm, base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            raise _Finding(State.REFUSED, f"RECORD has an unreadable hash for {path}") from None


def _admit(path: str) -> None:
    """Refuse what Python would run outside of our sight."""
    pure = PurePosixPath(path)
    if pure.suffix == ".pth" or (len(pure.parts) == 1 and pure.name in _STARTUP):
        raise _Finding(State.REFUSED, f"it brings {path}, which Python runs at every start; a plugin must not")
    if pure.suffix == ".pyc" and pure.parent.name != "__pycache__":
        raise _Finding(State.REFUSED, f"it brings {path}, bytecode without its source; a plugin must not")
    top = _package(path)
    if top and (top == "metasync" or top in sys.stdlib_module_names):
        raise _Finding(State.REFUSED, f"it brings a module named {top}, which is not its own")


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts


def _by_installer(path: str) -> bool:
    pure = PurePosixPath(path)
    return pure.suffix == ".pyc" or (pure.parent.suffix == ".dist-info" and pure.name in _BY_INSTALLER)


def _package(path: str) -> str:
    """The top-level module or package that a file belongs to; empty for metadata, scripts and data beside packages."""
    pure = PurePosixPath(path)
    if not _inside(path) or pure.parts[0].endswith((".dist-info", ".data")):
        return ""
    if len(pure.parts) == 1:
        return pure.name.partition(".")[0] if pure.suffix in (".py", ".so", ".pyd") else ""
    return pure.parts[0]


def _complete(root: Path, package: str, files: Mapping[str, tuple[str, bytes]]) -> None:
    """Nothing lies in the package that RECORD does not list, bytecode caches apart."""
    folder = root / package
    if not folder.is_dir():
        return
    if str(folder / "__init__.py") not in files:
        raise _Finding(State.REFUSED, f"its folder {package} has no __init__.py, so that others could add to it; a plugin brings a package")
    for directory, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(directory, name)
            if name.endswith(".pyc") and os.path.basename(directory) == "__pycache__":
                continue
            if os.path.realpath(path) not in files:
                shown = os.path.relpath(path, root).replace(os.sep, "/")
                raise _Finding(State.MODIFIED, f"{shown} was added after the installation; remove it, or install the plugin again")


def _hash(location: str, algorithm: str, path: str) -> bytes:
    try:
        with open(location, "rb") as file:
            return hashlib.file_digest(file, algorithm).digest()
    except (FileNotFoundError, IsADirectoryError):
        raise _Finding(State.MODIFIED, f"{path} is gone; install the plugin again") from None
