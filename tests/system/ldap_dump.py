"""Everything that a part of the domain holds, read behind the product's back: to compare before with after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from lab.samba import Samba

VOLATILE = frozenset({"usnchanged", "whenchanged", "dscorepropagationdata", "replpropertymetadata"})
"""Change with every write, whatever is written."""

Dump = Mapping[str, Mapping[str, frozenset[bytes]]]
"""objectGUID -> attribute in lower case -> values. `dn` stands for name and place."""


def dump(samba: Samba, unit: str) -> Dump:
    """All attributes of all objects below an OU."""
    found: dict[str, dict[str, frozenset[bytes]]] = {}
    with samba.connect() as connection:
        for entry in connection.extend.standard.paged_search(unit, "(objectClass=*)", attributes=["*"], paged_size=1000, generator=True):
            if entry["type"] != "searchResEntry":
                continue
            held = {name.lower(): frozenset(values) for name, values in entry["raw_attributes"].items() if name.lower() not in VOLATILE}
            (guid,) = held["objectguid"]
            found[str(UUID(bytes_le=guid))] = {**held, "dn": frozenset({entry["raw_dn"]})}
    return found


def difference(before: Dump, after: Dump) -> dict[str, dict[str, tuple[frozenset[bytes], frozenset[bytes]]]]:
    """dn -> attribute -> (before, after), of everything that is not the same."""
    nothing: Mapping[str, frozenset[bytes]] = {}
    found: dict[str, dict[str, tuple[frozenset[bytes], frozenset[bytes]]]] = {}
    for guid in before.keys() | after.keys():
        old, new = before.get(guid, nothing), after.get(guid, nothing)
        differs = {
            name: (old.get(name, frozenset()), new.get(name, frozenset()))
            for name in old.keys() | new.keys()
            if old.get(name) != new.get(name)
        }
        if differs:
            (dn,) = (old or new)["dn"]
            found[dn.decode()] = differs
    return found
