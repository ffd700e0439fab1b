"""People of `old` who move to `new` wave by wave; both are memory directories, and the files of the waves lie beside the document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from metasync.store import waves
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import PEOPLE, person, target

DOCUMENT = f"""
engagement: moving
plugins: {{standard: ">=0"}}
directories:
  old: {{connector: memory, options: {{store: old}}, mark: adminDescription}}
  new: {{connector: memory, options: {{store: new}}, mark: adminDescription}}
profiles:
  people:
    kind: user
    source: old
    target: new
    match: [{{source: employeeID, target: employeeID}}]
    place: '"{PEOPLE}"'
    map:
      cn: source.displayName
      displayName: source.displayName
      employeeID: source.employeeID
      mail: source.mail
      title: {{from: source.title, when: 'wave.state != "cut over"'}}
      department: 'wave.state'
      company: 'wave.name'
    leaving: {{deleted: [disable]}}
    limits: {{update: {{count: 5000}}, clear: {{count: 500, percent: 100}}, delete: {{count: 50, percent: 100}}, disable: {{count: 50}}}}
waves:
  one: {{file: one.csv, key: employeeID}}
  two: {{file: two.csv, key: employeeID}}
"""

WriteWave = Callable[..., None]


@pytest.fixture
def old() -> MemoryDirectory:
    directory = MemoryDirectory(seed=1)
    for number in range(1, 7):
        person(directory, f"Person {number}", employeeID=f"E{number}", title="Clerk")
    return directory


@pytest.fixture
def new() -> MemoryDirectory:
    return target(seed=2)


@pytest.fixture
def write_wave(tmp_path: Path) -> WriteWave:
    """write_wave("one", "E1", "E2")"""

    def write(name: str, *keys: str, header: str = "employeeID") -> None:
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *keys, ""]), encoding="utf-8")

    return write


@pytest.fixture
def engine(tmp_path: Path, old: MemoryDirectory, new: MemoryDirectory, write_wave: WriteWave) -> Iterator[Engine]:
    """Everybody is in step already; one has E1 and E2, two has E3."""
    write_wave("one", "E1", "E2")
    write_wave("two", "E3")
    made = Engine(tmp_path, DOCUMENT, {"old": old, "new": new})
    made.cycle()
    assert made.plan() == {}
    yield made
    made.close()


def states(engine: Engine) -> dict[str, tuple[str, str]]:
    """Key -> (wave, state) of everybody who ever moved."""
    with engine.backend.read() as connection:
        return {row.key: (row.name, row.state) for row in waves.states(connection, engine.workspace.engagement_id)}


def codes(engine: Engine) -> list[str]:
    """Of the problems of waves."""
    return sorted(code for area, code, _ in engine.problems() if area == "wave")


def text_of(engine: Engine, code: str) -> str:
    """The one problem of a wave with this code."""
    (found,) = [text for area, other, text in engine.problems() if area == "wave" and other == code]
    return found


def shown(planned: dict[str, Sequence[object]]) -> list[tuple[str, str]]:
    """(operation, label)."""
    return sorted((one.operation.value, one.label) for changes in planned.values() for one in changes)  # type: ignore[attr-defined]
