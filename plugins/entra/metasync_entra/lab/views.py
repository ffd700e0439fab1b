"""How an object looks in an answer: default properties, those of $select, and what a delta round shows of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metasync_entra.lab.messages import Refused
from metasync_entra.lab.rules import DEFAULT_PROPERTIES, SELECT, follows
from metasync_entra.lab.schema import DEFAULTS, ENTITY_SETS, NAVIGATION, PROPERTIES, Property, Schema

TITLES = {"user": "microsoft.graph.user", "group": "microsoft.graph.group", "orgContact": "microsoft.graph.orgContact"}


@follows(DEFAULT_PROPERTIES)
def properties(schema: Schema, kind: str, select: Sequence[str] | None) -> Sequence[Property]:
    """What is answered. `select` is None where the request has none. Names are matched as the service does it: without regard to case."""
    if select is None or "*" in select:
        return DEFAULTS[kind]
    known = {name.casefold(): name for name in (*_names(schema, kind),)}
    found: list[Property] = []
    for name in select:
        property_ = schema.find(kind, known.get(name.casefold(), name))
        if property_ is None:
            raise Refused(SELECT, 400, "BadRequest", f"Could not find a property named '{name}' on type '{TITLES[kind]}'.")
        if property_ not in found:
            found.append(property_)
    return found


def _names(schema: Schema, kind: str) -> Iterable[str]:
    yield from PROPERTIES[kind]
    yield from schema.extensions[kind]


def split_select(text: str | None) -> list[str] | None:
    """The names of $select."""
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


def navigation(kind: str, select: Sequence[str] | None) -> tuple[list[str], list[str] | None]:
    """(navigation properties, the others) of a delta query's $select. Without $select a group's members are there."""
    if select is None:
        return (["members"] if kind == "group" else []), None
    named = [name for name in select if name in NAVIGATION[kind]]
    return named, [name for name in select if name not in named]


def plan(chosen: Iterable[Property]) -> tuple[tuple[str, Any], ...]:
    """(name, what stands for never set), for `whole`."""
    return tuple((one.name, one.empty) for one in chosen)


def whole(fields: Mapping[str, Any], chosen: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """As lists and single reads show it: everything that was asked for."""
    get = fields.get
    return {name: value if (value := get(name)) is not None else empty for name, empty in chosen}


def ever_set(fields: Mapping[str, Any], chosen: Iterable[Property], only: Iterable[str] | None = None) -> dict[str, Any]:
    """As a delta round shows it: never set is absent, cleared is null (an empty collection stays one)."""
    shown = {"id": fields["id"]}
    for one in chosen:
        if one.name in fields and (only is None or one.name in only):
            value = fields[one.name]
            shown[one.name] = one.empty if value is None else value
    return shown


def context(base: str, kind: str, select: Sequence[str] | None, *, one: bool = False) -> str:
    """@odata.context."""
    chosen = f"({','.join(select)})" if select else ""
    return f"{base}/$metadata#{ENTITY_SETS[kind]}{chosen}{'/$entity' if one else ''}"
