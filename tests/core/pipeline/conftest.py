"""An engine over two memory directories: `hr` is where people come from, `ad` is kept in step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import DOCUMENT, STAFF, target

from .ways import Make, Ways

MakeEngine = Callable[..., Engine]


@pytest.fixture
def hr() -> MemoryDirectory:
    return MemoryDirectory()


@pytest.fixture
def ad() -> MemoryDirectory:
    return target()


@pytest.fixture
def make(tmp_path: Path, hr: MemoryDirectory, ad: MemoryDirectory) -> Iterator[MakeEngine]:
    """make(profiles=STAFF, **more directories) -> Engine."""
    made: list[Engine] = []

    def build(profiles: str = STAFF, document: str | None = None, **more: MemoryDirectory) -> Engine:
        engine = Engine(tmp_path, document or DOCUMENT.format(profiles=profiles), {"hr": hr, "ad": ad, **more})
        made.append(engine)
        return engine

    yield build
    for engine in made:
        engine.close()


@pytest.fixture
def ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """ways(profiles) -> Ways."""
    made: list[Ways] = []

    def make(profiles: str, more: Sequence[Mapping[str, MemoryDirectory]] = ({}, {}), url: str | None = None) -> Ways:
        made.append(Ways(tmp_path, monkeypatch, profiles, more, url))
        return made[-1]

    yield make
    for one in made:
        for engine in one.engines:
            engine.close()
