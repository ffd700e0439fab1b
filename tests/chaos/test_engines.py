"""Two engines at once: the second one is refused, or finds out what the first one did; nothing is written twice (I2)."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metasync.contract import Operation

from . import judge
from .forks import Program, Stable
from .site import RUN
from .sites import CountingSite

PEOPLE = 30
BUSY = 4
"""The exit code of whoever finds that another one works."""


@pytest.fixture
def site(tmp_path: Path, stable: Stable) -> Iterator[CountingSite]:
    """Thirty people whom the target does not know yet."""
    made = CountingSite(tmp_path / "site", stable)
    made.begin(PEOPLE)
    yield made
    made.close()


def approved(site: CountingSite) -> str:
    """The number of a plan that creates everybody, approved and not exported."""
    site("import")
    [plan] = [one for one in site("plan")["plans"] if one["changes"]]
    site("approve", str(plan["plan"]), "--reason", "a test")
    return str(plan["plan"])


def until(program: Program, condition: Callable[[], bool]) -> None:
    """Wait for something that happens while a command runs. Raises `AssertionError` where the command ends first."""
    while not condition():
        assert not program.wait(0.02), program.answer()


def stands_still(program: Program) -> bool:
    """It was stopped by a signal."""
    return Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def everybody_once(site: CountingSite) -> None:
    """Each person was created once, and no change was applied twice."""
    assert site.counts.lost([str(number) for number in range(1, PEOPLE + 1)]) == []
    assert site.counts.repeated() == {}
    assert site.counts.by_label() == {str(number): 1 for number in range(1, PEOPLE + 1)}
    assert site.counts.by_operation()[Operation.CREATE.value] == PEOPLE


def test_of_two_exports_of_one_plan_the_second_is_refused_and_writes_nothing(site: CountingSite) -> None:
    plan = approved(site)
    with site.start("export", plan, fault="export.after_target_write:freeze") as first:
        until(first, lambda: stands_still(first))
        before = site.counts.total
        assert before > 0
        second = site.ask("export", plan)
        assert (second.code, site.counts.total) == (BUSY, before)
        assert "another run works on this engagement" in second.err
        first.signal(signal.SIGCONT)
        assert site.heard(first).code == 0
    everybody_once(site)
    assert site.ask("export", plan).code == 0, "and the same nudge once more finds nothing left to do"
    everybody_once(site)


@pytest.mark.parametrize("point", ["export.claim.after_commit", "export.before_target_write", "export.after_target_write"])
def test_a_worker_that_was_frozen_past_its_lease_writes_nothing_once_it_goes_on(site: CountingSite, point: str) -> None:
    """Also between its last look at the lease and the write: whoever came after it read back what it had taken, and did that itself."""
    plan = approved(site)
    with site.start("export", plan, fault=f"{point}:freeze:2") as frozen:
        until(frozen, lambda: stands_still(frozen))
        while (answer := site.ask("export", plan)).code == BUSY:
            # The engine's lease may run out before the directory's.
            assert "another run works" in answer.err or "exports to staff at present" in answer.err, f"until its leases run out: {answer}"
        assert answer.code == 0
        everybody_once(site)
        frozen.signal(signal.SIGCONT)
        late = site.heard(frozen)
    everybody_once(site)
    assert late.code != 0, late
    assert site.ask(*RUN).code == 0
    assert judge.at_rest(site) == []
