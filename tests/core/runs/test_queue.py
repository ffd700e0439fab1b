"""A run on the queue comes to what it comes to where it is asked for, whoever works its batches, in whatever order, and however often."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import select, update

from metasync import lease, liveness, overview
from metasync.contract import Dispatcher, Kind, MetasyncError, Stopped
from metasync.exporting import batches as exporting
from metasync.exporting.lease import DirectoryLease
from metasync.lease import LeaseLost
from metasync.runs import installation as installing
from metasync.runs import queue as ordering
from metasync.runs import run as running
from metasync.runs import steps, working
from metasync.runs.dispatch import make_dispatcher
from metasync.runs.installation import Installation
from metasync.runs.lease import EngineBusy, EngineLease
from metasync.runs.outcome import RunOutcome, Waits
from metasync.runs.queue import LeftAlone, Ordered, order
from metasync.runs.record import ActiveRun
from metasync.runs.verbs import apart
from metasync.runs.working import BatchLease, Taken
from metasync.store import audit, batches, home, queue, tables
from metasync.store import runs as rows
from metasync.store.errors import StoreError
from metasync.synchronising import partitions
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryConnector, MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, STAFF, person, target
from metasync.workspace import Workspace

APART = """
engagement: apart
plugins: {standard: ">=0"}
directories:
  hr: {connector: memory, options: {store: hr}}
  ad: {connector: memory, options: {store: ad}, mark: mark}
  shop: {connector: memory, options: {store: shop}}
  till: {connector: memory, options: {store: till}, mark: mark}
profiles:
  people: {kind: user, source: hr, target: ad, match: [{source: mail, target: mail}],
           place: '"OU=People,DC=memory,DC=test"', map: {cn: source.displayName, mail: source.mail}}
  keepers: {kind: user, source: shop, target: till, match: [{source: mail, target: mail}],
            place: '"OU=People,DC=memory,DC=test"', map: {cn: source.displayName, mail: source.mail}}
