"""What people look at, and what is exported, is found by indexes: one page costs the same, whatever the database holds behind it.

A plan of changes, a directory of objects and a history that differ in size are asked for the same: SQLite's own steps are counted, so that
nothing depends on a clock. PostgreSQL is asked for its plan, with what it prefers for small tables forbidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert

from metasync.contract import Operation
from metasync.store import Backend, batches, codec, directories, freezing, history, ledger, looking, objects, open_store, plans
from metasync.store import problems as problem_rows
from metasync.store import tables as t
from metasync.store import written as written_rows

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAN, RUN, BATCH, HR, AD = 1, 1, 1, 1, 2
OBJECT = 7
"""A group: every second change is of a member of it."""


def filled(url: str, size: int) -> Backend:
    """So many objects, changes and problems."""
    backend = open_store(url)
    with backend.write() as connection:
        connection.execute(insert(t.engagement).values(name="sizes", created=NOW))
        directories.ensure(connection, 1, {"hr": "memory", "ad": "memory"})
        run = {"engagement_id": 1, "kind": "export", "state": "done", "what": [], "author": "", "started": NOW, "counts": {}}
        connection.execute(insert(t.run).values(**run))
        connection.execute(
            insert(t.batch).values(
                engagement_id=1,
                run_id=RUN,
                kind="export",
                of="ad",
                directory_id=AD,
                state="leased",
                nonce="",
                fence=1,
                attempts=0,
                created=NOW,
            )
        )
        values = {"engagement_id": 1, "profile": "people", "purpose": "synchronise", "run_id": RUN, "state": "approved", "hash": ""}
        rest = {"configuration": "", "revision": 1, "created": NOW, "counts": {}, "joined": 0, "exceeded": []}
        assert plans.add(connection, {**values, **rest}) == PLAN
        for directory_id in (HR, AD):
            columns = [*objects.COLUMNS]
            rows = (_object(directory_id, number, size) for number in range(size))
            backend.insert(connection, t.object_, columns, rows)
            objects.build_indexes(connection, directory_id)
        freezing.add(backend, connection, [_change(number) for number in range(size)])
        connection.execute(insert(t.problem), [_problem(number) for number in range(size)])
    return backend


def _object(directory_id: int, number: int, size: int) -> tuple[Any, ...]:
    anchor, label = f"{number * 7919 % size:06}", f"Person {number}"
    return (
        directory_id * 1_000_000 + number,
        1,
        directory_id,
        "user",
        anchor,
        label,
        "live",
        b"\0" * 16,
        codec.encode({}),
        1,
        None,
        False,
        1,
    )


def _change(number: int) -> dict[str, Any]:
    of_group = number % 2 == 0
    return {
        "engagement_id": 1,
        "plan_id": PLAN,
        "run_id": RUN,
        "batch_id": BATCH,
        "profile": "people",
        "object_id": OBJECT if of_group else 100 + number,
        "source": f"hr/{number}",
        "directory_id": AD,
        "kind": "user",
        "anchor": "group" if of_group else f"{number:06}",
        "label": f"Person {number}",
        "operation": (Operation.MEMBER_ADD if of_group else Operation.UPDATE).value,
        "stage": 6000 if of_group else 4000,
        "before": codec.encode({}),
        "after": codec.encode({"title": "Clerk"}),
        "rules": {},
        "revision": 1,
        "tag": f"{number:032}",
        "state": ("approved", "written", "confirmed")[number % 3],
        "attempts": 1,
        "fence": 1,
    }


def _problem(number: int) -> dict[str, Any]:
    severity = ("error", "warning")[number % 2]
    values = {"engagement_id": 1, "area": "plan", "of": "people", "object_id": number, "anchor": "", "attribute": "", "severity": severity}
    return {**values, "code": "veto", "text": "no", "run_id": RUN, "since": NOW}


QUERIES: dict[str, Callable[[Connection], object]] = {
    "a page of a plan": lambda c: ledger.changes(c, 1, plan_id=PLAN, after_id=50, limit=10),
    "what is approved": lambda c: ledger.approved(c, PLAN, after=(4000, 10), below=9000, now=NOW, limit=10),
    "what is in flight": lambda c: ledger.in_flight(c, [PLAN], after=(4000, 10), below=9000, now=NOW, limit=10),
    "what is to be confirmed": lambda c: written_rows.written(c, AD, after=("000050", 50), limit=10),
    "what a run wrote": lambda c: written_rows.written_by(
        c, 1, RUN, profile="people", directory_id=AD, members=False, after=(130, 30), limit=10
    ),
    "the history of a group": lambda c: history.changes_of(c, "people", OBJECT, "title", 5),
    "the last write of a group": lambda c: history.newest_written(c, "people", OBJECT, Operation.MEMBER_ADD),
    "what was written since": lambda c: history.written_since(c, "people", OBJECT),
    "the problems of an object": lambda c: history.problems_of(c, 1, "people", 5),
    "a page of problems": lambda c: looking.problems(c, 1, limit=10, after=("error", 30)),
    "a page of objects": lambda c: looking.objects(c, 1, directories=["ad"], limit=10, after=("ad", "000030")),
    "an anchor": lambda c: looking.with_anchor(c, 1, "000040"),
    "a name": lambda c: looking.by_label(c, 1, "pERSON 40"),
    "names of anchors": lambda c: looking.labels(c, 1, [f"ad/{number:06}" for number in range(20)]),
    "the last change of a plan": lambda c: ledger.last_of(c, PLAN),
    "what an undo takes back": lambda c: written_rows.undone(c, [5, 6, 7]),
    "whose attempts are ours": lambda c: ledger.still_ours(c, [5, 6, 7], fence=1),
    "what a plan leaves out": lambda c: freezing.in_flight(c, 1, "people"),
}
WHOLE: dict[str, Callable[[Connection], object]] = {
    "the changes of a batch": lambda c: list(batches.changes_of(c, BATCH)),
    "the states of a batch": lambda c: batches.count(c, BATCH),
    "the plans of a batch": lambda c: batches.plans_of(c, BATCH),
    "problems by severity": lambda c: looking.problem_totals(c, 1, ["people"]),
    "what is over": lambda c: problem_rows.clear_refused(c, 1, "people"),
}
"""What must be read as a whole, but nothing beside it."""


@contextmanager
def steps_of(connection: Connection) -> Iterator[list[int]]:
    """How many hundreds of steps SQLite's machine makes inside."""
    counted = [0]
    driver = connection.connection.driver_connection
    assert driver is not None

    def count() -> int:
        counted[0] += 1
        return 0

    driver.set_progress_handler(count, 100)
    try:
        yield counted
    finally:
        driver.set_progress_handler(None, 100)


