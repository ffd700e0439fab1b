"""When a profile is due: from the words of the document, and what became of it last. The clock is that of the database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim

LATE = timedelta(minutes=2)
"""So much later than its time a start of `missed: skip` is still no missed one: the scheduler was only slow, or restarted."""

Rule = Mapping[str, Any]
"""`{"every": seconds}`, `{"after": seconds}`, or `{"cron": line, "zone": name, "missed": "run once" or "skip"}`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Last:
    """What is known of a profile's last run by schedule."""

    planned: datetime | None
    """When it should have begun."""
    ended: datetime | None
    """When it did end; None: it is under way, or there was none."""


def words(rule: Rule) -> str:
    """The rule, comparably: a rule that changed begins anew."""
    return json.dumps(dict(rule), sort_keys=True)


def first(rule: Rule, now: datetime) -> datetime:
    """When a profile with a new rule is due: at once, or at the first time of its cron line."""
    return _cron(rule, now) if "cron" in rule else now


def following(rule: Rule, last: Last, now: datetime) -> datetime | None:
    """When it is due again, after a run was put on the queue. None: not before that run ended.

    `every`: from start to start. Of starts that were missed, because nobody was there, or the run before took longer, one is made up for.
    """
    if "cron" in rule:
        return _cron(rule, now)
    if "after" in rule:
        return None if last.ended is None else last.ended + timedelta(seconds=rule["after"])
    every = timedelta(seconds=rule["every"])
    planned = last.planned or now
    return planned + every * (max(timedelta(0), now - planned) // every + 1)


def missed(rule: Rule, due: datetime, now: datetime) -> bool:
    """Is this start over and done with? Only by `missed: skip`, which waits for the next one instead."""
    return rule.get("missed") == "skip" and now - due > LATE


def _cron(rule: Rule, after: datetime) -> datetime:
    """The first time of the line behind `after`, as Debian's cron sees clocks that are put forward and back: what falls into the hour that
    there is not is done at its end, what falls into the one that there is twice is done once."""
    local = after.astimezone(ZoneInfo(rule["zone"]))
    return next(CronSim(rule["cron"], local)).astimezone(UTC)
