"""Values between Graph's JSON and the contract. Raises `ValueError` with the reason where a value cannot be what it should."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from metasync.contract import Allow, AttributeSchema, Equality, Kind, Reference, Type, Value, Values
from metasync_entra import security
from metasync_entra.attributes import Known, tables

MEMBERS_OF = {"#microsoft.graph.user", "#microsoft.graph.group", "#microsoft.graph.orgContact"}
"""Members of other types (devices, service principals) are no objects of ours."""
_PYTHON: Mapping[Type, type[Any]] = {Type.STRING: str, Type.INTEGER: int, Type.BOOLEAN: bool, Type.BYTES: bytes, Type.TIME: datetime}


_TEXT = frozenset({str})
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(slots=True)
class Plan:
    """How to take attributes out of an object of Graph's. Most stand there as they are needed, and need no look at their schema."""

    texts: dict[str, Known] = field(default_factory=dict)
    """Texts that we call as Graph does."""
    scalars: list[tuple[Known, str, str, type[Any]]] = field(default_factory=list)
    """Other values that JSON says as we do: the standard name, where they stand, their type."""
    others: list[Known] = field(default_factory=list)


class Codec:
    """The attributes of one tenant, by kind and standard name."""

    def __init__(self, extensions: Mapping[str, str], security_attributes: Mapping[str, str] | None = None) -> None:
        self.tables = tables(extensions, [security.attribute(name, kind) for name, kind in (security_attributes or {}).items()])
        self._plans: dict[tuple[Kind, frozenset[str]], Plan] = {}
        self._by_graph = {kind: {one.schema.name: one for one in table.values()} for kind, table in self.tables.items()}

    def known(self, kind: Kind, name: str) -> Known:
        """By standard name, or by Graph's. Raises `ValueError`."""
        found = self.tables[kind].get(name) or self._by_graph[kind].get(name)
        if found is None:
            raise ValueError(f"Graph's {kind.value} has no attribute {name}; remove it from the mapping, or name it in `extensions`")
        return found

    def select(self, kinds: Iterable[Kind], names: Mapping[Kind, Collection[str]]) -> list[str]:
        """What `$select` names so that these attributes come."""
        found: dict[str, None] = {"id": None}
        for kind in kinds:
            for name in sorted(names.get(kind, ())):
                known = self.tables[kind].get(name) or self._by_graph[kind].get(name)
                if known is not None and known.select is not None:
                    found[known.select] = None
        return list(found)

    def decode(self, kind: Kind, raw: Mapping[str, Any], names: Iterable[str]) -> dict[str, Values]:
        """The attributes of these names that have a value. References are not among them."""
        key = kind, names if isinstance(names, frozenset) else frozenset(names)
        plan = self._plans.get(key) or self._planned(*key)
        texts = plan.texts
        # Looked at one by one, these would cost more than everything else that is done with an object.
        found: dict[str, Values] = {name: value for name, value in raw.items() if value and name in texts}
        if not _TEXT.issuperset(map(type, found.values())):
            for name, value in found.items():
                decoded(texts[name], value)  # says what is wrong with it
        for known, name, select, wanted in plan.scalars:
            scalar: Any = raw.get(select)
            if scalar.__class__ is wanted and scalar != "":
                found[name] = scalar
            elif scalar is not None:
                decoded(known, scalar)
        for known in plan.others:
            several = decoded(known, held(known, raw))
            if several is not None:
                found[known.name] = several
        return found

    def _planned(self, kind: Kind, names: frozenset[str]) -> Plan:
        """How to take these attributes out of an object."""
        plan = Plan()
        for name in names:
            known = self.tables[kind].get(name) or self._by_graph[kind].get(name)
            if known is None or known.select is None:
                continue
            if known.schema.multi or known.inside or known.listed or known.schema.type in (Type.TIME, Type.BYTES):
                plan.others.append(known)
            elif known.schema.type is Type.STRING and known.name == known.select:
                plan.texts[known.name] = known
            else:
                plan.scalars.append((known, known.name, known.select, _PYTHON[known.schema.type]))
        self._plans[kind, names] = plan
        return plan

    def encode(self, kind: Kind, name: str, value: Values | None) -> tuple[Known, Any]:
        """The attribute, and the value as it stands in a request's body. Raises `ValueError`."""
        known = self.known(kind, name)
        return known, encoded(known, value)


def held(known: Known, raw: Mapping[str, Any]) -> Any:
    """What an object of Graph's holds of this attribute."""
    value = raw.get(known.select or "")
    if known.within:
        value = value.get(known.within) if isinstance(value, Mapping) else None
    if known.inside is not None:
        return value.get(known.inside) if isinstance(value, Mapping) else None
    if known.listed:
        return value[0] if isinstance(value, list) and value else None
    return value


