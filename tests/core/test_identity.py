"""What a message says of a directory that became another one."""

from __future__ import annotations

import pytest

from metasync.contract import AttributeSchema, Kind, KindSchema, Schema
from metasync.identity import difference


def schema(**kinds: str) -> Schema:
    """Kind to attributes, with spaces between them."""
    named = {Kind(kind): names.split() for kind, names in kinds.items()}
    return Schema(
        kinds={
            kind: KindSchema(kind=kind, attributes={name: AttributeSchema(name=name) for name in names}) for kind, names in named.items()
        }
    )


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (schema(user="id title"), schema(user="title id"), ""),
        (schema(user="id title"), schema(user="id jobtitle"), "'title' is missing and 'jobtitle' is new"),
        (schema(user="id", group="id"), schema(user="id a b", group="id a b"), "'a' and 'b' are new"),
        (schema(user="id a", group="id"), schema(user="id", group="id"), "of user: 'a' is missing"),
        (schema(user="id"), schema(user="id", group="id"), "of group: 'id' is new"),
        (
            schema(user=" ".join(f"a{number:02}" for number in range(12))),
            schema(user=""),
            "'a00', 'a01', 'a02', 'a03', 'a04', 'a05', 'a06', 'a07', 'a08' and 3 more are missing",
        ),
    ],
)
def test_what_is_missing_and_what_is_new_is_named(before: Schema, now: Schema, words: str) -> None:
    assert difference(before, now) == words
