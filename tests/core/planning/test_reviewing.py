"""What the target says that it would refuse is a problem of the plan, and not in it; the rest is approved and written as ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from sqlalchemy import select

from metasync.contract import (
    Change,
    Connector,
    Kind,
    MetasyncError,
    Objection,
    Operation,
    Reference,
    Reviews,
    Stopped,
    Unavailable,
    hookimpl,
)
from metasync.engagement.model import Limit
from metasync.exporting import export
from metasync.host import Host
from metasync.planning import approve, freeze, plan_undo
from metasync.planning import reviewing as module
from metasync.store import tables as t
from metasync.store.rows import PendingOperation

MASTERED = {"reason": "it is mastered elsewhere", "remedy": "change it there"}


@pytest.fixture
def asked(bench: Any) -> type[Any]:
    """The target's connector can say what would be refused: of `refuses`, by their labels. It keeps what it was asked."""
    fake: type[Connector] = bench.host.connectors["fake"]

    class Reviewing(fake):  # type: ignore[misc,valid-type]
        refuses: ClassVar[dict[str, Callable[[Change], bool]]] = {}
        portions: ClassVar[list[list[Change]]] = []
        raises: ClassVar[list[BaseException]] = []
        attribute = ""

        def review(self, changes: Sequence[Change]) -> Iterator[Objection]:
            self.portions.append(list(changes))
            for change in changes:
                if self.refuses.get(change.label, lambda _: False)(change):
                    yield Objection(change=change.id, attribute=self.attribute, **MASTERED)
            if self.raises:
                raise self.raises[0]

    class Registers:
        @hookimpl
        def metasync_register_connectors(self) -> Sequence[type[Connector]]:
            return [Reviewing]

    bench.host = Host.of(Registers(), *([bench.plugin] if bench.plugin.objects_to else []))
    assert issubclass(bench.host.connectors["fake"], Reviews)
    return Reviewing


def anything(_: Change) -> bool:
    return True


def rows(bench: Any) -> list[tuple[str, str, str, str, str]]:
    return [(one.anchor, one.attribute, one.code, one.severity, one.text) for one in bench.rows(t.problem) if one.area == "plan"]


def test_what_would_be_refused_is_a_problem_and_the_rest_is_the_plan(bench: Any, asked: Any) -> None:
    asked.refuses["ann"] = asked.refuses["eve"] = anything
    ann, bob = (bench.person(name, target={"name": name}) for name in ("ann", "bob"))
    bench.pend_update(ann, {}, {"title": "x"})
    bench.pend_update(bob, {}, {"title": "y"})
    for name in ("dan", "eve"):
        bench.pend_create(bench.person(name), mail=f"{name}@x.test")
    bench.limit(Operation.UPDATE, Limit(count=1))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert plan.counts == {Operation.UPDATE: 1, Operation.CREATE: 1} and not plan.exceeded
    assert {(one.operation, one.label) for one in bench.changes(plan.id)} == {(Operation.UPDATE, "bob"), (Operation.CREATE, "dan")}
    words = "it is mastered elsewhere; change it there"
    assert rows(bench) == [
        ("ann", "", "would be refused", "error", f"fabrikam would refuse the update of ann: {words}"),
        ("eve", "", "would be refused", "error", f"fabrikam would refuse the create of eve: {words}"),
    ]
    assert approve(bench.workspace, plan.id, reason="the rest").state == "approved"


def test_the_hash_is_that_of_a_plan_that_never_held_it(bench: Any, asked: Any) -> None:
    bob = bench.person("bob", target={"name": "bob"})
    bench.pend_update(bob, {}, {"title": "y"})
    [alone] = freeze(bench.workspace, bench.run(), ["staff"])
    asked.refuses["ann"] = anything
    bench.pend_update(bench.person("ann", target={"name": "ann"}), {}, {"title": "x"})
    [same] = freeze(bench.workspace, bench.run(), ["staff"])
    assert (same.hash, same.id, same.reused) == (alone.hash, alone.id, True)
    assert len(rows(bench)) == 1


def test_the_next_plan_asks_anew_and_a_problem_that_stands_keeps_its_date(bench: Any, asked: Any) -> None:
    asked.refuses["ann"] = anything
    bench.pend_update(bench.person("ann", target={"name": "ann"}), {}, {"title": "x"})
    [empty] = freeze(bench.workspace, bench.run(), ["staff"])
    assert empty.state == "empty"
    [first] = [row.since for row in bench.rows(t.problem)]
    freeze(bench.workspace, bench.run(), ["staff"])
    assert [row.since for row in bench.rows(t.problem)] == [first]
    asked.refuses.clear()
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert (plan.state, plan.counts, rows(bench)) == ("planned", {Operation.UPDATE: 1}, [])