def decoded(known: Known, value: Any) -> Values | None:
    """One value of Graph's; None where there is none."""
    if known.schema.multi:
        values = tuple(dict.fromkeys(one for part in value or () if (one := _scalar(known.schema, part)) is not None))
        return values or None
    return _scalar(known.schema, value)


def _scalar(schema: AttributeSchema, value: Any) -> Value | None:
    if value is None or value == "":
        return None
    match schema.type:
        case Type.TIME:
            return time(str(value))
        case Type.BYTES:
            try:
                return base64.b64decode(str(value), validate=True) or None
            except binascii.Error:
                raise ValueError(f"{schema.name} is not base64, as Graph should give it") from None
        case kind:
            wanted = _PYTHON[kind]
            if type(value) is not wanted:
                raise ValueError(f"{schema.name} is {type(value).__name__}, and should be {kind.value}")
            found: Value = value
            return found


def time(text: str) -> datetime:
    """A time of Graph's: ISO 8601, in UTC, the fraction with any number of digits."""
    whole, point, rest = text.partition(".")
    digits = "".join(character for character in rest if character.isdigit())[:6] if point else ""
    try:
        found = datetime.fromisoformat(whole.removesuffix("Z"))
    except ValueError:
        raise ValueError(f"{text!r} is no time") from None
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return found.replace(microsecond=int(digits.ljust(6, "0")) if digits else 0)


def encoded(known: Known, value: Values | None) -> Any:
    """A value for a request's body. Raises `ValueError`."""
    schema = known.schema
    if value is None:
        return [] if schema.multi or known.listed else None
    if schema.multi != isinstance(value, tuple):
        raise ValueError(f"{schema.name} takes {'several values' if schema.multi else 'one value'}")
    values = [_plain(schema, one) for one in (value if isinstance(value, tuple) else (value,))]
    return values if schema.multi or known.listed else values[0]


def _plain(schema: AttributeSchema, value: Value) -> Any:
    if schema.type is Type.REFERENCE:
        raise ValueError(f"{schema.name} holds references")
    if type(value) is not _PYTHON[schema.type]:
        raise ValueError(f"{schema.name} takes a {schema.type.value}, and the value is {type(value).__name__}")
    if isinstance(value, str):
        _check_text(schema, value)
        return value
    if isinstance(value, bytes):
        if schema.max_length is not None and len(value) > schema.max_length:
            raise ValueError(f"{schema.name} takes {schema.max_length} bytes, and the value has {len(value)}")
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


def _check_text(schema: AttributeSchema, value: str) -> None:
    if not value:
        raise ValueError(f"{schema.name} is empty; clear it instead")
    if schema.max_length is not None and len(value) > schema.max_length:
        raise ValueError(f"{schema.name} takes {schema.max_length} characters, and the value has {len(value)}; shorten it with `truncate`")
    if "\0" in value:
        raise ValueError(f"{schema.name} holds the character NUL; remove it with `replace`")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{schema.name} holds half a character (a lone surrogate); remove it in the mapping") from None


def reference(value: Value) -> str:
    """The identifier that a reference names. Raises `ValueError`."""
    if not isinstance(value, Reference) or value.key != "anchor" or not is_guid(value.value):
        raise ValueError("it refers to something by another key than the object identifier; map it from a reference")
    return value.value


def is_guid(text: str) -> bool:
    """Has it the form of an object identifier? What has not never stands in a path."""
    return _GUID.fullmatch(text) is not None


def members(values: Iterable[Any]) -> Iterator[str]:
    """The identifiers of those members that are objects of ours."""
    for one in values:
        if isinstance(one, dict) and isinstance(one.get("id"), str) and one.get("@odata.type", "#microsoft.graph.user") in MEMBERS_OF:
            yield one["id"]


def same(known: Known, left: Values | None, right: Values | None) -> bool:
    """Are two values the same to Graph? The order of several carries no meaning."""
    return _folded(known, left) == _folded(known, right)


def _folded(known: Known, values: Values | None) -> set[Value]:
    several = values if isinstance(values, tuple) else () if values is None else (values,)
    if known.schema.equality is Equality.IGNORE_CASE:
        return {one.casefold() if isinstance(one, str) else one for one in several}
    return set(several)


def allowed(known: Known, what: Allow) -> None:
    """Raises `ValueError` where Graph does not let this be done with the attribute."""
    if what not in known.schema.allow:
        verb = {Allow.CREATE: "given", Allow.UPDATE: "changed", Allow.CLEAR: "cleared"}.get(what, "read")
        reason = f" ({known.schema.help.rstrip('.')})" if known.schema.help else ""
        raise ValueError(f"Graph does not let {known.schema.name} be {verb}{reason}; remove it from the mapping")
