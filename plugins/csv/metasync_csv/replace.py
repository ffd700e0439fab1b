"""Replacing a file whole, or not at all; and keeping two writers of one file apart."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

PREFIX = ".metasync-"

_threads: dict[str, threading.Lock] = {}
_guard = threading.Lock()


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold the file against other threads and other processes of Metasync on this machine. The lock is on an empty file beside it, which is
    left there: an operating system's lock ends with its process, a file that stands for one would outlive a kill."""
    with _guard:
        lock = _threads.setdefault(path, threading.Lock())
    with lock:
        folder, name = os.path.split(path)
        handle = os.open(os.path.join(folder, f"{PREFIX}{name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(handle)
            yield
        finally:
            os.close(handle)


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        """Wait for the lock (ten tries, a second apart, by the C library); closing the handle releases it."""
        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
else:
    import fcntl

    def _lock(handle: int) -> None:
        """Wait for the lock; closing the handle releases it."""
        fcntl.flock(handle, fcntl.LOCK_EX)


def sweep(path: str) -> None:
    """Remove what a killed writer left beside the file. Called with the lock held, so nobody is writing."""
    folder, name = os.path.split(path)
    for other in os.listdir(folder):
        if other.startswith(f"{PREFIX}{name}.") and other.endswith(".tmp"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, other))


def stage(path: str, write: Callable[[BinaryIO], bytes]) -> tuple[str, bytes]:
    """Write the new content beside the file, safely on the disk, with the file's own rights (a new file is its owner's alone).
    Its path and what `write` answers."""
    folder, name = os.path.split(path)
    handle, staged = tempfile.mkstemp(prefix=f"{PREFIX}{name}.", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "wb") as stream:
            digest = write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        if os.path.exists(path):
            _keep_rights(path, staged)
    except BaseException:
        os.unlink(staged)
        raise
    return staged, digest


def _keep_rights(path: str, staged: str) -> None:
    found = os.stat(path)
    shutil.copymode(path, staged)
    if hasattr(os, "chown") and (found.st_uid, found.st_gid) != (os.stat(staged).st_uid, os.stat(staged).st_gid):
        # only root may give a file away; for anybody else the new file is the writer's own
        with contextlib.suppress(PermissionError):
            os.chown(staged, found.st_uid, found.st_gid)


def put(staged: str, path: str) -> None:
    """Let the staged file take the file's place, in one step that a reader or a crash sees wholly or not at all."""
    os.replace(staged, path)


def settle(path: str) -> None:
    """Make the new name safe on the disk too, where the system can: only then is the replacement certain to survive a power cut."""
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def discard(staged: str) -> None:
    """Take the staged file away again."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(staged)
