"""A connector that fails in every way in which a process can fail from within: its run fails, and the next one lives (I1, I2)."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import judge
from .forks import Stable
from .site import RUN
from .sites import CountingSite

PEOPLE = 25
INTERNAL = 5
MEMORY = 1 << 30


@pytest.fixture
def site(tmp_path: Path, stable: Stable) -> Iterator[CountingSite]:
    made = CountingSite(tmp_path / "site", stable)
    made.begin(PEOPLE)
    yield made
    made.close()


def recovers(site: CountingSite) -> None:
    assert site.ask(*RUN).code == 0
    assert site.counts.by_label() == {str(number): 1 for number in range(1, PEOPLE + 1)}
    assert site.counts.repeated() == {}
    assert judge.at_rest(site) == []


@pytest.mark.parametrize("poison", ["raises", "leaks", "exits"])
@pytest.mark.parametrize("where", ["write", "read"])
def test_what_a_connector_raises_is_told_as_its_mistake(site: CountingSite, where: str, poison: str) -> None:
    """Memory that it cannot have, and a wish to end the program, are no more than that."""
    answer = site.ask(*RUN, double=f"{where}:{poison}:1", limits={"RLIMIT_AS": MEMORY})
    assert answer.code not in (INTERNAL, -signal.SIGSEGV) and "internal error" not in answer.err, answer
    assert "the connector counting failed" in answer.err + answer.out + site.ask("problems").out, answer
    if where == "read":
        assert site.counts.total == 0, "nothing is written behind an import that broke off (I4)"
    recovers(site)


@pytest.mark.parametrize("poison", ["segfaults", "ends"])
@pytest.mark.parametrize("where", ["write", "read"])
def test_a_connector_that_takes_the_process_with_it_costs_one_run(site: CountingSite, where: str, poison: str) -> None:
    assert site.ask(*RUN, double=f"{where}:{poison}:1").code in (-signal.SIGSEGV, 0)
    recovers(site)


def test_a_connector_that_never_comes_back_is_ended_by_a_person_and_costs_one_run(site: CountingSite) -> None:
    with site.start(*RUN, double="write:loops:3") as program:
        while not site.counts.file.exists() or site.counts.total < 3:
            assert not program.wait(0.05), program.answer()
        program.signal(signal.SIGKILL)
        assert site.heard(program).code == -signal.SIGKILL
    recovers(site)
