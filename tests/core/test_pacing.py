"""A quota is shared by all who take of it, in whichever process; what one is told holds for all; the database is asked seldom."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from metasync import pacing as module
from metasync.contract import Quota
from metasync.pacing import Pacing
from metasync.store import open_store
from metasync.store import tables as t
from metasync.store.errors import StoreError

QUOTA = Quota(name="contoso/app/writes", rate=20, within=150)
ZERO = timedelta(0)


@pytest.fixture
def backend(bench: Any) -> Any:
    return bench.backend


@contextmanager
def counted(backend: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """How often the database is asked."""
    seen: list[str] = []

    def asking(way: str) -> Any:
        plain = getattr(type(backend), way)

        def ask(self: Any, *more: Any, **named: Any) -> Any:
            seen.append(way)
            return plain(self, *more, **named)

        return ask

    with monkeypatch.context() as patched:
        for way in ("read", "write"):
            patched.setattr(type(backend), way, asking(way))
        yield seen


def test_two_workers_share_one_quota(backend: Any) -> None:
    """Each takes half of what is there; the next one waits for what comes in."""
    one, other = Pacing(), Pacing()
    for each in (one, other) * 2:
        assert each.reserve(backend, "entra", QUOTA, 740).wait == ZERO
    waits = [each.reserve(backend, "entra", QUOTA, 100).wait.total_seconds() for each in (one, other, one)]
    assert waits[0] == pytest.approx(3, abs=2) and waits[1] - waits[0] == pytest.approx(5, abs=1), waits
    assert waits[2] - waits[1] == pytest.approx(5, abs=1), waits
    assert one.reserve(backend, "entra", Quota(name="another", rate=20, within=150), 3000).wait == ZERO


def test_two_connectors_that_call_their_quotas_alike_share_nothing(backend: Any) -> None:
    pace = Pacing()
    pace.refused(backend, "graph", QUOTA, timedelta(seconds=30))
    assert pace.reserve(backend, "entra", QUOTA, 1).wait == ZERO


def test_whoever_is_refused_holds_all_for_as_long_and_what_was_saved_is_gone(backend: Any) -> None:
    one, other = Pacing(), Pacing()
    assert one.reserve(backend, "entra", QUOTA, 1).wait == other.reserve(backend, "entra", QUOTA, 1).wait == ZERO
    one.refused(backend, "entra", QUOTA, timedelta(seconds=2.128))
    time.sleep(module.FRESH)  # the time that is promised: so long the other one need not have heard of it
    turn = other.reserve(backend, "entra", QUOTA, 20)
    assert timedelta(seconds=2.128 - module.FRESH - 2) + timedelta(seconds=1) <= turn.wait
    assert turn.wait.total_seconds() == pytest.approx(2.128 - module.FRESH + 1, abs=0.5)
    assert (turn.refusals, turn.left) == (1, 0)
    mine = one.reserve(backend, "entra", QUOTA, 20)
    assert mine.wait > turn.wait and mine.refusals == 1


def test_a_pause_that_grows_is_seen_by_whoever_waits(backend: Any) -> None:
    one, other = Pacing(), Pacing()
    one.refused(backend, "entra", QUOTA, timedelta(seconds=1))
    turn = other.reserve(backend, "entra", QUOTA, 20)
    one.refused(backend, "entra", QUOTA, timedelta(seconds=30))
    again = other.reserve(backend, "entra", QUOTA, 0)
    assert again.refusals == turn.refusals + 1
    assert again.wait > timedelta(seconds=28)
    one.refused(backend, "entra", QUOTA, timedelta(seconds=1))
    assert other.reserve(backend, "entra", QUOTA, 0).wait > timedelta(seconds=28), "a shorter pause does not end a longer one"


def test_far_from_the_limit_the_database_is_asked_seldom(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pace, quota = Pacing(), Quota(name="units", rate=800, within=10)
    pace.reserve(backend, "entra", quota, 1)
    with counted(backend, monkeypatch) as asked:
        began = time.monotonic()
        for _ in range(300):
            assert pace.reserve(backend, "entra", quota, 1).wait == ZERO
        lasted = time.monotonic() - began
    assert len(asked) <= 1 + lasted / module.FRESH, (asked, lasted)


def test_after_a_refusal_nothing_is_taken_unseen(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pacing()
    pace.refused(backend, "entra", QUOTA, ZERO)
    with counted(backend, monkeypatch) as asked:
        for _ in range(3):
            pace.reserve(backend, "entra", QUOTA, 1)
    assert asked == ["write"] * 3


def test_what_was_saved_and_not_used_is_there_for_others(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH", 0.0)
    pace = Pacing()
    for _ in range(50):
        turn = pace.reserve(backend, "entra", QUOTA, 1)
    assert turn.left >= 3000 - 50 - 150 - 1, "fifty were taken, and one portion is kept"


def test_a_database_that_is_away_lets_little_through_and_fails_nothing(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what this process was told itself still holds."""

    @contextmanager
    def away(*_: Any, **__: Any) -> Iterator[None]:
        raise StoreError("the database is away")
        yield

    pace = Pacing()
    with monkeypatch.context() as patched:
        patched.setattr(type(backend), "write", away)
        patched.setattr(type(backend), "read", away)
        waits = [pace.reserve(backend, "entra", QUOTA, 20).wait.total_seconds() for _ in range(4)]
        assert waits == pytest.approx([0, 4, 8, 12], abs=0.5), "a quarter of the rate, and nothing at once"
        pace.refused(backend, "entra", QUOTA, timedelta(seconds=60))
        assert pace.reserve(backend, "entra", QUOTA, 20).wait > timedelta(seconds=59)
    monkeypatch.setattr(module, "AGAIN", 0.0)
    for known in pace._known.values():
        known.away_until = 0.0
    assert pace.reserve(backend, "entra", QUOTA, 20).wait > timedelta(seconds=59), "also once the database is back"


