"""One limiter for all that is sent to a tenant, by whichever worker: two quotas as published, narrowed by what Graph's answers say.

Who takes how much is kept where all workers see it (`Context.reserve`), and so is what Graph asked one of them to wait.

Quotas of one application in one tenant (https://learn.microsoft.com/graph/throttling-limits, identity and access): resource units by
the tenant's size in ten seconds, 3,000 writes in 150 seconds. A request of ours that is refused counts all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from metasync.contract import Context, Estimate, Operation, Quota, Turn, Unavailable

UNITS, UNITS_WITHIN = 3500, 10.0
"""Of a small tenant: how large ours is, is not known before its users are counted."""
_SIZES = ((500, 8000), (49, 5000))
"""With more users than this, so many."""
WRITES, WRITES_WITHIN = 3000, 150.0
LATE = 1.0
"""Seconds by which a request may take longer than a later one until it counts: Graph's quota fills up again from when the first arrives,
ours from when it is sent, so that so much of it is kept back."""
MEMBERS = 20
"""Of one write."""
_CROWDED = 0.8
"""From this part of a limit on, Graph tells how near it is (x-ms-throttle-limit-percentage)."""
_NARROW, _WIDEN, _NARROWEST = 0.5, 0.02, 0.125
"""The part of a quota that is used: halved at each refusal, and a little more with each answer that is none (additive increase,
multiplicative decrease)."""
_MATTERS, _NEVER_MIND = 0.05, timedelta(milliseconds=1)
_FREE = 1e9
"""As much as anybody can send in a second."""
_SLACK = timedelta(seconds=0.25)
"""What the parts of one batch are told differs by a moment: that is told to the others once."""
_PAUSE, _USED_UP = "Microsoft Graph asked for a pause", "the tenant's quota of requests is used up"


class _Bucket:
    """One quota, and how much of it is used."""

    def __init__(self, name: str, size: float, within: float) -> None:
        self.name, self.size, self.within = name, size, within
        self.width = 1.0
        self.seen: int | None = None
        """The refusals that were counted when it was looked at last."""

    def quota(self, *, published: bool) -> Quota:
        """As it may be used now."""
        rate = self.size / self.within * self.width if published or self.width < 1 else _FREE
        return Quota(name=self.name, rate=rate, within=self.within - LATE)

    def narrow(self) -> None:
        """Slower."""
        self.width = max(_NARROWEST, self.width * _NARROW)

    def counted(self, turn: Turn) -> bool:
        """Was somebody refused since?"""
        before, self.seen = self.seen, turn.refusals
        return before is not None and turn.refusals > before


class Pace:
    """Asked before each request, told of each answer. It belongs to one thread; what it does there is wait, visibly."""

    def __init__(
        self, context: Context, *, published: bool, name: str = "", clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`name`: whose quota it is, such as tenant and application."""
        self._context, self._published, self._clock = context, published, clock
        self._waited = clock()
        """How far we waited: a context of tests waits without time passing."""
        self._units = _Bucket(f"{name}/units", UNITS, UNITS_WITHIN)
        self._writes = _Bucket(f"{name}/writes", WRITES, WRITES_WITHIN)
        self._closed = self._told = datetime.min.replace(tzinfo=UTC)
        """No call before that: Graph said so; and until when the others know."""

    def now(self) -> datetime:
        """The time, no earlier than what was waited for."""
        return max(self._clock(), self._waited)

    def sized(self, users: int) -> None:
        """How many users the tenant has: larger ones are given more."""
        self._units.size = next((units for above, units in _SIZES if users > above), UNITS)

    def take(self, *, units: float, writes: float) -> None:
        """Wait until a request of this cost may go. Raises `Stopped`, and `Unavailable` where the run's time does not suffice."""
        if self._closed > self.now():
            self.until(self._closed, _PAUSE)
        for bucket, amount in ((self._writes, writes), (self._units, units)):
            if amount:
                self._turn(bucket, amount)

    def _turn(self, bucket: _Bucket, amount: float) -> None:
        """Our turn comes; should somebody be refused until then, it comes later."""
        quota = bucket.quota(published=self._published)
        turn = self._context.reserve(quota, amount)
        while True:
            grew = bucket.counted(turn)
            if grew:
                bucket.narrow()
            if turn.wait < _NEVER_MIND:
                return
            self.until(self.now() + turn.wait, _PAUSE if grew else _USED_UP)
            again = self._context.reserve(quota, 0)
            if again.refusals == turn.refusals:
                return
            turn = again

    def heard(self, headers: Mapping[str, str]) -> None:
        """What an answer says of the limits."""
        try:
            used = float(headers.get("x-ms-throttle-limit-percentage") or 0)
        except ValueError:
            return
        for bucket in (self._units, self._writes):
            if used > 1:
                bucket.narrow()
            else:
                bucket.width = min(1.0, bucket.width + _WIDEN)
        if used >= _CROWDED:
            quota = self._units.quota(published=True)
            beyond = self._context.reserve(quota, 0).left - quota.rate * quota.within * max(0.0, 1 - used)
            if beyond > quota.rate * quota.within * _MATTERS:
                self._context.reserve(quota, beyond)

    def refused(self, wait: timedelta, *, writes: bool) -> None:
        """Graph refused for too many requests: no worker sends anything for so long, and all go slower afterwards."""
        now = self.now()
        until = now + wait
        first = now >= self._closed
        self._closed = max(self._closed, until)
        if first:
            (self._writes if writes else self._units).narrow()
        if not first and until <= self._told:
            return
        self._told = until + _SLACK
        for bucket in (self._units, self._writes) if writes else (self._units,):
            quota = bucket.quota(published=self._published)
            self._context.refused(quota, wait + _SLACK)
            bucket.seen = self._context.reserve(quota, 0).refusals

    def until(self, then: datetime, why: str) -> None:
        """Wait, visibly."""
        deadline = self._context.deadline
        if deadline is not None and then > deadline:
            raise Unavailable(f"{why}, and goes on at {then:%H:%M:%S} UTC, after the run's time is over; run again then")
        self._context.wait(then, why)
        self._waited = max(self._waited, then)


def estimate(writes: Mapping[Operation, int]) -> Estimate | None:
    """How long so many changes take at least, from a quota that nothing was taken of. Members go twenty in one request, at best."""
    others = sum(number for operation, number in writes.items() if operation is not Operation.MEMBER_ADD)
    requests = others + math.ceil(writes.get(Operation.MEMBER_ADD, 0) / MEMBERS)
    if not requests:
        return None
    seconds = max(0.0, requests - WRITES) / WRITES * WRITES_WITHIN
    words = f"{requests:,} writes at Microsoft's published quota of {WRITES:,} in {WRITES_WITHIN:.0f} seconds"
    return Estimate(lasts=timedelta(seconds=seconds), words=words)
