"""Bytes for attribute images, operations and schemas, and the digest by which two images are compared.

The first byte is the version of the form; behind it stands canonical JSON: keys sorted, several values sorted (their order carries no
meaning). Plain strings, integers and booleans are themselves; everything else is an object with one tag:

    {"b": base64}           bytes
    {"t": ISO 8601 in UTC}  a time
    {"r": value, "k": key}  a Reference
    {"i": decimal}          an integer beyond 64 bits
    {"s": base64}           a string that is not Unicode (a lone surrogate), as UTF-8 with surrogates

`decode` reads every version ever written. The digest is over the logical content, so that a new version of the form dirties nothing.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import xxhash

from metasync.contract import (
    Allow,
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
    Value,
    Values,
)
from metasync.store.normalise import normalise, short, storable
from metasync.store.rows import PendingOperation

VERSION = 1

_PREFIX = bytes([VERSION])
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_MODULUS = 1 << 128
_INT64 = 1 << 63


def encode(attributes: Mapping[str, Values | None]) -> bytes:
    """The bytes of an attribute image. None stays None: "cleared"."""
    return _PREFIX + _canonical(attributes)


def decode(blob: bytes) -> dict[str, Any]:
    """The attribute image again: `Values`, or None where None was encoded. Several values come back sorted."""
    _check_version(blob)
    # Nothing but plain single values: there is no list, and no object but the image itself.
    image: dict[str, Any] = orjson.loads(memoryview(blob)[1:])
    if b"[" in blob or blob.find(b"{", 2) > 0:
        _restore(image)
    return image


def digest(attributes: Mapping[str, Values | None]) -> bytes:
    """16 bytes that are equal exactly when the images are (but for chance of 2^-128): whatever the order of attributes and values.

    References count one by one (`reference_weight`), so that one member more of a group changes it without the others being read.
    """
    return pack(attributes)[2]


def pack(
    attributes: Mapping[str, Values | None], holding: Collection[str] = ()
) -> tuple[Mapping[str, Values | None], bytes, bytes, Sequence[tuple[str, str, str]]]:
    """(image without references, the same encoded, digest with references, references as (attribute, key, value)), for imports.

    `holding`: the attributes that may hold references, where that is known; looking at every value costs as much as the encoding. A
    reference elsewhere is found all the same.
    """
    references: Sequence[tuple[str, str, str]] = ()
    plain = attributes
    if holding and (names := [name for name in holding if name in attributes]):
        plain, references = _taken_out(attributes, names)
    try:
        canonical = _canonical(plain, _tag_scalar)
    except _Holds:
        plain, references = split(attributes)
        canonical = _canonical(plain)
    if not references:
        return plain, _PREFIX + canonical, xxhash.xxh3_128_digest(canonical), ()
    return plain, _PREFIX + canonical, combine(weight(canonical), [reference_weight(*one) for one in references]), references


def split(attributes: Mapping[str, Values | None]) -> tuple[Mapping[str, Values | None], Sequence[tuple[str, str, str]]]:
    """An image without its references, and the references as (attribute, key, value), in the form in which links are stored."""
    names = [
        name for name, value in attributes.items() if type(value) is Reference or (type(value) is tuple and Reference in map(type, value))
    ]
    return _taken_out(attributes, names) if names else (attributes, ())


def _taken_out(
    attributes: Mapping[str, Values | None], names: Iterable[str]
) -> tuple[Mapping[str, Values | None], Sequence[tuple[str, str, str]]]:
    plain = dict(attributes)
    references: dict[tuple[str, str, str], None] = {}
    for name in names:
        value = plain[name]
        if isinstance(value, Reference):
            references[stored_reference(name, value)] = None
            del plain[name]
        elif isinstance(value, tuple) and Reference in map(type, value):
            # A value counts once, however often it is told; so also in the digest.
            references.update((stored_reference(name, one), None) for one in value if isinstance(one, Reference))
            if rest := tuple([one for one in value if not isinstance(one, Reference)]):
                plain[name] = rest
            else:
                del plain[name]
    return plain, list(references)


def stored_reference(attribute: str, reference: Reference) -> tuple[str, str, str]:
    """(attribute, key, value) of a link: an anchor as it is, any other key in the form in which keys are looked up."""
    value = short(storable(reference.value)) if reference.key == "anchor" else normalise(reference.value)
    return attribute, reference.key, value


def weight(canonical: bytes) -> int:
    """What an image without references counts for in the digest, from its canonical JSON (`encode(...)[1:]`)."""
    return xxhash.xxh3_128_intdigest(canonical)


def reference_weight(attribute: str, key: str, value: str) -> int:
    """What one reference counts for in the digest."""
    return xxhash.xxh3_128_intdigest(f"{attribute}\0{key}\0{value}".encode("utf-8", "surrogatepass"))


def combine(plain: int, added: Iterable[int] = (), removed: Iterable[int] = ()) -> bytes:
    """The digest of an image: the weight of its plain part plus that of each reference, modulo 2^128."""
    return ((plain + sum(added) - sum(removed)) % _MODULUS).to_bytes(16, "big")


class Frame(NamedTuple):
    """One pending operation as it is stored: its images in the form of `encode`, its rules as JSON. Nobody needs to look into them to
    freeze them."""

    operation: str
    before: bytes
    after: bytes
    rules: bytes


def encode_operations(operations: Sequence[PendingOperation]) -> bytes:
    """The bytes of a pending row's operations, in their order."""
    return join_frames(
        [
            Frame(one.operation.value, encode(one.before), encode(one.after), _dump(_plain(one.rules)))
            for one in operations
        ]
    )


