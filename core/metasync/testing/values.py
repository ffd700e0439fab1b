"""Values as a directory sees them: whether they suit their attribute, when two are the same, and as text for a file.

Written against the contract alone, so that the suite judges the engine's and a connector's ideas of a value by a third one.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from metasync.contract import AttributeSchema, Equality, Reference, Scalar, Type, Value, Values

_TYPES: Mapping[Type, type[Any]] = {
    Type.STRING: str,
    Type.INTEGER: int,
    Type.BOOLEAN: bool,
    Type.BYTES: bytes,
    Type.TIME: datetime,
    Type.REFERENCE: Reference,
}


def standard_name(attribute: AttributeSchema) -> str:
    """The name that connectors deliver and take: the alias where there is one."""
    return attribute.alias or attribute.name


def as_tuple(values: Values | None) -> tuple[Value, ...]:
    """Any form of values as a tuple; absent is empty."""
    if values is None:
        return ()
    return values if isinstance(values, tuple) else (values,)


def problem(attribute: AttributeSchema, values: Any) -> str | None:
    """Why these values cannot stand in the attribute by the contract's own rules (form, type, emptiness), or None."""
    if attribute.multi != isinstance(values, tuple):
        return (
            "a multi-valued attribute is a tuple"
            if attribute.multi
            else f"a single-valued attribute is one value, not {type(values).__name__}"
        )
    if values == ():
        return "no values: the attribute should be absent"
    for value in as_tuple(values):
        expected = _TYPES[attribute.type]
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            return f"expected {attribute.type.value}, found {type(value).__name__}"
        if isinstance(value, datetime) and value.utcoffset() != timedelta(0):
            return "a time must be aware and in UTC"
        if value in ("", b""):
            return "an empty value: the attribute should be absent"
    if len(set(as_tuple(values))) != len(as_tuple(values)):
        return "the same value twice"
    return None


def too_long(attribute: AttributeSchema, values: Values) -> str | None:
    """Which limit the values break, or None."""
    if attribute.max_length is None:
        return None
    for value in as_tuple(values):
        if isinstance(value, str | bytes) and len(value) > attribute.max_length:
            return f"{len(value)} long, {attribute.max_length} allowed"
    return None


def comparable(attribute: AttributeSchema, value: Value) -> Value:
    """The form in which two values that are the same to the directory are equal."""
    if not isinstance(value, str):
        return value
    match attribute.equality:
        case Equality.EXACT:
            return value
        case Equality.IGNORE_CASE:
            return value.casefold()
        case Equality.IGNORE_SPACE:
            return " ".join(value.split()).casefold()
        case Equality.DN:
            return re.sub(r"\s*(?<!\\)([,=])\s*", r"\1", value.strip()).casefold()


def same(attribute: AttributeSchema, left: Values | None, right: Values | None) -> bool:
    """Are they the same to the directory? The order of several values carries no meaning."""
    return {comparable(attribute, value) for value in as_tuple(left)} == {comparable(attribute, value) for value in as_tuple(right)}


def _to_plain(value: Value) -> Any:
    if isinstance(value, Reference):
        return {"reference": value.value, "key": value.key}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return {"time": value.astimezone(UTC).isoformat()}
    return value


def _from_plain(plain: Any) -> Value:
    if not isinstance(plain, dict):
        scalar: Scalar = plain
        return scalar
    if "reference" in plain:
        return Reference(value=plain["reference"], key=plain["key"])
    if "bytes" in plain:
        return base64.b64decode(plain["bytes"])
    return datetime.fromisoformat(plain["time"])


def to_json(attributes: Mapping[str, Values | None]) -> str:
    """Attributes as text; every type survives, and so does a cleared one. A lone surrogate is escaped, not refused."""
    return json.dumps(
        {
            name: None if values is None else [_to_plain(value) for value in values] if isinstance(values, tuple) else _to_plain(values)
            for name, values in attributes.items()
        }
    )


def from_json(text: str) -> dict[str, Any]:
    """The way back from `to_json`."""
    return {
        name: None if plain is None else tuple(_from_plain(value) for value in plain) if isinstance(plain, list) else _from_plain(plain)
        for name, plain in json.loads(text).items()
    }
