"""One process writes to a directory at a time; a late one records nothing."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from metasync import liveness
from metasync.exporting import export
from metasync.exporting.lease import DirectoryBusy, DirectoryLease, LeaseLost
from metasync.planning import approve, freeze
from metasync.store import tables as t
from metasync.store.errors import StoreError

DIRECTORY = t.lease.c.name == "export/bench/fabrikam"


def lease(bench: Any) -> DirectoryLease:
    return DirectoryLease(bench.backend, "bench", "fabrikam")


def dead_owner() -> str:
    """A process of this machine that has ended."""
    with subprocess.Popen(
        [sys.executable, "-c", "from metasync import liveness; print(liveness.owner())"], stdout=subprocess.PIPE, text=True
    ) as one:
        out, _ = one.communicate()
    return out.strip()


def test_a_directory_that_is_being_written_is_busy(bench: Any) -> None:
    with lease(bench), pytest.raises(DirectoryBusy, match="exports to fabrikam at present"), lease(bench):
        pass


def test_a_lease_that_was_given_back_is_free_and_its_fence_grows(bench: Any) -> None:
    with lease(bench) as first:
        pass
    with lease(bench) as second:
        assert second.fence == first.fence + 1
        second.ensure()


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_at_once(bench: Any) -> None:
    with bench.backend.write() as connection:
        until = bench.backend.now(connection) + timedelta(hours=1)
        connection.execute(insert(t.lease).values(name="export/bench/fabrikam", owner=dead_owner(), fence=7, until=until))
    with lease(bench) as taken:
        assert taken.fence == 8


def test_a_process_of_another_machine_is_waited_for(bench: Any) -> None:
    with bench.backend.write() as connection:
        until = bench.backend.now(connection) + timedelta(hours=1)
        connection.execute(insert(t.lease).values(name="export/bench/fabrikam", owner="elsewhere:1:1", fence=7, until=until))
    with pytest.raises(DirectoryBusy, match="process 1 on elsewhere"), lease(bench):
        pass


def test_who_lost_the_lease_learns_it_before_the_next_write(bench: Any) -> None:
    with lease(bench) as held:
        with bench.backend.write() as connection:
            connection.execute(update(t.lease).where(DIRECTORY).values(owner="other:1:1", fence=99))
        with bench.backend.write() as connection, pytest.raises(LeaseLost):
            held.check(connection)
        with pytest.raises(LeaseLost):
            held.ensure()


def test_i2_a_worker_that_lost_its_lease_during_a_write_records_nothing_and_the_next_one_reads_back(bench: Any) -> None:
    """I2: a process frozen past its lease finds, when it wakes, that another one owns its changes."""
    for name in ("anna", "bob", "carl", "dora"):
        bench.pend_create(bench.person(name))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    approve(bench.workspace, plan.id, reason="good")

    def stolen(change: Any) -> None:
        bench.fabrikam.on_write = None
        with bench.backend.write() as connection:
            connection.execute(update(t.lease).where(DIRECTORY).values(owner="other:1:1", fence=99))

    bench.fabrikam.on_write = stolen
    outcome = export(bench.workspace, bench.run("export"), [plan.id], patience=timedelta(0))
    assert "took over the export to fabrikam" in outcome.unavailable["fabrikam"]
    assert bench.states(plan.id) == {"in_flight": 3, "approved": 1}
    assert 1 <= bench.fabrikam.creates <= 3, "it learns of it before its next look, or at it"
    with bench.backend.write() as connection:
        connection.execute(update(t.lease).where(DIRECTORY).values(until=bench.backend.now(connection)))
    export(bench.workspace, bench.run("export"), [plan.id], patience=timedelta(0))
    assert bench.states(plan.id) == {"written": 4}
    assert bench.fabrikam.creates == 4


def test_who_stood_still_looks_who_holds_the_lease_before_it_writes(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its own time has not run out: the database's clock may have jumped, and given it away."""
    with lease(bench) as held:
        with bench.backend.write() as connection:
            connection.execute(update(t.lease).where(DIRECTORY).values(owner="other:1:1", fence=99))
        monkeypatch.setattr(held, "left", lambda: 9.0)
        with pytest.raises(LeaseLost):
            held.ensure()


def test_a_database_that_does_not_answer_for_a_moment_keeps_nobody_from_writing(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> bool:
        raise StoreError("nobody answers")

    with lease(bench) as held:
        monkeypatch.setattr(held, "renew", away)
        monkeypatch.setattr(held, "left", lambda: 6.0)
        held.ensure()
        monkeypatch.setattr(held, "left", lambda: 4.0)
        with pytest.raises(StoreError):
            held.ensure()


def test_this_process_lives_and_an_ended_one_is_dead() -> None:
    assert not liveness.is_dead(liveness.owner())
    assert liveness.is_dead(dead_owner())


def test_another_process_with_the_same_number_is_not_the_owner() -> None:
    machine, pid, started = liveness.owner().split(":")
    if not started:
        pytest.skip("this platform does not say when a process started")
    assert liveness.is_dead(f"{machine}:{pid}:1")


def test_what_cannot_be_told_counts_as_alive() -> None:
    assert not liveness.is_dead("another-machine:1:1")
    assert not liveness.is_dead("nonsense")
