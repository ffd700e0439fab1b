"""An Active Directory forest keeps a tenant of Entra ID in step: a real Samba domain, and a lab tenant, through the command line."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from metasync_entra.connector import EntraID
from metasync_entra.lab import Lab, tenant

from .documents import domain
from .forests import Side
from .product import Product, changes, counts

if TYPE_CHECKING:
    from lab.samba import Samba

PROFILES = """
profiles:
  staff:
    kind: user
    source: forest
    target: cloud
    scope: {under: ["OU=Staff,UNIT"]}
    match:
      - {source: 'guid_base64(source.objectGUID)', target: onPremisesImmutableId}
      - {source: mail, target: userPrincipalName}
    map:
      onPremisesImmutableId: 'guid_base64(source.objectGUID)'
      userPrincipalName: source.mail
      displayName: source.displayName
      givenName: source.givenName
      jobTitle: source.title
      department: source.department
      manager: source.manager
      enabled: source.enabled
    leaving: {out of scope: disable, disabled: disable, deleted: delete}
    limits: {delete: {count: 5, percent: 100}, disable: {count: 5, percent: 100}}
  teams:
    kind: group
    source: forest
    target: cloud
    scope: {under: ["OU=Teams,UNIT"]}
    match: [{source: cn, target: displayName}]
    map: {displayName: source.cn, description: source.description, members: source.members}
    leaving: {deleted: delete}
    limits: {member remove: {count: 20, percent: 100}}
"""
FOLLOWED = {
    "displayName": "displayName",
    "givenName": "givenName",
    "title": "jobTitle",
    "department": "department",
    "mail": "userPrincipalName",
}


class Cloud:
    """The forest's OU, the tenant, and the product between them."""

    def __init__(self, forest: Side, lab: Lab, folder: Path) -> None:
        self.forest, self.lab = forest, lab
        self.product = Product(folder, secrets={"forest-bind": forest.samba.service.password})
        self.product.load(
            'engagement: to-cloud\nplugins: {standard: ">=0.1", ad: ">=0.1", entra: ">=0.1"}\ndirectories:\n'
            + domain(forest.samba, forest.unit, name="forest", password="forest-bind")
            + f"  cloud: {{connector: entra, options: {json.dumps(lab.options)}, mark: extensionAttribute15}}\n"
            + PROFILES.replace("UNIT", forest.unit)
        )

    def cycle(self) -> list[dict[str, Any]]:
        """Import, plan, export; what was planned. The plan behind it is empty, also when everything is read anew."""
        plans = self.product.plan()
        written = self.product.export(plans)
        assert written == {"confirmed": sum(len(one["changes"]) for one in plans)}, self.product("problems")
        assert changes(self.product.plan_only()) == [], "the second plan is empty"
        self.product("import", "--full")
        assert changes(self.product.plan_only()) == [], "and so it is after a full import"
        return plans

    def people(self) -> dict[str, dict[str, Any]]:
        """displayName -> what the tenant holds."""
        return {str(one["fields"]["displayName"]): one for one in self._all("user")}

    def members(self, team: str) -> set[str]:
        """Who is in a group of the tenant, by name."""
        (found,) = (one for one in self._all("group") if one["fields"]["displayName"] == team)
        names = {one["id"]: name for name, one in self.people().items()}
        return {names[one] for one in found.get("members", ())}

    def _all(self, kind: str) -> list[dict[str, Any]]:
        return [{"id": one, **(self.lab.control.read(one) or {})} for one in self.lab.control.ids(kind)]

    def compare(self, staff: Mapping[str, Mapping[str, frozenset[bytes]]]) -> None:
        """Each person of the forest stands in the tenant, attribute by attribute, with manager and immutable id; nobody else does."""
        there = self.people()
        ids = {name: one["id"] for name, one in there.items()}
        names = {next(iter(held["dn"])): text(held, "displayName") for held in staff.values()}
        assert {text(held, "displayName") for held in staff.values()} <= set(there)
        for held in staff.values():
            found = there[str(text(held, "displayName"))]
            assert {cloud: found["fields"].get(cloud) for cloud in FOLLOWED.values()} == {
                cloud: text(held, own) for own, cloud in FOLLOWED.items()
            }
            guid = uuid.UUID(bytes_le=next(iter(held["objectguid"])))
            assert found["fields"]["onPremisesImmutableId"] == base64.b64encode(guid.bytes_le).decode()
            boss = next(iter(held.get("manager", ())), None)
            assert found.get("manager", []) == ([] if boss is None else [ids[str(names[boss])]])


