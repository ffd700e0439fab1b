"""PostgreSQL goes away in the midst of an export, again and again, or stands still: nothing is lost or written twice (I1, I2)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.postgres import Cluster

from . import judge
from .forks import Stable
from .site import RUN
from .sites import CountingSite
from .size import sized

PEOPLE, KILLS = sized(150, 3000), 10
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


class Exporting:
    """Somebody who types the export again where it ends for the server's sake."""

    def __init__(self, site: CountingSite) -> None:
        self.site = site
        self.program = site.start("export", "1")
        self.codes: list[int] = []

    def goes_on(self, more: int) -> None:
        """Wait until so many more are written."""
        enough = (self.site.counts.total if self.site.counts.file.exists() else 0) + more
        while not self.site.counts.file.exists() or self.site.counts.total < enough:
            if self.program.wait(0.01):
                self.end()
                self.program = self.site.start("export", "1")

    def end(self) -> None:
        """It ends in words, whatever became of the server."""
        answer = self.site.heard(self.program)
        assert "internal error" not in answer.err and "Traceback" not in answer.err, answer
        self.codes.append(answer.code)


def everybody_once(site: CountingSite) -> None:
    assert site.ask("export", "1").code == 0
    assert site.counts.by_label() == {str(number): 1 for number in range(1, PEOPLE + 1)}
    assert site.counts.repeated() == {}
    assert site.ask(*RUN).code == 0
    assert judge.at_rest(site) == []


def test_a_server_that_is_killed_ten_times_in_one_export(site: CountingSite, own_postgres: Cluster) -> None:
    dice = random.Random(11)
    export = Exporting(site)
    for number in range(KILLS):
        export.goes_on(dice.randint(1, PEOPLE // (KILLS * 4)))
        if number % 2:
            own_postgres.stop("immediate")
        else:
            own_postgres.kill()
        own_postgres.start()
    assert site.counts.total < PEOPLE, "it was killed while there was something to do"
    export.end()
    everybody_once(site)


def test_a_server_that_stands_still_in_the_midst_of_an_export(site: CountingSite, own_postgres: Cluster) -> None:
    export = Exporting(site)
    export.goes_on(15)
    own_postgres.freeze()
    assert not export.program.wait(FROZEN), "it waits"
    own_postgres.thaw()
    export.end()
    everybody_once(site)
