"""Several naming contexts in one directory, and several places in one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from marshmallow import ValidationError

from metasync.contract import Change, CursorExpired, Entry, Gone, Kind, Operation, Outcome, Page, Presence, ReadRequest
from metasync.testing.context import TestContext
from metasync.testing.suite.bench import image, overlay
from metasync_ad import domains
from metasync_ad.connector import ActiveDirectory
from metasync_ad.lines import Lines
from metasync_ad.options import ADOptions
from metasync_ad.session import REPLACE
from metasync_ad.settings import Settings

KINDS = frozenset({Kind.USER, Kind.GROUP, Kind.CONTAINER})
WANTED = frozenset({"name", "path", "description"})


def request(*under: str) -> ReadRequest:
    return ReadRequest(stream="all", kinds=KINDS, attributes=dict.fromkeys(KINDS, WANTED), under=under)


def ended(pages: list[Page]) -> list[Page]:
    assert [page.complete for page in pages] == [False] * (len(pages) - 1) + [True]
    return pages


def change(operation: Operation, anchor: str | None = None, **more: Any) -> Change:
    number = uuid.uuid4().hex
    return Change(id=number, operation=operation, kind=Kind.CONTAINER, anchor=anchor, label="it", tag=number, **more)


@pytest.fixture
def unit_of_configuration(samba: Any, connect: Any) -> Iterator[str]:
    """A container of the configuration's naming context that is no part of the system."""
    hands = connect(samba.administrator).session
    place = f"CN=t-{uuid.uuid4().hex[:12]},CN=Services,CN=Configuration,{samba.base}"
    hands.add(place, {"objectClass": ["container"], "showInAdvancedViewOnly": ["FALSE"]})
    yield place
    for one in hands.search(place, "(objectClass=*)", ["objectGUID"])[::-1]:
        hands.delete(f"<GUID={one.guid}>")


@pytest.fixture
def both(samba: Any, connect: Any, unit_of_configuration: str) -> ActiveDirectory:
    """The domain and the configuration, by the same controller."""
    made: ActiveDirectory = connect(samba.administrator, **{"further domains": {f"CN=Configuration,{samba.base}": []}})
    return made


def test_two_naming_contexts_are_one_directory_with_a_cursor_each(
    both: ActiveDirectory, samba_unit: str, unit_of_configuration: str
) -> None:
    hands = both.session
    hands.add(f"OU=Here,{samba_unit}", {"objectClass": ["organizationalUnit"]})
    asked = request(samba_unit, unit_of_configuration)
    pages = ended(list(both.read(asked)))
    seen = image(pages)
    assert {one.attributes["name"] for one in seen.values()} >= {"Here", unit_of_configuration[3:17]}
    cursor = pages[-1].cursor or ""
    hands.modify(unit_of_configuration, {"description": [(REPLACE, ["changed"])]})
    hands.add(f"CN=New,{unit_of_configuration}", {"objectClass": ["container"], "showInAdvancedViewOnly": ["FALSE"]})
    hands.rename(f"OU=Here,{samba_unit}", "OU=There")
    delta = ended(list(both.follow(asked, cursor)))
    overlay(seen, [item for page in delta for item in page.items])
    assert seen == image(list(both.read(asked)))
    hands.delete(f"CN=New,{unit_of_configuration}")
    (gone,) = [item for page in both.follow(asked, delta[-1].cursor or "") for item in page.items if item.anchor in seen]
    assert isinstance(gone, Gone)


def test_a_cursor_of_one_naming_context_is_not_taken_for_that_of_two(
    both: ActiveDirectory, connect: Any, samba: Any, samba_unit: str, unit_of_configuration: str
) -> None:
    alone = connect(samba.administrator)
    asked = request(samba_unit)
    cursor = ended(list(alone.read(asked)))[-1].cursor or ""
    for known in (cursor, ended(list(both.read(asked)))[-1].cursor or ""):
        with pytest.raises(CursorExpired, match="naming context"):
            list(both.follow(request(samba_unit, unit_of_configuration), known))
    with pytest.raises(CursorExpired):
        list(alone.follow(asked, ended(list(both.read(asked)))[-1].cursor or ""))


