"""Numbers of objects as a person types them."""

from __future__ import annotations

import argparse
import re


def size_of(text: str) -> int:
    """300, 10k or 1M as a number; raises `ArgumentTypeError`."""
    found = re.fullmatch(r"([1-9][0-9]*)([kM]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no number such as 300, 10k or 1M")
    return int(found[1]) * {"": 1, "k": 1000, "M": 1_000_000}[found[2]]
