"""What happens to waves in practice, where each person is a contact in the target before he moves: people who leave meanwhile, edits by
hand on both sides, waves taken back in another order, a document that changes between two steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from metasync.contract import Kind, Operation, Reference
from metasync.planning.holds import release
from metasync.runs import run as runs
from metasync.store.tables import change, join, object_
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, PEOPLE, anchor, person
from metasync.waves import moving

from .conftest import shown, states

BOOK = f"OU=Book,{BASE}"
LIMITS = (
    "limits: {"
    + ", ".join(f"{one.value}: {{count: 500, percent: 100}}" for one in Operation if one not in (Operation.PASSWORD, Operation.SID))
    + "}"
)
LEAVING = "{deleted: [disable], out of scope: keep}"
DOCUMENT = f"""
engagement: migration
plugins: {{standard: ">=0"}}
directories:
  old: {{connector: memory, options: {{store: old}}, mark: adminDescription}}
  new: {{connector: memory, options: {{store: new}}, mark: adminDescription}}
profiles:
  staff:
    kind: user
    source: old
    target: new
    replaces: book
    scope: {{where: 'wave.state != "waiting"'}}
    match: [{{source: employeeID, target: employeeID}}]
    place: '"{PEOPLE}"'
    map:
      cn: {{from: source.displayName, unique: ['{{value}}', '{{value}} ({{n}})']}}
      displayName: source.displayName
      employeeID: source.employeeID
      mail: source.mail
      title: {{from: source.title, when: 'wave.state != "cut over"'}}
      proxyAddresses: {{from: source.proxyAddresses, values: add}}
      manager: source.manager
      enabled: {{from: source.enabled, when: 'wave.state != "cut over"'}}
    leaving: {LEAVING}
    {LIMITS}
  teams:
    kind: group
    source: old
    target: new
    match: [{{source: cn, target: cn}}]
    place: '"{PEOPLE}"'
    map: {{cn: source.cn, members: source.members}}
    {LIMITS}
  book:
    kind: {{user: contact}}
    source: old
    target: new
    match: [{{source: mail, target: mail, any kind: skip}}]
    place: '"{BOOK}"'
    map: {{cn: source.displayName, displayName: source.displayName, mail: source.mail, manager: source.manager}}
    leaving: {{deleted: delete, out of scope: delete}}
    {LIMITS}
  book back:
    kind: {{user: contact}}
    source: new
    target: old
    match: [{{source: mail, target: mail, any kind: skip}}]
    place: '"{BOOK}"'
    map: {{cn: source.displayName, displayName: source.displayName, mail: source.mail}}
    leaving: {{deleted: delete, out of scope: delete}}
    {LIMITS}
waves:
  one: {{file: one.csv, key: employeeID}}
  two: {{file: two.csv, key: employeeID}}
""".replace("book back", "book-back")


@pytest.fixture
def old() -> MemoryDirectory:
    """Seven people; the first is everybody's manager, and all are in one team."""
    directory = MemoryDirectory(seed=1)
    directory.add(Kind.CONTAINER, name="Book", path=BASE)
    boss = person(directory, "Person 1", employeeID="E1", title="Head")
    for number in range(2, 8):
        more = {"proxyAddresses": (f"SMTP:person.{number}@x.test",)} if number == 2 else {}
        person(directory, f"Person {number}", employeeID=f"E{number}", title="Clerk", manager=Reference(value=boss), **more)
    directory.join(directory.add(Kind.GROUP, name="Team", path=BASE), *directory.anchors(Kind.USER))
    return directory


@pytest.fixture
def new() -> MemoryDirectory:
    """Two people of its own."""
    directory = MemoryDirectory(seed=2)
    for name in ("People", "Book"):
        directory.add(Kind.CONTAINER, name=name, path=BASE)
    for name in ("Native 1", "Native 2"):
        person(directory, name)
    return directory


@pytest.fixture
def engine(tmp_path: Path, old: MemoryDirectory, new: MemoryDirectory) -> Iterator[Engine]:
    """The address books are in step; one has E1 to E3, two has E4 to E6, E7 is in none."""
    (tmp_path / "one.csv").write_text("employeeID\nE1\nE2\nE3\n", encoding="utf-8")
    (tmp_path / "two.csv").write_text("employeeID\nE4\nE5\nE6\n", encoding="utf-8")
    made = Engine(tmp_path, DOCUMENT, {"old": old, "new": new})
    settle(made)
    yield made
    made.close()


def settle(engine: Engine, *, rounds: int = 1) -> None:
    """After each run the next plan is empty (law 13)."""
    for _ in range(rounds):
        engine.cycle(beyond=list(Operation))
    assert shown(engine.plan()) == []
    engine.import_()
    assert shown(engine.plan()) == []


