"""The engine's lease: two runs never work on one engagement at once, and nobody waits for the dead."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from metasync import liveness
from metasync.runs.lease import EngineBusy, EngineLease
from metasync.store import Backend, leases, open_store


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    made = open_store(str(tmp_path / "metasync.db"))
    yield made
    made.close()


def test_a_second_run_on_the_same_engagement_is_refused_and_told_by_whom(backend: Backend) -> None:
    with EngineLease(backend, "one"), pytest.raises(EngineBusy, match="metasync stop RUN"), EngineLease(backend, "one"):
        pass


def test_engagements_do_not_wait_for_each_other(backend: Backend) -> None:
    with EngineLease(backend, "one"), EngineLease(backend, "two"):
        pass


def test_it_is_free_again_at_once_when_the_run_ends_also_by_an_error(backend: Backend) -> None:
    with pytest.raises(ZeroDivisionError), EngineLease(backend, "one"):
        raise ZeroDivisionError
    with EngineLease(backend, "one") as second:
        assert second.fence == 2, "a fence never goes back"


def test_what_a_killed_process_of_this_machine_held_is_taken_over_at_once(backend: Backend) -> None:
    child = subprocess.run(
        [sys.executable, "-c", "from metasync import liveness; print(liveness.owner())"], capture_output=True, text=True, check=True
    )
    with backend.write() as connection:
        until = backend.now(connection) + timedelta(hours=1)
        leases.take(connection, "engine/one", owner=child.stdout.strip(), until=until)
    with EngineLease(backend, "one") as lease:
        assert lease.fence == 2


def test_what_another_machine_holds_is_waited_for_until_it_runs_out(backend: Backend) -> None:
    with backend.write() as connection:
        now = backend.now(connection)
        fence = leases.take(connection, "engine/one", owner="elsewhere:1:1", until=now + timedelta(hours=1))
    with pytest.raises(EngineBusy, match="on elsewhere"), EngineLease(backend, "one"):
        pass
    with backend.write() as connection:
        leases.renew(connection, "engine/one", fence=fence, until=now - timedelta(seconds=1))
    with EngineLease(backend, "one"):
        pass


def test_a_lease_that_somebody_else_took_is_known_to_be_lost(backend: Backend) -> None:
    with EngineLease(backend, "one") as lease:
        assert lease.renew()
        with backend.write() as connection:
            leases.take(connection, "engine/one", owner=liveness.owner(), until=backend.now(connection) + timedelta(hours=1))
        assert not lease.renew()
        assert lease.lost.is_set()
