"""The conformance suite against a real Samba domain, bound as the least privileged account, through a line that can be cut."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from lab.proxy import Proxy

from metasync.contract import Connector, Context, DirectorySettings, Kind, KindSchema, Unavailable, Values
from metasync.testing.context import TestContext
from metasync.testing.suite import ConnectorSuite, Harness
from metasync.testing.suite.following import FollowingSuite
from metasync_ad import dn as names
from metasync_ad import lookup
from metasync_ad.attributes import WIRE_NAMES, encode_reference
from metasync_ad.connector import ActiveDirectory
from metasync_ad.options import ADOptions
from metasync_ad.session import REPLACE

OWN_RULES = {
    "codePage": "the directory sets it",
    "countryCode": "the directory sets it",
    "groupType": "it takes only certain numbers",
    "controlAccessRights": "each value is a GUID",
    "mSMQDigests": "each value has 16 bytes",
    "servicePrincipalName": "each value is a service and a host",
    "userParameters": "it is the packed form of other settings",
}


class SambaHarness(Harness):
    """An OU of its own with two containers in it."""

    connector = ActiveDirectory
    settings = DirectorySettings(mark="adminDescription")
    multi = "otherTelephone"
    reference = "manager"
    unique = "userPrincipalName"
    limited = "department"
    group = Kind.GROUP
    examples: ClassVar[int] = 60

    def __init__(self, folder: Path, samba: Any) -> None:
        super().__init__(folder)
        self.samba = samba
        self.unit = samba.make_unit("suite")
        self.short = uuid.uuid4().hex[:8]
        self.secrets = {"bind": samba.service.password, "admin": samba.administrator.password}  # type: ignore[misc]
        self.proxy = Proxy(samba.address, 636)
        self.hands = ActiveDirectory(
            ADOptions().load(self._options(samba.administrator.name, "admin", samba.address, 636)), self._context()
        )
        self.opened: list[ActiveDirectory] = []
        self.hands.session.add(f"OU=Gone,{self.unit}", {"objectClass": ["organizationalUnit"]})
        self.hands.session.delete(f"OU=Gone,{self.unit}")  # deltas need a deleted object to be seen
        for place in ("One", "Two"):
            self.hands.session.add(f"OU={place},{self.unit}", {"objectClass": ["organizationalUnit"]})
        self.places = (f"OU=One,{self.unit}", f"OU=Two,{self.unit}")  # type: ignore[misc]

    def _context(self) -> TestContext:
        return TestContext("hands", secrets=self.secrets)

    def _options(self, bind: str, secret: str, server: str, port: int) -> dict[str, Any]:
        return {
            "servers": [server],
            "port": port,
            "base": self.samba.base,
            "bind": bind,
            "password": {"secret": secret},
            "ca file": str(self.samba.ca),
            "certificate name": self.samba.host,
            "under": [self.unit],
        }

    def options(self) -> Mapping[str, Any]:
        return self._options(self.samba.service.name, "bind", "127.0.0.1", self.proxy.port)

    def open(self, context: Context) -> Connector:
        connector = super().open(context)
        assert isinstance(connector, ActiveDirectory)
        self.opened.append(connector)
        return connector

    def sample(self, kind: Kind, number: int) -> dict[str, Values]:
        attributes: dict[str, Values] = {"name": f"{kind.value.title()} {number}", "path": self.places[0]}
        if kind is not Kind.CONTAINER:
            attributes["displayName"] = f"Text {number}"
        if kind in (Kind.USER, Kind.GROUP):
            attributes["sAMAccountName"] = f"{self.short}{kind.value[0]}{number}"
        return attributes

    def value(self, kind: Kind, attribute: Any, number: int) -> Values | None:
        if attribute.name in ("sAMAccountName", "userPrincipalName", "mail"):
            return f"{self.short}-{number}" if attribute.name == "sAMAccountName" else f"{self.short}-{number}@{self.samba.domain}"
        return super().value(kind, attribute, number)

    @classmethod
    def writable(cls, kind: KindSchema) -> dict[str, Any]:
        return {name: one for name, one in super().writable(kind).items() if name not in OWN_RULES}

    # Behind the connector's back

    def put(self, kind: Kind, attributes: Mapping[str, Values]) -> str:
        classes = {Kind.USER: "user", Kind.GROUP: "group", Kind.CONTACT: "contact", Kind.CONTAINER: "organizationalUnit"}
        first = "OU" if kind is Kind.CONTAINER else "CN"
        dn = f"{names.relative(first, str(attributes['name']))},{attributes['path']}"
        raw = {name: self._raw(name, value) for name, value in attributes.items() if name not in ("name", "path", "enabled")}
        if kind is Kind.USER:
            raw["userAccountControl"] = [b"514"]
        self.hands.session.add(dn, {"objectClass": [classes[kind]], **{("member" if n == "members" else n): v for n, v in raw.items()}})
        made = lookup.by_dn(self.hands.session, dn, ())
        assert made is not None and made.guid is not None
        return made.guid

    def _raw(self, name: str, value: Values) -> list[bytes]:
        return self.hands.codec.encode(name, value)

    def change(self, anchor: str, attributes: Mapping[str, Values | None]) -> None:
        steps = {
            WIRE_NAMES.get(name, name): [(REPLACE, [] if value is None else list(self._raw(name, value)))]
            for name, value in attributes.items()
        }
        self.hands.session.modify(f"<GUID={anchor}>", steps)

    def reserve(self, value: str) -> None:
        """A computer has it: nobody imports those."""
        name = f"c{uuid.uuid4().hex[:12]}"
        self.hands.session.add(
            f"CN={name},{self.unit}", {"objectClass": ["computer"], "sAMAccountName": [f"{name}$"], "userPrincipalName": [value]}
        )

    def delete(self, anchor: str) -> None:
        self.hands.session.delete(f"<GUID={anchor}>")

    def rename(self, anchor: str, name: str) -> None:
        self.hands.session.rename(self._dn(anchor), names.relative("CN", name))

    def move(self, anchor: str, path: str) -> None:
        dn = self._dn(anchor)
        self.hands.session.rename(dn, names.split(dn)[0], path)

    def _dn(self, anchor: str) -> str:
        entry = lookup.by_dn(self.hands.session, encode_reference(self.refer(anchor)), ())
        assert entry is not None
        return entry.dn

    # Making it difficult

    def cut(self) -> None:
        self.proxy.cut(after=1500)

    def mend(self) -> None:
        self.proxy.mend()

    def expire(self) -> None:
        """As after a restore from a backup: the controller has another invocationId."""
        for connector in self.opened:
            connector.session._invocation = str(uuid.uuid4())

    def cut_write(self, done: int) -> None:
        session = self.opened[-1].session
        add, made = session.add, []

        def counting(dn: str, attributes: Any) -> None:
            if len(made) == done:
                self.proxy.cut()
            add(dn, attributes)
            made.append(dn)

        session.add = counting  # type: ignore[method-assign]

    def mend_write(self) -> None:
        self.proxy.mend()

    def dispose(self) -> None:
        for connector in [*self.opened, self.hands]:
            connector.close()
        self.proxy.close()
        self.samba.remove_tree(self.unit)


class TestActiveDirectory(ConnectorSuite):
    """Every promise of the contract."""

    Harness = SambaHarness  # type: ignore[assignment]

    @pytest.fixture
    def harness(self, samba: Any, tmp_path: Path) -> Iterator[SambaHarness]:  # type: ignore[override]
        harness = SambaHarness(tmp_path, samba)
        try:
            yield harness
        finally:
            harness.dispose()


class AdministratorsHarness(SambaHarness):
    """Bound as an administrator, whose right Get-Changes opens DirSync without object security."""

    def options(self) -> Mapping[str, Any]:
        return self._options(self.samba.administrator.name, "admin", "127.0.0.1", self.proxy.port)


class TestDirSyncOfEverything(FollowingSuite):
    """Deltas by the right Get-Changes."""

    Harness = AdministratorsHarness  # type: ignore[assignment]

    @pytest.fixture
    def harness(self, samba: Any, tmp_path: Path) -> Iterator[AdministratorsHarness]:  # type: ignore[override]
        harness = AdministratorsHarness(tmp_path, samba)
        try:
            yield harness
        finally:
            harness.dispose()


def test_the_cut_line_is_really_cut(samba: Any, tmp_path: Path) -> None:
    harness = SambaHarness(tmp_path, samba)
    try:
        connector = harness.open(TestContext("cut", secrets=harness.secrets))
        connector.check()
        harness.proxy.cut()
        with pytest.raises(Unavailable):
            connector.check()
        harness.proxy.mend()
        assert connector.check().identity.startswith("S-1-5-21-")
    finally:
        harness.dispose()