@pytest.fixture(scope="module")
def small_and_large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Backend, Backend]]:
    folder = tmp_path_factory.mktemp("sizes")
    backends = tuple(filled(f"sqlite:///{folder / f'{size}.db'}", size) for size in (800, 8000))
    yield backends[0], backends[1]
    for backend in backends:
        backend.close()


@pytest.mark.parametrize("name", QUERIES)
def test_it_takes_no_more_steps_in_a_database_ten_times_as_large(small_and_large: tuple[Backend, Backend], name: str) -> None:
    taken = []
    for backend in small_and_large:
        with backend.read() as connection:
            QUERIES[name](connection)  # statements are prepared once
            with steps_of(connection) as steps:
                QUERIES[name](connection)
            taken.append(steps[0])
    assert taken[1] <= 2 * taken[0] + 20, f"{taken} hundreds of steps"


@pytest.mark.parametrize("name", [*QUERIES, *WHOLE])
def test_postgresql_finds_it_by_an_index_and_sorts_no_more_than_a_page(filled_server: Backend, name: str) -> None:
    with filled_server.write() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        asked: list[tuple[str, Any]] = []

        def remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
            asked.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", remember)
        {**QUERIES, **WHOLE}[name](connection)
        event.remove(connection, "before_cursor_execute", remember)
        for statement, parameters in asked:
            steps = [str(row[0]) for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters, {"yield_per": None})]
            scanned = [
                step for step in steps if "Seq Scan on change" in step or "Seq Scan on object" in step or "Seq Scan on problem" in step
            ]
            assert not scanned, steps


@pytest.fixture(scope="module")
def filled_server(postgres: Any) -> Iterator[Backend]:
    backend = filled(postgres.database("pages"), 500)
    yield backend
    backend.close()
