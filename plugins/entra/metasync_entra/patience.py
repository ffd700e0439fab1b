"""How long to wait: what Retry-After says in each of its forms, and what to do where it says nothing.

Graph sends whole seconds, decimals ("2.128"), dates, an empty value, or nothing (https://learn.microsoft.com/graph/throttling).
"""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = timedelta(hours=1)
"""More than that is not believed: a wrong clock would stop a run for days."""
_FIRST, _MOST = 2.0, 150.0


def retry_after(header: str | None, *, now: datetime) -> timedelta | None:
    """What the header asks for; None where it says nothing that can be understood."""
    text = (header or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        return _until(text, now)
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return min(LONGEST, timedelta(seconds=seconds))


def _until(text: str, now: datetime) -> timedelta | None:
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return min(LONGEST, max(timedelta(0), then - now))


def backoff(attempt: int) -> timedelta:
    """Where nothing is said: twice as long each time from two seconds on, and not all at the same moment."""
    longest = min(_MOST, _FIRST * 2 ** min(attempt, 20))
    return timedelta(seconds=longest * (0.75 + random.random() / 4))  # noqa: S311 - spreads load, guards nothing
