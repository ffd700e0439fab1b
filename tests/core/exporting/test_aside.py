"""By which change somebody gives up a value for a moment, so that those who exchange values can be written."""

from __future__ import annotations

from typing import Any

import pytest

from metasync.contract import EVERYTHING, READ_ONLY, Allow, AttributeSchema, Operation, Role
from metasync.exporting.order import Swap, step_aside

KEPT = EVERYTHING - {Allow.CLEAR}


def aside(value: str, **schema: Any) -> tuple[Operation, dict[str, Any]] | None:
    described = AttributeSchema(name="login", role=Role.SIGN_IN, **schema)
    return step_aside({"login": described}, Swap(tag="1", attribute="login", key=b""), {"login": value}, "hr/1001")


@pytest.mark.parametrize(
    ("value", "length", "name"),
    [
        ("ann@x.test", None, "ann-swap-a7a77eee@x.test"),
        ("ann", None, "ann-swap-a7a77eee"),
        (f"{'a' * 64}@x.test", 113, f"{'a' * 50}-swap-a7a77eee@x.test"),
        (f"{'a' * 40}@x.test", 47, f"{'a' * 26}-swap-a7a77eee@x.test"),
    ],
)
def test_a_sign_in_name_that_cannot_be_cleared_becomes_another_one_of_its_domain(value: str, length: int | None, name: str) -> None:
    assert aside(value, allow=KEPT, max_length=length) == (Operation.SIGN_IN, {"login": name})


def test_what_can_be_cleared_is_cleared_and_what_cannot_be_written_stays() -> None:
    assert aside("ann@x.test", allow=EVERYTHING) == (Operation.CLEAR, {"login": None})
    assert aside("ann@x.test", allow=READ_ONLY) is None
