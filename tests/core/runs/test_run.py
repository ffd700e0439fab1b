"""The order of the steps, what goes on when a directory fails, and what is recorded of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from metasync.contract import Kind, RunNotice, Stopped, hookimpl
from metasync.runs import run as running
from metasync.runs import steps
from metasync.runs.outcome import Waits
from metasync.runs.record import recorded
from metasync.runs.verbs import directories_of
from metasync.store import audit
from metasync.store import runs as rows
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import STAFF, person, target

TWO_SOURCES = """
engagement: two
plugins: {standard: ">=0"}
directories:
  hr: {connector: memory, options: {store: hr}}
  shop: {connector: memory, options: {store: shop}}
  ad: {connector: memory, options: {store: ad}, mark: mark}
profiles:
  people: {kind: user, source: hr, target: ad, match: [{source: mail, target: mail}], disjoint: sources,
           place: '"OU=People,DC=memory,DC=test"', map: {cn: source.displayName, mail: source.mail}}
  keepers: {kind: user, source: shop, target: ad, match: [{source: mail, target: mail}], disjoint: sources,
            place: '"OU=People,DC=memory,DC=test"', map: {cn: source.displayName, mail: source.mail}}
"""


class Listener:
    """Hears what plugins are told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @hookimpl
    def metasync_run_started(self, notice: RunNotice) -> None:
        self.heard.append(f"started {notice.run}")
        raise RuntimeError("a plugin that raises here fails alone")

    @hookimpl
    def metasync_run_finished(self, notice: RunNotice) -> None:
        self.heard.append(f"finished {notice.run} {notice.state}")


@pytest.fixture
def hr() -> MemoryDirectory:
    directory = MemoryDirectory()
    person(directory, "Ann Lee")
    return directory


@pytest.fixture
def ad() -> MemoryDirectory:
    return target()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def engine(tmp_path: Path, hr: MemoryDirectory, ad: MemoryDirectory, listener: Listener) -> Iterator[Engine]:
    from metasync.testing.staff import DOCUMENT

    made = Engine(tmp_path, DOCUMENT.format(profiles=STAFF), {"hr": hr, "ad": ad}, plugins=[listener])
    yield made
    made.close()


def recorded_runs(engine: Engine) -> Sequence[rows.RunRow]:
    with engine.backend.read() as connection:
        return rows.newest(connection, engine.workspace.engagement_id)


def test_sources_are_imported_before_targets(engine: Engine) -> None:
    assert directories_of(engine.workspace, ["people"]) == ["hr", "ad"]


def test_a_run_is_recorded_with_who_began_it_and_how_it_ended(engine: Engine) -> None:
    running.run(engine.workspace, ["people"], approve=True)
    (run,) = recorded_runs(engine)
    assert (run.kind, run.state, run.author, list(run.what)) == ("run", "done", "tester", ["people"])
    assert run.finished is not None
    assert run.finished >= run.started
    with engine.backend.read() as connection:
        actions = [row.action for row in audit.rows(connection)]
        assert audit.verify(connection) == []
    assert actions.index("run started") < actions.index("approve") < actions.index("run ended")


def test_plugins_are_told_of_begin_and_end_and_one_that_raises_fails_alone(engine: Engine, listener: Listener) -> None:
    running.run(engine.workspace, ["people"])
    assert listener.heard == ["started 1", "finished 1 waiting"]