def test_one_of_several_changes_of_an_object_can_be_objected_to(bench: Any, asked: Any) -> None:
    asked.refuses["ann"], asked.attribute = (lambda change: "title" in change.after), "title"
    ann = bench.person("ann", target={"name": "ann", "enabled": True})
    bench.pend(
        ann,
        PendingOperation(operation=Operation.UPDATE, after={"title": "x"}),
        PendingOperation(operation=Operation.DISABLE, before={"enabled": True}, after={"enabled": False}),
    )
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert plan.counts == {Operation.DISABLE: 1}
    assert [(attribute, code) for _, attribute, code, *_ in rows(bench)] == [("title", "would be refused")]


def test_a_group_that_takes_nobody_is_one_problem_and_other_groups_take_theirs(bench: Any, asked: Any) -> None:
    asked.refuses["rules"] = anything
    rules, team = (bench.person(name, kind=Kind.GROUP, target={"name": name}) for name in ("rules", "team"))
    for name in ("ann", "bob"):
        bench.person(name, target={"name": name})
    bench.pend_members(rules, Operation.MEMBER_ADD, "t-ann", "t-bob")
    bench.pend_members(team, Operation.MEMBER_ADD, "t-ann")
    [plan] = freeze(bench.workspace, bench.run(), ["groups"])
    assert plan.counts == {Operation.MEMBER_ADD: 1}
    assert [(one.label, one.after["members"]) for one in bench.changes(plan.id)] == [("team", (Reference(value="t-ann"),))]
    assert [text for *_, text in rows(bench)] == [
        "fabrikam would refuse the member add of rules: it is mastered elsewhere; change it there"
    ]
    assert [change.member for change in asked.portions[0]] == [Reference(value=f"t-{name}") for name in ("ann", "bob", "ann")]


def test_nothing_refers_to_whom_the_directory_would_not_create(bench: Any, asked: Any) -> None:
    """Neither an object that is there and comes before him in the plan, nor one that is created beside him."""
    asked.refuses["eve"] = lambda change: change.operation is Operation.CREATE
    eve = Reference(key="created for", value="hr/eve")
    bench.pend_update(bench.person("bob", target={"name": "bob"}), {}, {"title": "y"})
    bench.pend_update(bench.person("ann", target={"name": "ann"}), {}, {"manager": eve})
    bench.pend_create(bench.person("dan"), manager=eve)
    bench.pend_create(bench.person("eve"))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert [(one.operation, one.label) for one in bench.changes(plan.id)] == [(Operation.CREATE, "dan"), (Operation.UPDATE, "bob")]
    assert plan.counts == {Operation.CREATE: 1, Operation.UPDATE: 1}


def test_what_is_asked_about_is_what_would_be_frozen(bench: Any, asked: Any) -> None:
    boss = Reference(key="created for", value="hr/boss")
    bench.pend_create(bench.person("dan"), title="x", manager=boss)
    bench.pend_create(bench.person("boss"))
    bench.pend_update(bench.person("ann", target={"name": "ann", "title": "old"}), {"title": "old"}, {"title": None})
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])

    def said(one: Any) -> tuple[Any, ...]:
        return one.operation.value, one.kind.value, one.anchor or "", one.label, str(one.before), str(one.after)

    [portion] = asked.portions
    assert sorted(said(one) for one in portion) == sorted(said(one) for one in bench.changes(plan.id))
    assert len({one.id for one in portion}) == len(portion) == 4


