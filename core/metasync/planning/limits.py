"""Limits: the most that one plan may do of one operation. They are judged on the whole frozen set, before the first write."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from metasync.contract import Operation
from metasync.engagement.defaults import PERCENT_FLOOR
from metasync.engagement.model import Limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Exceeded:
    """A limit that a plan passes."""

    operation: Operation
    count: int
    allowed: int
    words: str

    def as_json(self) -> dict[str, Any]:
        """As a plan's row holds it."""
        return {**asdict(self), "operation": self.operation.value}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Exceeded:
        """The way back."""
        return cls(operation=Operation(fields["operation"]), count=fields["count"], allowed=fields["allowed"], words=fields["words"])


def exceeded(counts: Mapping[Operation, int], joined: int, limits: Mapping[Operation, Limit]) -> list[Exceeded]:
    """The limits that these counts pass, one per operation: the stricter of count and percent.

    A percentage is of `joined`; where nothing is joined yet there is nothing to take a percentage of, and the count alone decides. It never
    stops the first `PERCENT_FLOOR`, as long as they are no more than a quarter: in a small directory one leaver is ten percent.
    """
    found = []
    for operation in Operation:
        count, limit = counts.get(operation, 0), limits.get(operation)
        if not count or limit is None:
            continue
        bounds: list[tuple[int, str]] = []
        if limit.count is not None:
            bounds.append((limit.count, f"at most {limit.count}"))
        if limit.percent is not None and joined:
            bounds.append(
                (
                    max(int(joined * limit.percent / 100), min(PERCENT_FLOOR, -(-joined // 4))),
                    f"at most {limit.percent:g}% of the {joined} joined",
                )
            )
        if not bounds:
            continue
        allowed, words = min(bounds)
        if count > allowed:
            found.append(
                Exceeded(operation=operation, count=count, allowed=allowed, words=f"{count} x {operation}, {words} ({allowed}) allowed")
            )
    return found


def not_lifted(found: Collection[Exceeded], beyond: Collection[Operation]) -> list[Exceeded]:
    """What still stands in the way when these operations may go beyond their limit."""
    return [one for one in found if one.operation not in beyond]
