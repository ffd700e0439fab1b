"""docs/tutorial.md, and how README.md begins, are followed step by step in an environment as a reader has it: installed, not editable.

What is shown below a command must be what it prints on standard output; `…` stands for anything, alone on a line for any lines.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = (".", "plugins/standard", "plugins/csv")
_STEP = re.compile(
    r"(?:<!-- exits (?P<code>\d+) -->\n)?```(?P<sort>sh|diff)\n(?P<typed>.*?)```\n(?:```text\n(?P<shown>.*?)```\n)?", re.DOTALL
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A block of the page: what is typed or edited, and what it shows."""

    sort: str
    typed: str
    shown: str | None
    code: int
    line: int


@dataclass(kw_only=True)
class Reader:
    """Somebody who follows the page, in a folder of theirs."""

    folder: Path
    variables: dict[str, str]

    def type(self, step: Step) -> None:
        """One block, in a shell that remembers what the earlier ones exported."""
        memory = self.folder.parent / "exported"
        recall = f". '{memory}'\n" if memory.exists() else ""
        script = f"set -eu\n{recall}trap \"export -p > '{memory}'\" EXIT\n{step.typed}"
        done = subprocess.run(["sh", "-c", script], cwd=self.folder, env=self.variables, capture_output=True, text=True, timeout=300)
        assert done.returncode == step.code, f"line {step.line} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        if step.shown is not None:
            assert fits(step.shown, done.stdout), f"line {step.line} shows\n{step.shown}\nand it is\n{done.stdout}{done.stderr}"

    def edit(self, step: Step) -> None:
        """One change of a file: the lines with nothing or `-` in front become those with nothing or `+`."""
        first, *lines = step.typed.splitlines()
        file = self.folder / first.removeprefix("--- ")
        before = "\n".join(line[1:] for line in lines if line[:1] in " -")
        after = "\n".join(line[1:] for line in lines if line[:1] in " +")
        text = file.read_text(encoding="utf-8")
        assert text.count(before) == 1, f"line {step.line}: what is to be changed stands in {file.name} {text.count(before)} times"
        file.write_text(text.replace(before, after), encoding="utf-8")


def steps(page: str) -> list[Step]:
    return [
        Step(
            sort=match["sort"],
            typed=match["typed"],
            shown=match["shown"],
            code=int(match["code"] or 0),
            line=page.count("\n", 0, match.start()) + 1,
        )
        for match in _STEP.finditer(page)
    ]


def fits(shown: str, printed: str) -> bool:
    pattern = re.escape(shown.strip("\n")).replace("…\\\n", r"(?:.*\n)*?").replace("\\\n…", r"(?:\n.*)*?").replace("…", ".*")
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in printed.strip("\n").split("\n"))) is not None


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment of its own on top of the running one: what is installed here is gone with its folder."""
    folder = tmp_path_factory.mktemp("installed")
    place = folder / "environment"
    venv.create(place, with_pip=False)
    programs, python = place / "bin", place / "bin" / "python"
    library = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)}))
    # pip, pytest and what the engine needs come from the running environment; ours is looked in first.
    (library / "running.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n", encoding="utf-8")
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("METASYNC_", "PYTHON", "COV_"))}
    variables |= {"PATH": f"{programs}{os.pathsep}{variables['PATH']}", "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "80"}
    variables |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    if can_build():
        # Nothing needs to be downloaded. (For pip's variable, "0" means that there is no isolation.)
        variables |= {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1"}
    copies = [str(copied(ROOT / name, folder / "sources" / (name if name != "." else "engine"))) for name in INSTALLED]
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", *copies], env=variables, check=True)
    return variables


@pytest.fixture
def reader(tmp_path: Path, variables: dict[str, str]) -> Reader:
    """Begins in an empty folder."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return Reader(folder=folder, variables=variables)


def can_build() -> bool:
    """The running environment has what our distributions are built with."""
    try:
        return int(version("setuptools").partition(".")[0]) >= 77
    except PackageNotFoundError:
        return False


def copied(source: Path, target: Path) -> Path:
    """A distribution's sources, so that building leaves nothing in the repository."""
    names = [
        "setup.cfg",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "core",
        *(path.name for path in source.glob("metasync_*") if path.is_dir()),
    ]
    target.mkdir(parents=True)
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
        elif (source / name).exists():
            shutil.copy(source / name, target / name)
    return target


@pytest.mark.skipif(sys.platform == "win32", reason="the steps are typed into a POSIX shell")
def test_the_tutorial_works_as_it_is_written(reader: Reader) -> None:
    found = steps((ROOT / "docs/tutorial.md").read_text(encoding="utf-8"))
    assert len(found) > 25
    for step in found:
        follow = reader.type if step.sort == "sh" else reader.edit
        follow(step)


@pytest.mark.skipif(sys.platform == "win32", reason="the steps are typed into a POSIX shell")
def test_the_readme_begins_with_what_works(reader: Reader) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8").partition("<!-- followed by a test -->\n")[2]
    step = steps(page)[0]
    reader.type(step)
    reader.type(Step(sort="sh", typed="metasync plan", shown="…\n   … staff  … empty  …0   no changes\n…", code=0, line=0))
    assert (reader.folder / "directory.csv").read_text(encoding="utf-8").count("metasync:") > 5


def test_every_block_of_commands_is_followed() -> None:
    page = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    fences = [line for line in page.splitlines() if line.startswith("```") and line != "```"]
    found = steps(page)
    assert len(found) == sum(fence in ("```sh", "```diff") for fence in fences)
    assert sum(step.shown is not None for step in found) == fences.count("```text")
    assert set(fences) == {"```sh", "```diff", "```text"}


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("one\ntwo\n", "one\ntwo\n", True),
        ("one\n", "one\ntwo\n", False),
        ("one …\n", "one 1.5 s\n", True),
        ("one …\n", "one\ntwo\n", False),
        ("…\ntwo\n", "one\nmore\ntwo\n", True),
        ("one\n…\n", "one\nmore\ntwo\n", True),
        ("one\n…\n", "two\nmore\n", False),
    ],
)
def test_what_is_shown_is_compared_line_by_line(shown: str, printed: str, same: bool) -> None:
    assert fits(shown, printed) is same
