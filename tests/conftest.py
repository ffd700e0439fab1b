"""What tests of several folders share: a PostgreSQL server, a Redis server, and a database on either store."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from lab import redis  # noqa: E402
from lab.postgres import Cluster, cluster, why_not  # noqa: E402

from metasync.engagement import secrets  # noqa: E402

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def no_secret_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process keeps every secret that it resolved out of what it prints; a word that was one in another test is none here."""
    monkeypatch.setattr(secrets, "_known", set())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A server for the tests of this process, which leave it running."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with cluster() as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[Cluster]:
    """A server for one test alone, which may kill it."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with cluster() as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[redis.Broker]:
    """A broker for one test alone, which may kill it."""
    if (reason := redis.why_not()) is not None:
        pytest.skip(reason)
    with redis.broker() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Cluster) -> str:
    """An empty database on the server."""
    return postgres.database(f"empty_{next(_numbers)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, on either store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'metasync.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
