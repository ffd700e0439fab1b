"""Two values are equal where writing one over the other would change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from metasync.contract import AttributeSchema, Equality, Reference
from metasync.equality import equal

EXACT = AttributeSchema(name="x")
CASE = AttributeSchema(name="x", equality=Equality.IGNORE_CASE)
SPACE = AttributeSchema(name="x", equality=Equality.IGNORE_SPACE)
DN = AttributeSchema(name="x", equality=Equality.DN)


@pytest.mark.parametrize(
    ("attribute", "one", "other", "same"),
    [
        (EXACT, "a", "a", True),
        (EXACT, "a", "A", False),
        (EXACT, None, None, True),
        (EXACT, None, "a", False),
        (EXACT, True, 1, False),
        (EXACT, "1", 1, False),
        (EXACT, b"a", "a", False),
        (EXACT, ("a", "b"), ("b", "a"), True),
        (EXACT, ("a", "a"), ("a",), True),
        (EXACT, (Reference(value="1"),), (Reference(value="1", key="mail"),), False),
        (CASE, "Straße", "STRASSE", True),
        (CASE, "a ", "a", False),
        (SPACE, " Head  OF ", "head of", True),
        (DN, "CN=A, OU=B", "cn=a,ou=b", True),
        (DN, "CN=A,OU=B", "CN=A,OU=C", False),
        (None, "a", "A", False),
    ],
)
def test_values_are_compared_by_the_attributes_own_rule(attribute: AttributeSchema | None, one: Any, other: Any, same: bool) -> None:
    assert equal(attribute, one, other) is same
