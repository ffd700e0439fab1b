"""Numbers, lists and errors in words, as every message says them."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence

from metasync.contract import MetasyncError


def counted(number: int, word: str, many: str = "") -> str:
    """`1 change`, `2 changes`."""
    return f"{number} {word if number == 1 else many or word + 's'}"


def listed(names: Sequence[str]) -> str:
    """`hr`, `hr and ad`, `hr, ad and crm`."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def writes(states: Mapping[str, int]) -> str:
    """How many rows of the ledger stand in each state: `3 writes, all confirmed`, `3 writes: 2 confirmed, 1 rejected`.

    A change may take several: references are written once everybody that they name is there.
    """
    if not states:
        return "nothing to write"
    parts = [(state.replace("_", " "), number) for state, number in sorted(states.items())]
    total = counted(sum(states.values()), "write")
    if len(parts) == 1:
        return f"{total}, {'all ' if parts[0][1] > 1 else ''}{parts[0][0]}"
    return f"{total}: {', '.join(f'{number} {state}' for state, number in parts)}"


def failure(error: BaseException) -> str:
    """What a plugin raised, without what it says: nobody knows whose values, or secrets, that holds. What Metasync itself words is kept."""
    if isinstance(error, MetasyncError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}" if frames else type(error).__name__