def test_a_lane_that_is_busy_holds_up_nobody_who_paces(postgres_url: str) -> None:
    """A plan of many changes is frozen in one transaction; on a server, requests go on meanwhile."""
    backend = open_store(postgres_url)
    entered, leave = threading.Event(), threading.Event()

    def freeze() -> None:
        with backend.in_lane(1).write():
            entered.set()
            leave.wait(20)

    thread = threading.Thread(target=freeze)
    thread.start()
    try:
        assert entered.wait(10)
        began = time.monotonic()
        Pacing().reserve(backend.in_lane(1), "entra", QUOTA, 20)
        assert time.monotonic() - began < 5
    finally:
        leave.set()
        thread.join()
        backend.close()


TAKES = """
import sys, time
from metasync.contract import Quota
from metasync.pacing import Pacing
from metasync.store import open_store
backend, pace = open_store(sys.argv[1]), Pacing()
quota, amount = Quota(name="shared", rate=100, within=1), 0
end = time.time() + 3
while time.time() < end:
    wait = pace.reserve(backend, "entra", quota, 10).wait.total_seconds()
    if time.time() + wait > end:
        break
    time.sleep(wait)  # what the pace asks for
    amount += 10
print(amount)
"""


def test_two_processes_together_take_no_more_than_the_quota(bench: Any, tmp_path: Path) -> None:
    backend = bench.backend
    url = backend.url if backend.dialect == "sqlite" else backend._writing.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", TAKES, url]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    began = time.monotonic()
    amounts = [int(one.communicate(timeout=60)[0]) for one in running]
    lasted = min(time.monotonic() - began, 60.0)
    assert all(one.returncode == 0 for one in running) and min(amounts) > 0
    assert sum(amounts) <= 100 * (1 + lasted) + 20, (amounts, lasted)


def test_the_name_of_a_quota_may_be_long(bench: Any) -> None:
    quota = Quota(name="x" * 500, rate=1, within=1)
    Pacing().refused(bench.backend, "entra", quota, timedelta(seconds=9))
    assert Pacing().reserve(bench.backend, "entra", quota, 0).wait > timedelta(seconds=8)
    with bench.backend.read() as connection:
        assert [len(row.name) <= 200 for row in connection.execute(select(t.lease))] == [True]


def test_a_connector_of_the_engine_shares_by_its_kind(bench: Any) -> None:
    with bench.workspace.connector("fabrikam") as connector:
        connector.context.refused(QUOTA, timedelta(seconds=9))
    with bench.workspace.connector("hr") as connector:
        assert connector.context.reserve(QUOTA, 1).wait > timedelta(seconds=8)
