"""A model checks the whole engine: the same edits, failures and restarts in any order, and at rest the target is what the laws say.

The model is plain dictionaries of what is in the source, and one function that says what the target must hold for it. It knows nothing of
imports, plans or ledgers. What must hold at every moment is checked by name:

    I2  no create reaches the directory twice
    I3  the target changes in an export alone
    I4  an import that was cut has nobody disabled or deleted for lack of reading
    I5  every source object has exactly one state, with its reason in words
    I6  the audit log is whole

`METASYNC_MACHINE=long` looks for longer, and with other examples each time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Connection, func, select

from metasync.contract import Kind, MetasyncError, Operation, Reference
from metasync.exporting import batches
from metasync.importing import read
from metasync.planning import approve
from metasync.planning.approval import ApprovalRefused
from metasync.runs import dispatch, run
from metasync.store import audit, clock
from metasync.store.rows import Status
from metasync.store.tables import directory, object_, sync_state
from metasync.synchronising import setting
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory, WriteFault
from metasync.testing.staff import BASE, DOCUMENT, PEOPLE, profile

STAFF, SUB, ELSE = f"OU=Staff,{BASE}", f"OU=Sub,OU=Staff,{BASE}", f"OU=Else,{BASE}"
PLACES = {STAFF: PEOPLE, SUB: f"OU=Sub,{PEOPLE}"}
"""Where what lies in scope belongs in the target."""
NAME = {"from": "source.displayName", "unique": ["{value}", "{value} ({n})"]}
COMMON = {
    "scope": {"under": [STAFF]},
    "place": {"mirror": {STAFF: PEOPLE}, "existing": "move"},
    "leaving": {"deleted": "delete", "out of scope": "delete"},
}
DOCUMENT_ = DOCUMENT.format(
    profiles=profile(
        match=[{"source": "employeeID", "target": "employeeID"}],
        map={
            "cn": NAME,
            **{name: f"source.{name}" for name in ("displayName", "employeeID", "mail", "title", "otherTelephone", "manager", "enabled")},
        },
        **COMMON,
    )
    + profile(
        "groups",
        kind="group",
        match=[{"source": "description", "target": "description"}],
        map={"cn": NAME, **{name: f"source.{name}" for name in ("displayName", "description", "members")}},
        **COMMON,
    )
)
WORDS = st.sampled_from(["Anna", "Berta", "anna", "Čeněk", "O'Neil, Zoe"])
TITLES = st.sampled_from([None, "Clerk", "Chief", "clerk"])
WHERE = st.sampled_from([STAFF, SUB, ELSE])
PHONES = st.sampled_from([None, ("1",), ("1", "2"), ("2", "3")])
ANY = st.integers(min_value=0, max_value=10_000)
LONG = os.environ.get("METASYNC_MACHINE") == "long"
SHRINK = "METASYNC_MACHINE_SHRINK" in os.environ


class Machine(RuleBasedStateMachine):
    """`hr` is the source, `ad` the target; both outlive the engine."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.hr, self.ad = MemoryDirectory(seed=1), MemoryDirectory(seed=2)
        for one, paths in ((self.hr, (("Staff", BASE), ("Sub", STAFF), ("Else", BASE))), (self.ad, (("People", BASE), ("Sub", PEOPLE)))):
            for name, path in paths:
                one.add(Kind.CONTAINER, name=name, path=path)
        self.engine = Engine(Path(self.folder.name), DOCUMENT_, {"hr": self.hr, "ad": self.ad})
        # The model: number -> what the source holds; what is deleted keeps its last image under `gone`.
        self.people: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.gone: dict[str, dict[str, Any]] = {}
        self.natives: dict[str, dict[str, Any]] = {}
        """anchor -> image of what others made in the target."""
        self.anchors: dict[str, str] = {}
        """number -> anchor in the source."""
        self.plans: list[int] = []
        self.count = 0

    def teardown(self) -> None:
        try:
            self.rest()
        finally:
            self.engine.close()
            self.folder.cleanup()

    # --- edits of the source -------------------------------------------------------------------------------------------------------------

    @initialize(names=st.lists(WORDS, min_size=1, max_size=4))
    def some_people_and_a_group(self, names: list[str]) -> None:
        for name in names:
            self.add_person(name, STAFF, None)
        self.add_group("Team", STAFF)

    @rule(name=WORDS, path=WHERE, title=TITLES)
    def add_person(self, name: str, path: str, title: str | None) -> None:
        self.count += 1
        number = f"p{self.count}"
        image = {"displayName": name, "title": title, "mail": f"{number}@x.test", "enabled": True, "otherTelephone": None}
        given = {key: value for key, value in image.items() if value is not None}
        self.anchors[number] = self.hr.add(Kind.USER, name=number, path=path, employeeID=number, **given)  # type: ignore[arg-type]
        self.people[number] = {**image, "path": path, "manager": None}

    @rule(name=WORDS, path=WHERE)
    def add_group(self, name: str, path: str) -> None:
        self.count += 1
        number = f"g{self.count}"
        self.anchors[number] = self.hr.add(Kind.GROUP, name=number, path=path, description=number, displayName=name)
        self.groups[number] = {"displayName": name, "path": path, "members": set()}

    def one(self, which: dict[str, Any], choice: int) -> str:
        return sorted(which)[choice % len(which)]

    def edit(self, number: str, **values: Any) -> None:
        (self.people if number in self.people else self.groups)[number].update(values)
        self.hr.change(self.anchors[number], **values)

    @precondition(lambda self: self.people)
    @rule(who=ANY, title=TITLES)
    def change_or_clear_title(self, who: int, title: str | None) -> None:
        self.edit(self.one(self.people, who), title=title)

    @precondition(lambda self: self.people)
    @rule(who=ANY, phones=PHONES)
    def change_phones(self, who: int, phones: tuple[str, ...] | None) -> None:
        self.edit(self.one(self.people, who), otherTelephone=phones)

    @precondition(lambda self: self.people)
    @rule(who=ANY, name=WORDS)
    def rename(self, who: int, name: str) -> None:
        self.edit(self.one({**self.people, **self.groups}, who), displayName=name)

    @precondition(lambda self: self.people)
    @rule(who=ANY, path=WHERE)
    def move(self, who: int, path: str) -> None:
        self.edit(self.one({**self.people, **self.groups}, who), path=path)

    @precondition(lambda self: self.people)
    @rule(who=ANY, enabled=st.booleans())
    def enable_or_disable(self, who: int, enabled: bool) -> None:
        self.edit(self.one(self.people, who), enabled=enabled)

    @precondition(lambda self: len(self.people) > 1)
    @rule(who=ANY, other=ANY)
    def exchange_addresses(self, who: int, other: int) -> None:
        one, two = self.one(self.people, who), self.one(self.people, other)
        mails = self.people[one]["mail"], self.people[two]["mail"]
        self.edit(one, mail=mails[1])
        self.edit(two, mail=mails[0])

    @precondition(lambda self: self.people)
    @rule(who=ANY)
    def clear_address(self, who: int) -> None:
        self.edit(self.one(self.people, who), mail=None)

    @precondition(lambda self: self.people)
    @rule(who=ANY, whose=ANY)
    def set_manager(self, who: int, whose: int) -> None:
        worker, manager = self.one(self.people, who), self.one(self.people, whose)
        self.people[worker]["manager"] = manager
        self.hr.change(self.anchors[worker], manager=Reference(value=self.anchors[manager]))

    @precondition(lambda self: self.people)
    @rule(who=ANY)
    def clear_manager(self, who: int) -> None:
        self.edit(self.one(self.people, who), manager=None)

    @precondition(lambda self: self.people and self.groups)
    @rule(who=ANY, which=ANY)
    def join_group(self, who: int, which: int) -> None:
        group, member = self.one(self.groups, which), self.one({**self.people, **self.groups}, who)
        if group != member:
            self.groups[group]["members"].add(member)
            self.hr.join(self.anchors[group], self.anchors[member])

    @precondition(lambda self: any(one["members"] for one in self.groups.values()))
    @rule(who=ANY, which=ANY)
    def leave_group(self, who: int, which: int) -> None:
        group = self.one({number: one for number, one in self.groups.items() if one["members"]}, which)
        member = self.one(dict.fromkeys(self.groups[group]["members"]), who)
        self.groups[group]["members"].discard(member)
        self.hr.leave(self.anchors[group], self.anchors[member])

    @precondition(lambda self: len(self.people) > 1)
    @rule(who=ANY)
    def delete(self, who: int) -> None:
        number = self.one({**self.people, **self.groups}, who)
        self.gone[number] = {**(self.people.pop(number, None) or self.groups.pop(number))}
        self.gone[number]["of"] = [group for group, image in self.groups.items() if number in image["members"]]
        self.gone[number]["over"] = [worker for worker, image in self.people.items() if image["manager"] == number]
        for group in self.gone[number]["of"]:
            self.groups[group]["members"].discard(number)
        for worker in self.gone[number]["over"]:
            self.people[worker]["manager"] = None
        self.hr.delete(self.anchors[number])

    @precondition(lambda self: self.gone)
    @rule(who=ANY)
    def restore(self, who: int) -> None:
        """The directory brings it back with all that it had, and whoever still has room for it."""
        number = self.one(self.gone, who)
        image = self.gone[number]
        taken = {one["mail"] for one in self.people.values()}
        if image.get("mail") in taken and image.get("mail") is not None:
            return
        del self.gone[number]
        self.hr.restore(self.anchors[number])
        of, over = image.pop("of"), image.pop("over")
        (self.people if number.startswith("p") else self.groups)[number] = image
        for group in of:
            if group in self.groups:
                self.groups[group]["members"].add(number)
        for worker in over:
            if worker in self.people and self.people[worker]["manager"] is None:
                self.people[worker]["manager"] = number
        shown = self.hr.get(self.anchors[number]) or {}
        held = {one.value for one in shown.get("members", ())}  # type: ignore[union-attr]
        if "members" in image:
            image["members"] = {one for one in (*self.people, *self.groups) if self.anchors[one] in held}
        elif "manager" in image and image["manager"] in self.gone:
            # A pointer to what is gone as well stays as it is, and means nothing.
            image["manager"] = None
            self.hr.change(self.anchors[number], manager=None)

    # --- what others do in the target ----------------------------------------------------------------------------------------------------

    def ours(self) -> dict[str, str]:
        """number -> anchor of what Metasync made in the target."""
        found = {}
        for anchor in self.ad.anchors(Kind.USER, Kind.GROUP):
            image = self.ad.get(anchor) or {}
            number = image.get("employeeID") or image.get("description")
            if anchor not in self.natives and isinstance(number, str):
                found[number] = anchor
        return found

    @rule(name=WORDS, path=st.sampled_from([PEOPLE, PLACES[SUB]]))
    def somebody_else_takes_a_name(self, name: str, path: str) -> None:
        try:
            anchor = self.ad.add(Kind.USER, name=name, path=path, displayName=name, enabled=True)
        except MetasyncError:
            return
        self.natives[anchor] = self.ad.get(anchor) or {}

    @precondition(lambda self: self.ours())
    @rule(who=ANY, attribute=st.sampled_from(["title", "displayName", "mail", "otherTelephone"]))
    def drift(self, who: int, attribute: str) -> None:
        number = self.one(self.ours(), who)
        if number.startswith("g"):
            attribute = "displayName"
        value: Any = {"mail": None, "otherTelephone": ("9",)}.get(attribute, "Drifted")
        self.ad.change(self.ours()[number], {attribute: value})

    @precondition(lambda self: self.ours())
    @rule(who=ANY, name=WORDS)
    def drift_of_a_name(self, who: int, name: str) -> None:
        try:
            self.ad.rename(self.ours()[self.one(self.ours(), who)], name)
        except MetasyncError:
            return

    @precondition(lambda self: self.ours())
    @rule(who=ANY, path=st.sampled_from([BASE, PEOPLE, PLACES[SUB]]))
    def drift_of_a_place(self, who: int, path: str) -> None:
        try:
            self.ad.move(self.ours()[self.one(self.ours(), who)], path)
        except MetasyncError:
            return

    @precondition(lambda self: any(number.startswith("g") for number in self.ours()))
    @rule(who=ANY, which=ANY, joins=st.booleans())
    def drift_of_members(self, who: int, which: int, joins: bool) -> None:
        ours = self.ours()
        group = ours[self.one({number: 0 for number in ours if number.startswith("g")}, which)]
        member = ours[self.one(ours, who)]
        if group != member:
            (self.ad.join if joins else self.ad.leave)(group, member)

    @precondition(lambda self: self.ours())
    @rule(who=ANY)
    def deleted_behind_our_back(self, who: int) -> None:
        self.ad.delete(self.ours()[self.one(self.ours(), who)])

    # --- the job, step by step -----------------------------------------------------------------------------------------------------------

    @contextmanager
    def only_looking(self) -> Iterator[None]:
        with self.ad.now() as (_, before):
            pass
        yield
        with self.ad.now() as (_, after):
            assert before == after, "I3: the target changes in an export alone"

    @rule(names=st.sampled_from([(), ("hr",), ("ad",)]), full=st.booleans())
    def import_(self, names: tuple[str, ...], full: bool) -> None:
        with self.only_looking():
            self.engine.import_(*names, full=full)

    @rule()
    def plan(self) -> None:
        with self.only_looking():
            planned = self.engine.plan()
            assert self.engine.last is not None
            self.plans = [*self.plans, *self.engine.last.plans][-6:]
            # A plan may be old news, but what it is about is always said.
            assert all(one.label for changes in planned.values() for one in changes)

    @precondition(lambda self: self.plans)
    @rule(which=ANY)
    def approve_and_export(self, which: int) -> None:
        """Also an old plan, that a newer one took back."""
        number = sorted(set(self.plans))[which % len(set(self.plans))]
        with self.only_looking():
            with suppress(ApprovalRefused):
                approve(self.engine.workspace, number, reason="the machine", beyond=frozenset(Operation))
        self.export([number])

    def export(self, numbers: list[int]) -> None:
        try:
            self.engine.export(numbers)
        except ApprovalRefused:
            return

    @rule(which=ANY, pages=st.integers(min_value=0, max_value=2), full=st.booleans(), incomplete=st.booleans())
    def an_import_is_cut(self, which: int, pages: int, full: bool, incomplete: bool) -> None:
        known = self.destroyed()
        faults = (self.hr, self.ad)[which % 2].faults
        if incomplete:
            faults.incomplete_after_pages = pages
        else:
            faults.cut_after_pages = pages
        self.engine.import_(full=full)
        fresh = self.destroyed() - known
        assert fresh <= self.not_wanted(), "I4: nobody is disabled or deleted for lack of reading"
        faults.clear()

    def destroyed(self) -> set[str]:
        """Whom the present plan would disable or delete: numbers."""
        found = set()
        with self.only_looking():
            planned = self.engine.plan()
        ours = {anchor: number for number, anchor in self.ours().items()}
        by_label: dict[str, set[str]] = {}
        for anchor, number in ours.items():
            by_label.setdefault(str((self.ad.get(anchor) or {}).get("displayName")), set()).add(number)
        for changes in planned.values():
            for one in changes:
                if one.operation in (Operation.DELETE, Operation.DISABLE):
                    found |= by_label.get(one.label, set())
        return found

    def not_wanted(self) -> set[str]:
        """Whoever shall not be there, or not enabled; and whoever is called like them."""
        out = {number for number in self.ours() if number not in self.wanted() or not self.wanted()[number].get("enabled", True)}
        names = {(self.ad.get(self.ours()[number]) or {}).get("displayName") for number in out}
        return {number for number, anchor in self.ours().items() if (self.ad.get(anchor) or {}).get("displayName") in names}

    @rule(number=st.integers(min_value=1, max_value=4), fault=st.sampled_from(sorted(WriteFault)))
    def a_write_will_fail(self, number: int, fault: WriteFault) -> None:
        self.ad.faults.on_write(number, fault)

    @rule(which=ANY)
    def cursors_expire(self, which: int) -> None:
        (self.hr, self.ad)[which % 2].expire_cursors()

    @rule()
    def the_process_starts_again(self) -> None:
        self.engine.restart()

    @rule()
    def time_goes_by(self) -> None:
        self.engine.later(minutes=20)

    # --- at rest -------------------------------------------------------------------------------------------------------------------------

    @rule()
    def rest(self) -> None:
        """Failures stop; within three cycles the target is what the model says, and stays so."""
        self.hr.faults.clear()
        self.ad.faults.clear()
        for _ in range(3):
            self.engine.later(minutes=20)
            if not self.engine.cycle(beyond=list(Operation)):
                break
        self.compare()
        assert self.engine.cycle() == {}, f"law 13: the second plan is empty; {self.engine.problems()}"

    def wanted(self) -> dict[str, dict[str, Any]]:
        """number -> what the target must hold of it: the reference model."""
        return {number: image for number, image in {**self.people, **self.groups}.items() if image["path"] in PLACES}

    def compare(self) -> None:
        ours, wanted = self.ours(), self.wanted()
        assert ours.keys() == wanted.keys(), self.engine.problems()
        names: dict[tuple[str, str], str] = {}
        for number, image in wanted.items():
            there = self.ad.get(ours[number]) or {}
            assert there["path"] == PLACES[image["path"]]
            name, shown = str(there["name"]), str(image["displayName"])
            assert name.casefold() == shown.casefold() or name.casefold().startswith(f"{shown.casefold()} ("), (name, shown)
            assert names.setdefault((str(there["path"]), name.casefold()), number) == number
            for attribute in ("displayName", "title", "mail", "enabled"):
                assert there.get(attribute) == image.get(attribute) or attribute not in image, (number, attribute, self.engine.problems())
            if "otherTelephone" in image:
                assert set(there.get("otherTelephone", ())) == set(image["otherTelephone"] or ())  # type: ignore[arg-type]
            self.compare_references(number, image, there, ours)
        for anchor, image in self.natives.items():
            assert self.ad.get(anchor) == image, "what others made is left alone"

    def compare_references(self, number: str, image: dict[str, Any], there: dict[str, Any], ours: dict[str, str]) -> None:
        if "members" in image:
            held = {one.value for one in there.get("members", ())}
            assert held == {ours[one] for one in image["members"] if one in ours}, (number, self.engine.problems())
        elif image["manager"] is None:
            assert "manager" not in there, number
        elif image["manager"] in ours:
            assert there.get("manager") == Reference(value=ours[image["manager"]]), number

    # --- always --------------------------------------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_created_twice(self) -> None:
        """I2: each mark, which is the tag of one create, stands on one object, the deleted ones included."""
        with self.ad.now() as (index, _):
            marks = [stored.attributes["adminDescription"] for stored in index.objects.values() if "adminDescription" in stored.attributes]
        assert len(marks) == len(set(marks)), "I2: no create reaches the directory twice"

    @invariant()
    def every_object_has_one_state(self) -> None:
        """I5: after a plan, every source object of a profile's kind has exactly one state, with its reason in words."""
        if self.engine.last is None or not self.engine.last.plans:
            return
        query = (
            select(object_.c.id, func.count(sync_state.c.object_id), func.min(sync_state.c.status), func.min(sync_state.c.reason))
            .select_from(
                object_.join(directory, directory.c.id == object_.c.directory_id).outerjoin(
                    sync_state, sync_state.c.object_id == object_.c.id
                )
            )
            .where(directory.c.name == "hr", object_.c.kind.in_(["user", "group"]))
            .group_by(object_.c.id)
        )
        with self.engine.backend.read() as connection:
            for _, number, status, reason in connection.execute(query):
                if self.planned_since_import:
                    assert number == 1, "I5: exactly one state"
                if number:
                    assert Status(status) and reason, "I5: a reason in words"

    @property
    def planned_since_import(self) -> bool:
        return self.engine.last is not None and bool(self.engine.last.plans) and not self.engine.last.imports

    @invariant()
    def the_audit_is_whole(self) -> None:
        with self.engine.backend.read() as connection:
            assert audit.verify(connection) == [], "I6: the audit log is whole"


class Clock:
    """A millisecond passes at each look: no example depends on how fast the machine is."""

    def __init__(self) -> None:
        self.looks = 0

    def now(self, connection: Connection) -> datetime:
        self.looks += 1
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.looks)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few objects make several pages and transactions; nothing waits for the clock, and one thing comes after the other."""
    monkeypatch.setattr(read, "PAGE", 3)
    monkeypatch.setattr(setting, "PORTION", 3)
    monkeypatch.setattr(dispatch, "work", partial(batches.work, patience=timedelta(0)))
    monkeypatch.setattr(run, "PARALLEL", 1)
    monkeypatch.setattr(clock, "now", Clock().now)


def test_the_engine_is_what_the_model_says(small: None) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=2000 if LONG else 25,
            stateful_step_count=40,
            deadline=None,
            derandomize=not LONG,
            database=None,
            print_blob=True,
            phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
