"""What a directory shows: the present values of objects as last imported, references as anchors. For confirmation and undo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from metasync.contract import Allow, AttributeSchema, Kind, Reference, Role, Type
from metasync.equality import Attributes, equal
from metasync.exporting.order import MEMBERS, is_reference
from metasync.store import directories
from metasync.store import written as written_rows
from metasync.store.ledger import ChangeRow
from metasync.synchronising.created import Resolver, Unresolved


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One object as last imported."""

    id: int
    kind: str
    there: bool
    """It exists; False: the directory deleted it."""
    read: bool
    """The last import read it."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    mark: str | None = None


class Showing:
    """The present of one directory, for the objects of some changes."""

    def __init__(self, connection: Connection, engagement_id: int, directory_id: int, rows: Iterable[ChangeRow]) -> None:
        rows = list(rows)
        self._attributes = Attributes(directories.schema_of(connection, directory_id))
        self._requested = directories.get(connection, directory_id).requested
        self._resolver = Resolver(engagement_id, directory_id)
        self.learn(connection, rows)
        found = written_rows.imported(connection, directory_id, {row.anchor for row in rows if row.anchor})
        self._objects = {
            anchor: Shown(id=number, kind=kind, there=state != "gone", read=state == "live", attributes=attributes, mark=mark)
            for anchor, (number, kind, state, attributes, mark) in found.items()
        }
        single = {
            (shown.id, name)
            for row in rows
            if row.operation not in MEMBERS and (shown := self._objects.get(row.anchor or "")) is not None
            for name in (*row.before, *row.after)
            if self._is_reference(row, name)
        }
        self._references = written_rows.references(connection, single)
        members = {
            (shown.id, name, one.value)
            for row in rows
            if row.operation in MEMBERS and (shown := self._objects.get(row.anchor or "")) is not None
            for name, one in self.members(row)
        }
        self._members = written_rows.holding(connection, directory_id, members)
        named = {one.value for row in rows for value in self.image(row.after).values() for one in _references(value)}
        self._deleted = written_rows.deleted(connection, directory_id, named)

    def learn(self, connection: Connection, rows: Iterable[ChangeRow]) -> None:
        """Look up what the references of these changes mean."""
        self._resolver.learn(connection, [image for row in rows for image in (row.before, row.after)])

    def of(self, anchor: str | None) -> Shown | None:
        """The object, if an import ever brought it."""
        return self._objects.get(anchor or "")

    def image(self, image: Mapping[str, Any]) -> dict[str, Any]:
        """A change's image with anchors; what means nothing any more stays as it is written."""
        resolved: dict[str, Any] = {}
        for name, value in image.items():
            try:
                resolved |= self._resolver.image({name: value})
            except Unresolved:
                resolved[name] = value
        return resolved

    def members(self, row: ChangeRow) -> list[tuple[str, Reference]]:
        """(attribute, member) of a member change, with its anchor."""
        image = self.image(row.after or row.before)
        return [(name, one) for name, values in image.items() for one in _references(values)]

    def went(self, image: Mapping[str, Any]) -> bool:
        """It refers to what the directory deleted: no object can hold that any more."""
        return any(one.value in self._deleted for value in self.image(image).values() for one in _references(value))

    def is_member(self, shown: Shown, attribute: str, anchor: str) -> bool:
        """The object refers to the other in this attribute."""
        return (shown.id, attribute, anchor) in self._members

    def value(self, row: ChangeRow, shown: Shown, attribute: str) -> Any:
        """The present value, as a change would hold it."""
        if self._is_reference(row, attribute):
            anchors = sorted(self._references.get((shown.id, attribute), ()))
            if not anchors:
                return None
            described = self.described(row.kind, attribute)
            many = described.multi if described else len(anchors) > 1
            return tuple(Reference(value=one) for one in anchors) if many else Reference(value=anchors[0])
        return shown.attributes.get(attribute)

    def known(self, connection: Connection, kind: Kind, shown: Shown) -> dict[str, Any]:
        """All of an object that imports brought and that can be written to it; neither name and place nor members."""
        writable = {
            name: described
            for name, described in self._attributes.of(Kind(kind)).items()
            if Allow.UPDATE in described.allow and described.role not in (Role.NAME, Role.PATH)
        }
        found = {name: value for name, value in shown.attributes.items() if name in writable}
        single = {(shown.id, one.name) for one in writable.values() if one.type is Type.REFERENCE and not one.multi}
        for (_, attribute), anchors in written_rows.references(connection, single).items():
            if anchors:
                found[attribute] = Reference(value=min(anchors))
        return found

    def described(self, kind: Kind, attribute: str) -> AttributeSchema | None:
        """What the directory says of an attribute."""
        return self._attributes.of(kind).get(attribute)

    def is_imported(self, row: ChangeRow, attribute: str) -> bool:
        """Imports ask for this attribute, so that its absence means something. What every connector delivers always counts."""
        if self._requested is None or attribute in ("name", "path", "enabled"):
            return True
        names = self._requested.get(row.kind.value)
        if names is None:
            return False
        described = self.described(row.kind, attribute)
        return attribute in names or (described is not None and (described.name in names or (described.alias or "") in names))

    def same(self, row: ChangeRow, attribute: str, one: Any, other: Any) -> bool:
        """Equal to the directory."""
        return equal(self.described(row.kind, attribute), one, other)

    def _is_reference(self, row: ChangeRow, attribute: str) -> bool:
        described = self.described(row.kind, attribute)
        if described is not None and described.type is Type.REFERENCE:
            return True
        return is_reference(row.after.get(attribute)) or is_reference(row.before.get(attribute))


def _references(value: Any) -> list[Reference]:
    return [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Reference)]
