"""Exporters carry across what is no attribute: planned, approved by a standing approval, written behind the members (law 11)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select

from metasync.contract import Operation
from metasync.exporting import export
from metasync.planning import approve, freeze, freeze_exporter
from metasync.store import tables as t
from metasync.store.rows import PendingOperation


def exported(bench: Any, *plan_ids: int) -> Any:
    return export(bench.workspace, bench.run("export"), plan_ids, patience=timedelta(0))


def planned(bench: Any) -> int:
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    approve(bench.workspace, plan.id, reason="good")
    return int(plan.id)


def approved(bench: Any) -> None:
    """A person approved passwords once."""
    bench.person("first", target={"name": "first"}, changed="monday")
    bench.carry()
    [use] = bench.engagement.exporters
    plan = freeze_exporter(bench.workspace, bench.run(), use)
    approve(bench.workspace, plan.id, reason="passwords may go")
    exported(bench, plan.id)


def test_without_an_approval_nothing_is_carried(bench: Any) -> None:
    bench.carry()
    bench.pend_create(bench.person("anna", changed="monday"))
    outcome = exported(bench, planned(bench))
    [waiting] = outcome.waiting_plans
    assert bench.plan(waiting).profile == "passwords: hr -> fabrikam"
    assert bench.passwords.carried == []


def test_a_standing_approval_lets_a_new_account_have_its_password_in_the_same_export(bench: Any) -> None:
    approved(bench)
    bench.pend_create(bench.person("anna", changed="monday"))
    outcome = exported(bench, planned(bench))
    assert bench.passwords.carried == [("first", "t-first"), ("anna", "id-anna-1")]
    assert outcome.counts == {"written": 1, "confirmed": 1}
    given = bench.rows(t.approval)[-1]
    assert given.author == "policy: standing"
    assert given.reason.startswith("standing approval by anna of ")


def test_what_was_carried_is_kept_and_not_carried_again(bench: Any) -> None:
    approved(bench)
    [use] = bench.engagement.exporters
    again = freeze_exporter(bench.workspace, bench.run(), use)
    assert again.state == "empty"
    assert bench.passwords.asked == [None, None, "behind"]


def test_the_condition_decides_and_a_broken_one_is_a_problem(bench: Any) -> None:
    bench.person("anna", target={"name": "anna"}, changed="monday")
    bench.carry(when='wave.state != "waiting"')
    [use] = bench.engagement.exporters
    assert freeze_exporter(bench.workspace, bench.run(), use).state == "empty"
    with bench.backend.write() as connection:
        (identity,) = connection.execute(select(t.identity.c.id)).scalars()
        told = {"name": "one", "key": "anna", "state": "moving", "reason": "", "author": "anna", "at": bench.backend.now(connection)}
        about = {"engagement_id": bench.engagement_id, "identity_id": identity, "object_id": 0, "began": told["at"]}
        connection.execute(insert(t.wave).values(**about, **told))
    assert freeze_exporter(bench.workspace, bench.run(), use).changes == 1
    bench.carry(when='target.name == "anna"')
    [use] = bench.engagement.exporters
    assert freeze_exporter(bench.workspace, bench.run(), use).changes == 1
    bench.carry(when="source.changed")
    [use] = bench.engagement.exporters
    assert freeze_exporter(bench.workspace, bench.run(), use).state == "empty"
    assert "must yield true or false, and yields str here" in bench.problems("plan")[0]


def test_an_exporter_that_fails_fails_alone_and_says_nothing_of_what_it_held(bench: Any, monkeypatch: Any) -> None:
    bench.carry()
    bench.pend_create(bench.person("anna", changed="monday"))
    leaver = bench.person("leo", target={"name": "leo"})
    bench.pend(leaver, PendingOperation(operation=Operation.DELETE, before={"name": "leo"}))

    def raises(*_: Any) -> Any:
        raise ValueError("the hash 8846F7EA is odd")

    with monkeypatch.context() as patch:
        patch.setattr(bench.passwords, "plan", raises)
        plan = planned(bench)
        assert exported(bench, plan).counts == {"written": 2}
    assert [one["name"] for one in bench.fabrikam.objects.values()] == ["anna"]
    assert {one.state for one in bench.rows(t.batch)} == {"done"}
    (text,) = bench.problems("export")
    assert "failed: ValueError at " in text and "8846F7EA" not in text


def test_what_a_plugin_raises_while_it_writes_is_not_repeated(bench: Any, monkeypatch: Any, caplog: Any) -> None:
    bench.carry()
    bench.pend_create(bench.person("anna", changed="monday"))
    (waiting,) = exported(bench, planned(bench)).waiting_plans
    approve(bench.workspace, waiting, reason="good")

    def raises(*_: Any) -> Any:
        raise ValueError("the hash 8846F7EA is odd")

    with monkeypatch.context() as patch:
        patch.setattr(bench.passwords, "write", raises)
        exported(bench, waiting)
    said = " ".join((*bench.problems("export"), *(str(one.error) for one in bench.changes(waiting)), caplog.text))
    assert "ValueError at " in said and "8846F7EA" not in said
