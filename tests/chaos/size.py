"""How much is tried: a small set in every run of the tests, everything in `script/chaos --whole`."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

WHOLE = bool(os.environ.get("METASYNC_CHAOS_WHOLE"))


def sized(small: T, whole: T) -> T:
    """The one that is asked for."""
    return whole if WHOLE else small
