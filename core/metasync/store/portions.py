"""Long lists of ids, anchors or values in parts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

PORTION = 5000
"""Every database takes so many parameters in one statement."""


def portions(ids: Collection[Any]) -> Iterator[list[Any]]:
    """In parts that every database takes as parameters of one statement."""
    rest = list(ids)
    for start in range(0, len(rest), PORTION):
        yield rest[start : start + PORTION]
