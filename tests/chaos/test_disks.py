"""The disk of the database is full, cannot be written, or is damaged: the run ends in words, and nobody goes for it (I1, I4)."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from system.product import Answer

from . import judge
from .forks import Stable
from .site import RUN
from .sites import CsvSite
from .size import sized

PAGE = 4096
INTERNAL = 5
DAMAGED = sized(12, 200)
"""So many pages of the database are damaged, one at a time."""


@pytest.fixture
def site(tmp_path: Path, stable: Stable) -> CsvSite:
    """In step."""
    return in_step(CsvSite(tmp_path / "site", stable))


def in_step(site: CsvSite, people: int = 30) -> CsvSite:
    site.begin(people)
    assert site.ask(*RUN).code == 0
    assert judge.at_rest(site) == []
    return site


def in_words(answer: Answer, *words: str) -> bool:
    """It says what is wrong, and is no internal error."""
    return answer.code not in (0, INTERNAL) and "internal error" not in answer.err and any(one in answer.err for one in words)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 32 megabytes: what SQLite writes ahead takes 16 of them before it is worked in."""
    if os.geteuid() != 0:
        pytest.skip("a file system of its own needs root")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "metasync-test", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_ends_the_run_in_words_and_everything_that_was_done_stands(tmp_path: Path, stable: Stable) -> None:
    with small_disk(tmp_path / "disk") as disk:
        site = in_step(CsvSite(disk / "site", stable), people=10)
        before = site.listed()
        rest = os.statvfs(disk)
        (disk / "filler").write_bytes(bytes((rest.f_bavail - 20) * rest.f_bsize))
        for number in range(11, 300):
            site.hire(number)
        site.save()
        answer = site.ask(*RUN)
        assert in_words(answer, "is full", "No space left", "failed"), answer
        assert [row for row in site.listed() if row in before] == before, "nobody who was there has gone"
        (disk / "filler").unlink()
        assert site.ask(*RUN).code == 0
        assert judge.at_rest(site) == []


def test_a_disk_that_takes_no_longer_file_is_told_in_words(site: CsvSite) -> None:
    """What a quota does, for whoever is not root too."""
    for number in range(31, 400):
        site.hire(number)
    site.save()
    most = (site.folder / "metasync.db").stat().st_size + 8 * PAGE
    answer = site.ask(*RUN, limits={"RLIMIT_FSIZE": most})
    assert in_words(answer, "is full", "File too large", "the disk that holds"), answer
    assert site.ask(*RUN).code == 0
    assert judge.at_rest(site) == []


def test_a_database_that_cannot_be_written_is_named_and_nothing_moves(tmp_path: Path, stable: Stable) -> None:
    with small_disk(tmp_path / "disk") as disk:
        site = in_step(CsvSite(disk / "site", stable), people=10)
        site.hire(11)
        site.save()
        before = site.listed()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        answer = site.ask(*RUN)
        assert in_words(answer, "cannot be written", "cannot be opened", "Read-only"), answer
        assert site.listed() == before
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert site.ask(*RUN).code == 0
        assert judge.at_rest(site) == []


def test_whichever_page_is_damaged_it_is_told_in_words_and_nobody_goes_for_it(site: CsvSite) -> None:
    """At the first touch, or by the doctor; never as another mistake, and never as if somebody had left."""
    database = site.folder / "metasync.db"
    whole, before = database.read_bytes(), site.listed()
    staff = site.staff.read_bytes()
    pages = range(len(whole) // PAGE)
    dice = random.Random(3)
    told = 0
    for page in dice.sample(pages, min(DAMAGED, len(pages))):
        damaged = bytearray(whole)
        damaged[page * PAGE : (page + 1) * PAGE] = dice.randbytes(PAGE)
        for path in site.folder.glob("metasync.db-*"):
            path.unlink()
        database.write_bytes(damaged)
        answer = site.ask(*RUN)
        found = "damaged" in answer.err
        assert "internal error" not in answer.err, (page, answer)
        assert found or answer.code == 0, (page, answer)
        assert site.listed() == before, (page, answer)
        told += found or "damaged" in (doctor := site.ask("doctor")).out + doctor.err
        site.staff.write_bytes(staff)
    assert told > DAMAGED // 3, "most pages hold something"
    for path in site.folder.glob("metasync.db-*"):
        path.unlink()
    database.write_bytes(whole)
    assert site.ask(*RUN).code == 0
