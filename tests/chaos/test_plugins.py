"""A plugin that fails in every way in which a process can fail from within: its object or its run fails, the next one lives (I1, I2)."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from metasync.store.tables import directory

from . import judge
from .forks import Stable
from .site import RUN
from .sites import CountingSite
from .size import sized

PEOPLE = 25
UNAVAILABLE, INTERNAL = 4, 5
MEMORY = sized(1 << 30, 2 << 30)
STRUCK = 4
"""Runs that somebody whom a connector dies of may cost: in company, in company, and twice alone."""


@pytest.fixture
def site(tmp_path: Path, stable: Stable) -> Iterator[CountingSite]:
    made = CountingSite(tmp_path / "site", stable)
    made.begin(PEOPLE)
    yield made
    made.close()


class Rewriting(CountingSite):
    """The mail addresses pass through a rewrite of the plugin."""

    document = CountingSite.document.replace("mail: source.mail", "mail: source.mail.poison()")


@pytest.fixture
def rewriting(tmp_path: Path, stable: Stable) -> Iterator[CountingSite]:
    made = Rewriting(tmp_path / "site", stable)
    made.begin(PEOPLE)
    yield made
    made.close()


def left_in_flight(site: CountingSite) -> None:
    """Ten are written, and of ten others nobody knows."""
    site("import")
    site("plan")
    site("approve", "1", "--reason", "a test")
    assert site.ask("export", "1", fault="export.before_target_write:kill9:2").code == -signal.SIGKILL


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


@pytest.mark.parametrize("poison", ["raises", "exits"])
@pytest.mark.parametrize("where", ["open", "check", "discover", "find"])
def test_a_connector_that_fails_before_it_is_used_stops_its_directory_alone(site: CountingSite, where: str, poison: str) -> None:
    """Nor does its wish to end the program pass for a success."""
    if where == "find":
        left_in_flight(site)
    answer = site.ask(*RUN, double=f"{where}:{poison}:1")
    assert answer.code == UNAVAILABLE, answer
    assert "the connector counting failed" in site.ask("problems").out
    with site.database() as connection:
        assert connection.execute(select(directory.c.completed).where(directory.c.name == "hr")).scalar() is not None
    recovers(site)


@pytest.mark.parametrize("poison", ["raises", "exits"])
def test_a_rewrite_that_fails_costs_that_object_alone(rewriting: CountingSite, poison: str) -> None:
    assert rewriting.ask(*RUN, double=f"rewrite:{poison}:=p5@example.com").code == 1
    assert len(rewriting.counts.by_label()) == PEOPLE - 1
    assert "poison() failed" in rewriting.ask("problems").out
    assert rewriting.ask(*RUN).code == 0, "it stands as a problem, and is looked at again once something is another"
    rewriting.people["5"]["mail"] = "other@example.com"
    rewriting.save()
    recovers(rewriting)


@pytest.mark.parametrize("poison", ["raises", "exits"])
def test_a_hook_that_fails_while_it_is_told_is_passed_over(site: CountingSite, poison: str) -> None:
    answer = site.ask(*RUN, double=f"hook:{poison}:1")
    assert answer.code == 0 and "Traceback" not in answer.err, answer
    recovers(site)


@pytest.mark.parametrize("command", [("export", "1"), RUN], ids=["export", "run"])
def test_somebody_whom_a_connector_dies_of_each_time_rests_and_all_others_are_written(site: CountingSite, command: tuple[str, ...]) -> None:
    """Whoever was in flight when a process ended is written alone in the end, so that nobody rests for somebody else."""
    poison = "write of:segfaults:=7"
    site("import")
    site("plan")
    site("approve", "1", "--reason", "a test")
    codes = [site.ask(*command, double=poison).code for _ in range(STRUCK + 2)]
    assert codes == sorted(codes) and set(codes) == {-signal.SIGSEGV, 1}, codes
    assert site.counts.by_label() == {str(number): 1 for number in range(1, PEOPLE + 1) if number != 7}
    assert site.counts.repeated() == {}
    problems = site.ask("problems").out
    assert "create of 7 in staff" in problems and problems.count("create of") == 1, problems


@pytest.mark.parametrize("poison", ["segfaults", "ends"])
@pytest.mark.parametrize("where", ["write", "read"])
def test_a_connector_that_takes_the_process_with_it_costs_one_run(site: CountingSite, where: str, poison: str) -> None:
    assert site.ask(*RUN, double=f"{where}:{poison}:1").code in (-signal.SIGSEGV, 0)
    recovers(site)


def test_a_crash_leaves_no_core_file_with_the_secrets_of_the_process(site: CountingSite) -> None:
    if (pattern := Path("/proc/sys/kernel/core_pattern")).exists() and pattern.read_text().startswith(("|", "/")):
        pytest.skip("this machine keeps core files elsewhere")
    assert site.ask(*RUN, double="write:segfaults:1", limits={"RLIMIT_CORE": MEMORY}).code == -signal.SIGSEGV
    assert [path.name for path in site.folder.iterdir() if path.name.startswith("core")] == []


def test_a_connector_that_never_comes_back_is_ended_by_a_person_and_costs_one_run(site: CountingSite) -> None:
    with site.start(*RUN, double="write:loops:3") as program:
        while not site.counts.file.exists() or site.counts.total < 3:
            assert not program.wait(0.05), program.answer()
        program.signal(signal.SIGKILL)
        assert site.heard(program).code == -signal.SIGKILL
    recovers(site)
