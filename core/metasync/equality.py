"""When two values of an attribute are the same to the directory, so that writing one over the other would change nothing.

The order of several values carries no meaning, and a value told twice counts once. Nothing here knows how a value came about.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from metasync import dn
from metasync.contract import AttributeSchema, Equality, Kind, Reference, Schema


def canonical(attribute: AttributeSchema | None, value: Any) -> Hashable:
    """One value in a form that is equal exactly when the directory sees the same. True is not 1, and text is not bytes."""
    if isinstance(value, Reference):
        return ("reference", value.key, value.value)
    if not isinstance(value, str):
        return (type(value).__name__, value)
    match attribute.equality if attribute else Equality.EXACT:
        case Equality.IGNORE_CASE:
            return ("str", value.casefold())
        case Equality.IGNORE_SPACE:
            return ("str", " ".join(value.split()).casefold())
        case Equality.DN:
            return ("str", dn.folded(value))
        case _:
            return ("str", value)


def canonical_set(attribute: AttributeSchema | None, values: Any) -> frozenset[Hashable]:
    """All values of an attribute; absent is empty."""
    if values is None:
        return frozenset()
    if isinstance(values, tuple | list | set | frozenset):
        return frozenset(canonical(attribute, one) for one in values)
    return frozenset((canonical(attribute, values),))


def equal(attribute: AttributeSchema | None, one: Any, other: Any) -> bool:
    """The same to the directory? None is absent. Without a schema the comparison is exact."""
    return canonical_set(attribute, one) == canonical_set(attribute, other)


class Attributes:
    """What a schema says of each kind's attributes, by the names that changes use: standard names, beside the directory's own."""

    def __init__(self, schema: Schema | None) -> None:
        self._schema = schema
        self._of: dict[Kind, Mapping[str, AttributeSchema]] = {}

    def of(self, kind: Kind) -> Mapping[str, AttributeSchema]:
        """name -> attribute; empty where the schema does not know the kind."""
        if kind not in self._of:
            described = self._schema.kinds.get(kind) if self._schema else None
            attributes = described.attributes if described else {}
            aliases = {one.alias: one for one in attributes.values() if one.alias}
            self._of[kind] = {**aliases, **attributes}
        return self._of[kind]
