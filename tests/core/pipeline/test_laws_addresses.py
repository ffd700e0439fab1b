"""Law 6 for attributes with several values: each address stands only once, whatever its case and the `smtp:` in front of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from metasync.contract import Kind, Operation
from metasync.store.rows import Status
from metasync.store.tables import sync_state
from metasync.synchronising import setting
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import DOCUMENT, PEOPLE, anchor, person, profile, shown, values

MakeEngine = Callable[..., Engine]
KEYED = {"cn": "source.displayName", "displayName": "source.displayName", "employeeID": "source.employeeID"}
MATCH = [{"source": "employeeID", "target": "employeeID"}]
ADDRESSES = "proxyAddresses"


def addressed(name: str = "people", /, **more: object) -> str:
    return profile(name, match=MATCH, map={**KEYED, ADDRESSES: {"from": f"source.{ADDRESSES}", **more}})


def joiner(hr: MemoryDirectory, name: str, *addresses: str) -> str:
    return person(hr, name, employeeID=name, proxyAddresses=addresses)


def addresses(ad: MemoryDirectory) -> dict[str, list[str]]:
    found = [ad.get(one) or {} for one in ad.anchors(Kind.USER)]
    return {str(one["displayName"]): sorted(one.get(ADDRESSES, ())) for one in found if "displayName" in one}  # type: ignore[arg-type]


def told(engine: Engine) -> list[str]:
    return [text for _, code, text in engine.problems() if code == "value"]


@pytest.mark.parametrize("portion", [1, 2000])
def test_of_two_newcomers_with_one_address_the_first_has_it(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    monkeypatch.setattr(setting, "PORTION", portion)
    joiner(hr, "Anna", "SMTP:anna@x.test", "smtp:post@x.test")
    joiner(hr, "Berta", "SMTP:berta@x.test", "SMTP:Post@x.test")
    engine = make(addressed())
    assert len(shown(engine.cycle())) == 1
    first, second = ("Anna", "Berta") if "Anna" in addresses(ad) else ("Berta", "Anna")
    [words] = told(engine)
    assert f"is taken by the user {first}" in words
    assert "post@x.test" in words.casefold()
    assert engine.cycle() == {}
    hr.change(anchor(hr, second), proxyAddresses=(f"SMTP:{second.lower()}@x.test",))
    assert shown(engine.cycle()) == [("create", second)]
    assert told(engine) == []


def test_an_address_is_taken_by_whatever_is_imported(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """Also by a group, and for somebody who is there already and gets one more."""
    ad.add(Kind.GROUP, name="Sales", path=PEOPLE, displayName="Sales", proxyAddresses=("SMTP:SALES@x.test",))
    joiner(hr, "Anna", "smtp:anna@x.test")
    groups = profile("groups", kind="group", match=None, scope={"where": "source.cn == null"}, map={"cn": "source.cn"})
    engine = make(addressed() + groups)
    engine.cycle()
    hr.change(anchor(hr, "Anna"), proxyAddresses=("smtp:anna@x.test", "smtp:sales@x.test"))
    assert engine.cycle() == {}
    assert "is taken by the group Sales; correct one of the two" in told(engine)[0]
    ad.change(ad.anchors(Kind.GROUP)[0], proxyAddresses=())
    assert shown(engine.cycle()) == [("update", "Anna")]
    assert engine.plan() == {}
    assert told(engine) == []


@pytest.mark.parametrize("swap", [False, True])
def test_what_one_gives_up_another_takes_in_the_same_plan(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, swap: bool) -> None:
    joiner(hr, "Anna", "smtp:anna@x.test", "smtp:post@x.test")
    joiner(hr, "Berta", "smtp:berta@x.test", *(("smtp:desk@x.test",) if swap else ()))
    engine = make(addressed())
    engine.cycle()
    hr.change(anchor(hr, "Anna"), proxyAddresses=("smtp:anna@x.test", *(("smtp:desk@x.test",) if swap else ())))
    hr.change(anchor(hr, "Berta"), proxyAddresses=("smtp:berta@x.test", "smtp:post@x.test"))
    engine.cycle()
    assert told(engine) == []
    assert addresses(ad)["Berta"] == ["smtp:berta@x.test", "smtp:post@x.test"]
    assert "smtp:post@x.test" not in addresses(ad)["Anna"]
    assert engine.plan() == {}


def test_who_only_gets_one_more_gives_up_nothing(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by what is planned for him, nor because he waits for another one himself."""
    joiner(hr, "Anna", "smtp:anna@x.test")
    joiner(hr, "Berta", "smtp:berta@x.test")
    engine = make(addressed())
    engine.cycle()
    monkeypatch.setattr(setting, "PORTION", 1)
    hr.change(anchor(hr, "Anna"), proxyAddresses=("smtp:anna@x.test", "smtp:more@x.test"))
    engine.import_()
    engine.plan()
    hr.change(anchor(hr, "Berta"), proxyAddresses=("smtp:berta@x.test", "smtp:anna@x.test"))
    assert shown(engine.cycle()) == [("update", "Anna")]
    assert "is taken by the user Anna" in told(engine)[0]
    hr.change(anchor(hr, "Anna"), proxyAddresses=("smtp:anna@x.test", "smtp:berta@x.test"))
    assert engine.cycle() == {}
    assert len(told(engine)) == 2


