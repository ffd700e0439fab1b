"""The domain controller dies, stalls or is cut off at any byte of an import and of an export: the next run ends it, and nothing is lost,
written twice or wrongly deleted (I1, I2, I4, I9)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.proxy import Proxy, Way
from lab.samba import Samba, samba
from system.product import Answer

from . import judge
from .forks import Stable
from .site import RUN
from .sites import SambaSite
from .size import sized

__all__ = ["samba"]

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("ad")]

POSITIONS = sized(10, 200)
"""Of an import, and as many of an export."""
PEOPLE, SEED = sized(15, 40), 4711
LINE = '\n      page size: 5\n      connections: 3\n      servers: ["127.0.0.1"]\n      port: {port}'


class CutSite(SambaSite):
    """The domain is reached through lines that break."""

    def __init__(self, folder: Path, stable: Stable, *, samba: Samba) -> None:
        super().__init__(folder, stable, samba=samba)
        self.proxy = Proxy(samba.address, 636, both=True)

    def write_document(self) -> None:
        super().write_document()
        text = self.written.read_text(encoding="utf-8")
        told = f'\n      servers: ["{self.samba.address}"]'
        assert told in text
        self.written.write_text(text.replace(told, LINE.format(port=self.proxy.port)), encoding="utf-8")

    def close(self) -> None:
        self.proxy.close()
        super().close()

    def edit(self, dice: random.Random) -> None:
        """Somebody comes, some have another name or manager, somebody leaves."""
        number = max(map(int, self.people)) + 1
        self.hire(number, manager=dice.choice(sorted(self.people)))
        for key in dice.sample(sorted(self.people), 3):
            self.people[key]["name"] = f"Person {key} {dice.randint(0, 999)}"
        self.people[str(number)]["manager"] = dice.choice(sorted(self.people.keys() - {str(number)}))
        self.leave(dice.choice(sorted(self.people)))
        self.save()

    def through(self, position: int, way: Way, *command: str) -> Answer:
        """Do a command whose line breaks there. One that stalls is ended after a moment, as by the time that an answer may take."""
        self.proxy.cut(after=position, way=way)
        try:
            with self.start(*command) as program:
                if way is Way.STALL:
                    while not self.proxy.broke and not program.wait(0.05):
                        pass
                    program.wait(0.3)
                    self.proxy.mend()
                return self.heard(program)
        finally:
            self.proxy.mend()


@pytest.fixture
def site(tmp_path: Path, stable: Stable, samba: Samba) -> Iterator[CutSite]:
    """Everybody is in the domain."""
    made = CutSite(tmp_path / "site", stable, samba=samba)
    made.begin(PEOPLE)
    answer = made.ask(*RUN)
    assert answer.code == 0, answer
    yield made
    made.close()


def spread(site: CutSite, dice: random.Random, *command: str) -> list[tuple[int, Way]]:
    """A position in each of so many equal parts of what goes over the line in such a command, and what happens there."""
    before = site.proxy.counted
    answer = site.ask(*command)
    assert answer.code == 0, answer
    size = site.proxy.counted - before
    ways = [dice.choice(list(Way)) for _ in range(POSITIONS)]
    return [(1 + (size * at + dice.randrange(size)) // POSITIONS, way) for at, way in enumerate(ways)]


def again(site: CutSite, broken: Answer, where: str) -> None:
    """It ended in words, and what is just run again ends well."""
    assert "Traceback" not in broken.err and "internal error" not in broken.err, f"{where}: {broken}"
    answer = site.ask(*RUN)
    assert answer.code == 0, f"{where}: {answer}"
    assert judge.at_rest(site) == [], where
    print(f"{where}: ended with {broken.code}, and the next run is whole", flush=True)


def told(what: str, broke: int) -> None:
    """What it came to; shown with `-s`."""
    print(f"{what} broke at {POSITIONS} positions, and {broke} of these ended it; nobody is lost, twice or wrongly deleted", flush=True)
    assert broke > POSITIONS // 5, "hardly any of them came to anything"


def test_an_import_that_breaks_anywhere_deletes_nobody_and_the_next_one_is_whole(site: CutSite) -> None:
    dice = random.Random(SEED)
    broke = 0
    for position, way in spread(site, dice, "import", "--full"):
        where = f"{way} at byte {position}"
        objects = len(site.listed())
        broken = site.through(position, way, "import", "--full")
        broke += broken.code != 0
        assert len(site.listed()) == objects, where
        again(site, broken, where)
    told("an import", broke)


def test_an_export_that_breaks_anywhere_is_ended_by_the_next_run(site: CutSite) -> None:
    dice = random.Random(SEED + 1)
    site.edit(dice)
    broke = 0
    for position, way in spread(site, dice, *RUN):
        where = f"{way} at byte {position}"
        site.edit(dice)
        broken = site.through(position, way, *RUN)
        broke += broken.code != 0
        again(site, broken, where)
    told("an export", broke)
