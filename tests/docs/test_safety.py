"""docs/safety.md and docs/reliability.md name tests: each of them exists, and every invariant and every law names some."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/safety.md").read_text(encoding="utf-8")
RELIABILITY = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
both = pytest.mark.parametrize("page", [PAGE, RELIABILITY], ids=["safety", "reliability"])
NODE = re.compile(r"`((?:tests|plugins)/[\w/]+\.py::[\w:]+)`")
FILE = re.compile(r"`((?:tests|plugins)/[\w/]+\.py)(?:::[\w:]+)?`")


@pytest.fixture(scope="module")
def collected() -> set[str]:
    """Every test of the files that are named, without the parameters."""
    files = sorted(set(FILE.findall(PAGE + RELIABILITY)))
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}


@both
def test_every_test_that_is_named_exists(collected: set[str], page: str) -> None:
    assert [node for node in NODE.findall(page) if node not in collected] == []


@both
def test_every_promise_names_a_test(page: str) -> None:
    promises = re.split(r"\n\*\*", page.partition("\n## What is not proved")[0])[1:]
    assert [one.partition("\n")[0] for one in promises if not NODE.search(one)] == []


def test_every_invariant_and_every_law_is_there() -> None:
    assert re.findall(r"\n\*\*(I\d)\. ", PAGE) == [f"I{number}" for number in range(1, 8)]
    assert re.findall(r"\n\*\*(I\d)\. ", RELIABILITY) == [f"I{number}" for number in (1, 2, 3, 4, 5, 6, 7, 9)]
    laws = re.findall(r"^(\d+)\. \*\*(.+?)\.?:?\*\*", (ROOT / "docs/document.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert re.findall(r"\n\*\*(\d+)\. ", PAGE) == [number for number, _ in laws]


@both
def test_only_tests_are_written_as_tests(page: str) -> None:
    lines = [line for line in page.splitlines() if line.startswith("- `")]
    assert [line for line in lines if not NODE.fullmatch(line.removeprefix("- "))] == []