@pytest.mark.parametrize("values_", ["replace", "add"])
def test_what_two_have_from_before_is_left_alone(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, values_: str) -> None:
    for name in ("Anna", "Berta"):
        person(ad, name, employeeID=name, proxyAddresses=(f"smtp:{name}@x.test", "smtp:both@x.test"))
        joiner(hr, name, f"smtp:{name}@x.test", "smtp:both@x.test")
    joiner(hr, "Clara", "smtp:both@x.test")
    engine = make(addressed(values=values_))
    assert engine.cycle() == {}
    assert len(told(engine)) == 1, "who comes new does not get it"
    hr.change(anchor(hr, "Anna"), proxyAddresses=("smtp:Anna@x.test", "smtp:both@x.test", "smtp:more@x.test"))
    assert shown(engine.cycle()) == [("update", "Anna")]


def test_addresses_are_numbered_where_the_document_says_how(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    for name in ("Anna", "Berta", "Clara"):
        joiner(hr, name, "SMTP:smith@x.test", f"smtp:{name}@x.test")
    engine = make(addressed(unique=["{value}", "{local}{n}@{domain}"]))
    engine.cycle()
    given = addresses(ad)
    assert sorted(one for some in given.values() for one in some if "smith" in one) == [
        "SMTP:smith2@x.test",
        "SMTP:smith3@x.test",
        "SMTP:smith@x.test",
    ]
    assert engine.cycle() == {}
    plain = next(name for name, some in given.items() if "SMTP:smith@x.test" in some)
    hr.change(anchor(hr, plain), proxyAddresses=(f"smtp:{plain}@x.test",))
    engine.cycle()
    assert {name: some for name, some in addresses(ad).items() if name != plain} == {
        name: some for name, some in given.items() if name != plain
    }, "nobody is renumbered"
    assert engine.plan() == {}


def test_an_address_is_given_once_by_two_profiles_to_one_directory(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    other = MemoryDirectory()
    joiner(hr, "Anna", "smtp:post@x.test")
    joiner(other, "Berta", "SMTP:post@x.test")
    mapped = {**KEYED, ADDRESSES: f"source.{ADDRESSES}"}
    text = DOCUMENT.format(
        profiles=profile(match=MATCH, map=mapped, disjoint="x") + profile("more", source="other", match=MATCH, map=mapped, disjoint="x")
    )
    text = text.replace("directories:\n", "directories:\n  other: {connector: memory, options: {store: other}}\n")
    engine = make(document=text, other=other)
    assert shown(engine.cycle()) == [("create", "Anna")]
    assert "is taken by the user Anna" in told(engine)[0]


def test_what_a_connector_says_is_taken_is_no_ones(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    ad.reserve(ADDRESSES, "smtp:post@x.test")
    joiner(hr, "Anna", "SMTP:post@x.test")
    engine = make(addressed())
    assert engine.cycle() == {}
    assert "is taken by an object that is not imported" in told(engine)[0]


def test_whose_object_went_frees_the_addresses(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = joiner(hr, "Anna", "smtp:post@x.test")
    engine = make(addressed().replace('"place"', '"leaving": {"deleted": "delete"}, "place"'))
    engine.cycle()
    hr.delete(source)
    joiner(hr, "Berta", "SMTP:post@x.test")
    engine.cycle(beyond=list(Operation))
    engine.cycle(beyond=list(Operation))
    assert addresses(ad) == {"Berta": ["SMTP:post@x.test"]}
    assert values(ad, "Berta")[ADDRESSES] == ("SMTP:post@x.test",)


@pytest.mark.parametrize("attribute", ["mail", ADDRESSES])
@pytest.mark.parametrize("order", [1, -1])
def test_who_is_stopped_gives_up_nothing(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, attribute: str, order: int) -> None:
    """Anna shall have what Native has, so she is stopped and keeps her own; Berta, who is to have that, is stopped as well."""

    def one(word: str) -> object:
        return f"{word}@x.test" if attribute == "mail" else (f"smtp:{word}@x.test",)

    person(ad, "Native", "native@x.test", proxyAddresses=("smtp:native@x.test",))
    for name in ("Anna", "Berta", "Clara")[::order]:
        hr.add(Kind.USER, name=name, path=PEOPLE.partition(",")[2], displayName=name, employeeID=name, **{attribute: one(name)})  # type: ignore[arg-type]
    engine = make(profile(match=MATCH, map={**KEYED, attribute: f"source.{attribute}"}))
    engine.cycle()
    for name, other in (("Anna", "native"), ("Berta", "anna"), ("Clara", "berta")):
        hr.change(anchor(hr, name), **{attribute: one(other)})  # type: ignore[arg-type]
    assert engine.cycle(beyond=list(Operation)) == {}
    assert sorted(text.partition(";")[0].partition("is taken")[2] for text in told(engine)) == [
        " by the user Anna",
        " by the user Berta",
        " by the user Native",
    ]
    assert not [code for area, code, _ in engine.problems() if area == "export"]
    with engine.backend.read() as connection:
        known = connection.execute(select(sync_state.c.desired).where(sync_state.c.status == Status.PROBLEM)).scalars().all()
    assert known == [None] * 3, "whoever is stopped late is left as whoever is stopped at once"
    ad.change(anchor(ad, "Native"), **{attribute: None})  # type: ignore[arg-type]
    for _ in range(3):
        engine.cycle(beyond=list(Operation))
    assert told(engine) == []
    assert values(ad, "Clara")[attribute] == one("berta")
