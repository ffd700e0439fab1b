"""The test doubles that ship with the engine, as an installed plugin: `plugins: {doubles: ">=0.1"}` brings the connectors `memory` and
`counting` into the command line.

The variable METASYNC_DOUBLES makes them fail: `FILE:FAULT:NTH`, several separated by commas. FAULT is one of `memory.WriteFault`, or `cut`
or `incomplete`, of the next import, behind its NTH page. `counting` is made by somebody who knows nothing of us: `PLACE:POISON:NTH`, where
PLACE is one of `open`, `check`, `discover`, `read`, `write` and `find`, and POISON one of the functions below; or `write of:POISON:=LABEL`,
of whoever has that label, each time. So do the hook `metasync_run_started` (`hook:POISON:NTH`) and the rewrite `poison`
(`rewrite:POISON:=VALUE`).
"""

from __future__ import annotations

from pathlib import Path

VARIABLE = "METASYNC_DOUBLES"

SOURCE = '''
"""Written by tests/chaos/doubles.py."""
import ctypes
import os
import sys
from collections import Counter
from pathlib import Path

from metasync.contract import Rewrite, hookimpl
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


_counts = Counter()


def _poison(where, label=None):
    _counts[where] += 1
    for one in filter(None, os.environ.get("METASYNC_DOUBLES", "").split(",")):
        place, poison, which = one.split(":")
        if place == where and which in (str(_counts[where]), f"={label}"):
            globals()[poison]()


class Poisonous(CountingTarget):
    """Fails in every way in which a process can be made to fail from within."""

    def __init__(self, options, context):
        _poison("open")
        super().__init__(options, context)

    def check(self):
        _poison("check")
        return super().check()

    def discover(self):
        _poison("discover")
        return super().discover()

    def find(self, changes):
        for found in super().find(changes):
            _poison("find")
            yield found

    def read(self, request):
        for page in super().read(request):
            _poison("read")
            yield page

    def write(self, changes):
        for change in changes:
            _poison("write of", change.label)
            for result in super().write([change]):
                _poison("write")
                yield result


def _rewritten(value):
    _poison("rewrite", value)
    return value


@hookimpl
def metasync_register_connectors():
    return (_plugin.connector, Poisonous)


@hookimpl
def metasync_register_rewrites():
    return [Rewrite(name="poison", function=_rewritten, help="Fails.", example=("a", "a"))]


@hookimpl
def metasync_run_started(notice):
    _poison("hook")
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