def decode_operations(blob: bytes) -> list[PendingOperation]:
    """The operations again; several values come back sorted."""
    found = []
    for operation, before, after, rules in frames(blob):
        words: dict[str, Any] = orjson.loads(rules)
        _restore(words)
        found.append(PendingOperation(operation=Operation(operation), before=decode(before), after=decode(after), rules=words))
    return found


def join_frames(operations: Sequence[Frame]) -> bytes:
    """The bytes of a pending row: how long each part is, then the parts."""
    lengths = [(operation, len(before), len(after), len(rules)) for operation, before, after, rules in operations]
    return b"".join((_PREFIX, orjson.dumps(lengths), b"\n", *(part for _, *parts in operations for part in parts)))


def frames(blob: bytes) -> list[Frame]:
    """The operations of a pending row, unopened."""
    _check_version(blob)
    at = blob.index(b"\n")
    found: list[Frame] = []
    lengths = orjson.loads(blob[1:at])
    at += 1
    for operation, before, after, rules in lengths:
        middle = at + before
        end = middle + after
        found.append(Frame(operation, blob[at:middle], blob[middle:end], blob[end : end + rules]))
        at = end + rules
    return found


def encode_schema(schema: Schema) -> bytes:
    """The bytes of what `Connector.discover` said."""
    kinds = {
        kind.value: {
            "attributes": [_attribute_fields(one) for one in described.attributes.values()],
            "operations": sorted(one.value for one in described.operations),
            "open": described.open,
        }
        for kind, described in schema.kinds.items()
    }
    return _PREFIX + orjson.dumps(kinds, option=_OPTIONS)


def decode_schema(blob: bytes) -> Schema:
    """The schema again."""
    _check_version(blob)
    return Schema(
        kinds={
            Kind(kind): KindSchema(
                kind=Kind(kind),
                attributes={one["name"]: _attribute(one) for one in described["attributes"]},
                operations=frozenset(Operation(one) for one in described["operations"]),
                open=described["open"],
            )
            for kind, described in orjson.loads(memoryview(blob)[1:]).items()
        }
    )


def _attribute_fields(schema: AttributeSchema) -> dict[str, Any]:
    return {
        "name": schema.name,
        "type": schema.type.value,
        "multi": schema.multi,
        "equality": schema.equality.value,
        "max_length": schema.max_length,
        "allow": sorted(one.value for one in schema.allow),
        "role": schema.role and schema.role.value,
        "unique": schema.unique and schema.unique.value,
        "alias": schema.alias,
        "help": schema.help,
    }


