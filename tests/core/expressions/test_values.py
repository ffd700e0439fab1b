"""What the engine keeps of a result."""

from __future__ import annotations

from typing import Any

import pytest

from metasync.contract import Reference
from metasync.expressions import CLEAR, KEEP, tidy


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        ("", None),
        ((), None),
        ([], None),
        (("", None), None),
        ("a", "a"),
        (" ", " "),
        (0, 0),
        (False, False),
        (["b", "", "a", None, "b"], ("b", "a")),
        (("a",), ("a",)),
        ((1, True, "1"), (1, True, "1")),
        ((Reference(value="x"), Reference(value="x")), (Reference(value="x"),)),
        (CLEAR, CLEAR),
        (KEEP, KEEP),
    ],
)
def test_tidy_keeps_what_is_something_once_and_in_its_order(value: Any, kept: Any) -> None:
    found = tidy(value)
    assert found == kept and type(found) is type(kept)
