"""Who a process is, and whether it still lives: so that what a killed process held can be taken over at once instead of when its lease runs
out.

An owner is `machine:pid:start`. A process id is used again sooner or later, so the time of the process's start is part of it; and two
containers may share a host's name but not its processes, so the machine names the process namespace where there is one. What cannot be told
counts as alive.
"""

from __future__ import annotations

import os
import socket
import sys
from functools import lru_cache


@lru_cache(maxsize=1)
def machine() -> str:
    """This machine, or container, by the name under which its process ids mean something."""
    name = socket.gethostname().replace(":", "_")
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        return name
    return f"{name}/{namespace.strip('pid:[]')}"


def owner() -> str:
    """This process."""
    return f"{machine()}:{os.getpid()}:{_started(os.getpid()) or ''}"


def words(of: str) -> str:
    """An owner, for people."""
    where, _, rest = of.partition(":")
    return f"process {rest.partition(':')[0]} on {where.partition('/')[0]}"


def is_dead(of: str) -> bool:
    """True only where the owner was a process of this machine and is certainly gone."""
    where, _, rest = of.partition(":")
    pid, _, started = rest.partition(":")
    if where != machine() or not pid.isdecimal():
        return False
    if not _alive(int(pid)):
        return True
    now = _started(int(pid))
    return bool(started and now and started != now)


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _QUERY, _SYNCHRONIZE, _STILL_RUNNING, _NO_SUCH_PROCESS = 0x1000, 0x00100000, 0x00000102, 87

    def _alive(pid: int) -> bool:
        # os.kill(pid, 0) would end the process on Windows.
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = kernel.OpenProcess(_SYNCHRONIZE, False, pid)
        if not handle:
            return ctypes.get_last_error() != _NO_SUCH_PROCESS
        try:
            return bool(kernel.WaitForSingleObject(handle, 0) == _STILL_RUNNING)
        finally:
            kernel.CloseHandle(handle)

    def _started(pid: int) -> str | None:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = kernel.OpenProcess(_QUERY, False, pid)
        if not handle:
            return None
        try:
            times = [wintypes.FILETIME() for _ in range(4)]
            if not kernel.GetProcessTimes(handle, *(ctypes.byref(one) for one in times)):
                return None
            return str((times[0].dwHighDateTime << 32) + times[0].dwLowDateTime)
        finally:
            kernel.CloseHandle(handle)

else:

    def _alive(pid: int) -> bool:
        state = _stat(pid)
        if state is not None:
            # A killed child that nobody waited for is gone for our purposes.
            return state[0] not in ("Z", "X")
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def _started(pid: int) -> str | None:
        state = _stat(pid)
        return state[19] if state is not None else None

    def _stat(pid: int) -> list[str] | None:
        """The fields of /proc/PID/stat behind the command's name, which may hold anything; None where there is no such thing."""
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return None
        return fields if len(fields) > 19 else None
