"""What has the version that is known is not looked at; everything else that could make other values of it, is."""

from __future__ import annotations

import importlib
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metasync.contract import AttributeSchema, Entry, Gone, ImportIncomplete, Kind, Patch, Reject, Values, Versioned
from metasync.engagement.model import Mapping_
from metasync.importing import code
from metasync.importing import read as reading
from metasync.importing.code import code_of
from metasync.testing.memory import MemoryConnector

World = Any


class Told:
    """Objects that come with versions, and who of them was looked at."""

    def __init__(self, world: World) -> None:
        self.world, self.looked_at = world, list[str]()

    def show(self, anchor: str, version: bytes, **attributes: Values) -> None:
        """One more item of the next read."""

        def read() -> Entry:
            self.looked_at.append(anchor)
            return Entry(anchor=anchor, kind=Kind.USER, attributes=attributes, version=version)

        self.world.hr.extra.append(Versioned(anchor=anchor, kind=Kind.USER, version=version, read=read))

    def only(self, anchor: str, version: bytes, **attributes: Values) -> None:
        """Nothing but this is there."""
        self.world.hr.extra.clear()
        self.show(anchor, version, **attributes)

    def counts(self) -> tuple[dict[str, int], list[str]]:
        """What a full import counts, and whom it looks at."""
        self.looked_at = []
        return self.world.counts(full=True), self.looked_at


@pytest.fixture
def told(world: World) -> Told:
    made = Told(world)
    made.show("1", b"one", displayName="Anna", mail="a@a.test")
    made.show("2", b"one", displayName="Ben")
    assert made.counts() == ({"added": 2}, ["1", "2"])
    return made


def test_an_object_of_a_known_version_is_not_looked_at(world: World, told: Told) -> None:
    before = world.row("1")
    assert told.counts() == ({"unchanged": 2}, [])
    assert world.row("1") == before and world.states() == {"1": "live", "2": "live"}
    read = world.hr.reads
    assert [(one.versions, one.compares) for one in read] == [(True, False), (True, True)], "an empty directory has nothing to compare with"


def test_another_version_is_looked_at(world: World, told: Told) -> None:
    told.only("1", b"two", displayName="Anna Berg")
    told.show("2", b"one", displayName="Ben")
    assert told.counts() == ({"changed": 1, "unchanged": 1}, ["1"])
    assert world.stored()["1"] == {"displayName": "Anna Berg"}
    assert told.counts() == ({"unchanged": 2}, [])


def test_another_version_of_the_same_content_is_looked_at_once(world: World, told: Told) -> None:
    told.only("1", b"two", displayName="Anna", mail="a@a.test")
    told.show("2", b"one", displayName="Ben")
    before = world.row("1")._asdict()
    assert told.counts() == ({"unchanged": 2}, ["1"])
    after = world.row("1")._asdict()
    assert [name for name in after if after[name] != before[name]] == ["version"]
    assert told.counts() == ({"unchanged": 2}, [])


def test_a_version_counts_for_its_object_alone(world: World, told: Told) -> None:
    told.show("3", b"one", displayName="Cem")
    assert told.counts() == ({"added": 1, "unchanged": 2}, ["3"])


def test_everything_is_looked_at_again_when_more_is_asked_for(world: World, told: Told) -> None:
    profile = world.engagement.profiles["staff"]
    world.revise(staff=replace(profile, map={**profile.map, "city": Mapping_(attribute="city", expression="source.city")}))
    assert told.counts() == ({"unchanged": 2}, ["1", "2"])
    assert told.counts() == ({"unchanged": 2}, [])


def test_everything_is_looked_at_again_under_other_options(world: World, told: Told) -> None:
    world.set_options("hr", separator=";")
    assert told.counts() == ({"unchanged": 2}, ["1", "2"])


def test_everything_is_looked_at_again_when_the_schema_is_another(world: World, told: Told) -> None:
    user = world.hr.schema.kinds[Kind.USER]
    attributes = {**user.attributes, "city": AttributeSchema(name="city", multi=True)}
    world.hr.schema = replace(world.hr.schema, kinds={**world.hr.schema.kinds, Kind.USER: replace(user, attributes=attributes)})
    assert told.counts() == ({"unchanged": 2}, ["1", "2"])


