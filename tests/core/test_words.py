"""Numbers and lists in words."""

from __future__ import annotations

import pytest

from metasync.words import counted, listed, writes


def test_one_is_counted_without_an_s_and_everything_else_with() -> None:
    assert [counted(number, "row") for number in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert counted(2, "directory", "directories") == "2 directories"


def test_names_are_listed_as_a_person_says_them() -> None:
    assert [listed(names) for names in ([], ["hr"], ["hr", "ad"], ["hr", "ad", "crm"])] == ["", "hr", "hr and ad", "hr, ad and crm"]


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({}, "nothing to write"),
        ({"confirmed": 1}, "1 write, confirmed"),
        ({"confirmed": 3}, "3 writes, all confirmed"),
        ({"rejected": 1, "in_flight": 2}, "3 writes: 2 in flight, 1 rejected"),
    ],
)
def test_the_states_of_writes_add_up_to_their_number(states: dict[str, int], said: str) -> None:
    assert writes(states) == said
