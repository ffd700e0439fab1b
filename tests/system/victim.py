"""Not a test: an export as a program of its own, which says how far it is, so that it can be killed: `victim.py DOCUMENT PIPE PLAN...`.

It is the command line itself; only its connection to the domain writes a byte into PIPE (its number) behind each request
that the domain was sent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from metasync.cli.main import run


def counting(pipe: int, request: Callable[..., Any]) -> Callable[..., Any]:
    """The same request; one more byte in the pipe, whatever became of it."""

    def counted(*given: Any, **named: Any) -> Any:
        try:
            return request(*given, **named)
        finally:
            os.write(pipe, b"x")

    return counted


def main() -> int:
    """Export until nothing is left, or somebody kills us."""
    from metasync_ad.session import Session

    document, pipe, *plans = sys.argv[1:]
    for name in ("add", "modify"):
        setattr(Session, name, counting(int(pipe), getattr(Session, name)))
    return run(["--engagement", document, "export", *plans, "--json"])


if __name__ == "__main__":
    sys.exit(main())
