"""Address books in both directions: each directory's people are contacts in the other, and no contact is made of a contact (law 7)."""

from __future__ import annotations

from typing import Any

import pytest

from metasync.contract import Kind, Operation
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, anchor, person, profile

DOCUMENT = """
engagement: books
plugins: {{standard: ">=0"}}
directories:
  hr: {{connector: memory, options: {{store: hr}}{marks}}}
  ad: {{connector: memory, options: {{store: ad}}{marks}}}
profiles:
{profiles}
"""


def book(name: str, source: str, target: str, kinds: dict[str, str]) -> str:
    return profile(
        name,
        kind=kinds,
        source=source,
        target=target,
        match=[{"source": "mail", "target": "mail", "any kind": "skip"}],
        place=f'"OU=Book,{BASE}"',
        map={"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "targetAddress": "source.mail"},
        leaving={"deleted": ["delete"], "out of scope": ["delete"]},
        limits={"delete": {"count": 50, "percent": 100}, "create": {"count": 50}},
    )


BOTH = book("to-ad", "hr", "ad", {"user": "contact"}) + book("to-hr", "ad", "hr", {"user": "contact"})


@pytest.fixture(params=["marks", "no marks"])
def engine(request: Any, make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> Engine:
    for directory, name in ((hr, "Hanna"), (ad, "Adam")):
        directory.add(Kind.CONTAINER, name="Book", path=BASE)
        for number in range(3):
            person(directory, f"{name} {number}")
    marks = ", mark: adminDescription" if request.param == "marks" else ""
    made: Engine = make(document=DOCUMENT.format(marks=marks, profiles=BOTH))
    return made


def contacts(directory: MemoryDirectory) -> list[str]:
    return sorted(str((directory.get(one) or {})["displayName"]) for one in directory.anchors(Kind.CONTACT))


def settle(engine: Engine) -> None:
    """Whoever saw a contact of a contact would go on for ever."""
    for _ in range(3):
        engine.cycle(beyond=list(Operation))
    assert engine.plan() == {}


def test_law_7_each_sees_the_others_people_and_none_of_its_own_back(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    settle(engine)
    assert contacts(ad) == ["Hanna 0", "Hanna 1", "Hanna 2"]
    assert contacts(hr) == ["Adam 0", "Adam 1", "Adam 2"]


def test_edits_joiners_and_leavers_reach_the_other_book(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    settle(engine)
    hr.change(anchor(hr, "Hanna 0"), displayName="Hanna Zero")
    hr.delete(anchor(hr, "Hanna 1"))
    person(ad, "Adam 3")
    settle(engine)
    assert contacts(ad) == ["Hanna 2", "Hanna Zero"]
    assert contacts(hr) == ["Adam 0", "Adam 1", "Adam 2", "Adam 3"]


def test_who_is_there_as_a_user_already_gets_no_contact(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(ad, "Hanna 0")
    settle(engine)
    assert contacts(ad) == ["Hanna 1", "Hanna 2"]
    assert "Hanna 0" not in contacts(hr)


def test_law_7_contacts_may_be_a_source_and_those_that_metasync_made_still_are_none(
    engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    """The contacts that ad's people have in hr lie beside hr's own."""
    text = BOTH + book("contacts-to-ad", "hr", "ad", {"contact": "contact"})
    text = text.replace('"kind"', '"disjoint": "books", "kind"')
    marks = ", mark: adminDescription" if "mark:" in engine.path.read_text(encoding="utf-8") else ""
    engine.load(DOCUMENT.format(marks=marks, profiles=text))
    hr.add(Kind.CONTACT, name="Supplier", path=BASE, displayName="Supplier", mail="supplier@x.test")
    settle(engine)
    assert contacts(ad) == ["Hanna 0", "Hanna 1", "Hanna 2", "Supplier"]
    assert contacts(hr) == ["Adam 0", "Adam 1", "Adam 2", "Supplier"]
    assert len(hr.anchors(Kind.CONTACT)) == 4, "nobody came back as a contact of himself"
