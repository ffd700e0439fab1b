"""The clock jumps while somebody exports: whoever comes then is refused, or takes over from one who notices before it writes again (I2)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import packages
from lab.postgres import Cluster
from system.product import PROGRAM

from metasync.testing.counting import CountingTarget

from . import judge
from .forks import Stable
from .site import RUN
from .sites import CountingSite
from .test_engines import BUSY, PEOPLE, approved, everybody_once, stands_still, until


@pytest.fixture(scope="session")
def library() -> Path:
    """What shows a process another time."""
    try:
        return packages.faketime(print)
    except packages.LabError as error:
        pytest.skip(str(error))


@pytest.fixture
def site(tmp_path: Path, stable: Stable) -> Iterator[CountingSite]:
    made = CountingSite(tmp_path / "site", stable)
    made.begin(PEOPLE)
    yield made
    made.close()


def at(site: CountingSite, library: Path, clock: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Do a command as if it were earlier or later."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("METASYNC_")}
    environment |= {
        "LD_PRELOAD": str(library),
        "FAKETIME": clock,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "METASYNC_DEVELOPMENT": "1",
        "METASYNC_ENGAGEMENT": str(site.written),
        "PYTHONPATH": os.pathsep.join(map(str, site.stable.paths)),
        **({"METASYNC_DATABASE": site.url, "METASYNC_KEY_FILE": str(site.key_file)} if site.url else {}),
    }
    return subprocess.run([*PROGRAM, *command], cwd=site.folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("clock", ["+6m", "+1h", "+30y"])
def test_whoever_was_taken_over_from_because_the_clock_jumped_writes_nothing_more(site: CountingSite, library: Path, clock: str) -> None:
    """A database in a file has the clock of whoever asks. Thirty years lead beyond 2038."""
    plan = approved(site)
    with site.start("export", plan, fault="export.before_target_write:freeze:2") as first:
        until(first, lambda: stands_still(first))
        second = at(site, library, clock, "export", plan)
        assert second.returncode == 0, second.stderr
        everybody_once(site)
        first.signal(signal.SIGCONT)
        assert site.heard(first).code != 0
    everybody_once(site)


def test_where_the_clock_goes_back_the_lease_lasts_and_a_dead_one_is_not_waited_for(site: CountingSite, library: Path) -> None:
    plan = approved(site)
    with site.start("export", plan, fault="export.before_target_write:stall=600:2") as first:
        until(first, lambda: site.counts.file.exists() and site.counts.total == CountingTarget.commit_size)
        assert at(site, library, "-1h", "export", plan).returncode == BUSY
        first.signal(signal.SIGKILL)
        first.wait()
        assert at(site, library, "-1h", "export", plan).returncode == 0
    everybody_once(site)
    assert site.ask(*RUN).code == 0
    assert judge.at_rest(site) == []


@pytest.mark.parametrize("clock", ["+1h", "-1h"])
def test_a_server_has_one_clock_whoever_asks(own_postgres: Cluster, tmp_path: Path, stable: Stable, library: Path, clock: str) -> None:
    site = CountingSite(tmp_path / "site", stable, own_postgres.database("metasync"))
    site.begin(PEOPLE)
    plan = approved(site)
    with site.start("export", plan, fault="export.before_target_write:stall=600:2") as first:
        until(first, lambda: site.counts.file.exists() and site.counts.total == CountingTarget.commit_size)
        before = site.counts.total
        assert at(site, library, clock, "export", plan).returncode == BUSY
        assert site.counts.total == before
        first.signal(signal.SIGKILL)
        first.wait()
    assert at(site, library, clock, "export", plan).returncode == 0
    everybody_once(site)
