"""How long to wait, and at which pace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from metasync.contract import Operation, Quota, Unavailable
from metasync.testing.context import TestContext
from metasync_entra.pace import LATE, UNITS, WRITES, Pace, estimate
from metasync_entra.patience import LONGEST, backoff, retry_after

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17),
        ("2.128", 2.128),
        (" 0.249 ", 0.249),
        ("0", 0),
        ("Wed, 02 Jan 2030 03:04:35 GMT", 30),
        ("Wed, 02 Jan 2030 03:00:00 GMT", 0),
        ("999999999", LONGEST.total_seconds()),
        ("", None),
        (None, None),
        ("soon", None),
        ("-3", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_is_read_in_each_form(header: str | None, seconds: float | None) -> None:
    found = retry_after(header, now=NOW)
    assert (found.total_seconds() if found is not None else None) == seconds


def test_without_a_word_the_wait_doubles_and_ends_somewhere() -> None:
    waits = [backoff(attempt).total_seconds() for attempt in range(30)]
    assert 1.5 <= waits[0] <= 2.0 and 3.0 <= waits[1] <= 4.0
    assert max(waits) <= 150.0


def pace(**more: object) -> tuple[Pace, TestContext]:
    context = TestContext("tenant")
    context.now = NOW
    return Pace(context, published=bool(more.get("published", True)), clock=lambda: NOW), context


def test_a_full_bucket_of_writes_lets_the_published_number_through_at_once() -> None:
    limiter, context = pace()
    for _ in range(150):
        limiter.take(units=20, writes=20)
    assert sum(20 for _ in range(150)) == WRITES
    writes = [why for _, why in context.waits]
    assert all("quota" in why for why in writes)


def test_ten_thousand_writes_take_no_longer_than_the_quota_says() -> None:
    limiter, context = pace()
    for _ in range(500):
        limiter.take(units=0, writes=20)
    assert context.waits
    took = (context.waits[-1][0] - NOW).total_seconds()
    floor = (10_000 - WRITES) / 20
    assert floor * 0.99 <= took <= floor * 1.05


@pytest.mark.parametrize(("users", "units"), [(10, 3500), (49, 3500), (50, 5000), (500, 5000), (501, 8000)])
def test_a_larger_tenant_is_given_more(users: int, units: int) -> None:
    limiter, context = pace()
    limiter.sized(users)
    at_once = units * (1 - LATE / 10)
    limiter.take(units=at_once, writes=0)
    assert not context.waits
    limiter.take(units=1, writes=0)
    assert context.waits


def test_after_a_refusal_nothing_is_sent_before_its_time() -> None:
    limiter, context = pace(published=False)
    limiter.refused(timedelta(seconds=2.128), writes=True)
    limiter.take(units=1, writes=0)
    assert context.waits[0][0] == NOW + timedelta(seconds=2.128)
    assert limiter.now() >= NOW + timedelta(seconds=2.128)


def test_a_crowded_limit_is_heard_before_it_is_met() -> None:
    limiter, context = pace()
    limiter.heard({"x-ms-throttle-limit-percentage": "1.2"})
    for _ in range(2):
        limiter.take(units=UNITS / 4, writes=0)
    assert context.waits


@pytest.mark.parametrize("header", ["", "x", "0.5"])
def test_what_says_nothing_slows_nothing(header: str) -> None:
    limiter, context = pace()
    limiter.heard({"x-ms-throttle-limit-percentage": header})
    limiter.take(units=10, writes=1)
    assert not context.waits


def test_a_pause_beyond_the_deadline_ends_the_run_in_words() -> None:
    context = TestContext("tenant", deadline=NOW + timedelta(seconds=5))
    context.now = NOW
    limiter = Pace(context, published=True, clock=lambda: NOW)
    limiter.refused(timedelta(seconds=60), writes=False)
    with pytest.raises(Unavailable, match="after the run's time is over"):
        limiter.take(units=1, writes=0)


def test_what_one_is_told_all_wait_for_and_go_slower_after() -> None:
    """Also where the pause is made longer while the other one waits for its turn."""
    context = TestContext("tenant")
    context.now = NOW
    one, other = (Pace(context, published=True, name="contoso", clock=lambda: context.now) for _ in range(2))
    for each in (one, other):
        each.take(units=1, writes=1)
    one.refused(timedelta(seconds=2.128), writes=True)
    tell = [lambda: one.refused(timedelta(seconds=30), writes=True)]
    waits = context.wait

    def wait(until: datetime, why: str) -> None:
        waits(until, why)
        if tell:
            tell.pop()()

    context.wait = wait  # type: ignore[method-assign]
    other.take(units=20, writes=20)
    assert context.now >= NOW + timedelta(seconds=32.128)
    assert {why for _, why in context.waits} == {"Microsoft Graph asked for a pause"}
    began = context.now
    for _ in range(10):
        other.take(units=20, writes=20)
    assert (context.now - began).total_seconds() >= 10 * 20 / (WRITES / 150) * 2, "the rate is halved for all"


def test_a_batch_in_which_all_parts_are_refused_is_one_refusal() -> None:
    limiter, context = pace()
    told: list[timedelta] = []
    refused = context.refused

    def tell(quota: Quota, wait: timedelta) -> None:
        told.append(wait)
        refused(quota, wait)

    context.refused = tell  # type: ignore[method-assign]
    for part in range(20):
        limiter.refused(timedelta(seconds=3 + part / 1000), writes=True)
    assert len(told) == 2, "the others are told once for each quota"
    limiter.take(units=20, writes=20)
    assert context.now >= NOW + timedelta(seconds=3.019)


def test_after_a_refusal_the_pace_comes_back_with_answers_that_are_none() -> None:
    limiter, context = pace(published=False)
    for _ in range(300):
        limiter.take(units=20, writes=20)
    assert not context.waits, "at the adaptive pace nobody waits before he is asked to"
    limiter.refused(timedelta(seconds=1), writes=True)
    limiter.take(units=20, writes=20)
    limiter.take(units=20, writes=20)
    slow = len(context.waits)
    assert slow >= 2
    for _ in range(60):
        limiter.heard({})
    for _ in range(100):
        limiter.take(units=20, writes=20)
    assert len(context.waits) <= slow + 1


@pytest.mark.parametrize(
    ("writes", "seconds", "requests"),
    [
        ({Operation.CREATE: 10_000}, 350, "10,000"),
        ({Operation.CREATE: 3_000}, 0, "3,000"),
        ({Operation.CREATE: 2_000, Operation.UPDATE: 2_000, Operation.MEMBER_REMOVE: 500}, 75, "4,500"),
        ({Operation.MEMBER_ADD: 1_000_001}, 2350.05, "50,001"),
    ],
)
def test_how_long_a_plan_takes_is_told_from_the_published_quota(writes: dict[Operation, int], seconds: float, requests: str) -> None:
    found = estimate(writes)
    assert found is not None and found.lasts.total_seconds() == pytest.approx(seconds)
    assert found.words == f"{requests} writes at Microsoft's published quota of 3,000 in 150 seconds"


def test_the_estimate_of_ten_thousand_creates_is_what_the_pace_takes() -> None:
    limiter, context = pace()
    for _ in range(500):
        limiter.take(units=20, writes=20)
    told = estimate({Operation.CREATE: 10_000})
    assert told is not None
    assert (context.now - NOW).total_seconds() == pytest.approx(told.lasts.total_seconds(), rel=0.05)