def move(engine: Engine, wave: str = "one") -> None:
    assert moving.move(engine.workspace, wave, reason="a test").done
    settle(engine)


def undo(engine: Engine, wave: str = "one") -> None:
    """Its export is confirmed whole."""
    engine.last = runs.undo_wave(engine.workspace, wave)
    if shown(engine.changes(engine.last.plans)):
        engine.approve(beyond=list(Operation))
        engine.export()
        assert {one.state for some in engine.changes(engine.last.plans).values() for one in some} <= {"confirmed"}


def image(directory: MemoryDirectory) -> dict[str, dict[str, Any]]:
    """All there is, attribute by attribute."""
    return {one: dict(directory.get(one) or {}) for one in directory.anchors()}


def of_kind(directory: MemoryDirectory, kind: Kind) -> dict[str, str]:
    """displayName -> anchor."""
    return {str((directory.get(one) or {}).get("displayName")): one for one in directory.anchors(kind)}


def members(directory: MemoryDirectory, name: str = "Team") -> set[str]:
    """Kind and displayName of those in a group."""
    (group,) = [one for one in directory.anchors(Kind.GROUP) if (directory.get(one) or {})["name"] == name]
    found = {one.value for one in (directory.get(group) or {}).get("members", ())}  # type: ignore[union-attr]
    return {f"{kind.value} {name}" for kind in (Kind.USER, Kind.CONTACT) for name, one in of_kind(directory, kind).items() if one in found}


def manager(directory: MemoryDirectory, kind: Kind, name: str) -> str | None:
    value = (directory.get(of_kind(directory, kind)[name]) or {}).get("manager")
    return value.value if isinstance(value, Reference) else None