def _attribute(fields: Mapping[str, Any]) -> AttributeSchema:
    return AttributeSchema(
        name=fields["name"],
        type=Type(fields["type"]),
        multi=fields["multi"],
        equality=Equality(fields["equality"]),
        max_length=fields["max_length"],
        allow=frozenset(Allow(one) for one in fields["allow"]),
        role=Role(fields["role"]) if fields["role"] else None,
        unique=Unique(fields["unique"]) if fields["unique"] else None,
        alias=fields["alias"],
        help=fields["help"],
    )


class _Holds(Exception):
    """A reference where none was expected."""


def _tag_scalar(value: Any) -> dict[str, Any]:
    if isinstance(value, Reference):
        raise _Holds
    return _tag(value)


def _canonical(attributes: Mapping[str, Values | None], tag: Callable[[Any], Any] | None = None) -> bytes:
    return _dump(_plain(attributes), tag)


def _plain(attributes: Mapping[str, Values | None]) -> dict[str, Any]:
    """An image as a dict, with several values as sorted lists."""
    if tuple in set(map(type, attributes.values())):
        return {name: _sorted(value) if type(value) is tuple else value for name, value in attributes.items()}
    return attributes if type(attributes) is dict else dict(attributes)


def _dump(value: Any, tag: Callable[[Any], Any] | None = None) -> bytes:
    try:
        return orjson.dumps(value, default=tag or _tag, option=_OPTIONS)
    except TypeError as error:
        if isinstance(error.__cause__, _Holds):
            raise error.__cause__ from None
        # Rare: an integer beyond 64 bits, a string with a lone surrogate, or a type that no attribute can have.
        return orjson.dumps(_tagged(value, tag or _tag), option=_OPTIONS)


def _sorted(values: tuple[Value, ...]) -> list[Value]:
    try:
        return sorted(values) if type(values[0]) is str else sorted(values, key=_sort_key)  # type: ignore[type-var]
    except (TypeError, IndexError):
        return sorted(values, key=_sort_key)


def _sort_key(value: Value) -> bytes:
    return _dump(value)


def _tag(value: Any) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {"b": b64encode(value).decode("ascii")}
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError("a time without zone cannot be stored; connectors deliver times in UTC")
        return {"t": value.astimezone(UTC).isoformat()}
    if isinstance(value, Reference):
        return {"k": value.key, "r": value.value}
    raise TypeError(f"a value of type {type(value).__name__} is no attribute value")


def _tagged(value: Any, tag: Callable[[Any], Any]) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return {"s": b64encode(value.encode("utf-8", "surrogatepass")).decode("ascii")}
        return value
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else {"i": str(value)}
    if isinstance(value, Mapping):
        return {name: _tagged(one, tag) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_tagged(one, tag) for one in value]
    return {name: _tagged(one, tag) for name, one in tag(value).items()}


def _untag(tagged: Mapping[str, Any]) -> Value:
    if "r" in tagged:
        value, key = tagged["r"], tagged["k"]
        return Reference(value=_text(value), key=_text(key))
    if "b" in tagged:
        return b64decode(tagged["b"])
    if "t" in tagged:
        return datetime.fromisoformat(tagged["t"])
    if "i" in tagged:
        return int(tagged["i"])
    return b64decode(tagged["s"]).decode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(_untag(value))


def _restore(image: dict[str, Any]) -> None:
    """Make values of what JSON gave for them."""
    for name, value in image.items():
        kind = type(value)
        if kind is list:
            image[name] = tuple([_untag(one) if type(one) is dict else one for one in value])
        elif kind is dict:
            image[name] = _untag(value)


def _check_version(blob: bytes) -> None:
    if not blob or blob[0] != VERSION:
        form = blob[0] if blob else "none"
        raise ValueError(
            f"stored in a form that this version of Metasync does not know ({form}); use the version that wrote it, or a newer one"
        )
