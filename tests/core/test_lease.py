"""What every lease does, whoever holds it. Those of the engine and of directories are tested where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from metasync.contract import MetasyncError
from metasync.lease import TTL, Lease
from metasync.store import Backend, leases, open_store


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    made = open_store(str(tmp_path / "metasync.db"))
    yield made
    made.close()


def test_who_holds_it_is_said_by_process_and_machine(backend: Backend) -> None:
    with backend.write() as connection:
        leases.take(connection, "x", owner="elsewhere/1:12:9", until=backend.now(connection) + timedelta(hours=1))
    with pytest.raises(MetasyncError, match="process 12 on elsewhere holds x"), Lease(backend, "x"):
        pass


def test_it_is_ours_for_its_whole_time_and_not_for_longer(backend: Backend) -> None:
    lease = Lease(backend, "x")
    assert lease.left() < 0, "nothing is ours before it is taken"
    with lease:
        assert 0 < lease.left() <= TTL.total_seconds()


def test_time_that_was_not_granted_is_not_counted(backend: Backend) -> None:
    with Lease(backend, "x") as lease:
        with backend.write() as connection:
            leases.take(connection, "x", owner="elsewhere:1:1", until=backend.now(connection) + timedelta(hours=1))
        before = lease.left()
        assert not lease.renew()
        assert lease.left() <= before
