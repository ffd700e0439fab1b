"""Where the time goes: a profile of each of the three hottest paths, by the functions' own time."""

from __future__ import annotations

import cProfile
import io
import pstats
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metasync.planning import freeze
from metasync.runs.record import recorded
from metasync.synchronising import synchronise

from . import documents
from .ready import Company
from .working import engine_of, imported

LINES = 25


def write(folder: Path, size: int) -> None:
    """Profile the first import, the first synchronisation and the freezing of a company on SQLite; one file each."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="metasync-bench-") as place:
        companies = {"hr": Company(size), "ad": Company(0)}
        engine = engine_of(Path(place), f"sqlite:///{place}/bench.db", documents.directory(), companies)
        with _profiled(folder / "import.txt", f"a full import of {size:,} objects"):
            imported(engine, "hr")
        imported(engine, "ad")
        names = list(engine.workspace.engagement.profiles)
        with recorded(engine.workspace, "plan", names) as run:
            with _profiled(folder / "synchronise.txt", f"a full synchronisation of {size:,} objects"):
                synchronise(run.workspace, run.id, names)
            with _profiled(folder / "freeze.txt", f"the freezing of the plan of {size:,} objects"):
                freeze(run.workspace, run.id, names)
        engine.close()


@contextmanager
def _profiled(file: Path, what: str) -> Iterator[None]:
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats("tottime").print_stats(LINES)
    lines = [_short(line).rstrip() for line in text.getvalue().splitlines()]
    file.write_text(
        f"{what}, by own time; the profiler itself slows small functions\n" + "\n".join(lines).rstrip() + "\n", encoding="utf-8"
    )


def _short(line: str) -> str:
    """Without the part of a path that is this machine's."""
    return re.sub(r"(?<=\s)/\S*/(?=(?:core|bench|site-packages|lib/python[0-9.]+)/)", "", line)
