"""No more connections to a directory are open at once than the document allows, whoever opens them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from metasync import connections, liveness
from metasync.contract import Kind, Stopped, Unavailable
from metasync.runs import run as running
from metasync.store import leases
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryConnector, MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, STAFF, person
from metasync.workspace import Workspace

LIMIT = 2
LIMITED = DOCUMENT.replace("mark: adminDescription}}", f"mark: adminDescription, rate: {{{{connections: {LIMIT}}}}}}}}}")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(connections, "LOOK", 0.02)
    hr, ad = MemoryDirectory(), MemoryDirectory()
    person(hr, "Ann Lee")
    ad.add(Kind.CONTAINER, name="People", path=BASE)
    made = Engine(tmp_path, LIMITED.format(profiles=STAFF), {"hr": hr, "ad": ad})
    yield made
    made.close()


def elsewhere(engine: Engine, number: int, owner: str = "elsewhere:1:1") -> None:
    """Somebody else opens one."""
    with engine.backend.write() as connection:
        until = engine.backend.now(connection) + timedelta(minutes=1)
        leases.take(connection, f"connection/{engine.workspace.engagement.name}/ad/{number}", owner=owner, until=until)


def heard(workspace: Workspace) -> tuple[Workspace, list[str]]:
    """With all that is reported."""
    said: list[str] = []
    return replace(workspace, report=lambda done, total, what: said.append(what), stop=threading.Event()), said


def test_never_more_are_open_at_once_and_everybody_gets_one(engine: Engine) -> None:
    open_now, most, served, lock = 0, 0, 0, threading.Lock()

    def opens() -> None:
        nonlocal open_now, most, served
        with engine.workspace.connector("ad"):
            with lock:
                open_now += 1
                most = max(most, open_now)
            time.sleep(0.1)  # the others come meanwhile; none of it is measured
            with lock:
                open_now -= 1
                served += 1

    threads = [threading.Thread(target=opens) for _ in range(3 * LIMIT)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (most, served) == (LIMIT, 3 * LIMIT)


def test_a_connector_that_opens_several_gets_all_of_them_or_none(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryConnector, "connections", 2)
    elsewhere(engine, 1)
    workspace, said = heard(engine.workspace)
    opened = threading.Event()

    def opens() -> None:
        with workspace.connector("ad"):
            opened.set()

    thread = threading.Thread(target=opens)
    thread.start()
    assert not opened.wait(0.3), "one of two is free"
    assert any("allows 2 connections to ad at once" in one for one in said)
    monkeypatch.setattr(MemoryConnector, "connections", 1)
    with engine.workspace.connector("ad"):
        pass  # whoever needs one alone gets it meanwhile
    engine.later(minutes=2)
    assert opened.wait(30)
    thread.join()


def test_two_who_want_all_of_them_both_get_them(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryConnector, "connections", 5)
    assert engine.workspace.context("ad").settings.connections == LIMIT
    served: list[int] = []

    def opens() -> None:
        for number in range(5):
            with engine.workspace.connector("ad"):
                served.append(number)

    threads = [threading.Thread(target=opens) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(120)
    assert len(served) == 15


def test_whoever_gets_none_says_so_and_waits_until_one_is_given_back_or_runs_out(engine: Engine) -> None:
    workspace, said = heard(engine.workspace)
    for number in range(1, LIMIT + 1):
        elsewhere(engine, number)
    opened = threading.Event()

    def opens() -> None:
        with workspace.connector("ad"):
            opened.set()

    thread = threading.Thread(target=opens)
    thread.start()
    assert not opened.wait(0.3)
    assert "ad waits: the document allows 2 connections to ad at once, open by process 1 on elsewhere" in said
    engine.later(minutes=2)
    assert opened.wait(30)
    thread.join()
    with workspace.connector("hr"):
        pass  # of which the document says nothing


def test_what_a_killed_process_of_this_machine_had_open_is_open_no_more(engine: Engine) -> None:
    for number in range(1, LIMIT + 1):
        elsewhere(engine, number, f"{liveness.machine()}:4194304:1")
    with engine.workspace.connector("ad"):
        pass


def test_whoever_is_asked_to_stop_waits_no_longer(engine: Engine) -> None:
    workspace, _ = heard(engine.workspace)
    for number in range(1, LIMIT + 1):
        elsewhere(engine, number)
    workspace.stop.set()
    with pytest.raises(Stopped), workspace.connector("ad"):
        pass


def test_where_none_becomes_free_the_directory_is_unavailable_in_words(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.1)
    for number in range(1, LIMIT + 1):
        elsewhere(engine, number)
    with pytest.raises(Unavailable, match="allow more by its `rate`"), engine.workspace.connector("ad"):
        pass
    outcome = running.run(engine.workspace, ["people"], approve=True)
    assert (outcome.state, outcome.unavailable) == ("failed", True)
    assert "the document allows 2 connections to ad at once" in str(next(one.error for one in outcome.imports if one.directory == "ad"))
    engine.later(minutes=2)
    assert running.run(engine.workspace, ["people"], approve=True).written == {"confirmed": 1}


def test_whoever_stood_still_while_somebody_took_its_connection_ends_its_own(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metasync.lease.HEARTBEAT", 0.05)
    workspace, _ = heard(engine.workspace)
    with workspace.connector("ad"):
        elsewhere(engine, 1)
        assert workspace.stop.wait(30)
    with engine.backend.read() as connection:
        held = leases.get(connection, f"connection/{engine.workspace.engagement.name}/ad/1")
    assert held is not None
    assert held.owner == "elsewhere:1:1", "and gives back nothing that is not its own"
