"""A database that was copied, moved or restored: nothing is exported from it before everything was imported anew (I2).

The target takes every create as often as it is told, so that whatever is written blindly is there twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab.postgres import Cluster
from system.product import Answer

from . import judge
from .forks import Stable
from .site import RUN
from .sites import CountingSite

PEOPLE = 25
USAGE = 2


class Engine(CountingSite):
    """Several of these, each in a folder of its own, write to one target."""

    def __init__(self, folder: Path, stable: Stable, url: str = "") -> None:
        super().__init__(folder, stable, url)
        self.target = folder.parent / "shared.counts"

    def write_document(self) -> None:
        self.written.write_text(self.document.replace("staff.counts", str(self.target)), encoding="utf-8")

    @property
    def counts(self):  # type: ignore[no-untyped-def]
        from metasync.testing.counting import Counts

        return Counts(self.target)

    def approve(self) -> str:
        """A plan that is approved and not exported; its number."""
        self("import")
        [plan] = [one for one in self("plan")["plans"] if one["changes"]]
        self("approve", str(plan["plan"]), "--reason", "a test")
        return str(plan["plan"])


@pytest.fixture
def engine(tmp_path: Path, stable: Stable) -> Iterator[Engine]:
    made = Engine(tmp_path / "first", stable)
    made.begin(PEOPLE)
    yield made
    made.close()


def refused(answer: Answer) -> bool:
    """It says what to do, and is no internal error."""
    return answer.code == USAGE and "metasync import --full" in answer.err and "nothing is written from it" in answer.err


def everybody_once(engine: Engine) -> None:
    assert engine.counts.by_label() == {str(number): 1 for number in range(1, PEOPLE + 1)}
    assert engine.counts.repeated() == {}


def taken_over(engine: Engine, plan: str) -> None:
    """A full import makes it the engine that exports; what was approved is planned anew, and nothing is left to do."""
    engine("import", "--full")
    late = engine.ask("export", plan)
    assert "gave way" in late.err or "nothing was left to write" in late.out, "what was approved before is not"
    everybody_once(engine)
    assert engine.ask(*RUN).code == 0
    everybody_once(engine)
    assert judge.at_rest(engine) == []


def test_a_second_engine_on_a_copied_database_writes_nothing(engine: Engine, tmp_path: Path, stable: Stable) -> None:
    """Whether the first one has exported already, or is about to."""
    plan = engine.approve()
    engine.ask("export", plan, fault="export.before_target_write:kill9")
    second = Engine(tmp_path / "second", stable)
    shutil.copytree(engine.folder, second.folder, dirs_exist_ok=True)
    second.people = engine.people
    assert refused(second.ask("export", plan)) and refused(second.ask(*RUN))
    assert engine.counts.total == 0, "the second engine wrote nothing"
    assert engine.ask("export", plan).code == 0, "and the first one is none the worse"
    everybody_once(engine)
    assert refused(second.ask("export", plan)) and refused(second.ask(*RUN))
    everybody_once(engine)
    taken_over(second, plan)


def test_a_restored_backup_from_before_an_export_repeats_nothing(engine: Engine, tmp_path: Path) -> None:
    plan = engine.approve()
    backup = tmp_path / "backup.db"
    shutil.copyfile(engine.folder / "metasync.db", backup)
    assert engine.ask("export", plan).code == 0
    for file in engine.folder.glob("metasync.db-*"):
        file.unlink()
    # Over the same file, so that it is in its old place.
    shutil.copyfile(backup, engine.folder / "metasync.db")
    assert refused(engine.ask("export", plan)) and refused(engine.ask(*RUN))
    assert refused(engine.ask("import") and engine.ask("export", plan)), "an import of what changed is not enough"
    everybody_once(engine)
    taken_over(engine, plan)


def test_a_restored_backup_of_a_server_repeats_nothing(own_postgres: Cluster, tmp_path: Path, stable: Stable) -> None:
    """The server makes another database of a dump, and puts an older state of its own files back under the same name."""
    engine = Engine(tmp_path / "first", stable, own_postgres.database("metasync"))
    engine.begin(PEOPLE)
    plan = engine.approve()
    engine.ask("export", plan, fault="export.before_target_write:kill9")
    own_postgres.psql("CREATE DATABASE dumped TEMPLATE metasync")
    own_postgres.stop()
    shutil.copytree(own_postgres.folder / "data", own_postgres.folder / "backup")
    own_postgres.start()
    assert engine.ask("export", plan).code == 0
    own_postgres.stop()
    _replace(own_postgres.folder / "data", own_postgres.folder / "backup")
    own_postgres.start()
    assert refused(engine.ask("export", plan)), "an older state"
    everybody_once(engine)
    engine.url = own_postgres.url("dumped")
    assert refused(engine.ask("export", plan)), "another database"
    everybody_once(engine)
    taken_over(engine, plan)


def _replace(there: Path, by: Path) -> None:
    owner = there.stat()
    shutil.rmtree(there)
    by.rename(there)
    for path in (there, *there.rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)
    there.chmod(0o700)


def test_a_database_that_was_lost_is_made_anew_and_needs_nobody(engine: Engine) -> None:
    """It imports everything first, as every new one does."""
    assert engine.ask(*RUN).code == 0
    for file in engine.folder.glob("metasync.*"):
        if file.suffix not in (".yaml", ".exported"):
            file.unlink()
    engine("load")
    assert engine.ask(*RUN).code == 0
    everybody_once(engine)


@pytest.mark.parametrize("move", [Path.rename, shutil.move], ids=["renamed", "moved"])
def test_a_folder_under_another_name_is_the_same_engine(engine: Engine, tmp_path: Path, move: Callable[[Path, Path], object]) -> None:
    assert engine.ask(*RUN).code == 0
    move(engine.folder, tmp_path / "renamed")
    engine.folder = tmp_path / "renamed"
    engine.people["2"]["mail"] = "new@example.com"
    engine.save()
    answer = engine.ask("load")
    assert answer.code == 0
    assert "import --full" not in engine.ask(*RUN).err
