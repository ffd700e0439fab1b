"""Several processes at one tenant: what Graph asks one of them to wait, all wait, and together they take no more than the quota."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from metasync.contract import DirectorySettings, Outcome, Quota, Turn
from metasync.store import open_store
from metasync_entra.connector import EntraID
from metasync_entra.lab import Lab
from metasync_entra.options import EntraOptions
from metasync_entra.pace import Pace

from .conftest import MARK, Directory, MovingContext, options_for

HEARD = 1.0
"""Seconds within which the others have heard: half a second for what they took before, and what the machine needs."""
WORKER = """
import json, sys, time
from datetime import UTC, datetime
from metasync.pacing import Pacing
from metasync.store import open_store
from metasync.testing.context import TestContext
from metasync_entra import calls
from metasync_entra.connector import EntraID
from metasync_entra.options import EntraOptions

class Shared(TestContext):
    def wait(self, until, why):
        super().wait(until, why)
        time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))  # as long as it takes

    def reserve(self, quota, amount):
        return pacing.reserve(backend, "entra", quota, amount)

    def refused(self, quota, wait):
        pacing.refused(backend, "entra", quota, wait)

number, url, options = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
backend, pacing = open_store(url), Pacing()
connector = EntraID(EntraOptions().load(options), Shared("contoso"))
one = calls.get(f"/users?$select=id&$top={number}")
sys.stdin.read(1)
while True:
    assert connector.session.ask(one).status == 200
    assert all(answer.status == 200 for answer in connector.session.batched([one, one]))
    time.sleep(0.05)  # far from any limit
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    found = f"sqlite:///{tmp_path / 'shared.db'}"
    open_store(found).close()
    return found


@contextmanager
def workers(lab: Lab, url: str, number: int) -> Iterator[None]:
    """So many processes that ask all the time, each for as many users as its number says."""
    command = [sys.executable, "-c", WORKER]
    running = [
        subprocess.Popen([*command, str(each), url, json.dumps(options_for(lab, pace="adaptive"))], stdin=subprocess.PIPE)
        for each in range(1, number + 1)
    ]
    try:
        for one in running:
            assert one.stdin is not None
            one.stdin.write(b"x")
            one.stdin.flush()
        yield
        assert [one.poll() for one in running] == [None] * number, "a worker ended"
    finally:
        for one in running:
            one.kill()
            one.communicate()


def asked(lab: Lab) -> list[dict[str, Any]]:
    return [one for one in lab.control.trace() if one["path"].endswith("/users")]


def until(found: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)  # between two looks at the record of another process


def both(lab: Lab, after: float) -> bool:
    return {one["query"].get("$top") for one in asked(lab) if one["seconds"] > after} == {"1", "2"}


def test_what_one_process_is_told_no_other_one_sends_before(lab: Lab, url: str) -> None:
    """In each form: decimals, inside of a batch, and without a word, where it is two seconds at first."""
    lab.control.trace(on=True)
    forms: list[tuple[str | None, bool, float]] = [("3.25", False, 3.25), ("4", True, 4.0), ("", False, 1.5), (None, True, 1.5)]
    with workers(lab, url, 2):
        after = 0.0
        for retry_after, in_batch, least in forms:
            until(lambda after=after: both(lab, after))
            lab.control.fault("status", status=429, retry_after=retry_after, path="/users", in_batch=in_batch)
            until(lambda after=after: any(one["status"] == 429 and one["seconds"] > after for one in asked(lab)))
            refused = next(one["seconds"] for one in asked(lab) if one["status"] == 429 and one["seconds"] > after)
            until(lambda refused=refused: both(lab, refused + HEARD))
            early = [one["seconds"] - refused for one in asked(lab) if refused + HEARD < one["seconds"] < refused + least]
            assert early == [], f"Retry-After {retry_after!r}"
            after = refused + least
    assert sum(one["status"] == 429 for one in asked(lab)) == len(forms)


def at_its_clock(context: MovingContext) -> EntraID:
    """A connector that looks at no other clock than the context's, which goes on by waits alone; so does the tenant's."""
    context.lab.control.clock(freeze=True)
    connector = EntraID(EntraOptions().load(options_for(context.lab)), context)
    connector.session.pace = Pace(context, published=True, clock=lambda: context.now)
    return connector


def test_two_workers_at_the_published_pace_are_refused_nothing_and_take_what_the_quota_says(lab: Lab) -> None:
    """Both wait by one clock, which is the tenant's. Each by itself would take twice what there is."""
    context = MovingContext(lab, settings=DirectorySettings(mark=MARK))
    both = [at_its_clock(context) for _ in range(2)]
    directory = Directory(both[0], lab)
    directory.make("first")
    lab.control.seed(users=600)
    lab.control.set(throttle=True)
    number, start = 3600, lab.control.clock()
    for at in range(0, number, 100):
        directory.connector = both[at // 100 % 2]
        results = directory.write(*(directory.create(f"user{at + each}") for each in range(100)))
        assert [result.outcome for result in results] == [Outcome.APPLIED] * 100
    took = lab.control.clock() - start
    assert lab.control.stats()["statuses"].get("429", 0) == 0
    assert (number - 3000) / 20 * 0.95 <= took <= (number - 3000) / 20 * 1.05
    for one in both:
        one.close()


class SlowFirst(MovingContext):
    """The first write is on its way for longer than all that follow."""

    on_its_way = 0.7
    first = True

    def reserve(self, quota: Quota, amount: float) -> Turn:
        turn = super().reserve(quota, amount)
        if self.first and amount and quota.name.endswith("/writes"):
            self.first = False
            self.wait(self.now + timedelta(seconds=self.on_its_way), "it is on its way")
        return turn


def test_nobody_is_refused_because_an_early_request_was_on_its_way_for_longer_than_later_ones(lab: Lab) -> None:
    """The tenant's quota fills up again from when the first request arrives, ours from when it was sent."""
    connector = at_its_clock(SlowFirst(lab, settings=DirectorySettings(mark=MARK)))
    directory = Directory(connector, lab)
    lab.control.set(throttle=True)
    for at in range(0, 3200, 100):
        results = directory.write(*(directory.create(f"user{at + each}") for each in range(100)))
        assert [result.outcome for result in results] == [Outcome.APPLIED] * 100
    assert lab.control.stats()["statuses"].get("429", 0) == 0
    connector.close()
