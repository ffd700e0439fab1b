"""The next import shows what was written, or the change was not reimported, with the attributes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from metasync.contract import Kind, Operation, Reference
from metasync.exporting import Confirmation, confirm_import, export
from metasync.planning import approve, freeze
from metasync.store import tables as t
from metasync.store.rows import PendingOperation


def exported(bench: Any, *profiles: str) -> list[int]:
    chosen = freeze(bench.workspace, bench.run(), profiles or ["staff"])
    for plan in chosen:
        approve(bench.workspace, plan.id, reason="good")
    export(bench.workspace, bench.run("export"), [plan.id for plan in chosen], patience=timedelta(0))
    return [plan.id for plan in chosen]


def confirmed(bench: Any) -> Confirmation:
    bench.imports()
    return confirm_import(bench.workspace, "fabrikam", bench.run("confirm"))


def test_what_the_import_shows_is_confirmed(bench: Any) -> None:
    boss = bench.person("boss", target={"name": "boss"})
    bench.pend_create(bench.person("anna"), title="x", manager=Reference(value="t-boss"))
    bench.pend_update(boss, {}, {"phones": ("1", "2")})
    [plan] = exported(bench)
    assert confirmed(bench) == Confirmation(confirmed=3)
    assert bench.states(plan) == {"confirmed": 3}


def test_a_value_that_the_directory_normalised_is_equal(bench: Any) -> None:
    """Law 13: case, order and trimming are no differences."""
    anna = bench.person("anna", target={"name": "anna"})
    bench.pend_update(anna, {}, {"mail": "Anna@X.test", "title": "Head  of", "phones": ("1", "2")})
    exported(bench)
    bench.fabrikam.objects["t-anna"].update(mail="anna@x.test", title=" head of", phones=("2", "1"))
    assert confirmed(bench) == Confirmation(confirmed=1)


def test_what_it_does_not_show_is_named_and_synchronised_again(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna"})
    bench.pend_update(anna, {}, {"mail": "a@x", "title": "x"})
    [plan] = exported(bench)
    bench.fabrikam.objects["t-anna"]["title"] = "eaten"
    assert confirmed(bench) == Confirmation(not_reimported=1)
    assert bench.states(plan) == {"not_reimported": 1}
    assert bench.problems("export") == ["update of anna was written to fabrikam, and the import does not show it: title"]
    assert [(one.profile, one.object_id) for one in bench.rows(t.dirty)] == [("staff", anna)]


def test_only_the_last_of_several_changes_to_an_attribute_counts(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna"})
    bench.pend_update(anna, {}, {"title": "x", "mail": "a@x"})
    [first] = exported(bench)
    bench.pend_update(anna, {"title": "x"}, {"title": "y"})
    exported(bench)
    assert confirmed(bench) == Confirmation(confirmed=2)
    assert bench.states(first) == {"confirmed": 1}


def test_a_delete_is_confirmed_by_its_absence(bench: Any) -> None:
    anna, bob = bench.person("anna", target={"name": "anna"}), bench.person("bob", target={"name": "bob"})
    for one in (anna, bob):
        bench.pend(one, PendingOperation(operation=Operation.DELETE, before={"name": bench.label(one)}))
    exported(bench)
    bench.fabrikam.objects["t-bob"] = {"name": "bob"}
    assert confirmed(bench) == Confirmation(confirmed=1, not_reimported=1)
    assert "the object is still there" in bench.problems("export")[0]


def test_members_are_confirmed_by_their_links(bench: Any) -> None:
    group = bench.person("team", kind=Kind.GROUP, target={"name": "team"})
    bench.person("anna", target={"name": "anna"})
    bench.pend_create(bench.person("bob"))
    bench.pend_members(group, Operation.MEMBER_ADD, "t-anna")
    exported(bench, "staff", "groups")
    bench.pend_members(group, Operation.MEMBER_ADD, "hr/bob", created=True)
    exported(bench, "groups")
    bench.imports()
    bench.imports()
    assert confirmed(bench) == Confirmation(confirmed=3)
    bench.pend_members(group, Operation.MEMBER_REMOVE, "t-anna")
    exported(bench, "groups")
    bench.fabrikam.objects["t-team"]["members"] = (Reference(value="t-anna"),)
    assert confirmed(bench) == Confirmation(not_reimported=1)


def test_what_was_written_after_the_import_began_is_left_for_the_next_one(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna"})
    bench.pend_update(anna, {}, {"title": "x"})
    [plan] = exported(bench)
    run = bench.run("confirm")
    began = datetime.now(UTC) - timedelta(hours=1)
    assert confirm_import(bench.workspace, "fabrikam", run, began=began) == Confirmation(left=1)
    assert bench.states(plan) == {"written": 1}


def test_what_the_import_did_not_read_is_left(bench: Any) -> None:
    """Law 1: unknown is not empty."""
    anna = bench.person("anna", target={"name": "anna"})
    bench.pend_update(anna, {}, {"title": "x"})
    [plan] = exported(bench)
    with bench.backend.write() as connection:
        connection.execute(t.object_.update().values(state="unread"))
    assert confirm_import(bench.workspace, "fabrikam", bench.run()) == Confirmation(left=1)
    assert bench.states(plan) == {"written": 1}
