"""When a profile is due: from start to start, after the last, by cron lines through changes of clocks, and after nobody was there."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metasync.contract import Kind
from metasync.lease import LeaseLost
from metasync.runs import schedule, scheduler, working
from metasync.runs.installation import Installation
from metasync.runs.schedule import Last
from metasync.runs.scheduler import OneIsActive, SchedulerLease
from metasync.store import leases, queue
from metasync.store import runs as rows
from metasync.store.errors import StoreError
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, STAFF, person
from metasync.workspace import Workspace

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY = {"every": 900}
AFTER = {"after": 900}


def cron(line: str, zone: str = "Europe/Berlin", missed: str = "run once") -> dict[str, str]:
    return {"cron": line, "zone": zone, "missed": missed}


def test_a_new_rule_is_due_at_once_and_a_cron_line_at_its_time() -> None:
    assert schedule.first(EVERY, NOW) == schedule.first(AFTER, NOW) == NOW
    assert schedule.first(cron("0 6 * * 1-5"), NOW) == datetime(2026, 3, 3, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize(("late", "next_in"), [(0, 15), (1, 14), (14, 1), (15, 15), (200, 10)])
def test_every_keeps_its_beat_and_makes_up_for_one_missed_start(late: int, next_in: int) -> None:
    planned = NOW - late * MINUTE
    assert schedule.following(EVERY, Last(planned=planned, ended=None), NOW) == NOW + next_in * MINUTE


def test_after_the_last_counts_from_the_end() -> None:
    assert schedule.following(AFTER, Last(planned=NOW, ended=None), NOW) is None
    assert schedule.following(AFTER, Last(planned=NOW, ended=NOW - MINUTE), NOW) == NOW + 14 * MINUTE


@pytest.mark.parametrize(
    ("line", "after", "times"),
    [
        # The hour from 2 to 3 is left out on 29 March 2026, and comes twice on 25 October.
        ("30 2 * * *", datetime(2026, 3, 28, 12, tzinfo=UTC), ["03-29 01:00", "03-30 00:30"]),
        ("30 2 * * *", datetime(2026, 10, 24, 12, tzinfo=UTC), ["10-25 00:30", "10-26 01:30"]),
        ("0 * * * *", datetime(2026, 10, 24, 23, 30, tzinfo=UTC), ["10-25 00:00", "10-25 01:00", "10-25 02:00"]),
        ("0 6 * * 1-5", datetime(2026, 3, 27, 12, tzinfo=UTC), ["03-30 04:00", "03-31 04:00"]),
        ("0 0 29 2 *", datetime(2026, 3, 1, tzinfo=UTC), ["02-28 23:00"]),
    ],
)
def test_a_cron_line_goes_by_the_clock_on_the_wall(line: str, after: datetime, times: list[str]) -> None:
    found = []
    for _ in times:
        due = schedule.following(cron(line), Last(planned=after, ended=None), after)
        assert due is not None
        after = due
        found.append(f"{after:%m-%d %H:%M}")
    assert found == times


def test_a_missed_start_is_made_up_for_or_passed_over_as_the_document_says() -> None:
    assert not schedule.missed(cron("0 6 * * *"), NOW - timedelta(hours=3), NOW)
    assert schedule.missed(cron("0 6 * * *", missed="skip"), NOW - timedelta(hours=3), NOW)
    assert not schedule.missed(cron("0 6 * * *", missed="skip"), NOW - MINUTE, NOW), "the scheduler was restarted"


class Clock:
    """Time as the scheduler is told it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        with workspace.backend.read() as connection:
            self.now = workspace.backend.now(connection)

    def tick(self, minutes: float = 0) -> list[str]:
        self.now += minutes * MINUTE
        return scheduler.tick(self.workspace, self.now)

    def drain(self) -> None:
        while True:
            with self.workspace.backend.read() as connection:
                found = queue.runnable(connection, self.workspace.engagement_id, now=self.workspace.backend.now(connection))
            if not found:
                return
            working.work(self.workspace, found[0].id, found[0].nonce)

    def runs(self) -> list[rows.RunRow]:
        with self.workspace.backend.read() as connection:
            return rows.newest(connection, self.workspace.engagement_id)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    hr, ad = MemoryDirectory(), MemoryDirectory()
    person(hr, "Ann Lee")
    ad.add(Kind.CONTAINER, name="People", path=BASE)
    made = Engine(tmp_path, DOCUMENT.format(profiles=STAFF), {"hr": hr, "ad": ad})
    yield made
    made.close()


def clock_of(engine: Engine, people: str, groups: str = "") -> Clock:
    text = STAFF.replace("    kind: user\n", f"    kind: user\n    approval: never\n    schedule: {people}\n")
    if groups:
        text = text.replace("    kind: group\n", f"    kind: group\n    schedule: {groups}\n")
    engine.load(DOCUMENT.format(profiles=text))
    return Clock(replace(engine.workspace, dispatch="database"))


def test_what_is_due_together_is_one_run_and_is_not_begun_again_while_it_is_under_way(engine: Engine) -> None:
    clock = clock_of(engine, "every 15 minutes", "every 30 minutes")
    assert sorted(clock.tick()) == ["groups", "people"]
    assert clock.tick(1) == []
    assert clock.tick(15) == [], "it is still under way"
    clock.drain()
    assert clock.tick() == ["people"], "one start is made up for"
    clock.drain()
    assert clock.tick() == []
    assert sorted(clock.tick(14)) == ["groups", "people"]
    newest, *_ = clock.runs()
    assert (newest.author, newest.state) == ("schedule", "queued")


