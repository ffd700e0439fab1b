"""A directory is written when the document says that it may be, and no faster."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metasync.contract import Kind
from metasync.exporting.pace import Pace
from metasync.exporting.windows import opens, words
from metasync.runs import run as running
from metasync.runs.outcome import Waits
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import DOCUMENT, STAFF, person, target

NIGHT = "Mon-Fri 20:00-06:00 Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-02 12:00", "2026-03-02 19:00"),  # Monday noon: tonight at eight in Berlin
        ("2026-03-02 19:00", None),
        ("2026-03-03 04:59", None),
        ("2026-03-03 05:00", "2026-03-03 19:00"),
        ("2026-03-07 04:00", None),  # Saturday morning is Friday's night
        ("2026-03-07 12:00", "2026-03-09 19:00"),
        ("2026-07-01 12:00", "2026-07-01 18:00"),  # in summer Berlin is two hours ahead
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins(now: str, expected: str | None) -> None:
    assert opens([NIGHT], at(now)) == (at(expected) if expected else None)


@pytest.mark.parametrize(
    ("window", "now", "expected"),
    [
        # From 22:00 to 04:00 takes five hours in the night of 29 March, and seven in that of 25 October.
        ("Sat 22:00-04:00 Europe/Berlin", "2026-03-29 01:59", None),
        ("Sat 22:00-04:00 Europe/Berlin", "2026-03-29 02:00", "2026-04-04 20:00"),
        ("Sat 22:00-04:00 Europe/Berlin", "2026-10-25 02:59", None),
        ("Sat 22:00-04:00 Europe/Berlin", "2026-10-25 03:00", "2026-10-31 21:00"),
        ("Fri-Mon 00:00-24:00 UTC", "2026-03-02 23:59", None),
        ("Fri-Mon 00:00-24:00 UTC", "2026-03-03 00:00", "2026-03-06 00:00"),
    ],
)
def test_it_goes_by_the_clock_on_the_wall(window: str, now: str, expected: str | None) -> None:
    assert opens([window], at(now)) == (at(expected) if expected else None)


def test_without_windows_it_may_always_be_written_and_of_several_the_next_counts() -> None:
    assert opens([], at("2026-03-02 12:00")) is None
    both = [NIGHT, "Mon 13:00-14:00 UTC"]
    assert opens(both, at("2026-03-02 12:00")) == at("2026-03-02 13:00")
    assert "2026-03-02 13:00Z" in words(both, at("2026-03-02 13:00"))


@pytest.fixture
def ad() -> MemoryDirectory:
    return target()


@pytest.fixture
def engine(tmp_path: Path, ad: MemoryDirectory) -> Iterator[Engine]:
    hr = MemoryDirectory()
    person(hr, "Ann Lee")
    made = Engine(tmp_path, DOCUMENT.format(profiles=STAFF), {"hr": hr, "ad": ad})
    yield made
    made.close()


def with_windows(window: str) -> str:
    return DOCUMENT.format(profiles=STAFF).replace("  ad: {connector: memory,", f"  ad: {{connector: memory, windows: ['{window}'],")


def closed_now() -> str:
    """A window that is not open, whenever this test runs."""
    soon = datetime.now(UTC) + timedelta(days=2)
    return f"{soon:%a} 10:00-11:00 UTC"


def test_outside_its_window_a_plan_waits_approved_and_is_written_once_it_is_open(engine: Engine, ad: MemoryDirectory) -> None:
    engine.load(with_windows(closed_now()))
    outcome = running.run(engine.workspace, ["people"], approve=True)
    assert (outcome.state, dict(outcome.waiting), outcome.written) == ("waiting", {1: Waits.WINDOW}, {})
    assert not ad.anchors(Kind.USER)
    again = running.export(engine.workspace, [1])
    assert dict(again.waiting) == {1: Waits.WINDOW}
    engine.load(with_windows("Mon-Sun 00:00-24:00 UTC"))
    assert running.export(engine.workspace, [1]).written == {"confirmed": 1}, "windows are no part of what was approved"


def test_a_window_that_closes_under_way_ends_the_export_in_words(
    engine: Engine, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.load(with_windows("Mon-Sun 00:00-24:00 UTC"))
    monkeypatch.setattr("metasync.exporting.write.opens", lambda *_: at("2026-03-02 19:00"))
    outcome = running.run(engine.workspace, ["people"], approve=True)
    assert "its window closed" in outcome.unwritable["ad"]
    assert not ad.anchors(Kind.USER)
    monkeypatch.undo()
    assert running.export(engine.workspace, [1]).written == {"confirmed": 1}


def test_the_pace_is_that_of_the_document() -> None:
    waited: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0)
            return True

    pace = Pace("50/s")
    pace.wait(100, Stop())
    pace.wait(100, Stop())
    pace.wait(1, Stop())
    assert [round(one) for one in waited] == [2, 4]
    assert Pace(None).wait(10**9, Stop()) == 0
    assert Pace("60/min").wait(1, Stop()) == 0, "the first one need not wait"
