"""The counting target accepts duplicates, and tells of each."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metasync.contract import Change, Kind, Operation, Presence, ReadRequest, Reference
from metasync.testing.context import TestContext
from metasync.testing.counting import CountingTarget, Counts


@pytest.fixture
def target(tmp_path: Path) -> CountingTarget:
    return CountingTarget(CountingTarget.Options().load({"file": str(tmp_path / "counts.db")}), TestContext())


@pytest.fixture
def counts(tmp_path: Path) -> Counts:
    return Counts(tmp_path / "counts.db")


def create(label: str, tag: str) -> Change:
    return Change(id=tag, operation=Operation.CREATE, kind=Kind.USER, anchor=None, label=label, after={"name": label}, tag=tag)


def test_a_create_that_comes_twice_makes_two_objects_and_is_told(target: CountingTarget, counts: Counts) -> None:
    list(target.write([create("Anna", "a"), create("Anna", "a"), create("Ben", "b")]))
    assert counts.by_label() == {"Anna": 2, "Ben": 1}
    assert counts.repeated() == {"a": 2}
    assert counts.duplicates() == {"Anna": 2}
    assert counts.lost(["Anna", "Ben", "Cem"]) == ["Cem"]
    assert counts.total == 3


def test_an_object_is_found_by_its_tag(target: CountingTarget) -> None:
    change = create("Anna", "a")
    (absent,) = target.find([change])
    (result,) = target.write([change])
    (found,) = target.find([change])
    assert absent.presence is Presence.ABSENT
    assert (found.presence, found.anchor, found.by_mark, found.attributes) == (Presence.PRESENT, result.anchor, True, {"name": "Anna"})


def test_it_does_what_it_is_told_without_comparing(target: CountingTarget, counts: Counts) -> None:
    (made, other) = target.write([create("Anna", "a"), create("Ben", "b")])
    member = Reference(value=str(other.anchor))

    def change(tag: str, operation: Operation, **more: object) -> Change:
        return Change(id=tag, operation=operation, kind=Kind.USER, anchor=made.anchor, label="Anna", tag=tag, **more)  # type: ignore[arg-type]

    list(target.write([change("c", Operation.UPDATE, before={"name": "not so"}, after={"name": "Anna B", "city": "Ulm"})]))
    list(target.write([change("d", Operation.MEMBER_ADD, member=member), change("e", Operation.CLEAR, after={"city": None})]))
    request = ReadRequest(
        stream="all", kinds=frozenset({Kind.USER}), attributes={Kind.USER: frozenset({"name", "city", "members"})}, page_size=1
    )
    pages = list(target.read(request))
    assert [page.complete for page in pages] == [False, True]
    assert pages[0].items[0].attributes == {"name": "Anna B", "members": (member,)}  # type: ignore[union-attr]
    assert counts.references() == {other.anchor}
    assert counts.by_operation() == {"create": 2, "update": 1, "member add": 1, "clear": 1}
    list(target.write([change("f", Operation.DELETE)]))
    assert len(list(target.read(request))) == 1


def test_an_empty_target_is_complete(target: CountingTarget) -> None:
    (page,) = target.read(ReadRequest(stream="all", kinds=frozenset({Kind.USER}), attributes={}))
    assert page.complete and not page.items


def test_what_was_counted_survives_a_kill(tmp_path: Path, counts: Counts) -> None:
    program = f"""
import os, signal
from metasync.contract import Change, Kind, Operation
from metasync.testing.context import TestContext
from metasync.testing.counting import CountingTarget
target = CountingTarget(CountingTarget.Options().load({{"file": {str(tmp_path / "counts.db")!r}}}), TestContext())
change = Change(id="a", operation=Operation.CREATE, kind=Kind.USER, anchor=None, label="Anna", after={{"name": "Anna"}}, tag="a")
for result in target.write([change]):
    os.kill(os.getpid(), signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
"""
    process = subprocess.run([sys.executable, "-c", program], check=False)
    assert process.returncode in (-getattr(signal, "SIGKILL", 9), int(signal.SIGTERM))
    assert counts.by_label() == {"Anna": 1}