def test_everything_is_looked_at_again_by_another_code(world: World, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "code_of", lambda connector: b"another release")
    assert told.counts() == ({"unchanged": 2}, ["1", "2"])
    assert told.counts() == ({"unchanged": 2}, [])


def test_where_the_code_cannot_be_told_no_version_counts(world: World, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "code_of", lambda connector: None)
    told.only("1", b"one", displayName="Anna Berg")
    told.show("2", b"one", displayName="Ben")
    assert told.counts() == ({"changed": 1, "unchanged": 1}, ["1", "2"])
    assert not (world.hr.reads[-1].versions or world.hr.reads[-1].compares)
    assert world.row("1").version is None, "of the version that is stored, this is not the content"


def test_who_was_gone_is_looked_at_when_he_comes_back(world: World, told: Told) -> None:
    told.only("2", b"one", displayName="Ben")
    told.counts()
    assert world.states()["1"] == "gone"
    told.show("1", b"one", displayName="Anna", mail="a@a.test")
    assert told.counts() == ({"added": 1, "unchanged": 1}, ["1"])
    assert world.states()["1"] == "live"


def test_who_became_another_kind_is_looked_at(world: World, told: Told) -> None:
    entry = Entry(anchor="2", kind=Kind.GROUP, attributes={"displayName": "Ben"}, version=b"one")
    world.hr.extra[1] = Versioned(anchor="2", kind=Kind.GROUP, version=b"one", read=lambda: entry)
    assert told.counts() == ({"changed": 1, "unchanged": 1}, [])
    assert world.row("2").kind == "group"


def test_who_is_shown_twice_counts_once(world: World, told: Told) -> None:
    told.show("1", b"one", displayName="Anna", mail="a@a.test")
    assert told.counts() == ({"unchanged": 2}, [])
    assert not world.problems()


def test_two_objects_of_one_anchor_are_not_believed(world: World, told: Told) -> None:
    told.show("1", b"two", displayName="Anton")
    assert told.counts() == ({"unread": 1, "unchanged": 2, "rejected": 1}, ["1"])
    assert world.states()["1"] == "unread" and world.stored()["1"]["displayName"] == "Anna"
    world.hr.extra.pop()
    assert told.counts() == ({"changed": 1, "unchanged": 1}, ["1"])


def test_what_cannot_be_taken_is_a_problem_that_ends_with_it(world: World, told: Told) -> None:
    known = world.hr.extra[0]
    reject = Reject(where="row 2", reason="it is torn", anchor="1")
    world.hr.extra[0] = Versioned(anchor="1", kind=Kind.USER, version=b"torn", read=lambda: reject)
    assert told.counts() == ({"unchanged": 1, "rejected": 1}, [])
    assert [one.text for one in world.problems()] == ["row 2: it is torn"] and world.states()["1"] == "live"
    world.hr.extra[0] = known
    assert told.counts() == ({"unchanged": 2}, [])
    assert not world.problems()


@pytest.mark.parametrize("connector", ["following"])
def test_a_delta_settles_the_problems_of_what_it_does_not_look_at(world: World, told: Told) -> None:
    known = world.hr.extra[0]
    reject = Reject(where="row 2", reason="it is torn", anchor="1")
    world.hr.delta = [Versioned(anchor="1", kind=Kind.USER, version=b"torn", read=lambda: reject)]
    assert world.counts() == {"rejected": 1} and world.problems()
    world.hr.delta, told.looked_at = [known], []
    assert world.counts() == {"unchanged": 1} and not told.looked_at
    assert not world.problems()


@pytest.mark.parametrize("connector", ["following"])
def test_a_delta_of_some_attributes_ends_what_a_version_stood_for(world: World, told: Told) -> None:
    world.hr.delta = [Patch(anchor="1", kind=Kind.USER, attributes={"displayName": "Anna Berg"})]
    assert world.counts() == {"changed": 1}
    assert told.counts() == ({"changed": 1, "unchanged": 1}, ["1"])
    assert world.stored()["1"]["displayName"] == "Anna"


