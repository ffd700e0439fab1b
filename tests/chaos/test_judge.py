"""The judge finds each thing that must not be, where somebody makes it so; and the driver, for some steps, finds none."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from . import judge
from .drive import Campaign, Chaos
from .forks import Stable
from .site import CANARY, RUN
from .sites import CountingSite, CsvSite, MemorySite
from .size import sized

STEPS = sized(3, 30)


@pytest.fixture(scope="module")
def in_step(tmp_path_factory: pytest.TempPathFactory, stable: Stable) -> CsvSite:
    """Six people, in step."""
    made = CsvSite(tmp_path_factory.mktemp("judged") / "site", stable)
    made.begin(6)
    assert made.ask(*RUN).code == 0
    return made


@pytest.fixture
def site(in_step: CsvSite) -> Iterator[CsvSite]:
    """The same for every test."""
    files = {path: path.read_bytes() for path in in_step.folder.iterdir() if path.is_file()}
    assert judge.at_rest(in_step) == []
    yield in_step
    in_step.leaks.clear()
    for path in in_step.folder.iterdir():
        if path not in files:
            path.unlink()
    for path, content in files.items():
        path.write_bytes(content)


def of_the_list(edit: Callable[[list[str]], list[str]]) -> Callable[[CsvSite], None]:
    def done(site: CsvSite) -> None:
        site.staff.write_text("".join(edit(site.staff.read_text().splitlines(keepends=True))))

    return done


def of_the_database(*statements: str) -> Callable[[CsvSite], None]:
    def done(site: CsvSite) -> None:
        with closing(sqlite3.connect(site.folder / "metasync.db", isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    return done


def in_a_file(site: CsvSite) -> None:
    (site.folder / "a.log").write_text(f"bound with {CANARY}\n")


def in_the_output(site: CsvSite) -> None:
    site.leaks.append("run")


PLANTED = {
    "a row is missing": (of_the_list(lambda rows: rows[:-1]), "lost (I1)"),
    "a value is another": (of_the_list(lambda rows: [one.replace("p2@", "x@") for one in rows]), "lost (I1)"),
    "a row is there twice": (of_the_list(lambda rows: [*rows, rows[-1]]), "duplicated (I2)"),
    "a row is too many": (of_the_list(lambda rows: [*rows, "s99,99,Nobody,n@example.com,,m\n"]), "not removed (I1)"),
    "a change never ended": (of_the_database("UPDATE change SET state = 'in_flight' WHERE id = 1"), "lost (I1)"),
    "nobody approved": (of_the_database("DELETE FROM approval"), "unapproved (I3)"),
    "another form was approved": (of_the_database("UPDATE plan SET hash = 'another'"), "unapproved (I3)"),
    "an object has no state": (of_the_database("DELETE FROM sync_state WHERE object_id = 1"), "states (I5)"),
    "a state has no words": (of_the_database("UPDATE sync_state SET reason = ''"), "states (I5)"),
    "the audit log was edited": (
        of_the_database("DROP TRIGGER audit_no_update", "UPDATE audit SET actor = 'eve' WHERE seq = 2"),
        "audit (I6)",
    ),
    "a file holds a secret": (in_a_file, "canary (I7)"),
    "a secret was printed": (in_the_output, "canary (I7)"),
    "a run never ended": (of_the_database("UPDATE run SET state = 'running' WHERE id = 1"), "not recovered (I9)"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_wrong_is_found_and_named(site: CsvSite, planted: str) -> None:
    plant, sort = PLANTED[planted]
    plant(site)
    assert any(one.startswith(sort) for one in judge.at_rest(site))
    assert sort in judge.SORTS


def test_whoever_is_deleted_for_an_import_that_broke_off_is_found(site: CsvSite) -> None:
    chaos = Chaos(site, random.Random(1), None)
    kept = site.cut

    def deletes(dice: random.Random):  # type: ignore[no-untyped-def]
        of_the_list(lambda rows: rows[:-1])(site)

    site.cut = deletes  # type: ignore[method-assign]
    try:
        assert chaos._cut() == ["wrong delete (I4): 6"]
    finally:
        site.cut = kept  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", [CsvSite, MemorySite, CountingSite], ids=lambda kind: kind.name)
def test_the_driver_finds_nothing_in_some_steps(kind: type[CsvSite | MemorySite | CountingSite], tmp_path: Path, stable: Stable) -> None:
    site = kind(tmp_path / "site", stable)
    chaos = Chaos(site, random.Random(kind.name), None)
    chaos.begin()
    for step in range(STEPS):
        assert chaos.act() == [], (step, chaos.did)
        assert any(one.words.startswith("in step after") for one in chaos.did)
    site.close()


def test_a_campaign_without_a_step_has_proved_nothing() -> None:
    said: list[str] = []
    assert Campaign(1, ["csv"], said.append).run(0) == 1
    assert any("after 0 steps" in one for one in said)
