"""The conformance suite against a lab tenant, over its real HTTPS listeners, with faults where a line is to be cut."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from metasync.contract import AttributeSchema, Connector, Context, DirectorySettings, Kind, KindSchema, Reference, Value, Values
from metasync.testing.suite import ConnectorSuite, Harness
from metasync_entra.codec import Codec, encoded
from metasync_entra.connector import EntraID
from metasync_entra.lab import Lab, tenant

from .conftest import MARK, ROLES, options_for

OWN_RULES = {
    "passwordPolicies": "it takes certain words",
    "usageLocation": "it takes the two letters of a country",
    "preferredLanguage": "it takes a language's tag",
    "onPremisesImmutableId": "Entra Connect joins by it",
}
COLLECTIONS = {Kind.USER: "user", Kind.GUEST: "user", Kind.GROUP: "group", Kind.CONTACT: "orgContact"}


class LabHarness(Harness):
    """A tenant of its own, and its control plane for hands."""

    connector = EntraID
    settings = DirectorySettings(mark=MARK)
    text = "displayName"
    other = "jobTitle"
    multi = "otherMails"
    reference = "manager"
    unique = "userPrincipalName"
    limited = "department"
    group = Kind.GROUP

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._running = tenant(folder=folder, roles=ROLES)
        self.lab: Lab = self._running.__enter__()
        self.codec = Codec({})
        self.opened: list[EntraID] = []
        self._numbers = itertools.count(1)

    def options(self) -> Mapping[str, Any]:
        return options_for(self.lab, threads=1)

    def open(self, context: Context) -> Connector:
        connector = super().open(context)
        assert isinstance(connector, EntraID)
        self.opened.append(connector)
        return connector

    def sample(self, kind: Kind, number: int) -> dict[str, Values]:
        attributes: dict[str, Values] = {"displayName": f"Text {number}"}
        if kind is Kind.USER:
            attributes |= {"userPrincipalName": f"user{number}@contoso.com", "mailNickname": f"user{number}"}
        if kind is Kind.GUEST:
            attributes |= {"mail": f"guest{number}@elsewhere.test"}
        if kind is Kind.GROUP:
            attributes |= {"mailNickname": f"group{number}"}
        return attributes

    def value(self, kind: Kind, attribute: AttributeSchema, number: int) -> Values | None:
        if attribute.name in ("userPrincipalName", "mail"):
            return f"{attribute.name[:4]}-{number}@contoso.com"
        if attribute.name == "otherMails":
            return (f"first{number}@elsewhere.test", f"second{number}@elsewhere.test")
        if attribute.name == "mailNickname":
            return f"nick{number}"
        return super().value(kind, attribute, number)

    @classmethod
    def writable(cls, kind: KindSchema) -> dict[str, Any]:
        return {name: one for name, one in super().writable(kind).items() if name not in OWN_RULES}

    # Behind the connector's back

    def _fields(self, kind: Kind, attributes: Mapping[str, Values | None]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for name, value in attributes.items():
            known = self.codec.known(kind, name)
            if known.select is None:
                continue
            if known.inside:
                fields.setdefault(known.select, {})[known.inside] = value
            else:
                fields[known.select] = encoded(known, value)
        return fields

    def put(self, kind: Kind, attributes: Mapping[str, Values]) -> str:
        fields = self._fields(kind, attributes)
        if kind in (Kind.USER, Kind.GUEST):
            guest = f"guest{next(self._numbers)}_elsewhere.test#EXT#@contoso.onmicrosoft.com"
            fields = {"accountEnabled": True, "userType": "Member" if kind is Kind.USER else "Guest", "userPrincipalName": guest, **fields}
        if kind is Kind.GROUP:
            fields = {"securityEnabled": True, "mailEnabled": False, "groupTypes": [], **fields}
        anchor = self.lab.control.create(COLLECTIONS[kind], fields)
        self._relate(anchor, attributes)
        return anchor

    def _relate(self, anchor: str, attributes: Mapping[str, Values | None]) -> None:
        for name in ("manager", "members", "owners"):
            if name not in attributes:
                continue
            there = self.lab.control.read(anchor)
            assert there is not None
            wanted = _anchors(attributes[name])
            self.lab.control.unrelate(name, anchor, [one for one in there.get(name, []) if one not in wanted])
            self.lab.control.relate(name, anchor, [one for one in wanted if one not in there.get(name, [])])

    def change(self, anchor: str, attributes: Mapping[str, Values | None]) -> None:
        there = self.lab.control.read(anchor)
        assert there is not None
        kind = Kind.USER if there["kind"] == "user" else Kind.GROUP
        if fields := self._fields(kind, attributes):
            self.lab.control.change(anchor, fields)
        self._relate(anchor, attributes)

    def delete(self, anchor: str) -> None:
        self.lab.control.delete(anchor)

    # Making it difficult

    def protect(self, anchor: str) -> None:
        self.lab.control.change(anchor, {"onPremisesSyncEnabled": True})

    def cut(self) -> None:
        self.lab.control.fault("reset", method="GET", path="^/v1.0/users", times=None)

    def mend(self) -> None:
        self.lab.control.clear_faults()

    def cut_write(self, done: int) -> None:
        self.opened[-1].session.batch = 1  # else the three changes were one request, which is served or is not
        self.lab.control.fault("reset", path="batch", in_batch=False, skip=done, times=None)
        self.lab.control.fault("reset", method="GET", path="^/v1.0/users", times=None)

    def mend_write(self) -> None:
        self.lab.control.clear_faults()

    def expire(self) -> None:
        self.lab.control.reset_delta()

    def dispose(self) -> None:
        for connector in self.opened:
            connector.close()
        self._running.__exit__(None, None, None)


def _anchors(values: Values | None) -> list[str]:
    several: tuple[Value, ...] = values if isinstance(values, tuple) else () if values is None else (values,)
    return [one.value for one in several if isinstance(one, Reference)]


class TestEntra(ConnectorSuite):
    """Every promise of the contract, for users and groups."""

    Harness = LabHarness


class GuestsHarness(LabHarness):
    """The same for guests, whose sign-in name and address are not ours to change."""

    kind = Kind.GUEST
    unique: ClassVar[str | None] = None
    multi: ClassVar[str | None] = None

    @classmethod
    def writable(cls, kind: KindSchema) -> dict[str, Any]:
        return {name: one for name, one in super().writable(kind).items() if name != "otherMails"}  # the invitation sets it


class TestGuests(ConnectorSuite):
    """Every promise of the contract, for guests."""

    Harness = GuestsHarness