@pytest.mark.parametrize("connector", ["following"])
def test_who_left_by_a_delta_is_looked_at_again(world: World, told: Told) -> None:
    world.hr.delta = [Gone(anchor="1")]
    assert world.counts() == {"gone": 1}
    assert told.counts() == ({"added": 1, "unchanged": 1}, ["1"])


def test_an_entry_says_its_version_too(world: World, told: Told) -> None:
    world.hr.extra[0] = Entry(anchor="1", kind=Kind.USER, attributes={"displayName": "Anna Berg"}, version=b"two")
    assert told.counts() == ({"changed": 1, "unchanged": 1}, [])
    told.only("1", b"two")
    told.show("2", b"one")
    assert told.counts() == ({"unchanged": 2}, [])
    assert world.stored()["1"] == {"displayName": "Anna Berg"}


def test_an_entry_without_a_version_ends_the_one_that_was_known(world: World, told: Told) -> None:
    world.hr.extra[0] = Entry(anchor="1", kind=Kind.USER, attributes={"displayName": "Anna Berg"})
    told.counts()
    assert world.row("1").version is None
    told.only("1", b"one", displayName="Anna")
    assert told.counts()[1] == ["1"]


def test_what_an_interrupted_import_stored_has_its_versions(world: World) -> None:
    told = Told(world)
    for number in range(6):
        told.show(str(number), b"one", displayName=f"Person {number}")
    world.hr.fails_after = 2
    with pytest.raises(Exception, match="connection broke"):
        world.run()
    assert len(world.states()) == 4
    assert told.counts() == ({"added": 2, "unchanged": 4}, ["4", "5"])


@pytest.mark.parametrize("mistake", ["raises", "is another"])
def test_a_connector_that_fails_at_an_object_breaks_the_import_off(world: World, told: Told, mistake: str) -> None:
    def read() -> Entry:
        if mistake == "raises":
            raise KeyError("city")
        return Entry(anchor="7", kind=Kind.USER, attributes={})

    world.hr.extra[0] = Versioned(anchor="1", kind=Kind.USER, version=b"two", read=read)
    with pytest.raises(ImportIncomplete, match="a mistake in the plugin"):
        world.run(full=True)
    assert world.states() == {"1": "live", "2": "live"}


def test_two_connectors_have_different_code() -> None:
    class Other(MemoryConnector):
        """Another one."""

    assert code_of(MemoryConnector) == code_of(MemoryConnector)
    assert code_of(MemoryConnector) != code_of(Other) and code_of(Other) is not None


def test_code_that_was_written_since_it_could_be_loaded_may_not_be_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that runs on while a plugin is upgraded would call the old one's images by the new one's name."""
    source = tmp_path / "worked_on_here.py"
    source.write_text("from metasync.testing.memory import MemoryConnector\nclass Own(MemoryConnector): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(code, "BEGAN", source.stat().st_ctime)
    own = importlib.import_module("worked_on_here").Own
    code_of.cache_clear()
    assert code_of(own) is not None
    code_of.cache_clear()
    time.sleep(0.05)  # the clock of files ticks a few hundred times a second
    source.write_text(source.read_text())
    os.utime(source, (0, 0))
    assert code_of(own) is None
    code_of.cache_clear()


@pytest.mark.parametrize("anchor", ["no\0text", "half of a sign \ud800"])
def test_who_cannot_be_known_by_an_anchor_is_refused_alone(world: World, told: Told, anchor: str) -> None:
    world.hr.extra.append(Entry(anchor=anchor, kind=Kind.USER, attributes={"displayName": "Cem"}))
    world.hr.extra.append(Reject(where="row 4", anchor=f"{anchor}4", reason="it is torn"))
    told.show(f"{anchor}5", b"one", displayName="Dora")
    assert told.counts() == ({"unchanged": 2, "rejected": 3}, [f"{anchor}5"])
