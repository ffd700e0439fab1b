"""One limiter for all that a connector sends: two token buckets by the published quotas, narrowed by what Graph's answers say.

Quotas of one application in one tenant (https://learn.microsoft.com/graph/throttling-limits, identity and access): resource units by
the tenant's size in ten seconds, 3,000 writes in 150 seconds. A request of ours that is refused counts all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from metasync.contract import Context, Unavailable

UNITS, UNITS_WITHIN = 3500, 10.0
"""Of a small tenant: how large ours is, is not known before its users are counted."""
_SIZES = ((500, 8000), (49, 5000))
"""With more users than this, so many."""
WRITES, WRITES_WITHIN = 3000, 150.0
_CROWDED = 0.8
"""From this part of a limit on, Graph tells how near it is (x-ms-throttle-limit-percentage)."""
_NARROW, _WIDEN = 0.5, 1.05


@dataclass(kw_only=True, slots=True)
class Bucket:
    """So many at once, refilled evenly."""

    size: float
    within: float
    level: float
    at: datetime
    width: float = 1.0
    """The part of the published rate that is used."""

    @property
    def rate(self) -> float:
        """Per second."""
        return self.size / self.within * self.width

    def refill(self, now: datetime) -> None:
        """What came in since."""
        passed = max(0.0, (now - self.at).total_seconds())
        self.level = min(self.size, self.level + passed * self.rate)
        self.at = max(now, self.at)

    def delay(self, cost: float) -> float:
        """Seconds until so much can be taken."""
        return max(0.0, (min(cost, self.size) - self.level) / self.rate)


class Pace:
    """Asked before each request, told of each answer. It belongs to one thread; what it does there is wait, visibly."""

    def __init__(self, context: Context, *, published: bool, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._context, self._published, self._clock = context, published, clock
        self._waited = clock()
        """How far we waited: a context of tests waits without time passing."""
        now = self.now()
        self._units = Bucket(size=UNITS, within=UNITS_WITHIN, level=UNITS, at=now)
        self._writes = Bucket(size=WRITES, within=WRITES_WITHIN, level=WRITES, at=now)
        self._closed: datetime | None = None
        """No call before that: Graph said so."""

    def now(self) -> datetime:
        """The time, no earlier than what was waited for."""
        return max(self._clock(), self._waited)

    def sized(self, users: int) -> None:
        """How many users the tenant has: larger ones are given more."""
        size = next((units for above, units in _SIZES if users > above), UNITS)
        self._units.level += size - self._units.size
        self._units.size = size

    def take(self, *, units: float, writes: float) -> None:
        """Wait until a request of this cost may go. Raises `Stopped`, and `Unavailable` where the run's time does not suffice."""
        if self._closed is not None and self._closed > self.now():
            self.until(self._closed, "Microsoft Graph asked for a pause")
        now = self.now()
        for bucket in (self._units, self._writes):
            bucket.refill(now)
        if self._published:
            delay = max(self._units.delay(units), self._writes.delay(writes) if writes else 0.0)
            if delay > 0:
                self.until(now + timedelta(seconds=delay), "the tenant's quota of requests is used up")
                for bucket in (self._units, self._writes):
                    bucket.refill(self.now())
        self._units.level -= units
        self._writes.level -= writes

    def heard(self, headers: Mapping[str, str]) -> None:
        """What an answer says of the limits."""
        try:
            used = float(headers.get("x-ms-throttle-limit-percentage") or 0)
        except ValueError:
            return
        for bucket in (self._units, self._writes):
            bucket.width = max(_NARROW / 4, bucket.width * _NARROW) if used > 1 else min(1.0, bucket.width * _WIDEN)
        if used >= _CROWDED:
            self._units.level = min(self._units.level, self._units.size * max(0.0, 1 - used))

    def refused(self, wait: timedelta, *, writes: bool) -> None:
        """Graph refused for too many requests: nobody sends anything for so long, and slower afterwards."""
        until = self.now() + wait
        self._closed = max(self._closed, until) if self._closed else until
        bucket = self._writes if writes else self._units
        bucket.refill(self.now())
        bucket.level = 0.0
        bucket.width = max(_NARROW / 4, bucket.width * _NARROW)

    def until(self, then: datetime, why: str) -> None:
        """Wait, visibly."""
        deadline = self._context.deadline
        if deadline is not None and then > deadline:
            raise Unavailable(f"{why}, and goes on at {then:%H:%M:%S} UTC, after the run's time is over; run again then")
        self._context.wait(then, why)
        self._waited = max(self._waited, then)