"""

Choose = Callable[[list[batches.BatchRow]], batches.BatchRow]


@pytest.fixture
def hr() -> MemoryDirectory:
    directory = MemoryDirectory()
    person(directory, "Ann Lee")
    person(directory, "Bo Lee")
    return directory


@pytest.fixture
def ad() -> MemoryDirectory:
    return target()


@pytest.fixture
def engine(tmp_path: Path, hr: MemoryDirectory, ad: MemoryDirectory) -> Iterator[Engine]:
    made = Engine(tmp_path, DOCUMENT.format(profiles=STAFF), {"hr": hr, "ad": ad})
    yield made
    made.close()


def of(engine: Engine) -> Workspace:
    return replace(engine.workspace, dispatch="database")


def runnable(workspace: Workspace) -> list[batches.BatchRow]:
    with workspace.backend.read() as connection:
        return queue.runnable(connection, workspace.engagement_id, now=workspace.backend.now(connection))


def drain(workspace: Workspace, choose: Choose = lambda found: found[0]) -> list[str]:
    """Work until nothing may be worked; the kinds, in their order."""
    worked: list[str] = []
    while found := runnable(workspace):
        row = choose(found)
        working.work(workspace, row.id, row.nonce)
        worked.append(row.kind)
        assert len(worked) < 100, f"it never ends: {worked}"
    return worked


def outcome(workspace: Workspace, ordered: Ordered) -> RunOutcome:
    with workspace.backend.read() as connection:
        row = rows.get(connection, workspace.engagement_id, ordered.run)
    assert row is not None
    assert row.state in ordering.ENDED, "following it would wait for ever"
    return ordering.follow(workspace, ordered)


def ordered_run(workspace: Workspace, *profiles: str, approve: bool = True) -> Ordered:
    return order(workspace, "run", list(profiles) or ["people", "groups"], {"approve": approve})


def batches_of(workspace: Workspace, run_id: int = 1) -> list[batches.BatchRow]:
    with workspace.backend.read() as connection:
        return batches.of_run(connection, run_id)


def taken_over(workspace: Workspace, batch_id: int, *, alive: bool) -> None:
    """A worker on another machine takes a batch, and lives on or dies of it."""
    with workspace.backend.write() as connection:
        now = workspace.backend.now(connection)
        until = now + timedelta(hours=1) if alive else now
        assert queue.take(workspace.backend, connection, batch_id, owner="elsewhere:1:1", until=until, now=now + timedelta(hours=1))


def test_a_run_on_the_queue_comes_to_what_it_comes_to_inline(
    engine: Engine, tmp_path: Path, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    (tmp_path / "inline").mkdir()
    target = MemoryDirectory()
    target.add(Kind.CONTAINER, name="People", path=BASE)
    inline = Engine(tmp_path / "inline", DOCUMENT.format(profiles=STAFF), {"hr": hr, "ad": target})
    try:
        expected = running.run(inline.workspace, ["people", "groups"], approve=True)
        with inline.backend.read() as connection:
            hashes = [row.detail["hash"] for row in audit.rows(connection) if row.action == "approve"]
    finally:
        inline.close()
    workspace = of(engine)
    found = ordered_run(workspace)
    worked = drain(workspace)
    assert {"run", "import", "divide", "synchronise", "plan", "export", "confirm"} == set(worked)
    assert worked[:4] == ["run", "import", "import", "run"], "it is told again when there is something to tell"
    got = outcome(workspace, found)
    assert got.written == expected.written == {"confirmed": 2}
    assert (got.state, got.plans, got.imports, got.left_out) == (expected.state, expected.plans, expected.imports, expected.left_out)
    with engine.backend.read() as connection:
        assert [row.detail["hash"] for row in audit.rows(connection) if row.action == "approve"] == hashes
        assert audit.verify(connection) == []
    assert len(ad.anchors(Kind.USER)) == len(target.anchors(Kind.USER)) == 2


@pytest.mark.parametrize("at", [0, -1], ids=["oldest first", "newest first"])
def test_the_order_in_which_batches_are_worked_means_nothing(engine: Engine, ad: MemoryDirectory, at: int) -> None:
    workspace = of(engine)
    found = ordered_run(workspace)
    drain(workspace, lambda found: found[at])
    assert outcome(workspace, found).written == {"confirmed": 2}
    assert len(ad.anchors(Kind.USER)) == 2


def test_a_message_that_comes_twice_late_or_forged_does_nothing(engine: Engine, ad: MemoryDirectory) -> None:
    workspace = of(engine)
    found = ordered_run(workspace)
    seen: list[batches.BatchRow] = []

    def choose(some: list[batches.BatchRow]) -> batches.BatchRow:
        for row in seen:  # every message so far, once more
            if row.kind != "run":
                assert not working.work(workspace, row.id, row.nonce)
        assert not working.work(workspace, some[0].id, "0" * 32)
        assert not working.work(workspace, some[0].id, "")
        assert not working.work(workspace, 999_999, some[0].nonce)
        seen.append(some[0])
        return some[0]

    drain(workspace, choose)
    assert outcome(workspace, found).written == {"confirmed": 2}
    for row in seen:
        assert not working.work(workspace, row.id, row.nonce)
    assert len(ad.anchors(Kind.USER)) == 2


def test_a_step_whose_worker_died_is_taken_by_the_next_and_goes_on(engine: Engine) -> None:
    workspace = of(engine)
    found = ordered_run(workspace)
    died: set[str] = set()

    def choose(some: list[batches.BatchRow]) -> batches.BatchRow:
        (row, *_) = some
        if row.kind in ("import", "synchronise", "plan", "confirm") and row.kind not in died:
            died.add(row.kind)
            taken_over(workspace, row.id, alive=False)
        return row

    drain(workspace, choose)
    assert died == {"import", "synchronise", "plan", "confirm"}
    assert outcome(workspace, found).written == {"confirmed": 2}


def test_what_somebody_works_is_taken_by_nobody(engine: Engine) -> None:
    workspace = of(engine)
    ordered_run(workspace)
    (row,) = runnable(workspace)
    taken_over(workspace, row.id, alive=True)
    assert runnable(workspace) == []
    assert not working.work(workspace, row.id, row.nonce)


def test_whoever_was_taken_over_from_records_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = of(engine)
    ordered_run(workspace)
    real = steps.synchronise

    def slow(inside: Workspace, *rest: Any) -> Any:
        (row,) = [one for one in batches_of(workspace) if one.kind == "synchronise"]
        taken_over(workspace, row.id, alive=True)
        return real(inside, *rest)

    monkeypatch.setattr(steps, "synchronise", slow)
    drain(workspace)
    with engine.backend.read() as connection:
        states = {step.name: step.state for step in rows.steps(connection, 1)}
    assert states["synchronise"] == "running", "whoever took over ends it"
    assert not any(one.kind == "plan" for one in batches_of(workspace))


def test_an_import_that_fails_fails_its_profiles_and_the_run_says_so(engine: Engine, ad: MemoryDirectory) -> None:
    workspace = of(engine)
    ad.faults.unavailable = "closed today"
    found = ordered_run(workspace)
    drain(workspace)
    got = outcome(workspace, found)
    assert got.state == "failed"
    assert dict(got.left_out) == dict.fromkeys(("people", "groups"), "the import of ad is not complete")
    with engine.backend.read() as connection:
        row = rows.get(connection, workspace.engagement_id, found.run)
    assert row is not None
    assert "closed today" in (row.error or "")


def test_an_error_nobody_foresaw_is_tried_three_times_and_then_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = of(engine)
    tried: list[int] = []

    def broken(*_: Any) -> None:
        tried.append(1)
        raise ZeroDivisionError("with a secret in its message")

    monkeypatch.setattr(steps, "synchronise", broken)
    monkeypatch.setattr(working, "REST", timedelta(0))
    found = ordered_run(workspace)
    drain(workspace)
    assert len(tried) == working.ATTEMPTS
    with pytest.raises(ordering.RunFailed, match="ZeroDivisionError") as raised:
        outcome(workspace, found)
    assert "secret" not in str(raised.value)


def test_a_step_that_ends_its_process_each_time_ends_its_run(engine: Engine) -> None:
    workspace = of(engine)
    found = ordered_run(workspace)

    def choose(some: list[batches.BatchRow]) -> batches.BatchRow:
        if some[0].kind == "synchronise" and some[0].attempts < working.ATTEMPTS:
            taken_over(workspace, some[0].id, alive=False)
            return next(one for one in batches_of(workspace) if one.kind == "once")
        return some[0]

    drain(workspace, choose)
    with pytest.raises(ordering.RunFailed, match="its process ended each time"):
        outcome(workspace, found)


def test_a_run_that_ends_its_process_each_time_is_given_up_also_while_a_step_of_it_is_worked(engine: Engine) -> None:
    workspace = of(engine)
    ordered_run(workspace)
    (told,) = runnable(workspace)
    working.work(workspace, told.id, told.nonce)
    first, second = runnable(workspace)
    with workspace.backend.write() as connection:
        begun = update(tables.batch).where(tables.batch.c.id == told.id)
        connection.execute(begun.values(state="ready", attempts=working.ATTEMPTS))
    with BatchLease(workspace.backend, first.id, lambda _: None):
        assert working.work(workspace, told.id, told.nonce)
        with workspace.backend.read() as connection:
            laid_aside, row = batches.get(connection, told.id), rows.get(connection, workspace.engagement_id, 1)
        assert laid_aside is not None and row is not None
        assert (laid_aside.state, row.state) == ("waiting", "running"), "somebody still works a step"
        with workspace.backend.write() as connection:
            queue.done(connection, first.id, result={"value": None})
    assert working.work(workspace, told.id, told.nonce)
    with workspace.backend.read() as connection:
        row = rows.get(connection, workspace.engagement_id, 1)
    assert row is not None
    assert (row.state, "was begun 3 times" in (row.error or "")) == ("failed", True)
    assert second.id not in [one.id for one in runnable(workspace)]


def test_a_run_that_is_asked_to_stop_stops_and_one_that_waits_ends_at_once(engine: Engine, ad: MemoryDirectory) -> None:
    workspace = of(engine)
    first, second = ordered_run(workspace), ordered_run(workspace)
    stopped = ordering.stop(workspace, second.run)
    assert stopped is not None
    assert stopped.state == "stopped"
    while not any(one.kind == "export" for one in runnable(workspace)):
        row = next(iter(runnable(workspace)))
        working.work(workspace, row.id, row.nonce)
    assert ordering.stop(workspace, first.run) is not None
    drain(workspace)
    with pytest.raises(Stopped):
        outcome(workspace, first)
    assert runnable(workspace) == []
    assert ordering.stop(workspace, first.run) is None
    third = ordered_run(workspace)
    drain(workspace)
    assert outcome(workspace, third).state == "done"
    assert len(ad.anchors(Kind.USER)) == 2


def test_runs_of_an_engagement_come_one_after_another_and_inline_waits_for_them(engine: Engine) -> None:
    workspace = of(engine)
    first, second = ordered_run(workspace), ordered_run(workspace)
    (row,) = runnable(workspace)
    working.work(workspace, row.id, row.nonce)
    with pytest.raises(EngineBusy, match=f"metasync stop {first.run}"):
        running.run(engine.workspace, ["people"])
    assert {one.run_id for one in runnable(workspace)} == {first.run}
    drain(workspace)
    assert outcome(workspace, first).written == {"confirmed": 2}
    assert outcome(workspace, second).state == "done"
    with EngineLease(workspace.backend, workspace.engagement.name):
        ordered_run(workspace)
        (row,) = runnable(workspace)
        assert not working.work(workspace, row.id, row.nonce), "its turn has not come"
        assert runnable(workspace) == [], "it rests for a moment"


def test_a_document_that_changes_under_way_ends_the_run(engine: Engine) -> None:
    workspace = of(engine)
    found = ordered_run(workspace)
    (row,) = runnable(workspace)
    working.work(workspace, row.id, row.nonce)
    engine.load(DOCUMENT.format(profiles=STAFF.replace("create: {count: 5000}", "create: {count: 4000}")))
    drain(of(engine))
    with pytest.raises(ordering.RunFailed, match="the document changed"):
        outcome(of(engine), found)


def test_a_run_that_was_half_exported_when_the_backup_was_made_writes_nothing_from_the_restored_database(
    engine: Engine, ad: MemoryDirectory
) -> None:
    """What its backup holds for approved may be written by now, and changed since."""
    workspace = of(engine)
    found = ordered_run(workspace)

    def choose(some: list[batches.BatchRow]) -> batches.BatchRow:
        if some[0].kind == queue.EXPORT:
            with workspace.backend.write() as connection:
                home.settle(connection, workspace.engagement_id, "the server of before")
        return some[0]

    before = len(ad.anchors(Kind.USER))
    drain(workspace, choose)
    assert len(ad.anchors(Kind.USER)) == before
    with workspace.backend.read() as connection:
        row = rows.get(connection, workspace.engagement_id, found.run)
        assert home.known(connection, workspace.engagement_id) == "the server of before"
    assert row is not None and row.state == "failed"
    assert "nothing is written from it" in str(row.error) and "metasync import --full" in str(row.error)
    running.import_directories(engine.workspace, ["hr", "ad"], full=True)
    after = ordered_run(workspace)
    drain(workspace)
    assert outcome(workspace, after).written == {"confirmed": 2}


def test_a_missing_approval_is_the_same_as_inline(engine: Engine) -> None:
    workspace = of(engine)
    found = ordered_run(workspace, approve=False)
    drain(workspace)
    got = outcome(workspace, found)
    assert got.state == "waiting"
    assert set(got.waiting.values()) == {Waits.APPROVAL}


def test_what_has_no_directory_in_common_waits_for_nothing_of_each_other(tmp_path: Path, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    shop, till = MemoryDirectory(), MemoryDirectory()
    person(shop, "Cy Shop")
    till.add(Kind.CONTAINER, name="People", path=BASE)
    engine = Engine(tmp_path, APART, {"hr": hr, "ad": ad, "shop": shop, "till": till})
    try:
        workspace = of(engine)
        assert apart(workspace, ["people", "keepers"]) == [["people"], ["keepers"]]
        found = ordered_run(workspace, "people", "keepers")
        while rest := [one for one in runnable(workspace) if one.of != "hr"]:
            working.work(workspace, rest[0].id, rest[0].nonce)
        assert len(till.anchors(Kind.USER)) == 1, "the one was written while hr is still to be read"
        assert not ad.anchors(Kind.USER)
        drain(workspace)
        assert outcome(workspace, found).written == {"confirmed": 3}
    finally:
        engine.close()


def test_a_synchronisation_in_parts_comes_to_the_same_plan(tmp_path: Path, hr: MemoryDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody is looked at again, some of them differ, and the parts are worked from the last to the first."""
    monkeypatch.setattr(partitions, "PARTITION", 3)
    for number in range(20):
        person(hr, f"Cy{number} Lee")
    planned = []
    for way in ("inline", "in parts"):
        ad = MemoryDirectory()
        ad.add(Kind.CONTAINER, name="People", path=BASE)
        (tmp_path / way).mkdir()
        engine = Engine(tmp_path / way, DOCUMENT.format(profiles=STAFF), {"hr": hr, "ad": ad})
        try:
            running.run(engine.workspace, ["people"], approve=True)
            for anchor in ad.anchors(Kind.USER)[::7]:
                ad.change(anchor, title="changed behind our back")
            engine.load(
                DOCUMENT.format(profiles=STAFF.replace("title: source.title", "title: 'source.title != null ? source.title : null'"))
            )
            workspace = of(engine) if way == "in parts" else engine.workspace
            if way == "in parts":
                found = ordered_run(workspace, "people")
                worked = drain(workspace, lambda some: some[-1])
                assert worked.count("compare") > 3
                outcome(workspace, found)
            else:
                running.run(workspace, ["people"], approve=True)
            found_rows = [one.row for one in overview.changes_of(workspace, overview.show_plan(workspace, 2))]
            planned.append([(row.operation, row.label, row.before, row.after) for row in found_rows])
        finally:
            engine.close()
    assert planned[0] == planned[1]
    assert len(planned[0]) == 4, "whoever was changed behind our back"