def test_it_is_asked_in_portions_and_with_no_transaction_open(bench: Any, asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    number = 1203

    def review(self: Any, changes: Sequence[Change]) -> Iterator[Objection]:
        seen.append(len(changes))
        with bench.backend.write() as connection:  # on SQLite it would wait for ever for an open one
            assert connection.execute(select(t.plan.c.id)).all() == [], "the plan is there already"
        return iter(())

    monkeypatch.setattr(asked, "review", review)
    for one in range(number):
        bench.pend_create(bench.person(f"p{one}"))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert plan.changes == sum(seen) == number
    assert len(seen) > 1 and max(seen) < number


def test_a_directory_that_is_away_does_not_hold_up_the_plan_and_it_is_said(bench: Any, asked: Any) -> None:
    """What it said before it went away still counts."""
    asked.refuses["ann"] = anything
    asked.raises.append(Unavailable("fabrikam does not answer"))
    for name in ("ann", "bob"):
        bench.pend_update(bench.person(name, target={"name": name}), {}, {"title": "x"})
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert [one.label for one in bench.changes(plan.id)] == ["bob"]
    assert [(code, severity) for *_, code, severity, _ in rows(bench)] == [("would be refused", "error"), ("not reviewed", "warning")]
    assert "could not be asked what it would refuse of this plan: fabrikam does not answer" in rows(bench)[1][-1]
    asked.raises.clear()
    freeze(bench.workspace, bench.run(), ["staff"], objects=[1])
    assert "not reviewed" not in {code for _, _, code, *_ in rows(bench)}


@pytest.mark.parametrize("mistake", [RuntimeError("boom"), SystemExit(3)], ids=["raises", "exits"])
def test_a_mistake_of_the_connector_is_told_as_its_own(bench: Any, asked: Any, mistake: BaseException) -> None:
    asked.raises.append(mistake)
    bench.pend_create(bench.person("ann"))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert plan.changes == 1
    assert "this is a mistake in the plugin, tell its author" in rows(bench)[0][-1]


def test_an_objection_to_what_was_not_asked_is_a_mistake_of_the_connector(bench: Any, asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "review", lambda self, changes: iter([Objection(change="another", **MASTERED)]))
    bench.pend_create(bench.person("ann"))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert plan.changes == 1 and "objected to a change that it was not asked about" in rows(bench)[0][-1]


def test_a_run_that_is_stopped_meanwhile_makes_no_plan(bench: Any, asked: Any) -> None:
    asked.raises.append(Stopped())
    bench.pend_create(bench.person("ann"))
    with pytest.raises(Stopped):
        freeze(bench.workspace, bench.run(), ["staff"])
    assert bench.rows(t.plan) == []


def test_nobody_is_asked_where_nothing_is_to_be_done(bench: Any, asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: Any) -> None:
        raise MetasyncError("a connection was opened")

    monkeypatch.setattr(asked, "__init__", no)
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert (plan.state, rows(bench)) == ("empty", [])


def test_a_connector_that_cannot_say_costs_nothing(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is gathered, and creates are frozen unopened."""
    monkeypatch.setattr(module, "Gatherer", lambda *_, **__: pytest.fail("it gathered"))
    bench.plugin = None
    bench.host = Host.of(_Plain(bench.host.connectors["fake"]))
    bench.pend_create(bench.person("ann"))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert plan.changes == 1


class _Plain:
    def __init__(self, connector: type[Connector]) -> None:
        self._connector = connector

    @hookimpl
    def metasync_register_connectors(self) -> Sequence[type[Connector]]:
        return [self._connector]


def test_an_undo_is_asked_about_too(bench: Any, asked: Any) -> None:
    ann = bench.person("ann", target={"name": "ann", "title": "old"})
    bench.pend_update(ann, {"title": "old"}, {"title": "new"})
    run = bench.run()
    [plan] = freeze(bench.workspace, run, ["staff"])
    approve(bench.workspace, plan.id, reason="a test")
    written = int(bench.run("export"))
    export(bench.workspace, written, [plan.id], patience=timedelta(0))
    bench.imports()
    asked.refuses["ann"] = anything
    [undo] = plan_undo(bench.workspace, bench.run("undo"), written)
    assert undo.state == "empty"
    assert "fabrikam would refuse the update of ann: it is mastered elsewhere; change it there" in bench.problems("undo")


def test_nothing_refers_to_whom_an_objection_to_his_references_keeps_from_being_created(bench: Any, asked: Any) -> None:
    """An objection to anything of somebody new keeps all of him back."""
    asked.refuses["eve"] = lambda change: "manager" in change.after
    eve, boss = (Reference(key="created for", value=f"hr/{name}") for name in ("eve", "boss"))
    bench.pend_update(bench.person("ann", target={"name": "ann"}), {}, {"manager": eve})
    bench.pend_create(bench.person("boss"))
    bench.pend_create(bench.person("dan"), manager=eve)
    bench.pend_create(bench.person("eve"), manager=boss)
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert {(one.operation, one.label) for one in bench.changes(plan.id)} == {(Operation.CREATE, "boss"), (Operation.CREATE, "dan")}


def test_nothing_is_written_to_somebody_whom_the_directory_would_not_bring_back(bench: Any, asked: Any) -> None:
    asked.refuses["ann"] = lambda change: change.operation is Operation.RESTORE
    ann = bench.person("ann", target={"name": "ann"})
    bench.pend(ann, PendingOperation(operation=Operation.RESTORE), PendingOperation(operation=Operation.UPDATE, after={"title": "x"}))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert (plan.state, plan.counts) == ("empty", {})
    assert [code for _, _, code, *_ in rows(bench)] == ["would be refused"]
