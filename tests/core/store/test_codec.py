"""The codec keeps every value as it was, and its digest sees content alone."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasync.contract import (
    READ_ONLY,
    AttributeSchema,
    Equality,
    Kind,
    KindSchema,
    Operation,
    Reference,
    Role,
    Schema,
    Type,
    Unique,
    Values,
)
from metasync.store import codec
from metasync.store.rows import PendingOperation

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
texts = st.text(st.characters(), max_size=20)
times = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])).filter(lambda time: 2 < time.year < 9998)
references = st.builds(Reference, value=texts, key=texts)
scalars = st.one_of(texts, st.integers(), st.booleans(), st.binary(max_size=20), times, references)
values = st.one_of(scalars, st.lists(scalars, max_size=4).map(tuple))
operations = st.builds(
    PendingOperation,
    operation=st.sampled_from(Operation),
    before=st.dictionaries(names, values, max_size=3),
    after=st.dictionaries(names, st.one_of(values, st.none()), max_size=3),
    rules=st.dictionaries(names, st.text(st.characters(codec="utf-8"), max_size=20), max_size=3),
)
images = st.dictionaries(names, st.one_of(values, st.none()), max_size=6)


def in_any_order(image: dict[str, Any]) -> dict[str, Any]:
    return {name: (tuple, sorted(map(typed, value))) if isinstance(value, tuple) else typed(value) for name, value in image.items()}


def typed(value: Any) -> str:
    if isinstance(value, datetime):
        value = value.astimezone(UTC).isoformat()
    return f"{type(value).__name__} {value!r}"


@given(images)
def test_an_image_comes_back_with_the_same_values_of_the_same_types(image: dict[str, Any]) -> None:
    assert in_any_order(codec.decode(codec.encode(image))) == in_any_order(image)


@given(images, st.randoms(use_true_random=False))
def test_bytes_and_digest_do_not_depend_on_the_order_of_attributes_or_values(image: dict[str, Any], chance: random.Random) -> None:
    shuffled = {}
    for name in chance.sample(sorted(image), len(image)):
        value = image[name]
        shuffled[name] = tuple(chance.sample(value, len(value))) if isinstance(value, tuple) else value
    assert codec.encode(shuffled) == codec.encode(image)
    assert codec.digest(shuffled) == codec.digest(image)


@given(images, images)
def test_different_images_have_different_digests(one: dict[str, Any], other: dict[str, Any]) -> None:
    plain = codec.split(one), codec.split(other)
    same = codec.encode(plain[0][0]) == codec.encode(plain[1][0]) and set(plain[0][1]) == set(plain[1][1])
    assert (codec.digest(one) == codec.digest(other)) == same


@given(images)
def test_packing_for_the_store_gives_the_digest_of_the_whole_and_keeps_references_apart(image: dict[str, Any]) -> None:
    unlinked, blob, digest, links = codec.pack(image)
    plain, expected_links = codec.split(image)
    assert (in_any_order(dict(unlinked)), blob, list(links)) == (in_any_order(dict(plain)), codec.encode(plain), list(expected_links))
    assert digest == codec.digest(image)
    assert len(digest) == 16


def test_a_true_a_one_and_the_text_one_are_three_different_values() -> None:
    digests = {codec.digest({"a": value}) for value in (True, 1, "1", b"1", (1,), ("1",), Reference(value="1"))}
    assert len(digests) == 7


def test_one_member_more_changes_the_digest_without_the_other_members_being_read() -> None:
    members = tuple(Reference(value=f"anchor-{number}") for number in range(1000))
    before: dict[str, Values] = {"name": "all", "members": members[:-1]}
    after: dict[str, Values] = {"name": "all", "members": members}
    plain = codec.weight(codec.encode({"name": "all"})[1:])
    known = int.from_bytes(codec.digest(before), "big") - plain
    assert codec.combine(plain + known, [codec.reference_weight("members", "anchor", "anchor-999")]) == codec.digest(after)


def test_a_reference_by_another_key_than_the_anchor_is_the_same_whatever_its_case() -> None:
    one, other = Reference(value="Anna@Contoso.com", key="mail"), Reference(value="anna@contoso.com", key="mail")
    assert codec.digest({"manager": one}) == codec.digest({"manager": other})
    assert codec.digest({"manager": Reference(value="A")}) != codec.digest({"manager": Reference(value="a")})


def test_equal_instants_in_different_zones_are_equal() -> None:
    instant = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    elsewhere = instant.astimezone(timezone(timedelta(hours=-8)))
    assert codec.digest({"a": instant}) == codec.digest({"a": elsewhere})


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        codec.encode({"a": datetime(2026, 1, 1)})


def test_a_value_of_a_type_that_no_attribute_has_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="set"):
        codec.digest({"a": {1, 2}})  # type: ignore[dict-item]


def test_a_form_of_a_newer_version_is_refused() -> None:
    with pytest.raises(ValueError, match="form"):
        codec.decode(b"\xfe{}")


@given(st.lists(operations, max_size=3))
def test_operations_come_back_in_their_order(wanted: list[PendingOperation]) -> None:
    back = codec.decode_operations(codec.encode_operations(wanted))
    assert [one.operation for one in back] == [one.operation for one in wanted]
    for one, other in zip(back, wanted, strict=True):
        assert in_any_order(dict(one.before)) == in_any_order(dict(other.before))
        assert in_any_order(dict(one.after)) == in_any_order(dict(other.after))
        assert dict(one.rules) == dict(other.rules)


def test_a_schema_comes_back_whole() -> None:
    attributes = (
        AttributeSchema(name="cn", alias="name", role=Role.NAME, unique=Unique.PARENT, max_length=64, equality=Equality.IGNORE_CASE),
        AttributeSchema(name="members", type=Type.REFERENCE, multi=True, help="who belongs to it"),
        AttributeSchema(name="objectSid", type=Type.BYTES, allow=READ_ONLY),
    )
    group = KindSchema(
        kind=Kind.GROUP,
        attributes={one.name: one for one in attributes},
        operations=frozenset({Operation.CREATE, Operation.MEMBER_ADD}),
        open=True,
    )
    schema = Schema(kinds={Kind.GROUP: group, Kind.USER: KindSchema(kind=Kind.USER, attributes={})})
    assert codec.decode_schema(codec.encode_schema(schema)) == schema