def test_changes_go_to_the_naming_context_that_the_object_stands_in(
    both: ActiveDirectory, samba_unit: str, unit_of_configuration: str
) -> None:
    results = list(
        both.write([change(Operation.CREATE, after={"name": "Made", "path": samba_unit})])
    )  # fmt: skip
    (there,) = [one.guid for one in both.session.search(unit_of_configuration, "(objectClass=*)", ["objectGUID"], "BASE")]
    here = results[0].anchor
    changes = [change(Operation.UPDATE, anchor, after={"description": "written"}) for anchor in (there, here, str(uuid.uuid4()))]
    outcomes = {result.id: result.outcome for result in both.write(changes)}
    assert [outcomes[one.id] for one in changes] == [Outcome.APPLIED, Outcome.APPLIED, Outcome.CONFLICT]
    found = {one.id: one.presence for one in both.find(changes)}
    assert [found[one.id] for one in changes] == [Presence.PRESENT, Presence.PRESENT, Presence.ABSENT]
    assert {one.attributes.get("description") for one in image(list(both.read(request(samba_unit, unit_of_configuration)))).values()} >= {
        "written"
    }


def test_check_tells_of_all_naming_contexts(both: ActiveDirectory, samba: Any) -> None:
    found = both.check()
    assert found.identity.startswith("S-1-5-21-")
    assert [one.right for one in found.rights if one.right.startswith("read ")] == [
        f"read {samba.base}",
        f"read CN=Configuration,{samba.base}",
    ]


def test_two_domains_by_their_own_controllers(connect: Any, two_sambas: Any, tmp_path: Any) -> None:
    """Two forests stand in for two domains of one: each has an account of the same name and password."""
    ours, other = two_sambas
    password = f"Twin-{uuid.uuid4().hex}!9Z"
    name = f"twin{uuid.uuid4().hex[:8]}"
    units = []
    for samba in two_sambas:
        unit = samba.make_unit("twin")
        units.append(unit)
        with samba.connect() as hands:
            secret = {"unicodePwd": f'"{password}"'.encode("utf-16-le"), "userAccountControl": "512"}
            hands.add(f"CN={name},{unit}", "user", {"sAMAccountName": name, "userPrincipalName": f"{name}@twins.test", **secret})
            hands.modify("CN=Domain Admins,CN=Users," + samba.base, {"member": [("MODIFY_ADD", [f"CN={name},{unit}"])]})
    both = tmp_path / "both.pem"
    both.write_bytes(ours.ca.read_bytes() + other.ca.read_bytes())
    connector = connect(
        bind=f"{name}@twins.test", password=password, **{"further domains": {other.base: [other.address]}, "ca file": str(both)}
    )
    parts = [replace(one.settings, certificate_name=samba.host) for one, samba in zip(connector.domains, two_sambas, strict=True)]
    connector.domains = tuple(domains.Domain(one, Lines(one, connector.context, 1)) for one in parts)  # the lab is reached by addresses
    connector.session = connector.domains[0].session
    try:
        asked = request(*units)
        pages = ended(list(connector.read(asked)))
        seen = image(pages)
        assert [one.attributes["path"] for one in seen.values() if one.kind is Kind.USER] == units
        for samba, unit in zip(two_sambas, units, strict=True):
            with samba.connect() as hands:
                hands.modify(f"CN={name},{unit}", {"description": [("MODIFY_REPLACE", ["seen"])]})
        delta = ended(list(connector.follow(asked, pages[-1].cursor or "")))
        overlay(seen, [item for page in delta for item in page.items])
        assert [one.attributes["description"] for one in seen.values() if one.kind is Kind.USER] == ["seen"] * 2
    finally:
        for samba, unit in zip(two_sambas, units, strict=True):
            samba.remove_tree(unit)


# Several places in one domain