def text(held: Mapping[str, frozenset[bytes]], name: str) -> str | None:
    """One value of what the forest holds."""
    return next((one.decode() for one in held.get(name.lower(), ())), None)


@pytest.fixture
def cloud(samba: Samba, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An OU of its own, and a tenant whose verified domain is that of the people's addresses."""
    # This tenant shows at once what was written, so that nothing waits to be confirmed.
    monkeypatch.setattr(EntraID, "lag", timedelta(0))
    unit = samba.make_unit("cloud")
    try:
        forest = Side(samba, unit)
        with tenant(domains=["contoso.onmicrosoft.com", f"{forest.tag}.example"]) as lab:
            yield Cloud(forest, lab, tmp_path / "work")
    finally:
        samba.remove_tree(unit)


def test_a_forest_is_brought_into_a_tenant_kept_in_step_and_taken_back(cloud: Cloud) -> None:
    forest = cloud.forest
    boss = forest.user("Berta Boss", givenName="Berta", title="Head")
    more = {"givenName": "Person", "title": "Clerk", "department": "Sales", "manager": boss}
    people = [forest.user(f"Person {number}", **more) for number in range(6)]
    forest.group("Crew", [boss, *people])
    known = cloud.lab.control.create(
        "user", {"userPrincipalName": f"person.0@{forest.tag}.example", "displayName": "Was here", "accountEnabled": True}
    )
    stranger = cloud.lab.control.create("user", {"userPrincipalName": f"else@{forest.tag}.example", "displayName": "Somebody else"})

    done = counts(cloud.cycle())
    assert (done["create"], done["member add"]) == (6 + 1, 7), "who is there is joined, not made again; the group is made"
    cloud.compare(forest.names("Staff"))
    assert set(cloud.people()) == {"Berta Boss", "Somebody else", *(f"Person {number}" for number in range(6))}
    assert cloud.people()["Person 0"]["id"] == known
    assert cloud.members("Crew") == {"Berta Boss", *(f"Person {number}" for number in range(6))}

    forest.change(people[0], title=None, department="Legal")
    forest.change(people[1], displayName="Person One", mail=f"one@{forest.tag}.example", manager=people[0])
    forest.change(people[2], userAccountControl=514 | 32)
    forest.rename(people[3], "CN=Person 3", forest.dn("Leavers"))
    forest.delete(people[4])
    forest.user("Nora New", givenName="Nora", manager=people[0])
    cloud.cycle()
    run = cloud.product.runs[-1]
    cloud.compare(forest.names("Staff"))
    there = cloud.people()
    enabled = {name: one["fields"]["accountEnabled"] for name, one in there.items() if name != "Somebody else"}
    assert enabled == {
        "Berta Boss": True, "Person 0": True, "Person One": True, "Person 2": False, "Person 3": False, "Person 5": True, "Nora New": True,
    }  # fmt: skip
    assert cloud.members("Crew") == {"Berta Boss", "Person 0", "Person One", "Person 2", "Person 5"} | (
        {"Person 3"} & cloud.members("Crew")
    )
    assert cloud.lab.control.stats()["deleted"] == 1, "Person 4 lies in the bin"

    undone = cloud.product.undo(run)
    cloud.product.export(undone["plans"])
    back = cloud.people()
    assert set(back) == {"Berta Boss", "Somebody else", *(f"Person {number}" for number in range(6))}
    assert {name for name, one in back.items() if not one["fields"].get("accountEnabled")} == {"Somebody else"}
    assert back["Person 0"]["fields"]["jobTitle"] == "Clerk" and back["Person 1"]["manager"] == [back["Berta Boss"]["id"]]
    assert cloud.members("Crew") == {"Berta Boss", *(f"Person {number}" for number in range(6))}
    assert back["Somebody else"] == {"id": stranger, **(cloud.lab.control.read(stranger) or {})}
