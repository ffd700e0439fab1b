"""Whatever happens to a directory, and wherever an import is cut off: once an import is complete, the database holds what is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from metasync.contract import ImportIncomplete, Kind, Reference, SourceEmpty, Unavailable
from metasync.importing import read
from metasync.store import directories
from metasync.testing.memory import MemoryDirectory, MemoryPlugin

World = Any
numbers = st.integers(0, 1000)
titles = st.sampled_from(["", "Boss", "Clerk", "\u00dcnicode"])


class Anchors:
    """Anchors that come in the same order in every example."""

    def __init__(self) -> None:
        self.last = 0

    def token_hex(self, length: int) -> str:
        self.last += 1
        return f"{self.last * 7919 % 10007:0{length * 2}x}"


class Directory(RuleBasedStateMachine):
    """People and groups come, change and go behind our back; imports run, break off, and run again in another process."""

    make: Callable[..., World]
    monkeypatch: pytest.MonkeyPatch

    @initialize(streams=st.sampled_from(["all", "kinds"]), deltas=st.sampled_from(["changes", "everything"]))
    def begin(self, streams: str, deltas: str) -> None:
        self.monkeypatch.setattr("metasync.testing.memory.directory.secrets", Anchors())
        self.directory = MemoryDirectory()
        plugin = MemoryPlugin({"hr": self.directory})
        self.world = self.make(plugin, store="hr", file=None, base=None, streams=streams, deltas=deltas, password=None)
        self.count = 0
        self.fresh = False

    def pick(self, number: int, *kinds: Kind) -> str | None:
        anchors = self.directory.anchors(*kinds)
        return anchors[number % len(anchors)] if anchors else None

    @rule(title=titles, boss=numbers)
    def somebody_comes(self, title: str, boss: int) -> None:
        self.count += 1
        manager = self.pick(boss, Kind.USER)
        more = {"manager": Reference(value=manager)} if manager and boss % 2 else {}
        self.directory.add(Kind.USER, name=f"person {self.count}", **({"title": title} if title else {}), **more)
        self.fresh = False

    @rule(members=st.lists(numbers, max_size=4))
    def a_group_comes(self, members: list[int]) -> None:
        self.count += 1
        anchors = {anchor for number in members if (anchor := self.pick(number))}
        self.directory.add(Kind.GROUP, name=f"group {self.count}", members=tuple(Reference(value=anchor) for anchor in sorted(anchors)))
        self.fresh = False

    @rule(who=numbers, title=titles)
    def somebody_changes(self, who: int, title: str) -> None:
        if anchor := self.pick(who, Kind.USER):
            self.directory.change(anchor, title=title or None)
            self.fresh = False

    @rule(group=numbers, who=numbers, joins=st.booleans())
    def a_membership_changes(self, group: int, who: int, joins: bool) -> None:
        if (anchor := self.pick(group, Kind.GROUP)) and (member := self.pick(who)):
            (self.directory.join if joins else self.directory.leave)(anchor, member)
            self.fresh = False

    @rule(who=numbers)
    def somebody_leaves(self, who: int) -> None:
        if len(self.directory.anchors()) > 1 and (anchor := self.pick(who)):
            self.directory.delete(anchor)
            self.fresh = False

    @rule()
    def the_directory_forgets_its_log(self) -> None:
        self.directory.expire_cursors()

    @rule()
    def the_process_is_replaced(self) -> None:
        self.world.restart()

    @rule(pages=st.integers(0, 3), full=st.booleans(), stops=st.booleans())
    def an_import_is_cut_off(self, pages: int, full: bool, stops: bool) -> None:
        before = {anchor for anchor, state in self.world.states().items() if state == "gone"}
        if stops:
            self.directory.faults.incomplete_after_pages = pages
        else:
            self.directory.faults.cut_after_pages = pages
        with pytest.raises((ImportIncomplete, Unavailable)):
            self.world.run(full=full)
        self.directory.faults.clear()
        gone = {anchor for anchor, state in self.world.states().items() if state == "gone"} - before
        assert not gone & set(self.directory.anchors()), "a cut import took what is there for gone"
        self.fresh = False

    @rule(full=st.sampled_from([None, None, True]))
    def an_import_is_complete(self, full: bool | None) -> None:
        if not self.directory.anchors() and "live" in self.world.states().values():
            with pytest.raises(SourceEmpty):
                self.world.run(full=True)
            return
        self.world.run(full=full)
        self.fresh = True

    @precondition(lambda self: self.fresh)
    @invariant()
    def the_database_holds_what_is_there(self) -> None:
        with self.world.backend.read() as connection:
            requested = directories.get(connection, self.world.ids["hr"]).requested
        assert requested is not None
        expected = {}
        for kind in (Kind.USER, Kind.GROUP):
            for anchor in self.directory.anchors(kind):
                image: dict[str, Any] = {}
                for name, value in (self.directory.get(anchor) or {}).items():
                    if name not in requested[kind] and name != "anchor":
                        continue
                    if isinstance(value, Reference):
                        image[name] = [value.value]
                    elif isinstance(value, tuple) and value and isinstance(value[0], Reference):
                        image[name] = sorted(one.value for one in value if isinstance(one, Reference))
                    else:
                        image[name] = value
                expected[anchor] = image
        assert self.world.stored() == expected
        assert set(self.world.states().values()) <= {"live", "gone"}
        assert not self.world.problems()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.backend.close()


def test_a_complete_import_equals_the_directory(new_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "PAGE", 2)

    outer = monkeypatch

    class Machine(Directory):
        monkeypatch = outer
        make = staticmethod(lambda plugin, **options: new_world("memory", plugin, options=options))

    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=checks)
    )
