"""Match keys are compared by one form."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasync.contract import Reference, Scalar
from metasync.store.normalise import normalise, storable


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Anna.Berg@Contoso.com", "anna.berg@contoso.COM"),
        ("  Anna   Berg ", "anna berg"),
        ("M\u00fcller", "mu\u0308ller"),
        ("Straße", "STRASSE"),
        ("Anna\u00a0Berg", "Anna Berg"),
        (4711, "4711"),
        (True, "TRUE"),
        (b"\x0a\xff", "0AFF"),
        (Reference(value="CN=Anna"), "cn=anna"),
    ],
)
def test_values_that_a_person_would_call_the_same_are_the_same_key(one: Scalar | Reference, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize("value", [None, "", "   ", "\u00a0\t"])
def test_what_is_empty_gives_the_empty_key(value: str | None) -> None:
    assert normalise(value) == ""


def test_a_time_is_compared_as_an_instant() -> None:
    assert normalise(datetime(2026, 5, 1, tzinfo=UTC)) == "2026-05-01T00:00:00+00:00"


@given(st.text(st.characters()))
def test_the_form_of_a_form_is_itself_and_every_database_can_hold_it(text: str) -> None:
    form = normalise(text)
    assert normalise(form) == form
    assert "\0" not in form.encode("utf-8").decode("utf-8")
    assert storable(storable(text)) == storable(text)
