"""Members who are objects of another directory, told by a value that they have there (a SID): they follow identities like all others."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, select

from metasync.contract import ELSEWHERE, READ_ONLY, AttributeSchema, Kind, Operation, Reference, Schema, Type
from metasync.importing import references
from metasync.store import match_keys
from metasync.store.rows import LinkRow
from metasync.store.tables import link, object_
from metasync.synchronising.needs import directory_needs
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.memory.schema import memory_schema
from metasync.testing.staff import BASE, person, profile, target

DOCUMENT = """
engagement: guests
plugins: {{standard: ">=0"}}
directories:
  hr: {{connector: memory, options: {{store: hr}}, mark: adminDescription}}
  ad: {{connector: memory, options: {{store: ad}}, mark: adminDescription}}
metaverse: {{group: {{members: {{union: [hr.members, hr.guests]}}}}}}
profiles:
{profiles}
"""
PEOPLE = profile("people", scope={"where": "source.mail != null"})
TEAMS = profile("teams", kind="group", match=[{"source": "cn", "target": "cn"}], map={"cn": "source.cn", "members": "mv.members"})
BOOK = profile(
    "book",
    kind={"user": "contact"},
    source="ad",
    target="hr",
    match=[{"source": "mail", "target": "mail", "any kind": "skip"}],
    place=f'"{BASE}"',
    map={"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail"},
    leaving={"deleted": ["delete"], "out of scope": ["delete"]},
)


def with_guests() -> Schema:
    """Groups may hold objects of the other directory, by their employeeID."""
    schema = memory_schema()
    group = schema.kinds[Kind.GROUP]
    guests = AttributeSchema(name="guests", type=Type.REFERENCE, multi=True, allow=READ_ONLY, elsewhere="employeeID")
    return Schema(kinds={**schema.kinds, Kind.GROUP: replace(group, attributes={**group.attributes, "guests": guests})})


@pytest.fixture
def hr() -> MemoryDirectory:
    return MemoryDirectory(schema=with_guests())


@pytest.fixture
def ad() -> MemoryDirectory:
    return target(schema=with_guests())


def guest(*numbers: str) -> tuple[Reference, ...]:
    return tuple(Reference(value=number, key=f"{ELSEWHERE}employeeID") for number in numbers)


def members(directory: MemoryDirectory, group: str) -> set[str]:
    """Their display names."""
    held = directory.get(directory.by_name(group)) or {}
    return {str((directory.get(one.value) or {})["displayName"]) for one in held.get("members", ())}  # type: ignore[union-attr]


def started(make: Any, profiles: str = PEOPLE + TEAMS + BOOK) -> Engine:
    engine: Engine = make(document=DOCUMENT.format(profiles=profiles))
    return engine


def in_step(engine: Engine) -> None:
    """Everything was done, and nothing is left to do."""
    engine.cycle(beyond=list(Operation))
    assert engine.cycle() == {}


def test_a_member_who_is_in_the_target_already_is_a_member_there(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    own = person(hr, "Hanna")
    person(ad, "Adam", employeeID="s-1")
    team = hr.add(Kind.GROUP, name="team", path=BASE, members=(Reference(value=own),), guests=guest("S-1", "S-99"))
    engine = started(make)
    in_step(engine)
    assert members(ad, "team") == {"Hanna", "Adam"}
    hr.change(team, guests=None)
    in_step(engine)
    assert members(ad, "team") == {"Hanna"}


@pytest.mark.parametrize("order", [("hr", "ad"), ("ad", "hr")])
def test_whichever_directory_is_imported_first_the_member_is_found(
    make: Any, hr: MemoryDirectory, ad: MemoryDirectory, order: tuple[str, str]
) -> None:
    person(ad, "Adam", employeeID="S-1")
    hr.add(Kind.GROUP, name="team", path=BASE, guests=guest("S-1"))
    engine = started(make)
    for name in order:
        engine.import_(name)
    assert [one.operation for one in engine.plan("teams")["teams"]] == [Operation.CREATE, Operation.MEMBER_ADD]


def test_who_comes_later_is_added_then_although_his_group_did_not_change(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    hr.add(Kind.GROUP, name="team", path=BASE, guests=guest("S-1"))
    engine = started(make)
    in_step(engine)
    assert members(ad, "team") == set()
    native = person(ad, "Adam")
    in_step(engine)
    assert members(ad, "team") == set()
    ad.change(native, employeeID="S-1")
    in_step(engine)
    assert members(ad, "team") == {"Adam"}


def test_a_value_that_changes_hands_means_whoever_has_it_now_and_one_of_two_is_nobody(
    make: Any, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    adam, berta = person(ad, "Adam", employeeID="S-1"), person(ad, "Berta")
    hr.add(Kind.GROUP, name="team", path=BASE, guests=guest("S-1"))
    engine = started(make)
    in_step(engine)
    ad.change(berta, employeeID="S-1")
    in_step(engine)
    assert members(ad, "team") == set(), "nobody can tell which of the two it means"
    ad.change(adam, employeeID=None)
    in_step(engine)
    assert members(ad, "team") == {"Berta"}
    ad.delete(berta)
    in_step(engine)
    assert members(ad, "team") == set()


def test_nobody_leaves_whom_the_other_way_still_names(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """He is in the group twice: by his SID, and as the contact that stands for him there."""
    person(ad, "Adam", employeeID="S-1")
    team = hr.add(Kind.GROUP, name="team", path=BASE, guests=guest("S-1"))
    engine = started(make)
    in_step(engine)
    (contact,) = hr.anchors(Kind.CONTACT)
    hr.join(team, contact)
    in_step(engine)
    hr.leave(team, contact)
    in_step(engine)
    assert members(ad, "team") == {"Adam"}
    hr.join(team, contact)
    hr.change(team, guests=None)
    in_step(engine)
    assert members(ad, "team") == {"Adam"}
    hr.leave(team, contact)
    in_step(engine)
    assert members(ad, "team") == set()


def test_a_member_whom_nothing_in_the_source_stands_for_comes_and_is_left_to_the_target(
    make: Any, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    """Law 4. He has no identity: no profile is about him."""
    person(ad, "Adam", employeeID="S-1")
    team = hr.add(Kind.GROUP, name="team", path=BASE, guests=guest("S-1"))
    engine = started(make, PEOPLE + TEAMS)
    in_step(engine)
    assert members(ad, "team") == {"Adam"}
    hr.change(team, guests=None)
    in_step(engine)
    assert members(ad, "team") == {"Adam"}


def test_a_member_from_a_third_directory_is_followed_to_what_became_of_him(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    further = MemoryDirectory(schema=with_guests())
    extra = person(further, "Xenia", employeeID="S-7")
    team = hr.add(Kind.GROUP, name="team", path=BASE, guests=guest("S-7"))
    document = DOCUMENT.replace("metaverse:", "  ext: {{connector: memory, options: {{store: ext}}}}\nmetaverse:")
    moving = profile("others", source="ext", scope={"where": "source.title != null"}, disjoint="origins")
    people = profile("people", scope={"where": "source.mail != null"}, disjoint="origins")
    engine: Engine = make(document=document.format(profiles=people + TEAMS + moving), ext=further)
    in_step(engine)
    assert members(ad, "team") == set(), "she has not come yet"
    further.change(extra, title="Newcomer")
    in_step(engine)
    assert members(ad, "team") == {"Xenia"}
    hr.change(team, guests=None)
    in_step(engine)
    assert members(ad, "team") == {"Xenia"}, "nothing in the source of the group stands for her"


def test_an_expression_sees_what_they_are_named_by(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    hr.add(Kind.GROUP, name="team", path=BASE, guests=guest("S-99", "S-1"))
    mapped = {"cn": "source.cn", "description": '"s-1" in source.guests ? "S-1 is among them" : "no"'}
    in_step(started(make, profile("teams", kind="group", match=[{"source": "cn", "target": "cn"}], map=mapped)))
    assert (ad.get(ad.by_name("team")) or {})["description"] == "S-1 is among them"


def test_only_a_document_that_reads_such_members_asks_other_directories_for_what_they_are_named_by(make: Any) -> None:
    def asked() -> bool:
        at = engine.workspace
        needs = directory_needs(at.engagement, at.host, with_guests(), "ad")
        return "employeeID" in needs.attributes[Kind.USER] and f"{ELSEWHERE}employeeID" in [key.name for key in needs.keys]

    engine = started(make)
    assert asked()
    engine.load(DOCUMENT.replace(", hr.guests", "").format(profiles=PEOPLE + TEAMS + BOOK))
    assert not asked()


def test_what_was_written_for_such_a_member_is_taken_back_by_an_undo(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(ad, "Adam", employeeID="S-1")
    team = hr.add(Kind.GROUP, name="team", path=BASE)
    engine = started(make)
    in_step(engine)
    hr.change(team, guests=guest("S-1"))
    engine.cycle()
    assert members(ad, "team") == {"Adam"}
    assert engine.last is not None
    engine.undo(engine.last.run)
    engine.approve()
    engine.export()
    assert members(ad, "team") == set()
    assert engine.cycle() == {}, "held until it is released"


def known_by_number_alone(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> tuple[Engine, str]:
    """Xenia is in the team by her number in a third directory, and stands in the source as a contact, too; and the document without that
    directory."""
    further = MemoryDirectory(schema=with_guests())
    person(further, "Xenia", employeeID="S-7")
    xenia = person(ad, "Xenia")
    ad.add(Kind.GROUP, name="team", path=BASE, members=(Reference(value=xenia),))
    hr.add(Kind.CONTACT, name="Xenia", path=BASE, displayName="Xenia", mail="xenia@x.test")
    hr.add(Kind.GROUP, name="team", path=BASE, guests=guest("S-7"))
    document = DOCUMENT.replace("metaverse:", "  ext: {{connector: memory, options: {{store: ext}}}}\nmetaverse:")
    moving = profile("others", source="ext", disjoint="origins")
    people = profile("people", scope={"where": "source.mail != null"}, disjoint="origins")
    engine: Engine = make(document=document.format(profiles=people + TEAMS + moving + BOOK), ext=further)
    return engine, DOCUMENT.format(profiles=profile("people", scope={"where": "source.mail != null"}) + TEAMS + BOOK)


def test_nobody_leaves_while_a_directory_that_could_name_him_was_never_imported(
    make: Any, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    """Law 1: whose number it is, is only not known yet."""
    engine, _ = known_by_number_alone(make, hr, ad)
    engine.import_("hr", "ad")
    assert "teams" not in engine.plan()
    assert engine.last is not None
    assert engine.last.left_out["teams"] == "ext was never imported completely; run `metasync import ext`"
    in_step(engine)
    assert members(ad, "team") == {"Xenia"}


def test_a_directory_that_cannot_be_imported_now_takes_nobody_out_and_holds_nobody_up(
    make: Any, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    engine, _ = known_by_number_alone(make, hr, ad)
    in_step(engine)
    engine.directories["ext"].faults.cut_after_pages = 0
    assert engine.import_("ext", full=True).imports[0].error is not None
    hr.add(Kind.GROUP, name="another", path=BASE, guests=guest("S-7"))
    engine.import_("hr", "ad")
    assert [(one.operation, one.label) for one in engine.plan("teams")["teams"]] == [
        (Operation.CREATE, "another"),
        (Operation.MEMBER_ADD, "another"),
    ]


def test_nobody_leaves_because_the_document_names_his_directory_no_more(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    engine, without = known_by_number_alone(make, hr, ad)
    in_step(engine)
    engine.load(without)
    in_step(engine)
    assert members(ad, "team") == {"Xenia"}


def test_a_directory_that_nobody_reads_holds_nobody_up(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(ad, "Adam", employeeID="S-1")
    hr.add(Kind.GROUP, name="team", path=BASE, guests=guest("S-1"))
    document = DOCUMENT.replace("metaverse:", "  ext: {{connector: memory, options: {{store: ext}}}}\nmetaverse:")
    in_step(make(document=document.format(profiles=PEOPLE + TEAMS + BOOK), ext=MemoryDirectory(schema=with_guests())))
    assert members(ad, "team") == {"Adam"}


def test_nobody_leaves_while_it_was_not_looked_up_yet_who_has_the_value(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """The value was read before the document asked for such members, so that nothing is lacking but the look-up."""
    adam = person(ad, "Adam", employeeID="S-1")
    ad.add(Kind.GROUP, name="team", path=BASE, members=(Reference(value=adam),))
    hr.add(Kind.CONTACT, name="Adam", path=BASE, displayName="Adam", mail="adam@x.test")
    hr.add(Kind.GROUP, name="team", path=BASE, guests=guest("S-1"))
    staff = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "employeeID": "source.employeeID"}
    profiles = profile("people", map=staff) + TEAMS + BOOK
    engine = started(make, profiles)
    engine.load(DOCUMENT.replace(", hr.guests", "").format(profiles=profiles))
    engine.import_()
    engine.load(DOCUMENT.format(profiles=profiles))
    engine.import_("hr")
    assert "teams" not in engine.plan()
    assert engine.last is not None
    assert engine.last.left_out["teams"] == "ad cannot be searched yet by all that the document matches by now; run `metasync import ad`"
    engine.import_("ad")
    assert engine.plan() == {}
    assert members(ad, "team") == {"Adam"}


def test_whom_another_import_brings_meanwhile_is_seen(
    make: Any, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the write a second object with the value comes: nobody is sure to be meant any more."""
    person(ad, "Adam", employeeID="S-1")
    person(ad, "Berta")
    hr.add(Kind.GROUP, name="team", path=BASE, guests=guest("S-1"))
    engine = started(make)
    engine.import_("ad")
    plain = references._elsewhere

    def looks(connection: Connection, directory_id: int, others: Collection[int], left: Collection[int]) -> Iterator[LinkRow]:
        found = list(plain(connection, directory_id, others, left))
        if found:
            monkeypatch.setattr(references, "_elsewhere", plain)
            with engine.backend.read() as reading:
                berta = reading.execute(select(object_.c.id, object_.c.directory_id).where(object_.c.label == "Berta")).one()
            with engine.backend.write() as writing:
                key = (berta.directory_id, berta.id, f"{ELSEWHERE}employeeID", "s-1")
                match_keys.insert(engine.backend, writing, [key])
        return iter(found)

    monkeypatch.setattr(references, "_elsewhere", looks)
    engine.import_("hr")
    assert references._elsewhere is plain, "it was looked"
    with engine.backend.read() as connection:
        assert connection.execute(select(link.c.target_id).where(link.c.attribute == "guests")).scalars().all() == [None]
