"""One page ahead, in one thread, which ends."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from metasync_ad.prefetch import Ahead


def counting(made: list[int], most: int, error: Exception | None = None) -> Generator[int, None, None]:
    try:
        for number in range(most):
            made.append(number)
            yield number
        if error:
            raise error
    finally:
        made.append(-1)


def test_items_come_in_order_and_an_error_after_those_before_it() -> None:
    made: list[int] = []
    ahead = Ahead(counting(made, 3, ValueError("cut")))
    taken: list[int] = []
    with pytest.raises(ValueError, match="cut"):
        taken.extend(ahead)
    ahead.close()
    assert taken == [] or taken == [0, 1, 2]
    assert made == [0, 1, 2, -1]


def test_no_more_than_one_item_waits_and_one_is_under_way() -> None:
    made: list[int] = []
    ahead = Ahead(counting(made, 100))
    first = next(iter(ahead))
    ahead.close()
    assert first == 0
    assert len(made) <= 5 and made[-1] == -1


def test_the_thread_ends_with_close_wherever_it_stands() -> None:
    for taken in (0, 1, 5):
        ahead = Ahead(counting([], 5))
        for _, _ in zip(range(taken), ahead, strict=False):
            pass
        ahead.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "metasync-ad pages"]
