"""The test doubles that ship with the engine, as an installed plugin: `plugins: {doubles: ">=0.1"}` brings the connectors `memory` and
`counting` into the command line.

The variable METASYNC_DOUBLES makes them fail: `FILE:FAULT:NTH`, several separated by commas. FAULT is one of `memory.WriteFault`, or `cut`
or `incomplete`, of the next import, behind its NTH page. `counting` is made by somebody who knows nothing of us: `write:POISON:NTH` or
`read:POISON:NTH`, where POISON is one of the functions below.
"""

from __future__ import annotations

from pathlib import Path

VARIABLE = "METASYNC_DOUBLES"

SOURCE = '''
"""Written by tests/chaos/doubles.py."""
import ctypes
import os
import sys
from pathlib import Path

from metasync.contract import hookimpl
from metasync.testing.counting import CountingTarget
from metasync.testing.memory import MemoryPlugin, WriteFault

_plugin = MemoryPlugin()
_open = _plugin.directories.open
_armed = set()


def _failing(options):
    directory = _open(options)
    name = Path(options.get("file") or "").name
    if name not in _armed:
        _armed.add(name)
        for one in filter(None, os.environ.get("METASYNC_DOUBLES", "").split(",")):
            file, fault, nth = one.split(":")
            if file != name:
                continue
            if fault == "cut":
                directory.faults.cut_after_pages = int(nth)
            elif fault == "incomplete":
                directory.faults.incomplete_after_pages = int(nth)
            else:
                directory.faults.on_write(int(nth), WriteFault(fault))
    return directory


_plugin.directories.open = _failing


def segfaults():
    ctypes.string_at(0)


def raises():
    raise KeyError("nobody foresaw this")


def leaks():
    held = []
    while True:
        held.append(bytearray(64 << 20))


def loops():
    while True:
        pass


def exits():
    sys.exit(0)


def ends():
    os._exit(0)


_counts = {"read": 0, "write": 0}


def _poison(where):
    _counts[where] += 1
    for one in filter(None, os.environ.get("METASYNC_DOUBLES", "").split(",")):
        place, poison, nth = one.split(":")
        if place == where and int(nth) == _counts[where]:
            globals()[poison]()


class Poisonous(CountingTarget):
    """Fails in every way in which a process can be made to fail from within."""

    def read(self, request):
        for page in super().read(request):
            _poison("read")
            yield page

    def write(self, changes):
        for result in super().write(changes):
            _poison("write")
            yield result


@hookimpl
def metasync_register_connectors():
    return (_plugin.connector, Poisonous)
'''


def install(folder: Path, name: str = "doubles", source: str = SOURCE) -> Path:
    """Install a plugin there, as an editable install is; the folder, for PYTHONPATH."""
    package, info = folder / f"metasync_{name}", folder / f"metasync_{name}-0.1.dist-info"
    for path, text in (
        (package / "__init__.py", source),
        (info / "METADATA", f"Metadata-Version: 2.1\nName: metasync-{name}\nVersion: 0.1\n"),
        (info / "entry_points.txt", f"[metasync]\n{name} = metasync_{name}\n"),
        (info / "direct_url.json", '{"url": "file:///src", "dir_info": {"editable": true}}'),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