def test_several_scopes_are_several_searches_and_moves_between_them_are_seen(connect: Any, samba: Any, samba_unit: str) -> None:
    hands = connect(samba.administrator).session
    for name in ("One", "Two", "Three"):
        hands.add(f"OU={name},{samba_unit}", {"objectClass": ["organizationalUnit"]})
    hands.add(f"CN=g,OU=One,{samba_unit}", {"objectClass": ["group"], "sAMAccountName": [f"t{uuid.uuid4().hex[:12]}"]})
    connector = connect(samba.administrator)
    searched: list[str] = []
    pages_of = connector.session.pages
    connector.session.pages = lambda base, *more: (searched.append(base), pages_of(base, *more))[1]
    places = (f"OU=One,{samba_unit}", f"OU=Two,{samba_unit}")
    pages = ended(list(connector.read(request(*places))))
    # One that was made so short a time ago that it still counts as changed is looked into again behind them.
    assert [base for base in searched if base in places][:2] == list(places) and samba_unit not in searched
    seen = image(pages)
    (group,) = [one.anchor for one in seen.values() if one.kind is Kind.GROUP]
    hands.rename(f"CN=g,OU=One,{samba_unit}", "CN=g", places[1])
    delta = ended(list(connector.follow(request(*places), pages[-1].cursor or "")))
    items = [item for page in delta for item in page.items]
    assert [type(item) for item in items if item.anchor == group] == [Entry]
    overlay(seen, items)
    assert seen[group].attributes["path"] == places[1]


def test_whoever_is_moved_into_a_place_that_was_read_already_is_not_lost(connect: Any, samba: Any, samba_unit: str) -> None:
    hands = connect(samba.administrator).session
    places = []
    for name in ("One", "Two"):
        hands.add(f"OU={name},{samba_unit}", {"objectClass": ["organizationalUnit"]})
        places.append(f"OU={name},{samba_unit}")
    hands.add(f"CN=g,{places[1]}", {"objectClass": ["group"], "sAMAccountName": [f"t{uuid.uuid4().hex[:12]}"]})
    (found,) = hands.search(f"CN=g,{places[1]}", "(objectClass=*)", ["objectGUID"], "BASE")
    stored: list[Page] = []
    for page in connect(samba.administrator).read(request(*places)):
        if not stored:  # the first place was read
            hands.rename(f"CN=g,{places[1]}", "CN=g", places[0])
        stored.append(page)
    assert ended(stored)[-1].complete
    assert image(stored)[str(found.guid)].attributes["path"] == places[0]


# Options


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"further domains": {"DC=contoso,dc=TEST": []}}, "names a base twice"),
        ({"further domains": {"nothing": []}}, "distinguished name"),
        ({"further domains": {"DC=eu,DC=contoso,DC=test": []}, "under": ["OU=A,DC=other,DC=test"]}, "does not lie below"),
    ],
)
def test_further_domains_that_make_no_sense_are_refused(more: dict[str, Any], words: str) -> None:
    options = {"servers": ["dc1"], "base": "DC=contoso,DC=test", "bind": "svc", "password": {"secret": "p"}, **more}
    with pytest.raises(ValidationError, match=words):
        ADOptions().load(options)


def test_a_read_that_is_told_to_stop_while_it_looks_for_the_moved_is_not_complete(connect: Any, samba: Any) -> None:
    first, second = connect(**{"further domains": {f"CN=Configuration,{samba.base}": []}}).domains
    whole, cut = [Page(complete=True, cursor="c")], [Page(items=())]
    for told, complete in ((whole, True), (cut, False), ([], False)):
        pages = list(domains.read([first, second], request(), lambda *_: iter(whole), lambda *_: iter(told)))  # noqa: B023
        assert any(page.complete for page in pages) is complete


def test_a_place_belongs_to_the_nearest_base_and_an_empty_list_means_the_same_controllers() -> None:
    base, child, away = "DC=contoso,DC=test", "DC=eu,DC=contoso,DC=test", "DC=fabrikam,DC=test"
    plain = {"base": base, "bind": "svc", "password": {"secret": "p"}, "further domains": {child: [], away: ["dc9"]}}
    by_name = domains.split(Settings.of(ADOptions().load({**plain, "servers": ["dc1"]})), TestContext("x"))
    assert [one.settings.servers for one in by_name] == [("dc1",), ("dc1",), ("dc9",)]
    by_dns = domains.split(Settings.of(ADOptions().load({**plain, "domain": "contoso.test"})), TestContext("x"))
    assert [one.settings.domain for one in by_dns] == ["contoso.test", "eu.contoso.test", None]
    homes = [domains.home(by_name, f"OU=A,{place}") for place in (base, child, away, "DC=nowhere")]
    assert homes == [*by_name, None]
    assert domains.scoped(by_name, [f"OU=A,{child}"]) == [(by_name[1], (f"OU=A,{child}",))]
    assert [places for _, places in domains.scoped(by_name, [])] == [(), (), ()]