class Forgetful(Dispatcher):
    """Takes each nudge, and brings none; the first one it cannot take."""

    name = "forgetful"
    title = "A broker that is wiped"
    told: ClassVar[list[int]] = []

    def nudge(self, run: int, batch: int, nonce: str) -> None:
        self.told.append(batch)
        if len(self.told) == 1:
            raise OSError("it is down")


def test_a_dispatcher_that_loses_a_nudge_is_nudged_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Forgetful, "told", [])
    monkeypatch.setattr(engine.workspace.host, "dispatchers", {"forgetful": Forgetful})
    workspace = replace(engine.workspace, dispatch="forgetful")
    found = ordered_run(workspace)
    ordering.nudge(found, workspace)
    installation = Installation([], threading.Event(), lambda run, batch, nonce: None)
    for _ in range(3):
        installation.sweep(workspace)
    assert Forgetful.told == [found.batch] * 2, "what was not taken is told again at once, what was taken not so soon"
    monkeypatch.setattr(installing, "AGAIN", timedelta(0))
    installation.sweep(workspace)
    assert Forgetful.told == [found.batch] * 3, "nobody took it, so it got lost"
    monkeypatch.setattr(installing, "AGAIN", timedelta(hours=1))
    with engine.backend.write() as connection:
        now = engine.backend.now(connection) + lease.TTL
        assert queue.take(engine.backend, connection, found.batch, owner=f"{liveness.machine()}:4194305:1", until=now, now=now)
    for _ in range(3):
        installation.sweep(workspace)
    assert Forgetful.told == [found.batch] * 4, "whoever was told took it, and died: that is told at once, and once"
    drain(workspace)
    installation.sweep(workspace)
    assert Forgetful.told == [found.batch] * 4, "it is done"