def test_the_beginning(engine: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    assert sorted(of_kind(new, Kind.CONTACT)) == [f"Person {number}" for number in range(1, 8)]
    assert sorted(of_kind(old, Kind.CONTACT)) == ["Native 1", "Native 2"]
    assert members(new) == {f"contact Person {number}" for number in range(1, 8)}


def test_a_wave_that_was_taken_back_first_does_not_disturb_the_one_behind_it(
    engine: Engine, old: MemoryDirectory, new: MemoryDirectory
) -> None:
    """The first wave, with everybody's manager, goes back while the second one stays."""
    move(engine, "one")
    after_one = image(new)
    move(engine, "two")
    assert manager(new, Kind.USER, "Person 4") == of_kind(new, Kind.USER)["Person 1"]
    undo(engine, "one")
    settle(engine)
    assert sorted(of_kind(new, Kind.USER)) == ["Native 1", "Native 2", "Person 4", "Person 5", "Person 6"]
    assert manager(new, Kind.USER, "Person 4") == of_kind(new, Kind.CONTACT)["Person 1"]
    assert members(new) == {*(f"user Person {n}" for n in (4, 5, 6)), *(f"contact Person {n}" for n in (1, 2, 3, 7))}
    release(engine.workspace)
    settle(engine)
    undo(engine, "two")
    settle(engine)
    now = image(new)
    assert sorted(of_kind(new, Kind.USER)) == ["Native 1", "Native 2", "Person 1", "Person 2", "Person 3"]
    assert len(now) == len(after_one)


def test_somebody_deleted_in_the_source_while_his_wave_moves(engine: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    """Between the plan and the export, and after it; then the wave is taken back."""
    moving.move(engine.workspace, "one", reason="a test")
    engine.import_()
    engine.plan()
    engine.approve(beyond=list(Operation))
    old.delete(anchor(old, "Person 2"))
    engine.export()
    settle(engine)
    made = new.get(of_kind(new, Kind.USER)["Person 2"]) or {}
    assert made["enabled"] is False
    old.delete(anchor(old, "Person 3"))
    settle(engine)
    undo(engine, "one")
    settle(engine)
    assert sorted(of_kind(new, Kind.USER)) == ["Native 1", "Native 2"]
    assert sorted(of_kind(new, Kind.CONTACT)) == [f"Person {number}" for number in (1, 4, 5, 6, 7)]


def test_an_undo_after_somebody_edited_a_user_keeps_him_whole(engine: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    move(engine, "one")
    old.join(old.add(Kind.GROUP, name="Club", path=BASE), anchor(old, "Person 2"), anchor(old, "Person 3"))
    settle(engine)
    assert members(new, "Club") == {"user Person 2", "user Person 3"}
    new.change(of_kind(new, Kind.USER)["Person 2"], title="by hand")
    engine.import_()
    undo(engine, "one")
    assert "user Person 2" in members(new), "who is kept stays where he was"
    assert members(new, "Club") == {"user Person 2"}
    assert sorted(of_kind(new, Kind.USER)) == ["Native 1", "Native 2", "Person 2"]
    assert "Person 2" not in of_kind(new, Kind.CONTACT)
    assert any("Person 2 is kept" in text for _, _, text in engine.problems())
    settle(engine)


def test_a_wave_that_moves_twice_can_be_taken_back_to_its_first_beginning(
    engine: Engine, old: MemoryDirectory, new: MemoryDirectory
) -> None:
    before = image(new)
    move(engine, "one")
    moving.back(engine.workspace, "one", to="waiting", reason="a test")
    settle(engine)
    move(engine, "one")
    undo(engine, "one")
    settle(engine)
    assert image(new) == before


def test_what_was_done_while_they_waited_is_not_taken_back(engine: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    move(engine, "one")
    undo(engine, "one")
    moving.back(engine.workspace, "one", to="waiting", reason="a test")
    release(engine.workspace)
    settle(engine)
    old.change(anchor(old, "Person 2"), displayName="Person Two")
    settle(engine)
    before = image(new)
    move(engine, "one")
    undo(engine, "one")
    settle(engine)
    assert image(new) == before


def test_a_contact_that_was_edited_by_hand_comes_back_as_it_was(engine: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    contact = of_kind(new, Kind.CONTACT)["Person 2"]
    new.change(contact, description="our friend", proxyAddresses=("SMTP:friend@y.test", "X500:/o=Y/cn=P2"))
    club = new.add(Kind.GROUP, name="Club", path=BASE)
    new.join(club, contact)
    settle(engine)
    before = image(new)
    for _ in range(3):
        move(engine, "one")
        assert members(new, "Club") == {"user Person 2"}
        addresses = (new.get(of_kind(new, Kind.USER)["Person 2"]) or {})["proxyAddresses"]
        assert {"smtp:friend@y.test", "X500:/o=Y/cn=P2"} <= set(addresses)  # type: ignore[arg-type]
        undo(engine, "one")
        settle(engine)
        assert image(new) == before, "also those who refer to one of them"
        moving.back(engine.workspace, "one", to="waiting", reason="a test")
        release(engine.workspace)
        settle(engine)


def test_a_contact_that_gave_way_is_nobody_elses_delete(engine: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    """The address book wrote to the contact while its person moved already; then his user took its place. One undo takes both back."""
    moving.move(engine.workspace, "one", reason="a test")
    old.change(anchor(old, "Person 2"), mail="two@x.test")
    engine.cycle("book", beyond=list(Operation))
    settle(engine)
    assert "Person 2" not in of_kind(new, Kind.CONTACT)
    undo(engine, "one")
    assert "Person 2" in of_kind(new, Kind.CONTACT)
    texts = [text for _, _, text in engine.problems()]
    assert not any("deleted it" in text for text in texts), texts
    assert any(text.startswith("Person 2 comes back as it was when it was deleted") for text in texts)


def test_one_person_in_two_waves_is_told_and_moves_in_neither(engine: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    (engine.folder / "two.csv").write_text("employeeID\nE3\nE4\n", encoding="utf-8")
    done = moving.move(engine.workspace, "one", reason="a test")
    assert not done.done and [one.person.key for one in done.refused] == ["E3"]
    assert moving.move(engine.workspace, "one", reason="a test", ready=True).done
    settle(engine)
    assert sorted(of_kind(new, Kind.USER)) == ["Native 1", "Native 2", "Person 1", "Person 2"]
    (engine.folder / "two.csv").write_text("employeeID\nE4\n", encoding="utf-8")
    assert moving.move(engine.workspace, "one", reason="a test").done
    settle(engine)
    (engine.folder / "two.csv").write_text("employeeID\nE3\nE4\n", encoding="utf-8")
    done = moving.cut_over(engine.workspace, "one", reason="a test")
    assert not done.done and [one.person.key for one in done.refused] == ["E3"]
    assert states(engine)["E3"] == ("one", "moving")
    settle(engine)


def test_a_membership_that_is_planned_refuses_a_cut_over(engine: Engine, old: MemoryDirectory) -> None:
    move(engine, "one")
    old.leave(next(iter(old.anchors(Kind.GROUP))), anchor(old, "Person 2"))
    engine.import_()
    assert shown(engine.plan()) == [("member remove", "Team")]
    (refused,) = moving.cut_over(engine.workspace, "one", reason="a test").refused
    assert refused.person.key == "E2"
    assert any("Team" in why or "teams" in why for why in refused.why)


@pytest.mark.parametrize("alike", [False, True], ids=["anchors of their own", "an anchor that somebody has elsewhere"])
def test_a_membership_on_its_way_refuses_a_cut_over(engine: Engine, old: MemoryDirectory, new: MemoryDirectory, alike: bool) -> None:
    """Approved, in flight, or written and not confirmed: it is of the person, though it is the group that is written."""
    move(engine, "one")
    team = next(iter(old.anchors(Kind.GROUP)))
    old.leave(team, anchor(old, "Person 2"))
    engine.cycle(beyond=list(Operation))
    assert shown(engine.plan()) == []
    if alike:
        # As in two files that each number their people.
        with engine.backend.write() as connection:
            for table in (object_, join):
                also = table.update().where(table.c.anchor == anchor(old, "Person 3"))
                connection.execute(also.values(anchor=of_kind(new, Kind.USER)["Person 2"]))
    for state, words in (("written", "is not confirmed yet; run `metasync confirm`"), ("in_flight", "in flight still")):
        with engine.backend.write() as connection:
            last = select(func.max(change.c.id)).where(change.c.operation == Operation.MEMBER_REMOVE.value).scalar_subquery()
            connection.execute(change.update().where(change.c.id == last).values(state=state))
        (refused,) = moving.cut_over(engine.workspace, "one", reason="a test").refused
        assert refused.person.key == "E2"
        assert any("teams" in why and words in why for why in refused.why)
    with engine.backend.write() as connection:
        connection.execute(change.update().where(change.c.state == "in_flight").values(state="confirmed"))
    assert moving.cut_over(engine.workspace, "one", reason="a test").done


def test_the_source_decides_nothing_about_whoever_is_cut_over(engine: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    """His old account is disabled, and later deleted: that is what a migration is for."""
    document = DOCUMENT.replace(
        LEAVING, "{disabled: disable, deleted: [{disable: joined, when: 'wave.state != \"cut over\"'}], out of scope: keep}", 1
    )
    engine.load(document)
    settle(engine)
    move(engine, "one")
    assert moving.cut_over(engine.workspace, "one", reason="a test").done
    settle(engine)
    for number in (1, 2, 4):
        old.change(anchor(old, f"Person {number}"), enabled=False)
    settle(engine)
    assert all((new.get(of_kind(new, Kind.USER)[f"Person {number}"]) or {})["enabled"] for number in (1, 2, 3))
    for number in (1, 2):
        old.delete(anchor(old, f"Person {number}"))
    settle(engine)
    assert all((new.get(of_kind(new, Kind.USER)[f"Person {number}"]) or {})["enabled"] for number in (1, 2, 3))


def test_a_document_that_changes_between_a_move_and_a_cut_over(engine: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    """What the new version wants is to be written first; a wave that it does not have any more is still taken back."""
    move(engine, "one")
    engine.load(DOCUMENT.replace("      mail: source.mail\n", "      mail: source.mail\n      company: '\"Contoso\"'\n", 1))
    done = moving.cut_over(engine.workspace, "one", reason="a test")
    assert not done.done, [one.why for one in done.refused]
    settle(engine)
    assert moving.cut_over(engine.workspace, "one", reason="a test").done
    engine.load(DOCUMENT.replace("  one: {file: one.csv, key: employeeID}\n", ""))
    settle(engine)
    assert moving.back(engine.workspace, "one", to="waiting", reason="a test").done
    settle(engine)
    undo(engine, "one")
    settle(engine)
    assert sorted(of_kind(new, Kind.USER)) == ["Native 1", "Native 2"]


def test_a_returner_of_a_wave_takes_his_users_place_again(engine: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    move(engine, "one")
    user = of_kind(new, Kind.USER)["Person 2"]
    old.delete(anchor(old, "Person 2"))
    settle(engine)
    assert (new.get(user) or {})["enabled"] is False
    person(old, "Person 2", employeeID="E2", title="Clerk")
    settle(engine)
    assert of_kind(new, Kind.USER)["Person 2"] == user
    assert (new.get(user) or {})["enabled"] is True
    assert "Person 2" not in of_kind(new, Kind.CONTACT)
    undo(engine, "one")
    settle(engine)
    assert sorted(of_kind(new, Kind.CONTACT)) == [f"Person {number}" for number in range(1, 8)]


def test_a_process_that_ends_between_two_steps_loses_nothing(engine: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    moving.move(engine.workspace, "one", reason="a test")
    engine.restart()
    settle(engine)
    assert moving.cut_over(engine.workspace, "one", reason="a test").done
    engine.restart()
    settle(engine)
    assert states(engine) == {f"E{number}": ("one", "cut over") for number in (1, 2, 3)}
