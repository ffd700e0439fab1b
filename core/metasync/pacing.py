"""Quotas that are shared by all who speak to a directory, whichever thread, process or machine they are in: who takes how much, and when.

A quota is one moment: when all that was taken of it will have come in again (the theoretical arrival time of the generic cell rate
algorithm, ITU-T I.371). It is kept as the end of a lease, by the database's clock; the lease's fence counts the refusals. While much is
left, whoever asks is given a portion that lasts for half a second, so that not every request asks the database.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from metasync.contract import Quota, Turn
from metasync.store import leases
from metasync.store.backend import Backend
from metasync.store.errors import StoreError

FRESH = 0.5
"""Seconds for which a portion may be used: so long may a worker not have heard what another one was told."""
PORTION = 0.05
"""The part of what can be taken at once that a portion is."""
WARY = 60.0
"""Seconds after a refusal in which nobody keeps a portion."""
AGAIN = 5.0
"""Seconds until a database that was away is asked again."""
SHARE = 0.25
"""The part of a quota that a worker takes who cannot ask how much the others take."""
LANE = 0
"""Those who pace wait for each other alone; engagements are counted from one."""

_log = logging.getLogger(__name__)


def taken(free: float, now: float, amount: float, rate: float) -> float:
    """When all will have come in again, after so much more was taken; in seconds."""
    return max(free, now) + amount / rate


def turn(quota: Quota, free: float, now: float, refusals: int) -> Turn:
    """Whose turn it is that made it `free` only then."""
    return Turn(
        wait=timedelta(seconds=max(0.0, free - quota.within - now)),
        left=max(0.0, (quota.within - max(0.0, free - now)) * quota.rate),
        refusals=refusals,
    )


def paused(quota: Quota, free: float, now: float, wait: timedelta) -> float:
    """Nothing is left of it before that time."""
    return max(free, now + wait.total_seconds() + quota.within)


@dataclass(slots=True)
class _Known:
    """What one process knows of one quota."""

    stock: float = 0.0
    """What it took and did not use yet."""
    fresh_until: float = 0.0
    free: float = 0.0
    """Where it is on its own, and since it was last refused, by the clock of this process; the others are by it, too."""
    refusals: int = 0
    wary_until: float = 0.0
    away_until: float = 0.0
    left: float = 0.0


@dataclass(slots=True)
class Pacing:
    """The quotas that one process takes of. Safe for several threads."""

    _known: dict[str, _Known] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reserve(self, backend: Backend, area: str, quota: Quota, amount: float) -> Turn:
        """See `Context.reserve`."""
        with self._lock:
            name, now = _name(area, quota), time.monotonic()
            known = self._known.setdefault(name, _Known())
            if 0 < amount <= known.stock and now < known.fresh_until:
                known.stock -= amount
                return Turn(wait=timedelta(0), left=known.left, refusals=known.refusals)
            if now >= known.away_until:
                try:
                    return self._shared(backend, name, quota, amount, known, now)
                except StoreError as error:
                    known.away_until = now + AGAIN
                    _log.warning("how much others take of %s is not known for now, and little of it is taken: %s", quota.name, error)
            return self._alone(quota, amount, known, now)

    def refused(self, backend: Backend, area: str, quota: Quota, wait: timedelta) -> None:
        """See `Context.refused`."""
        with self._lock:
            name, now = _name(area, quota), time.monotonic()
            known = self._known.setdefault(name, _Known())
            known.stock, known.wary_until = 0.0, now + WARY
            known.free = max(known.free, now + wait.total_seconds())
            known.refusals += 1
            try:
                with backend.unguarded().in_lane(LANE).write() as connection:
                    at = backend.now(connection)
                    held = leases.get(connection, name)
                    free = paused(quota, held.until.timestamp() if held else 0.0, at.timestamp(), wait)
                    if held is None:
                        leases.take(connection, name, owner="", until=_moment(free))
                    known.refusals = leases.take(connection, name, owner="", until=_moment(free)) - 1
            except StoreError as error:
                known.away_until = now + AGAIN
                _log.warning("the others could not be told that %s is used up: %s", quota.name, error)

    @staticmethod
    def _shared(backend: Backend, name: str, quota: Quota, amount: float, known: _Known, started: float) -> Turn:
        """What the database says; a portion, where there is plenty."""
        free_of = backend.unguarded().in_lane(LANE)
        with free_of.write() if amount else free_of.read() as connection:
            now = backend.now(connection).timestamp()
            held = leases.get(connection, name)
            fence, free = (held.fence, held.until.timestamp()) if held else (0, 0.0)
            refusals = max(0, fence - 1)
            if refusals != known.refusals:
                known.stock, known.refusals, known.wary_until = 0.0, refusals, started + WARY
            # What was kept and not used is there for others again.
            before = max(now, free - known.stock / quota.rate)
            portion = max(amount, quota.rate * quota.within * PORTION) if amount and started >= known.wary_until else amount
            if portion > amount and before - now + portion / quota.rate > quota.within / 2:
                portion = amount
            after = taken(before, now, portion, quota.rate) if amount else free
            if amount and (held is None or not leases.renew(connection, name, fence=fence, until=_moment(after))):
                leases.take(connection, name, owner="", until=_moment(after))
        if amount:
            known.stock, known.fresh_until = portion - amount, started + FRESH
        found = turn(quota, after, now, refusals)
        known.left = found.left
        own = max(0.0, known.free - started)
        return replace(found, wait=max(found.wait, timedelta(seconds=own)))

    @staticmethod
    def _alone(quota: Quota, amount: float, known: _Known, now: float) -> Turn:
        """A small, even part: the others may take theirs, and nothing is known of what they were told."""
        begins = max(known.free, now)
        known.free = taken(known.free, now, amount, quota.rate * SHARE)
        return Turn(wait=timedelta(seconds=begins - now), left=0.0, refusals=known.refusals)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _name(area: str, quota: Quota) -> str:
    name = f"quota/{area}/{quota.name}"
    return name if len(name) <= 200 else f"quota/{area}/{hashlib.sha256(quota.name.encode()).hexdigest()}"
