"""Every broken connector is caught by the test that is named for it, and the sound one by none."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from metasync.testing.memory import MemoryConnector
from metasync.testing.mutants import MUTANTS
from metasync.testing.suite import ConnectorSuite

MODULE = """
from metasync.testing.memory import MemoryConnector
from metasync.testing.mutants import MUTANTS
from metasync.testing.suite import ConnectorSuite
from metasync.testing.suite.memory import MemoryHarness

class SoundHarness(MemoryHarness):
    connector = MemoryConnector

class TestSound(ConnectorSuite):
    Harness = SoundHarness
"""

MUTANT = """
class {name}Harness(MemoryHarness):
    connector = MUTANTS["{name}"].connector

class Test{name}(ConnectorSuite):
    Harness = {name}Harness
"""


class Recorder:
    """What failed, in a call or in the fixtures around it, and what was skipped: by class, the names of the tests."""

    def __init__(self) -> None:
        self.failed: defaultdict[str, set[str]] = defaultdict(set)
        self.passed: defaultdict[str, set[str]] = defaultdict(set)
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        _, of, test = report.nodeid.split("::")
        test = test.partition("[")[0]
        if report.failed:
            self.failed[of].add(test)
        elif report.skipped:
            self.skipped.append(report.nodeid)
        elif report.when == "call":
            self.passed[of].add(test)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """The tests that are named for the mutants, run on each of them and on the sound connector."""
    folder: Path = tmp_path_factory.mktemp("mutants")
    module = folder / "test_all.py"
    module.write_text(MODULE + "".join(MUTANT.format(name=name) for name in MUTANTS), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\nfilterwarnings = error\n", encoding="utf-8")
    chosen = [f"{module}::Test{name}::{mutant.caught_by}" for name, mutant in MUTANTS.items()]
    chosen += [f"{module}::TestSound::{name}" for name in sorted({mutant.caught_by for mutant in MUTANTS.values()})]
    recorder = Recorder()
    settings = ["-c", str(folder / "pytest.ini"), "--rootdir", str(folder), "--basetemp", str(folder / "temp")]
    arguments = ["-q", "--no-header", "-p", "no:cacheprovider", *settings]
    code = pytest.main([*arguments, *chosen], plugins=[recorder])
    assert code is pytest.ExitCode.TESTS_FAILED
    return recorder


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_is_caught_by_the_test_that_is_named_for_it(recorded: Recorder, name: str) -> None:
    assert MUTANTS[name].caught_by in recorded.failed[f"Test{name}"]


def test_the_sound_connector_passes_the_same_tests(recorded: Recorder) -> None:
    assert not recorded.failed["TestSound"]
    assert recorded.passed["TestSound"] == {mutant.caught_by for mutant in MUTANTS.values()}


def test_nothing_was_skipped(recorded: Recorder) -> None:
    assert recorded.skipped == []


def test_each_mutant_breaks_one_connector_and_says_how() -> None:
    assert len(MUTANTS) >= 15
    for name, mutant in MUTANTS.items():
        assert mutant.connector is not MemoryConnector
        assert mutant.connector.__doc__ and mutant.connector.__doc__ != MemoryConnector.__doc__, (
            f"{name} does not say which promise it breaks"
        )
        assert hasattr(ConnectorSuite, mutant.caught_by)
