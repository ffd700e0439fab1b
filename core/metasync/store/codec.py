"""Bytes for attribute images, operations and schemas, and the digest by which two images are compared.

The first byte is the version of the form; behind it stands canonical JSON, keys sorted. Strings, whole numbers, booleans and nulls are
themselves, times are ISO 8601 in UTC, bytes are base64, several texts are a list, sorted: their order carries no meaning. What JSON does
not tell is said behind a line feed, which JSON never holds: attribute -> `t` (a time), `b` (bytes), `m` (several texts) or `x`: look
inside, where each value that is not plain is an object with one tag:

    {"b": base64}           bytes
    {"t": ISO 8601 in UTC}  a time
    {"r": value, "k": key}  a Reference
    {"i": decimal}          an integer beyond 64 bits
    {"s": base64}           a string that is not Unicode (a lone surrogate), as UTF-8 with surrogates

`decode` reads every version ever written. The digest is over the logical content, so that a new version of the form dirties nothing.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
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
from metasync.store.normalise import LONGEST, normalise, short, storable
from metasync.store.rows import PendingOperation

VERSION = 1

_PREFIX = bytes([VERSION])
_MODULUS = 1 << 128
_INT64 = 1 << 63


def encode(attributes: Mapping[str, Values | None]) -> bytes:
    """The bytes of an attribute image. None stays None: "cleared"."""
    return _PREFIX + _form(attributes)


def decode(blob: bytes) -> dict[str, Any]:
    """The attribute image again: `Values`, or None where None was encoded. Several values come back sorted."""
    _check_version(blob)
    at = blob.rfind(b"\n")
    if at < 0:
        image: dict[str, Any] = orjson.loads(memoryview(blob)[1:])
        return image
    view = memoryview(blob)
    image = orjson.loads(view[1:at])
    for name, mark in orjson.loads(view[at + 1 :]).items():
        value = image[name]
        if mark == "m":
            image[name] = tuple(value)
        elif mark == "t":
            image[name] = datetime.fromisoformat(value)
        elif mark == "b":
            image[name] = b64decode(value)
        elif value.__class__ is list:
            image[name] = tuple([_untag(one) if one.__class__ is dict else one for one in value])
        else:
            image[name] = _untag(value)
    return image


def digest(attributes: Mapping[str, Values | None]) -> bytes:
    """16 bytes that are equal exactly when the images are (but for chance of 2^-128): whatever the order of attributes and values.

    References count one by one (`reference_weight`), so that one member more of a group changes it without the others being read.
    """
    return pack(attributes)[2]


def pack(
    attributes: Mapping[str, Values | None],
) -> tuple[Mapping[str, Values | None], bytes, bytes, Sequence[tuple[str, str, str]]]:
    """(image without references, the same encoded, digest with references, references as (attribute, key, value)), for imports."""
    special = [name for name, value in attributes.items() if value.__class__ not in _PLAIN]
    if not special:
        form = _joined(attributes, {})
        return attributes, _PREFIX + form, xxhash.xxh3_128_digest(form), ()
    image: dict[str, Any] = dict(attributes)
    times: list[str] = []
    texts: list[str] = []
    references: list[tuple[str, str, str]] = []
    for name in special:
        value = image[name]
        kind = value.__class__
        if kind is datetime and value.tzinfo is UTC:
            times.append(name)
        elif kind is Reference:
            references.append(stored_reference(name, value))
            del image[name]
        elif kind is not tuple or not value:
            return _pack_any(attributes)
        elif len(value) == 1 and value[0].__class__ is str:
            texts.append(name)
        elif (kinds := {*map(type, value)}) == _TEXTS:
            image[name] = tuple(sorted(value))
            texts.append(name)
        elif kinds == _REFERENCES:
            # A value counts once, however often it is told; so also in the digest.
            references += dict.fromkeys([stored_reference(name, one) for one in value])
            del image[name]
        else:
            return _pack_any(attributes)
    try:
        form = orjson.dumps(image, None, orjson.OPT_SORT_KEYS)
    except TypeError:
        return _pack_any(attributes)
    if times or texts:
        form += _tail(tuple(times), tuple(texts))
    return image, _PREFIX + form, _digest(form, references), references


def _pack_any(
    attributes: Mapping[str, Values | None],
) -> tuple[Mapping[str, Values | None], bytes, bytes, Sequence[tuple[str, str, str]]]:
    """The same of any image: one of other values than nearly all are takes the longer way, and all of it does."""
    plain, references = split(attributes)
    form = _form(plain)
    return plain, _PREFIX + form, _digest(form, references), references


def _digest(form: bytes, references: Sequence[tuple[str, str, str]]) -> bytes:
    if not references:
        return xxhash.xxh3_128_digest(form)
    return combine(weight(form), [reference_weight(*one) for one in references])


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
            references.update(dict.fromkeys([stored_reference(name, one) for one in value if isinstance(one, Reference)]))
            if rest := tuple([one for one in value if not isinstance(one, Reference)]):
                plain[name] = rest
            else:
                del plain[name]
    return plain, list(references)


def stored_reference(attribute: str, reference: Reference) -> tuple[str, str, str]:
    """(attribute, key, value) of a link: an anchor as it is, any other key in the form in which keys are looked up."""
    key, value = reference.key, reference.value
    if key != "anchor":
        return attribute, key, normalise(value)
    # Nearly all of them are short and plain: nothing to escape or to shorten.
    return attribute, key, value if value.isascii() and value.isprintable() and len(value) <= LONGEST else short(storable(value))


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
    return join_frames([Frame(one.operation.value, encode(one.before), encode(one.after), encode_rules(one.rules)) for one in operations])


def encode_rules(rules: Mapping[str, str]) -> bytes:
    """The rules of an operation, as JSON; a lone surrogate becomes an escape."""
    try:
        return orjson.dumps(rules, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return orjson.dumps({name: storable(words) for name, words in rules.items()}, option=orjson.OPT_SORT_KEYS)


def decode_operations(blob: bytes) -> list[PendingOperation]:
    """The operations again; several values come back sorted."""
    return [
        PendingOperation(operation=Operation(operation), before=decode(before), after=decode(after), rules=orjson.loads(rules))
        for operation, before, after, rules in frames(blob)
    ]


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
    return _PREFIX + orjson.dumps(kinds, option=orjson.OPT_SORT_KEYS)


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
        "fixed": schema.fixed,
        "elsewhere": schema.elsewhere,
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
        fixed=fields.get("fixed"),  # absent in what was stored before there was one
        elsewhere=fields.get("elsewhere"),  # so is this one
        help=fields["help"],
    )


_PLAIN = frozenset({str, int, bool, type(None)})
"""Types that JSON tells by itself."""
_TEXTS, _REFERENCES = frozenset({str}), frozenset({Reference})


def _form(attributes: Mapping[str, Values | None]) -> bytes:
    """Canonical JSON, and what it does not tell."""
    image: dict[str, Any] = dict(attributes)
    marks: dict[str, str] = {}
    for name in [name for name, value in attributes.items() if value.__class__ not in _PLAIN]:
        value = image[name]
        kind = value.__class__
        if kind is tuple:
            image[name], marks[name] = _several(value)
        elif kind is datetime:
            image[name], marks[name] = _instant(value), "t"
        elif kind is bytes:
            image[name], marks[name] = b64encode(value).decode("ascii"), "b"
        else:
            image[name] = _tag(value)
            if image[name].__class__ is dict:
                marks[name] = "x"
    return _joined(image, marks)


def _joined(image: Mapping[str, Any], marks: dict[str, str]) -> bytes:
    try:
        text = orjson.dumps(image, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Rare: an integer beyond 64 bits, or a string with a lone surrogate.
        tagged = {name: _tagged(value) for name, value in image.items()}
        marks |= {name: "x" for name, value in image.items() if tagged[name] is not value}
        text = orjson.dumps(tagged, option=orjson.OPT_SORT_KEYS)
    return b"%b\n%b" % (text, _marked(*marks.items())) if marks else text


@lru_cache(maxsize=1024)
def _tail(times: tuple[str, ...], texts: tuple[str, ...]) -> bytes:
    """What stands behind the JSON, which is the same for most objects of a kind."""
    return b"\n" + _marked(*dict.fromkeys(times, "t").items(), *dict.fromkeys(texts, "m").items())


@lru_cache(maxsize=1024)
def _marked(*marks: tuple[str, str]) -> bytes:
    """The marks of an image, which are the same for most objects of a kind."""
    return orjson.dumps(dict(marks), option=orjson.OPT_SORT_KEYS)


def _several(values: tuple[Value, ...]) -> tuple[list[Any], str]:
    """Several values as a sorted list, and their mark."""
    if len(values) == 1 and values[0].__class__ is str:
        return list(values), "m"
    if {*map(type, values)} <= {str}:
        return sorted(values), "m"
    tagged = [one if one.__class__ in _PLAIN else _tag(one) for one in values]
    return sorted(tagged, key=_sort_key), "x"


def _instant(value: datetime) -> datetime:
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise TypeError("a time without zone cannot be stored; connectors deliver times in UTC")
    return value.astimezone(UTC)


def _sort_key(value: Any) -> bytes:
    return orjson.dumps(_tagged(value), option=orjson.OPT_SORT_KEYS)


def _tag(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b": b64encode(value).decode("ascii")}
    if isinstance(value, datetime):
        return {"t": _instant(value).isoformat()}
    if isinstance(value, Reference):
        return {"k": value.key, "r": value.value}
    if isinstance(value, (str, int)):
        return str(value) if isinstance(value, str) else int(value)
    raise TypeError(f"a value of type {type(value).__name__} is no attribute value")


def _tagged(value: Any) -> Any:
    """What JSON takes; the very same value where it takes that."""
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return {"s": b64encode(value.encode("utf-8", "surrogatepass")).decode("ascii")}
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -_INT64 <= value < _INT64 else {"i": str(value)}
    if isinstance(value, dict):
        parts = {name: _tagged(one) for name, one in value.items()}
        return value if all(parts[name] is one for name, one in value.items()) else parts
    if isinstance(value, list | tuple):
        items = [_tagged(one) for one in value]
        return value if all(one is other for one, other in zip(items, value, strict=True)) else items
    return value


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


def _check_version(blob: bytes) -> None:
    if not blob or blob[0] != VERSION:
        form = blob[0] if blob else "none"
        raise ValueError(
            f"stored in a form that this version of Metasync does not know ({form}); use the version that wrote it, or a newer one"
        )