def test_a_failed_import_stops_the_profiles_that_depend_on_it_and_no_other(
    tmp_path: Path, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    shop = MemoryDirectory()
    person(shop, "Bo Shop")
    engine = Engine(tmp_path, TWO_SOURCES, {"hr": hr, "shop": shop, "ad": ad})
    try:
        shop.faults.unavailable = "closed today"
        outcome = running.run(engine.workspace, ["people", "keepers"], approve=True)
        assert dict(outcome.left_out) == {"keepers": "the import of shop is not complete"}
        assert outcome.state == "failed"
        assert outcome.unavailable
        assert outcome.written == {"confirmed": 1}, "the other one went on"
        with engine.backend.read() as connection:
            (run,) = rows.newest(connection, engine.workspace.engagement_id)
        assert "closed today" in (run.error or "")
    finally:
        engine.close()


def test_a_failed_target_stops_everything_that_writes_to_it(engine: Engine, ad: MemoryDirectory) -> None:
    ad.faults.unavailable = "down"
    outcome = running.run(engine.workspace, ["people", "groups"], approve=True)
    assert set(outcome.left_out) == {"people", "groups"}
    assert outcome.plans == []


def test_first_approval_lets_later_runs_go_on_and_staging_never_exports(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    from metasync.testing.staff import DOCUMENT

    first = STAFF.replace("    kind: user\n", "    kind: user\n    approval: first\n")
    engine.load(DOCUMENT.format(profiles=first))
    assert set(running.run(engine.workspace, ["people"]).waiting.values()) == {Waits.APPROVAL}
    running.run(engine.workspace, ["people"], approve=True)
    person(hr, "Bo Lee")
    assert running.run(engine.workspace, ["people"]).written == {"confirmed": 1}
    engine.load(DOCUMENT.format(profiles=STAFF.replace("    kind: user\n", "    kind: user\n    mode: staging\n")))
    person(hr, "Cy Lee")
    outcome = running.run(engine.workspace, ["people"], approve=True)
    assert set(outcome.waiting.values()) == {Waits.STAGING}
    assert outcome.state == "done", "staging waits for nobody"
    assert len(ad.anchors(Kind.USER)) == 2


def test_a_limit_is_never_lifted_by_a_run(engine: Engine, ad: MemoryDirectory) -> None:
    from metasync.testing.staff import DOCUMENT

    engine.load(DOCUMENT.format(profiles=STAFF.replace("create: {count: 5000}", "create: {count: 0}")))
    outcome = running.run(engine.workspace, ["people"], approve=True)
    assert set(outcome.waiting.values()) == {Waits.LIMIT}
    assert outcome.state == "waiting"
    assert ad.anchors(Kind.USER) == []


def test_a_run_that_is_asked_to_stop_stops_and_the_next_one_goes_on(engine: Engine, ad: MemoryDirectory) -> None:
    with pytest.raises(Stopped), recorded(engine.workspace, "run", ["people"]) as run:
        with engine.backend.write() as connection:
            assert rows.ask_to_stop(connection, engine.workspace.engagement_id, run.id)
            assert rows.asked_to_stop(connection, run.id)
        engine.workspace.stop.set()  # what the lease's beat does, within three seconds
        with run.step("import", "hr"):
            pytest.fail("a stopped run begins nothing more")
    (row,) = recorded_runs(engine)
    assert (row.state, row.error) == ("stopped", "asked to stop")
    assert running.run(engine.workspace, ["people"], approve=True).state == "done"


def test_what_a_killed_process_left_running_is_ended_by_the_next_run(engine: Engine) -> None:
    with engine.backend.write() as connection:
        at = engine.backend.now(connection)
        dead = rows.begin(connection, engine.workspace.engagement_id, kind="run", what=["people"], author="tester", at=at)
        rows.begin_step(connection, dead, name="import", of="hr", at=at)
    running.run(engine.workspace, ["people"])
    with engine.backend.read() as connection:
        row = rows.get(connection, engine.workspace.engagement_id, dead)
        (step,) = rows.steps(connection, dead)
    assert row is not None
    assert (row.state, step.state) == ("failed", "failed")
    assert "the next run goes on from there" in (row.error or "")


def test_an_internal_error_is_recorded_by_its_type_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("with a secret in its message")

    monkeypatch.setattr(steps, "synchronise", broken)
    with pytest.raises(ZeroDivisionError):
        running.run(engine.workspace, ["people"])
    (row,) = recorded_runs(engine)
    assert (row.state, row.error) == ("failed", "internal error: ZeroDivisionError")


def test_a_paused_profile_is_left_out_and_its_directories_are_not_read(engine: Engine, hr: MemoryDirectory) -> None:
    with engine.backend.write() as connection:
        rows.set_paused(connection, engine.workspace.engagement_id, ["people", "groups"], True)
    hr.faults.unavailable = "nobody should ask"
    outcome = running.run(engine.workspace, ["people", "groups"])
    assert dict(outcome.left_out) == {"people": "paused", "groups": "paused"}
    assert outcome.state == "done"
