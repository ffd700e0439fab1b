"""A reference model checks the whole engine: the same edits, failures and restarts in any order, and at rest the target is what the model
says, attribute by attribute. What must hold all the time is judged by name:

    I1  what was approved is written, or stands as a named problem: at rest the ledger holds nothing that is on its way
    I2  no write reaches the directory twice, no create makes a second object
    I3  the target changes in an export alone, and only as somebody approved it
    I4  nobody is disabled or deleted but for what the source says, least of all because an import was cut
    I5  every source object has exactly one state, with its reason in words
    I6  the audit log is whole

Faults are lost answers, refused and failed writes, cut and incomplete imports, expired cursors, restarts, and processes that die between
two pages or behind a write. The examples are the same each time; `METASYNC_MACHINE=500` tries so many others, by chance, and
`METASYNC_MACHINE_SHRINK=1` makes what is found smaller, which takes long.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Connection

from metasync.contract import Kind, MetasyncError, Operation, Reference, Values
from metasync.exporting import batches
from metasync.importing import read
from metasync.planning import approve
from metasync.planning.approval import ApprovalRefused
from metasync.runs import inline
from metasync.store import clock
from metasync.synchronising import setting
from metasync.testing.engine import Engine
from metasync.testing.memory import WriteFault
from metasync.testing.staff import BASE, PEOPLE

from .judge import Judge
from .model import ELSE, PLACES, STAFF, SUB, Model, document
from .witness import Killed, Witness, WitnessedConnector

Trouble = tuple[int, WriteFault] | int | None
Rule = TypeVar("Rule", bound=Callable[..., Any])

RANDOM = "METASYNC_MACHINE" in os.environ
EXAMPLES = int(os.environ.get("METASYNC_MACHINE", "22"))
SHRINK = "METASYNC_MACHINE_SHRINK" in os.environ
STEPS = 50 if RANDOM else 40
CYCLES = 3
"""So many of them bring anything in step once nothing fails any more: what frees a name, who takes it, who refers to him."""

NAMES = st.sampled_from(["Anna", "Berta", "anna", "Čeněk", "O'Neil, Zoe"])
TITLES = st.sampled_from([None, "Clerk", "Chief", "clerk"])
PATHS = st.sampled_from([STAFF, SUB, ELSE])
PHONES = st.sampled_from([None, ("1",), ("1", "2"), ("2", "3")])
CLEARS: list[dict[str, Values | None]] = [{"title": None}, {"otherTelephone": None}, {"mail": None}, {"manager": None}]
EDITS = st.one_of(
    st.fixed_dictionaries({"title": TITLES}),
    st.fixed_dictionaries({"otherTelephone": PHONES}),
    st.fixed_dictionaries({"enabled": st.booleans()}),
    st.sampled_from(CLEARS),
)
MOVES = st.one_of(st.fixed_dictionaries({"displayName": NAMES}), st.fixed_dictionaries({"path": PATHS}))
DRIFTS = st.one_of(
    st.sampled_from([{"title": "Drifted"}, {"displayName": "Drifted"}, {"mail": None}, {"otherTelephone": ("9",)}, {"manager": None}]),
    st.fixed_dictionaries({"name": NAMES}),
    st.fixed_dictionaries({"path": st.sampled_from([BASE, *PLACES.values()])}),
)
TROUBLES = st.one_of(st.none(), st.tuples(st.integers(1, 4), st.sampled_from(sorted(WriteFault))), st.integers(0, 5))
"""Of an export: nothing, a fault of the n-th write, or the process dies after so many."""
ANY = st.integers(min_value=0, max_value=10_000)
"""Which one: of whatever there is when the rule runs."""


def one(which: Collection[str], choice: int) -> str:
    """The one that was chosen."""
    return sorted(which)[choice % len(which)]


def somebody(of: Callable[[Any], Collection[object]]) -> Callable[[Rule], Rule]:
    """The rule needs somebody of these."""
    needed: Callable[[Rule], Rule] = precondition(lambda self: len(of(self)) > 0)
    return needed


class Machine(RuleBasedStateMachine):
    """`hr` is the source, `ad` the target; both outlive the engine."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        folder = Path(self.folder.name)
        self.hr, self.ad = Witness(folder / "metasync.db", seed=1), Witness(folder / "metasync.db", seed=2)
        for place, paths in ((self.hr, (("Staff", BASE), ("Sub", STAFF), ("Else", BASE))), (self.ad, (("People", BASE), ("Sub", PEOPLE)))):
            for name, path in paths:
                place.add(Kind.CONTAINER, name=name, path=path)
        self.engine = Engine(folder, document(departments=False), {"hr": self.hr, "ad": self.ad}, connector=WitnessedConnector)
        self.model = Model()
        self.judge = Judge(self.engine, self.model, self.ad)
        self.anchors: dict[str, str] = {}
        """number -> anchor in the source."""
        self.plans: list[int] = []

    def teardown(self) -> None:
        try:
            self.rest()
        finally:
            self.engine.close()
            self.folder.cleanup()

    # --- edits of the source -------------------------------------------------------------------------------------------------------------

    @initialize(names=st.lists(NAMES, min_size=1, max_size=4), trouble=TROUBLES)
    def some_people_and_a_group(self, names: list[str], trouble: Trouble) -> None:
        for name in names:
            self.add_person(name, STAFF, "Clerk")
        self.add_group("Team", STAFF)
        self.run_the_whole_job(trouble)

    @rule(name=NAMES, path=PATHS, title=TITLES)
    def add_person(self, name: str, path: str, title: str | None) -> None:
        image = {"displayName": name, "path": path, "title": title, "department": f"of {name}"}
        number = self.model.add_person(image)
        given = {key: value for key, value in self.model.people[number].items() if value is not None}
        self.anchors[number] = self.hr.add(Kind.USER, given, name=number, employeeID=number)

    @rule(name=NAMES, path=PATHS)
    def add_group(self, name: str, path: str) -> None:
        number = self.model.add_group({"displayName": name, "path": path})
        self.anchors[number] = self.hr.add(Kind.GROUP, name=number, path=path, description=number, displayName=name)

    def edit(self, number: str, **values: Values | None) -> None:
        self.model.edit(number, **values)
        self.hr.change(self.anchors[number], **values)

    @somebody(lambda self: self.model.people)
    @rule(who=ANY, values=EDITS)
    def change_or_clear(self, who: int, values: dict[str, Values | None]) -> None:
        self.edit(one(self.model.people, who), **values)

    @somebody(lambda self: self.model.everybody)
    @rule(who=ANY, values=MOVES)
    def move_or_rename(self, who: int, values: dict[str, Values | None]) -> None:
        self.edit(one(self.model.everybody, who), **values)

    @somebody(lambda self: self.model.people)
    @rule(who=ANY, other=ANY)
    def exchange_addresses(self, who: int, other: int) -> None:
        first, second = one(self.model.people, who), one(self.model.people, other)
        mails = self.model.people[first]["mail"], self.model.people[second]["mail"]
        self.edit(first, mail=mails[1])
        self.edit(second, mail=mails[0])

    @somebody(lambda self: self.model.people)
    @rule(who=ANY, whose=ANY)
    def set_manager(self, who: int, whose: int) -> None:
        worker, manager = one(self.model.people, who), one(self.model.people, whose)
        self.model.edit(worker, manager=manager)
        self.hr.change(self.anchors[worker], manager=Reference(value=self.anchors[manager]))

    @somebody(lambda self: self.model.groups)
    @rule(who=ANY, which=ANY)
    def join_group(self, who: int, which: int) -> None:
        group, member = one(self.model.groups, which), one(self.model.everybody, who)
        if group != member:
            self.model.groups[group]["members"].add(member)
            self.hr.join(self.anchors[group], self.anchors[member])

    @somebody(lambda self: [image for image in self.model.groups.values() if image["members"]])
    @rule(who=ANY, which=ANY)
    def leave_group(self, who: int, which: int) -> None:
        group = one([number for number, image in self.model.groups.items() if image["members"]], which)
        member = one(self.model.groups[group]["members"], who)
        self.model.groups[group]["members"].discard(member)
        self.hr.leave(self.anchors[group], self.anchors[member])

    @somebody(lambda self: self.model.everybody)
    @rule(who=ANY)
    def delete(self, who: int) -> None:
        number = one(self.model.everybody, who)
        self.model.delete(number)
        self.hr.delete(self.anchors[number])

    @somebody(lambda self: self.model.gone)
    @rule(who=ANY)
    def restore(self, who: int) -> None:
        number = one(self.model.gone, who)
        if self.model.can_return(number):
            self.model.restore(number)
            self.hr.restore(self.anchors[number])

    @rule()
    def the_document_maps_more_or_less(self) -> None:
        """A revision: what was planned before needs another approval, and a new attribute another import."""
        self.model.maps_departments = not self.model.maps_departments
        self.engine.load(document(departments=self.model.maps_departments))

    # --- what others do in the target ----------------------------------------------------------------------------------------------------

    def somebody_of_ours(self, who: int) -> tuple[str, str]:
        """(number, anchor), about to be changed by others."""
        number = one(self.judge.ours, who)
        self.ad.touched(self.judge.ours[number])
        return number, self.judge.ours[number]

    @rule(name=NAMES, path=st.sampled_from(list(PLACES.values())))
    def somebody_else_takes_a_name(self, name: str, path: str) -> None:
        with suppress(MetasyncError):
            anchor = self.ad.add(Kind.USER, name=name, path=path, displayName=name, enabled=True)
            self.judge.natives[anchor] = self.ad.get(anchor) or {}

    @somebody(lambda self: self.judge.ours)
    @rule(who=ANY, values=DRIFTS)
    def drift(self, who: int, values: dict[str, Values | None]) -> None:
        number, anchor = self.somebody_of_ours(who)
        if number.startswith("g"):
            values = {name: value for name, value in values.items() if name in ("displayName", "name", "path")}
        with suppress(MetasyncError):
            self.ad.change(anchor, values)

    @somebody(lambda self: [number for number in self.judge.ours if number.startswith("g")])
    @rule(who=ANY, which=ANY, joins=st.booleans())
    def drift_of_members(self, who: int, which: int, joins: bool) -> None:
        group = self.judge.ours[one([number for number in self.judge.ours if number.startswith("g")], which)]
        _, member = self.somebody_of_ours(who)
        self.ad.touched(group)
        if group != member:
            (self.ad.join if joins else self.ad.leave)(group, member)

    @somebody(lambda self: self.judge.ours)
    @rule(who=ANY)
    def deleted_behind_our_back(self, who: int) -> None:
        self.ad.delete(self.somebody_of_ours(who)[1])

    # --- the job, step by step -----------------------------------------------------------------------------------------------------------

    def perhaps_killed(self, step: Callable[[], object]) -> None:
        """Work; if the process dies meanwhile, another one takes over what it left."""
        try:
            step()
        except Killed:
            self.engine.backend.close()
            self.ad.bury()
            self.engine.restart()
            self.engine.later(minutes=1)
        finally:
            self.hr.calls_left = self.ad.calls_left = None

    @rule(names=st.sampled_from([(), ("hr",), ("ad",)]), full=st.booleans(), dies=st.none() | st.integers(0, 4))
    def import_(self, names: tuple[str, ...], full: bool, dies: int | None) -> None:
        self.hr.calls_left = dies
        with self.judge.only_looking():
            self.perhaps_killed(lambda: self.engine.import_(*names, full=full))

    @rule()
    def plan(self) -> None:
        with self.judge.only_looking():
            self.engine.plan()
        assert self.engine.last is not None
        self.plans = [*self.plans, *self.engine.last.plans][-6:]
        self.judge.planned(self.engine.last.plans)
        if not self.engine.last.left_out:
            self.judge.states()

    def arm(self, trouble: Trouble) -> None:
        if isinstance(trouble, tuple):
            self.ad.faults.on_write(*trouble)
        else:
            self.ad.calls_left = trouble

    @somebody(lambda self: self.plans)
    @rule(which=ANY, trouble=TROUBLES)
    def approve_and_export(self, which: int, trouble: Trouble) -> None:
        """Also an old plan, that a newer one took back, or whose document changed meanwhile."""
        number = sorted(set(self.plans))[which % len(set(self.plans))]
        with self.judge.only_looking(), suppress(ApprovalRefused):
            approve(self.engine.workspace, number, reason="the machine", beyond=frozenset(Operation))
        self.arm(trouble)
        with self.judge.writing(), suppress(ApprovalRefused):
            self.perhaps_killed(lambda: self.engine.export([number]))

    @rule(trouble=TROUBLES)
    def run_the_whole_job(self, trouble: Trouble) -> None:
        self.arm(trouble)
        with self.judge.writing():
            self.perhaps_killed(lambda: self.engine.run(approve=True))

    @rule(which=st.booleans(), pages=st.integers(min_value=0, max_value=2), full=st.booleans(), incomplete=st.booleans())
    def an_import_is_cut(self, which: bool, pages: int, full: bool, incomplete: bool) -> None:
        faults = (self.hr if which else self.ad).faults
        if incomplete:
            faults.incomplete_after_pages = pages
        else:
            faults.cut_after_pages = pages
        self.import_((), full, None)
        faults.clear()
        self.plan()

    @rule(source=st.booleans())
    def cursors_expire(self, source: bool) -> None:
        (self.hr if source else self.ad).expire_cursors()

    @rule()
    def the_process_starts_again(self) -> None:
        self.engine.restart()

    @rule()
    def time_goes_by(self) -> None:
        self.engine.later(minutes=20)

    # --- at rest -------------------------------------------------------------------------------------------------------------------------

    @rule()
    def rest(self) -> None:
        """Failures stop; within few cycles the target is what the model says, and stays so."""
        for place in (self.hr, self.ad):
            place.faults.clear()
            place.calls_left = None
        with self.judge.writing():
            for _ in range(CYCLES):
                self.engine.later(minutes=20)
                if not self.engine.cycle(beyond=list(Operation)):
                    break
        self.judge.at_rest()
        with self.judge.only_looking():
            assert self.engine.cycle() == {}, f"law 13: the second plan is empty; {self.engine.problems()}"
        self.judge.states()
        self.model.at_rest()

    @invariant()
    def the_audit_is_whole(self) -> None:
        self.judge.audited()


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
    monkeypatch.setattr(inline, "export", partial(batches.export, patience=timedelta(0)))
    monkeypatch.setattr(inline, "PARALLEL", 1)
    monkeypatch.setattr(clock, "now", Clock().now)


def test_the_engine_is_what_the_model_says(small: None) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not RANDOM,
            database=None,
            print_blob=True,
            phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