def test_a_database_that_was_away_is_no_attempt_of_the_step_that_it_ended(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = of(engine)
    found = ordered_run(workspace)
    real, tried = steps.synchronise, []

    def away(*given: Any) -> Any:
        tried.append(1)
        if len(tried) <= 2 * working.ATTEMPTS:
            raise StoreError("the server went away")
        return real(*given)

    monkeypatch.setattr(steps, "synchronise", away)

    def choose(some: list[batches.BatchRow]) -> batches.BatchRow:
        while some[0].kind == "synchronise" and len(tried) < 2 * working.ATTEMPTS:
            with pytest.raises(StoreError):
                working.work(workspace, some[0].id, some[0].nonce)
        return some[0]

    drain(workspace, choose)
    assert outcome(workspace, found).written == {"confirmed": 2}


def test_a_worker_is_known_to_those_whose_engagement_it_works_for_and_forgotten_when_it_ends(engine: Engine) -> None:
    def known(engagement_id: int) -> int:
        with engine.backend.read() as connection:
            return len(queue.workers(connection, engagement_id, engine.backend.now(connection)))

    mine = engine.workspace.engagement_id
    with installing.Presence(engine.workspace):
        assert (known(mine), known(mine + 1)) == (1, 0)
    assert known(mine) == 0
    with engine.backend.read() as connection:
        assert connection.execute(select(tables.lease).where(tables.lease.c.name.like("worker/%"))).all() == []


def test_no_worker_is_of_use_to_inline() -> None:
    with pytest.raises(MetasyncError, match="needs no worker"):
        make_dispatcher("inline", {}, lambda *_: None, {})
    with pytest.raises(MetasyncError, match="allowed here: database, inline"):
        make_dispatcher("celery", {}, lambda *_: None, {})


def test_steps_that_end_while_their_run_is_told_are_no_fault_of_it(
    tmp_path: Path, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With several workers some step ends nearly each time that the run is told: that is no process which ended in mid-work."""
    shop, till = MemoryDirectory(), MemoryDirectory()
    till.add(Kind.CONTAINER, name="People", path=BASE)
    engine = Engine(tmp_path, APART, {"hr": hr, "ad": ad, "shop": shop, "till": till})
    try:
        workspace = of(engine)
        wait, told = working._wait, []

        def while_another_one_ends(*given: Any) -> None:
            told.append(1)
            for row in runnable(workspace):
                if row.kind != "run":
                    working.work(workspace, row.id, row.nonce)
                    break
            wait(*given)

        monkeypatch.setattr(working, "_wait", while_another_one_ends)
        found = ordered_run(workspace, "people", "keepers")
        drain(workspace)
        assert outcome(workspace, found).state == "done"
        assert len(told) > working.ATTEMPTS
    finally:
        engine.close()


def in_mid_export(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Ordered:
    """A run of which one create is written, and the other one is left for the next slice."""
    monkeypatch.setattr(working, "SLICE", 0.0)
    monkeypatch.setattr(MemoryConnector, "commit_size", 1)
    workspace = of(engine)
    found = ordered_run(workspace, "people")
    while not any(one.kind == "export" for one in runnable(workspace)):
        row = next(iter(runnable(workspace)))
        working.work(workspace, row.id, row.nonce)
    (row,) = runnable(workspace)
    working.work(workspace, row.id, row.nonce)
    assert len(engine.directories["ad"].anchors(Kind.USER)) == 1
    return found


def written_as_audited(engine: Engine) -> list[dict[str, int]]:
    """What the audit log says that each export came to."""
    with engine.backend.read() as connection:
        return [row.detail["counts"] for row in audit.rows(connection) if row.action == "export"]


def test_what_an_export_wrote_before_its_run_was_stopped_is_audited(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    found = in_mid_export(engine, monkeypatch)
    workspace = of(engine)
    assert ordering.stop(workspace, found.run) is not None
    drain(workspace)
    with pytest.raises(Stopped):
        outcome(workspace, found)
    assert written_as_audited(engine) == [{"written": 1, "approved": 1}]
    assert len(engine.directories["ad"].anchors(Kind.USER)) == 1, "and nothing more was written"
    assert all(one.state == "done" for one in batches_of(workspace))
    following = ordered_run(workspace, "people")
    drain(workspace)
    assert outcome(workspace, following).written == {"confirmed": 2}, "the rest of the same plan"
    assert len(engine.directories["ad"].anchors(Kind.USER)) == 2


@pytest.mark.parametrize("without", [False, True], ids=["another limit", "without the directory"])
def test_a_document_that_changes_in_mid_export_ends_it_before_the_next_write(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, without: bool
) -> None:
    """Also where the steps that are left are of a directory that there is no more."""
    found = in_mid_export(engine, monkeypatch)
    changed = DOCUMENT.format(profiles=STAFF.replace("create: {count: 5000}", "create: {count: 4000}"))
    engine.load(changed.replace("  ad: {", "  other: {").replace("target: ad", "target: other") if without else changed)
    drain(of(engine))
    with pytest.raises(ordering.RunFailed, match="the document changed while the run was under way"):
        outcome(of(engine), found)
    assert written_as_audited(engine) == [{"written": 1, "approved": 1}]
    assert len(engine.directories["ad"].anchors(Kind.USER)) == 1
    assert all(one.state == "done" for one in batches_of(of(engine)))


def test_whoever_stood_still_while_its_run_ended_writes_nothing_more(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease ran out, nobody took the directory, and the run was ended without it."""
    monkeypatch.setattr(MemoryConnector, "commit_size", 1)
    workspace, write = of(engine), MemoryConnector.write
    found = ordered_run(workspace, "people")
    written: list[str] = []

    def stands_still(self: MemoryConnector, changes: Any) -> Any:
        if not written:
            written.append(changes[0].label)
            yield from write(self, changes)
            engine.later(seconds=60)
            ordering.stop(workspace, found.run)
            row = next(one for one in batches_of(workspace) if one.kind == "run")
            working.work(workspace, row.id, row.nonce)
            monkeypatch.setattr(working.ActiveRun, "look", lambda run: None)  # nobody tells it that it shall stop
            monkeypatch.setattr(DirectoryLease, "left", lambda lease: 0.0)  # it has stood still
            return
        written.append(changes[0].label)
        yield from write(self, changes)

    monkeypatch.setattr(MemoryConnector, "write", stands_still)
    drain(workspace)
    with pytest.raises(Stopped):
        outcome(workspace, found)
    assert len(written) == 1
    assert all(one.state == "done" for one in batches_of(workspace))


class Died(BaseException):
    """What ends the process, as far as a test can tell."""


def test_an_export_that_ends_its_process_each_time_before_anything_comes_of_it_ends_its_run(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = of(engine)
    found = ordered_run(workspace, "people")
    while not any(one.kind == "export" for one in runnable(workspace)):
        row = next(iter(runnable(workspace)))
        working.work(workspace, row.id, row.nonce)
    (export,) = runnable(workspace)

    def dies(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(MemoryConnector, "write", dies)
        patched.setattr(exporting.ConnectorTarget, "__init__", dies)
        for _ in range(exporting.IN_VAIN + 1):
            with pytest.raises(Died):
                working.work(workspace, export.id, export.nonce)
            engine.later(seconds=11)
        drain(workspace)
    got = outcome(workspace, found)
    assert got.state == "failed"
    assert "its process ended each time; see the log" in got.unwritable["ad"]
    again = ordered_run(workspace, "people")
    drain(workspace)
    assert outcome(workspace, again).written == {"confirmed": 2}


def test_an_error_in_an_export_that_nobody_foresaw_does_not_end_the_worker(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = of(engine)
    found = ordered_run(workspace, "people")

    def breaks(*_: object) -> None:
        raise RuntimeError("the word secret")

    monkeypatch.setattr(exporting.ConnectorTarget, "__init__", breaks)
    drain(workspace)
    got = outcome(workspace, found)
    assert (got.state, "ad" in got.unwritable) == ("failed", True)


def test_a_run_that_an_older_release_laid_aside_goes_on(engine: Engine) -> None:
    """It was not yet noted what such a run waits for."""
    workspace = of(engine)
    found = ordered_run(workspace)
    working.work(workspace, found.batch, found.nonce)
    with workspace.backend.write() as connection:
        assert batches.get(connection, found.batch).state == "waiting"  # type: ignore[union-attr]
        batches.change_batch(connection, found.batch, what={})
    drain(workspace)
    assert outcome(workspace, found).state == "done"


@pytest.mark.parametrize("away", [False, True])
def test_a_second_wish_to_stop_is_heard_while_the_database_is_asked_for_the_first(
    away: bool, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordering, "LOOK", 0.01)
    workspace = replace(engine.workspace, dispatch="database", stop=threading.Event())
    found = order(workspace, "run", ["people"], {})
    stop = ordering.stop

    def pressed_again(given: Workspace, run: int) -> rows.RunRow | None:
        given.stop.set()
        if away:
            raise StoreError("the database is away")
        return stop(given, run)

    monkeypatch.setattr(ordering, "stop", pressed_again)
    monkeypatch.setattr(ordering, "_look", lambda *_: None)
    workspace.stop.set()
    with pytest.raises(LeftAlone, match="could not be asked" if away else "was asked to stop and is left"):
        ordering.follow(workspace, found)


# --- side by side ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path, postgres_url: str, hr: MemoryDirectory, ad: MemoryDirectory) -> Iterator[Workspace]:
    """An engagement on a server, with a run whose two steps somebody may work at once."""
    made = Engine(tmp_path, DOCUMENT.format(profiles=STAFF), {"hr": hr, "ad": ad}, url=postgres_url)
    workspace = of(made)
    workspace = replace(workspace, backend=workspace.backend.in_lane(workspace.engagement_id))
    ordered_run(workspace)
    assert runnable(workspace)[0].kind == queue.RUN
    working.work(workspace, runnable(workspace)[0].id, runnable(workspace)[0].nonce)
    assert [one.kind for one in runnable(workspace)] == ["import", "import"]
    yield workspace
    made.close()


def ends(work: Callable[[], None], seconds: float = 10.0) -> bool:
    """Does it, without waiting for what whoever asks has in hand?"""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def test_a_step_begins_and_ends_while_whoever_works_another_one_is_in_the_midst_of_its_rows(shared: Workspace) -> None:
    first, second = runnable(shared)
    with BatchLease(shared.backend, first.id, lambda _: None) as lease:

        def works() -> None:
            with BatchLease(shared.backend, second.id, lambda _: None), ActiveRun(id=1, workspace=shared).step("import", "ad") as (step, _):
                step.text = "nothing"
            with shared.backend.beside_others().write() as connection:
                queue.done(connection, second.id, result={})

        with shared.backend.guarded(lease.check).beside_others().write():
            assert ends(works)
    assert [one.id for one in runnable(shared)] == [first.id]


def test_nobody_takes_a_step_over_in_the_midst_of_its_rows(shared: Workspace) -> None:
    """Its lease ran out meanwhile: whoever holds it records what it has begun, and then nothing more."""
    first, _ = runnable(shared)
    refused: list[Taken] = []

    def takes() -> None:
        try:
            with BatchLease(shared.backend, first.id, lambda _: None):
                pass
        except Taken as error:
            refused.append(error)

    with BatchLease(shared.backend, first.id, lambda _: None) as lease:
        with shared.backend.write() as connection:
            ran_out = {"owner": "elsewhere:1:1", "lease_until": shared.backend.now(connection) - timedelta(seconds=1)}
            connection.execute(update(tables.batch).where(tables.batch.c.id == first.id).values(**ran_out))
        with shared.backend.guarded(lease.check).beside_others().write():
            assert ends(takes) and len(refused) == 1
        assert ends(takes) and len(refused) == 1, "it was taken over"
        with pytest.raises(LeaseLost), shared.backend.guarded(lease.check).beside_others().write():
            raise AssertionError("not reached")


def test_of_steps_that_end_at_once_the_last_one_wakes_their_run(shared: Workspace) -> None:
    """Neither sees that the other one ended before it is committed."""
    backend = shared.backend.beside_others()
    first, second = runnable(shared)
    begun = threading.Event()

    def last() -> None:
        with backend.write() as connection:
            begun.set()
            queue.done(connection, second.id, result={})

    with backend.write() as connection:
        queue.done(connection, first.id, result={})
        thread = threading.Thread(target=last, daemon=True)
        thread.start()
        assert begun.wait(10)
        thread.join(0.5)
        assert thread.is_alive(), "it waits for the first one"
    thread.join(10)
    assert [one.kind for one in runnable(shared)] == [queue.RUN]


def test_whoever_has_nothing_to_do_is_called_when_there_is_something(shared: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    called, stop = threading.Event(), threading.Event()
    listening = threading.Thread(target=shared.backend.listen, args=(called.set, stop), daemon=True)
    listening.start()
    try:
        assert called.wait(10), "what was called before it listened may have been missed"
        called.clear()
        with shared.backend.in_lane(77).write() as connection:
            shared.backend.in_lane(77).call(connection)
        assert not called.wait(0.5), "that was for those of another engagement"
        ordered_run(shared)
        assert called.wait(10)
        called.clear()
        with shared.backend.read() as connection:
            listener = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'"
            assert connection.exec_driver_sql(listener).scalars().all() == [True]
        assert called.wait(10), "it listens again"
        assert not caplog.records, "that a server is started again is no error"
    finally:
        stop.set()
        listening.join(10)
    assert not listening.is_alive()
