"""The command line over two memory directories: `hr` is where people come from, `ad` is kept in step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metasync.cli.main import run
from metasync.contract import Kind
from metasync.host import Host
from metasync.testing.memory import MemoryDirectory, MemoryPlugin
from metasync.testing.small import SmallPlugin
from metasync.testing.staff import BASE, DOCUMENT, STAFF, person, target


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The result of `--json`."""
        return json.loads(self.out)


class Shell:
    """Types commands into the folder of a document."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int | None = 0) -> Done:
        """Type `metasync ARGUMENTS`; it must end with this code (None: any)."""
        self._capsys.readouterr()
        got = run(arguments)
        captured = self._capsys.readouterr()
        done = Done(got, captured.out, captured.err)
        assert code is None or got == code, f"`metasync {' '.join(arguments)}` ended with {got}\n{done.out}\n{done.err}"
        return done

    def write(self, text: str) -> None:
        """Write the document."""
        (self.folder / "metasync.yaml").write_text(text, encoding="utf-8")

    def plans(self, state: str = "planned") -> Sequence[int]:
        """The numbers of the open plans."""
        return [one["id"] for one in self("runs", "--json").json["open plans"] if one["state"] == state]


@pytest.fixture
def hr() -> MemoryDirectory:
    directory = MemoryDirectory()
    boss = person(directory, "Berta Boss", title="Head")
    for number in range(3):
        person(directory, f"Person {number}", title="Clerk")
    group = directory.add(Kind.GROUP, name="Everybody", path=BASE)
    directory.join(group, boss)
    return directory


@pytest.fixture
def ad() -> MemoryDirectory:
    return target()


@pytest.fixture
def shell(
    tmp_path: Path, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """A folder with a document that nobody has loaded yet. Its plugins are given directly, so that none need be installed."""
    host = Host.of(MemoryPlugin({"hr": hr, "ad": ad}), SmallPlugin())
    monkeypatch.setattr(Host, "load", lambda *_, **__: host)
    monkeypatch.chdir(tmp_path)
    for name in ("METASYNC_ENGAGEMENT", "METASYNC_DATABASE", "METASYNC_DISPATCH", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    made = Shell(tmp_path, capsys)
    made.write(DOCUMENT.format(profiles=STAFF))
    return made


@pytest.fixture
def loaded(shell: Shell) -> Shell:
    """The document is loaded."""
    shell("load")
    return shell


@pytest.fixture
def in_step(loaded: Shell) -> Shell:
    """The first plans are approved and exported."""
    loaded("run", "--approve", "--reason", "the first day")
    return loaded