def test_after_nobody_was_there_for_hours_it_is_begun_once(engine: Engine) -> None:
    clock = clock_of(engine, "every 15 minutes")
    assert clock.tick() == ["people"]
    clock.drain()
    assert clock.tick(600) == ["people"]
    clock.drain()
    assert clock.tick(1) == []
    assert len(clock.runs()) == 2


def test_after_the_last_is_due_so_long_behind_the_end(engine: Engine) -> None:
    clock = clock_of(engine, "15 minutes after the last")
    assert clock.tick() == ["people"]
    assert clock.tick(60) == []
    clock.drain()
    clock.now = clock.runs()[0].finished or clock.now
    assert clock.tick(14) == []
    assert clock.tick(1) == ["people"]


def test_a_paused_profile_is_not_due_and_a_rule_that_changed_begins_anew(engine: Engine) -> None:
    clock = clock_of(engine, "every 15 minutes")
    with engine.backend.write() as connection:
        rows.set_paused(connection, clock.workspace.engagement_id, ["people"], True)
    assert clock.tick() == []
    with engine.backend.write() as connection:
        rows.set_paused(connection, clock.workspace.engagement_id, ["people"], False)
    assert clock.tick() == ["people"]
    clock.drain()
    assert clock.tick(1) == []
    assert clock_of(engine, "every 20 minutes").tick() == ["people"]


def test_a_missed_start_that_shall_be_skipped_waits_for_the_next_one(engine: Engine) -> None:
    clock = clock_of(engine, '{cron: "0 6 * * *", missed: skip}')
    clock.now = datetime(2030, 1, 1, 5, 0, tzinfo=UTC)
    assert clock.tick() == []
    assert clock.tick(180) == [], "it is eight o'clock, and nobody was there at six"
    assert clock.tick(22 * 60) == ["people"]


def test_a_scheduler_that_stood_still_and_was_taken_over_from_puts_nothing_on_the_queue(engine: Engine) -> None:
    clock = clock_of(engine, "every 15 minutes")
    name = engine.workspace.engagement.name
    with SchedulerLease(engine.backend, name) as mine:
        workspace = replace(clock.workspace, backend=engine.backend.guarded(mine.check))
        with engine.backend.write() as connection:
            leases.take(connection, f"scheduler/{name}", owner="elsewhere:1:1", until=engine.backend.now(connection) + MINUTE)
        with pytest.raises(LeaseLost):
            scheduler.tick(workspace)
        with pytest.raises(OneIsActive, match="takes over when it ends"), SchedulerLease(engine.backend, name):
            pass
        with SchedulerLease(engine.backend, "another"):
            pass  # of the same database
    assert clock.runs() == []


def test_the_log_says_what_was_put_on_the_queue_and_what_was_missed(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "metasync.runs.scheduler")
    clock = clock_of(engine, "every 15 minutes", '{cron: "0 6 * * *", missed: skip}')
    clock.now = datetime(2030, 1, 1, 5, 0, tzinfo=UTC)
    assert clock.tick() == ["people"]
    assert clock.tick(180) == []
    assert caplog.messages == [
        "put run 1 of people on the queue",
        "groups was to begin at 2030-01-01 06:00:00+00:00, which was missed; it waits for the next time, as its schedule says",
    ]


def test_a_scheduler_says_once_that_another_one_is_active_and_when_it_takes_over(
    engine: Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are started by mistake, or one of them on another machine to take over."""
    caplog.set_level(logging.INFO, "metasync.runs.scheduler")
    clock = clock_of(engine, "every 15 minutes")
    stop = Rounds(4)
    monkeypatch.setattr(scheduler, "Installation", lambda *_: Opened(clock.workspace))
    with engine.backend.write() as connection:
        name = f"scheduler/{engine.workspace.engagement.name}"
        fence = leases.take(connection, name, owner="elsewhere:12:1", until=engine.backend.now(connection) + MINUTE)
    stop.at[2] = lambda: give_back(engine, name, fence)
    scheduler.serve([], stop)
    first, *later = caplog.messages
    assert first == "the scheduler of process 12 on elsewhere is active; this one takes over when it ends"
    assert later == ["this scheduler is active", "put run 1 of people on the queue"]


def give_back(engine: Engine, name: str, fence: int) -> None:
    with engine.backend.write() as connection:
        leases.forget(connection, name, fence=fence)


class Rounds(threading.Event):
    """Set after so many looks of the scheduler, with something done between two of them."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count
        self.at: dict[int, Callable[[], None]] = {}

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        self.at.get(self.left, lambda: None)()
        if self.left == 0:
            self.set()
        return self.is_set()


class Opened:
    """An installation of one engagement, which is open."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def workspaces(self) -> list[Workspace]:
        return [self.workspace]

    def trying(self, workspace: Workspace) -> AbstractContextManager[None]:
        return nullcontext()

    def sweep(self, workspace: Workspace) -> None:
        """Nobody is to be told."""

    def close(self) -> None:
        """It is somebody else's."""


def test_a_scheduler_that_is_asked_to_end_while_the_database_is_away_ends_well(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()

    def away(self: SchedulerLease, connection: object, at: object) -> None:
        raise StoreError("the server cannot be reached")

    def asked(self: Installation) -> list[Workspace]:
        stop.set()
        return [engine.workspace]

    monkeypatch.setattr(SchedulerLease, "_give_back", away)
    monkeypatch.setattr(Installation, "workspaces", asked)
    scheduler.serve([], stop)
    assert "cannot be reached; another scheduler takes over" in caplog.text
