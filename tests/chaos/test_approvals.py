"""Whoever approves is late, or is not alone: what was looked at is what is written, once, or nothing is (I3)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from metasync import service
from metasync.contract import MetasyncError
from metasync.store.tables import approval
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import person, profile

from . import judge
from .forks import Stable
from .site import RUN
from .sites import CsvSite

USAGE = 2


@pytest.fixture
def site(tmp_path: Path, stable: Stable, database: str) -> Iterator[CsvSite]:
    """Plan 1 waits for approval. On both stores: one takes turns by itself, the other must be told to."""
    made = CsvSite(tmp_path / "site", stable, database if database.startswith("postgresql") else "")
    made.begin(20)
    made("import")
    made("plan")
    yield made
    made.close()


def approvals(site: CsvSite) -> int:
    with site.database() as connection:
        return int(connection.execute(select(func.count()).select_from(approval)).scalar_one())


def test_of_several_who_approve_at_once_one_does_and_the_others_are_told(site: CsvSite) -> None:
    programs = [site.start("approve", "1", "--reason", f"person {number}") for number in range(4)]
    answers = [site.heard(program) for program in programs]
    assert sorted(one.code for one in answers) == [0, USAGE, USAGE, USAGE]
    assert all("approved" in one.err for one in answers if one.code)
    assert approvals(site) == 1


def test_a_second_click_on_export_finds_nothing_to_do(site: CsvSite) -> None:
    site("approve", "1", "--reason", "a test")
    programs = [site.start("export", "1") for _ in range(3)]
    assert {site.heard(program).code for program in programs} <= {0, 4}
    assert site.ask("export", "1").code == 0
    assert site.ask(*RUN).code == 0
    assert judge.at_rest(site) == []


@pytest.mark.parametrize("when", ["before the approval", "before the export"])
def test_a_document_that_changed_after_the_review_asks_for_another_one(site: CsvSite, when: str) -> None:
    if when == "before the export":
        site("approve", "1", "--reason", "a test")
    site.written.write_text(site.document.replace("mail: source.mail", "mail: source.name"), encoding="utf-8")
    refused = site.ask("approve", "1", "--reason", "late") if when == "before the approval" else site.ask("export", "1")
    assert refused.code == USAGE and "load" in refused.err, "it was not even loaded"
    site("load")
    refused = site.ask("approve", "1", "--reason", "late") if when == "before the approval" else site.ask("export", "1")
    assert refused.code == USAGE and "changed" in refused.err, refused
    assert site.listed() == []


def test_a_plan_that_gave_way_while_somebody_looked_at_it_is_not_approved(site: CsvSite) -> None:
    site.people["2"]["name"] = "Somebody Else"
    site.save()
    site("import")
    site("plan")
    refused = site.ask("approve", "1", "--reason", "from an old page")
    assert refused.code == USAGE and "gave way to a newer plan" in refused.err
    assert approvals(site) == 0


def test_threads_of_one_service_approve_once(tmp_path: Path, database: str) -> None:
    """As a page's server does it."""
    hr, ad = MemoryDirectory(), MemoryDirectory()
    from metasync.contract import Kind
    from metasync.testing.staff import BASE, DOCUMENT

    ad.add(Kind.CONTAINER, name="People", path=BASE)
    engine = Engine(tmp_path, DOCUMENT.format(profiles=profile()), {"hr": hr, "ad": ad}, url=database)
    for number in range(5):
        person(hr, f"Person {number}")
    engine.import_()
    engine.plan()
    assert engine.last is not None
    [plan] = engine.last.plans

    def click(number: int) -> bool:
        try:
            service.approve(engine.workspace, plan, reason=f"click {number}")
        except MetasyncError as error:
            assert "approved" in str(error)
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(click, range(8))) == [False] * 7 + [True]
    engine.close()
