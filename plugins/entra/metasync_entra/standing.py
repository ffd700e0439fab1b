"""One object during a call of `write`: as it was read, what was written since, and why it must not be written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from metasync.contract import Allow, Change, Kind, Operation, Reference, Values
from metasync_entra import security
from metasync_entra.codec import Codec, allowed, reference, same
from metasync_entra.naming import check_characters
from metasync_entra.ownership import OWNERS, between, identifiers
from metasync_entra.streams import USERS, kind_of_user, stream_of

MEMBERS = frozenset({Operation.MEMBER_ADD, Operation.MEMBER_REMOVE})
MASTERED = (
    "it is mastered by an Active Directory through Entra Connect, and Graph refuses to change it; change it there, or move its source of "
    "authority to the cloud"
)
IN_THE_CLOUD = frozenset({"usageLocation", "passwordPolicies"})
"""What the cloud keeps also of users that are mastered on premises, besides custom security attributes."""
EXCHANGE = "it is a distribution list or a mail-enabled security group, which Exchange writes and Graph does not; leave it out of the scope"
DYNAMIC = "its members follow from a rule of the tenant (dynamic membership); change the rule, or leave the group out of the scope"


class Drifted(Exception):
    """Somebody changed what the plan was made by."""


class Standing:
    """What is there."""

    def __init__(self, codec: Codec, kind: Kind, raw: Mapping[str, Any], names: Iterable[str]) -> None:
        self.codec, self.kind, self.identifier = codec, kind, str(raw["id"])
        self.raw = raw
        self.attributes: dict[str, Values] = codec.decode(kind, raw, names)
        manager = raw.get("manager")
        if isinstance(manager, Mapping) and isinstance(manager.get("id"), str):
            self.attributes["manager"] = Reference(value=manager["id"])
        if owners := raw.get(OWNERS):
            self.attributes[OWNERS] = tuple(Reference(value=one) for one in owners)

    def forbidden(self, change: Change) -> str | None:
        """Why no such change may be made to it."""
        operation = change.operation
        if self.raw.get("onPremisesSyncEnabled") is True and (self.kind is Kind.GROUP or not of_the_cloud(self.codec, change)):
            return MASTERED
        if self.kind is Kind.GROUP:
            types = self.raw.get("groupTypes") or ()
            if self.raw.get("mailEnabled") is True and "Unified" not in types:
                return EXCHANGE
            if operation in MEMBERS and "DynamicMembership" in types:
                return DYNAMIC
        return None

    def is_done(self, change: Change) -> bool:
        """Is nothing left to do? Raises `ValueError` for what cannot be written, `Drifted` where it is not what it was."""
        if change.operation in MEMBERS:
            return False
        if stream_of(self.kind) == USERS and (by_now := kind_of_user(self.raw)) is not self.kind:
            raise Drifted(f"it is a {by_now.value} by now, and was a {self.kind.value}; import again and look at the new plan")
        suits(self.codec, change)
        if change.operation is not Operation.DELETE and all(self.same(name, value) for name, value in change.after.items()):
            return True
        drifted = [
            name
            for name in {**change.before, **change.after}
            if not self.same(name, change.before.get(name))
            and not (name in change.after and (self.same(name, change.after[name]) or self._on_the_way(name, change)))
        ]
        if drifted:
            raise Drifted(f"{', '.join(sorted(drifted))} changed since it was planned; import again and look at the new plan")
        return False

    def _on_the_way(self, name: str, change: Change) -> bool:
        """Owners are written one by one: an attempt that was cut leaves some of those who come, and some of those who go."""
        there = self.attributes.get(OWNERS)
        return name == OWNERS and between(identifiers(change.before.get(name)), identifiers(there), identifiers(change.after[name]))

    def same(self, name: str, value: Values | None) -> bool:
        """Has the attribute this value?"""
        known = self.codec.known(self.kind, name)
        return same(known, self.attributes.get(known.name), value)

    def take(self, after: Mapping[str, Values | None]) -> None:
        """Remember what was written."""
        for name, value in after.items():
            known = self.codec.known(self.kind, name)
            if value is None:
                self.attributes.pop(known.name, None)
            else:
                self.attributes[known.name] = value


def of_the_cloud(codec: Codec, change: Change) -> bool:
    """Does it change values alone that the cloud keeps of everybody, whoever masters the object?"""
    table = codec.tables[change.kind]
    return bool(change.after) and all(
        name in IN_THE_CLOUD or (name in table and table[name].select == security.SELECT) for name in change.after
    )


def suits(codec: Codec, change: Change) -> None:
    """Can Graph take these values? Raises `ValueError` with the first that it cannot."""
    for name, value in change.after.items():
        known = codec.known(change.kind, name)
        creating = change.operation is Operation.CREATE
        allowed(known, Allow.CREATE if creating else Allow.CLEAR if value is None else Allow.UPDATE)
        if known.name == "manager":
            if value is not None:
                reference(value if not isinstance(value, tuple) else value[0])
        elif known.name == OWNERS:
            identifiers(value)
        elif value is not None:
            codec.encode(change.kind, name, value)
            if isinstance(value, str):
                check_characters(change.kind, known.schema.name, value)


def body(codec: Codec, kind: Kind, after: Mapping[str, Values | None]) -> dict[str, Any]:
    """What a request holds of these attributes, the manager left out."""
    made: dict[str, Any] = {}
    for name, value in after.items():
        known = codec.known(kind, name)
        if known.select is None:
            continue
        plain = codec.encode(kind, name, value)[1]
        if known.within:
            security.place(made, known, plain)
        elif known.inside is not None:
            made.setdefault(known.select, {})[known.inside] = plain
        else:
            made[known.select] = plain
    return made


def runs(changes: Iterable[Change]) -> list[list[Change]]:
    """Neighbouring changes of one object that one request can hold: of one sort, and no attribute or member twice."""
    found: list[list[Change]] = []
    sort, used = "", set[object]()
    for change in changes:
        own = _SORTS.get(change.operation, change.operation.value)
        names: set[object] = {change.member} if change.operation in MEMBERS else set(change.after)
        if not found or own != sort or used & names or own not in ("values", "members"):
            found.append([])
            used = set()
        found[-1].append(change)
        sort = own
        used |= names
    return found


_SORTS = {
    Operation.UPDATE: "values",
    Operation.CLEAR: "values",
    Operation.SIGN_IN: "values",
    Operation.ENABLE: "values",
    Operation.DISABLE: "values",
    Operation.MEMBER_ADD: "members",
    Operation.MEMBER_REMOVE: "members",
}
