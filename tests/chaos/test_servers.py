"""PostgreSQL goes away in the midst of an export, again and again, or stands still: nothing is lost or written twice (I1, I2)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab.postgres import Cluster

from . import judge
from .forks import Program, Stable
from .site import RUN
from .sites import CountingSite
from .size import sized

PEOPLE, KILLS = sized(120, 3000), 10
FROZEN = sized(1.0, 20.0)
"""Seconds; twice as long as a lease lasts, at full size."""


class Slow(CountingSite):
    """Each write takes a moment, so that there is time to do something in the midst of it."""

    document = CountingSite.document.replace("staff.counts", "staff.counts, delay: 20")


@pytest.fixture
def site(own_postgres: Cluster, tmp_path: Path, stable: Stable) -> Iterator[CountingSite]:
    """Everybody is approved to be created, by plan 1, and nobody is."""
    made = Slow(tmp_path / "site", stable, own_postgres.database("metasync"))
    made.begin(PEOPLE)
    made("import")
    made("plan")
    made("approve", "1", "--reason", "a test")
    yield made
    made.close()


@contextmanager
def exporting(site: CountingSite, more: int) -> Iterator[Program]:
    """An export that has written so many more."""
    enough = (site.counts.total if site.counts.file.exists() else 0) + more
    with site.start("export", "1") as program:
        while site.counts.total < enough:
            assert not program.wait(0.01), program.answer()
        yield program


def everybody_once(site: CountingSite) -> None:
    assert site.ask("export", "1").code == 0
    assert site.counts.by_label() == {str(number): 1 for number in range(1, PEOPLE + 1)}
    assert site.counts.repeated() == {}
    assert site.ask(*RUN).code == 0
    assert judge.at_rest(site) == []


def test_a_server_that_is_killed_ten_times_in_one_export(site: CountingSite, own_postgres: Cluster) -> None:
    dice = random.Random(11)
    for number in range(KILLS):
        with exporting(site, dice.randint(1, PEOPLE // (KILLS * 4))) as program:
            if number % 2:
                own_postgres.stop("immediate")
            else:
                own_postgres.kill()
            own_postgres.start()
            ended = site.heard(program) if dice.random() < 0.5 else None  # or it is killed as well, in the midst of coming back
            assert ended is None or "Traceback" not in ended.err
    assert site.counts.total < PEOPLE, "it was killed while there was something to do"
    everybody_once(site)


def test_a_server_that_stands_still_in_the_midst_of_an_export(site: CountingSite, own_postgres: Cluster) -> None:
    with exporting(site, 15) as program:
        own_postgres.freeze()
        assert not program.wait(FROZEN), "it waits"
        own_postgres.thaw()
        assert "Traceback" not in site.heard(program).err
    everybody_once(site)
