"""Limits are on count and on percent of what is joined; the stricter one holds."""

from __future__ import annotations

import pytest

from metasync.contract import Operation
from metasync.engagement.model import Limit
from metasync.planning.limits import Exceeded, exceeded, not_lifted


@pytest.mark.parametrize(
    ("count", "joined", "limit", "allowed"),
    [
        (50, 1000, Limit(count=50), None),
        (51, 1000, Limit(count=50), 50),
        (51, 1000, Limit(count=100, percent=5), 50),
        (50, 1000, Limit(count=100, percent=5), None),
        (1, 10, Limit(percent=5), None),
        (3, 10, Limit(percent=5), None),
        (4, 10, Limit(percent=5), 3),
        (6, 40, Limit(percent=5), 5),
        (9, 0, Limit(percent=5), None),
        (9, 0, Limit(count=8, percent=5), 8),
        (9, 0, Limit(), None),
    ],
)
def test_a_limit_is_passed_by_one_more_than_it_allows(count: int, joined: int, limit: Limit, allowed: int | None) -> None:
    found = exceeded({Operation.DELETE: count}, joined, {Operation.DELETE: limit})
    assert [one.allowed for one in found] == ([] if allowed is None else [allowed])


def test_every_operation_is_judged_by_itself() -> None:
    limits = {operation: Limit(count=0) for operation in Operation}
    found = exceeded({Operation.DELETE: 1, Operation.CREATE: 2}, 10, limits)
    assert [one.operation for one in found] == [Operation.CREATE, Operation.DELETE]
    assert not_lifted(found, {Operation.CREATE}) == [found[1]]
    assert Exceeded.from_json(found[0].as_json()) == found[0]
