"""An export, its confirmation and its undo cost so much per portion, and not more for each change because there are many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from metasync.contract import Kind, Operation
from metasync.exporting import confirm, confirm_import, export
from metasync.exporting.shown import Showing
from metasync.planning import approve, freeze, plan_undo
from metasync.store import ledger

Made = Callable[[str], Any]


@pytest.fixture
def made(tmp_path: Path, bench: Any) -> Iterator[Made]:
    """Further engagements like `bench`."""
    several: list[Any] = []

    def another(name: str) -> Any:
        several.append(type(bench)(tmp_path / f"{name}.db", marks=False))
        return several[-1]

    yield another
    for one in several:
        one.close()


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """The statements that were sent to the database."""
    found: list[str] = []

    def remember(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", remember)
    yield found
    event.remove(Engine, "before_cursor_execute", remember)


def there_and_back(bench: Any, profile: str) -> tuple[int, int]:
    """Written, confirmed and taken back; how many were confirmed both times."""
    confirmed = []
    [plan] = freeze(bench.workspace, bench.run(), [profile])
    for _ in range(2):
        approve(bench.workspace, plan.id, reason="good")
        run = bench.run("export")
        export(bench.workspace, run, [plan.id], patience=timedelta(0))
        bench.settled()
        bench.imports()
        confirmed.append(confirm_import(bench.workspace, "fabrikam", bench.run("confirm")).confirmed)
        [plan] = plan_undo(bench.workspace, bench.run("undo"), run)
    return confirmed[0], confirmed[1]


@pytest.mark.parametrize("operation", [Operation.CREATE, Operation.UPDATE, Operation.DISABLE])
def test_a_portion_takes_the_same_statements_however_many_changes_it_has(
    made: Made, asked: list[str], monkeypatch: pytest.MonkeyPatch, operation: Operation
) -> None:
    counted = []
    for size in (5, 30):
        bench = made(f"{operation.value}{size}")
        monkeypatch.setattr(bench.host.connectors["fake"], "commit_size", 100)
        for number in range(size):
            name = f"p{number}"
            person = bench.person(name, target=None if operation is Operation.CREATE else {"name": name, "title": "old", "enabled": True})
            if operation is Operation.CREATE:
                bench.pend_create(person, title="new")
            elif operation is Operation.UPDATE:
                bench.pend_update(person, {"title": "old"}, {"title": "new"})
            else:
                bench.pend_update(person, {"enabled": True}, {"enabled": False}, Operation.DISABLE)
        monkeypatch.setattr(bench, "imports", quietly(bench.imports, asked))
        asked.clear()
        assert there_and_back(bench, "staff") == (size, size)
        counted.append(len(asked))
    # Of a disable the step of leaving is remembered with each join.
    per_change = 2 if operation is Operation.DISABLE else 0
    assert counted[1] - counted[0] <= 10 + per_change * 25, counted


def quietly(work: Callable[[], None], asked: list[str]) -> Callable[[], None]:
    """The test's own statements do not count."""

    def quiet() -> None:
        before = len(asked)
        work()
        del asked[before:]

    return quiet


def test_four_times_the_members_of_a_group_cost_four_times_as_much(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "PORTION", 10)
    looked = [0]
    read, members = ledger.as_change_row, Showing.members

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def counts(*given: Any) -> Any:
            looked[0] += 1
            return real(*given)

        return counts

    monkeypatch.setattr(ledger, "as_change_row", counting(read))
    monkeypatch.setattr(Showing, "members", counting(members))
    cost = []
    for size in (20, 80):
        bench = made(f"members{size}")
        group = bench.person("team", kind=Kind.GROUP, target={"name": "team"})
        bench.pend_members(group, Operation.MEMBER_ADD, *(f"t-{number:03}" for number in range(size)))
        looked[0] = 0
        assert there_and_back(bench, "groups") == (size, size)
        cost.append(looked[0])
    assert cost[1] < 5 * cost[0], cost


def test_a_member_that_a_later_plan_took_out_again_is_no_difference(bench: Any) -> None:
    group = bench.person("team", kind=Kind.GROUP, target={"name": "team"})
    runs = []
    for operation in (Operation.MEMBER_ADD, Operation.MEMBER_REMOVE):
        bench.pend_members(group, operation, "t-anna")
        [plan] = freeze(bench.workspace, bench.run(), ["groups"])
        approve(bench.workspace, plan.id, reason="good")
        runs.append(bench.run("export"))
        export(bench.workspace, runs[-1], [plan.id], patience=timedelta(0))
        bench.settled()
    assert [one for one in plan_undo(bench.workspace, bench.run("undo"), runs[0]) if one.changes] == [], "it is gone again already"
    bench.imports()
    done = confirm_import(bench.workspace, "fabrikam", bench.run("confirm"))
    assert (done.confirmed, done.not_reimported) == (2, 0)
