"""The benchmark measures every promise, and its exit code says whether all of them are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench import entra, entra_work, report, rows  # noqa: E402
from lab import packages  # noqa: E402
from lab.postgres import why_not  # noqa: E402

PROMISES = [row.name for row in rows.ROWS]
SMALL = ["--sizes", "300,600", "--crowd", "300", "--turns", "1", "--no-write"]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "METASYNC_DEVELOPMENT": "1"}
    return subprocess.run([sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, env=environment)


def found(**seconds: float) -> dict[str, rows.Found]:
    """An import and the raw rows, as if they had been measured."""
    steps = {"import": 1.0, "raw rows of three tables": 1.0, **seconds}
    return {"sqlite": rows.Found(seconds={("working", 300): steps})}


def test_every_promise_is_measured_and_the_limits_are_kept_where_they_are_wide() -> None:
    done = bench("--store", "sqlite", *SMALL, "--allow", *(f"{name}=1e9" for name in PROMISES))
    assert done.returncode == 0, done.stdout + done.stderr
    for row in rows.ROWS:
        line = next(line for line in done.stdout.splitlines() if f"| {row.text} |" in line)
        assert (
            "| ok |" in line
            or f"not measured: needs {row.needs}" in line
            or (row.least > 600 and f"| from {rows.short(row.least)} on |" in line)
        )
    assert done.stdout.count("by `script/bench queue`, into RESULTS-queue.md") == len(rows.NOT_YET)
    assert "| raw rows of three tables |" in done.stdout and "| csv.reader |" in done.stdout
    assert "free capacity before" in done.stdout and "free capacity after" in done.stdout


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_on_postgresql_the_server_counts_too() -> None:
    done = bench("--store", "postgresql", *SMALL, "--only", "import", "object-rows", "--allow", "import=1e9", "object-rows=1e9")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "- PostgreSQL 1" in done.stdout
    assert done.stdout.count("| PostgreSQL | full import / raw rows of the same three tables |") == 2


def test_a_promise_that_is_broken_ends_in_failure() -> None:
    done = bench("--store", "sqlite", *SMALL, "--only", "csv-parse", "--allow", "csv-parse=0.01")
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("| OVER |") == 2
    assert "0 within, 2 over" in done.stdout


@pytest.mark.parametrize(("seconds", "over"), [(2.0, False), (2.1, True)])
def test_a_row_is_over_beyond_its_limit_and_not_at_it(seconds: float, over: bool) -> None:
    table, lines = report.promises(found(**{"import": seconds}), ["import"], {})
    assert [line.over for line in lines] == [over]
    assert ("OVER" in table[-1]) is over


def test_nothing_is_promised_of_fewer_objects_than_a_row_begins_with() -> None:
    steps = {"import": 1.0, "delta import of 1%": 0.5}
    measured = {"sqlite": rows.Found(seconds={("working", size): steps for size in (10_000, 100_000)})}
    table, lines = report.promises(measured, ["delta-import"], {})
    assert [(line.size, line.over) for line in lines] == [("10k", False), ("100k", True)]
    assert "| from 100k on | |" in table[2] and "OVER" in table[3]


def test_of_what_nothing_is_promised_nothing_is_over() -> None:
    steps = {"csv.reader": 1.0, "file to frozen plan": 20.0, "raw rows of file to frozen plan": 10.0}
    table, lines = report.promises({"sqlite": rows.Found(seconds={("files", 300): steps})}, ["csv-plan", "csv-plan-raw"], {})
    assert "| ok |" in table[2] and "| 10 | nothing promised | |" in table[3]
    assert [line.over for line in lines] == [False, False]


def test_growth_is_the_exponent_through_all_sizes() -> None:
    measured = rows.Found(seconds={("working", size): {"import": (size / 1000) ** 1.5} for size in (1000, 10_000, 100_000)})
    ((sizes, _, exponent),) = rows.growth("working", "import")(measured)
    assert sizes == "1k -> 10k -> 100k"
    assert exponent == pytest.approx(1.5)


def test_an_unknown_row_is_refused() -> None:
    done = bench("--only", "speed")
    assert done.returncode == 2
    assert "invalid choice: 'speed'" in done.stderr


@pytest.mark.lab
@pytest.mark.skipif(packages.why_not() is not None, reason=str(packages.why_not()))
def test_a_domain_is_measured_beside_the_bare_protocol() -> None:
    rows_of_ad = ["import", "delta", "delta-cpu", "joiner", "joiner-delta"]
    wide = [*(f"{name}=1e9" for name in rows_of_ad[:3]), "creates=0"]
    done = bench("ad", "--people", "300", "--creates", "5", "--turns", "1", "--no-write", "--allow", *wide)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| ok |") == len(rows_of_ad) + 1
    assert "| ldapsearch into a file |" in done.stdout and "| one DirSync answer |" in done.stdout


def test_a_tenant_is_measured_beside_a_bare_loop_and_the_published_quota() -> None:
    wide = ["import=0", "memory=1e9"]
    done = bench("entra", "--users", "300", "--creates", "3600", "--turns", "1", "--no-write", "--allow", *wide)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| ok |") == len(entra.ROWS) - 1  # PostgreSQL was not asked for
    refused = next(line for line in done.stdout.splitlines() if "| adaptive: refused with 429 |" in line)
    assert int(refused.split("|")[2]) > 0, "nothing was refused, so that nothing was proved about what is sent too early"


def test_a_promise_about_a_tenant_that_is_broken_ends_in_failure() -> None:
    done = bench("entra", "--users", "60", "--only", "import", "--turns", "1", "--no-write", "--allow", "import=1e9")
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("| OVER |") == 1


def heard(at: float, *, route: str = "POST /users", status: int = 201, wait: int = 0) -> dict[str, object]:
    """One line of a tenant's record."""
    return {"seconds": at, "route": route, "status": status, "headers": {"Retry-After": str(wait)} if wait else {}}


def test_what_comes_before_a_refusal_is_over_is_too_early() -> None:
    refusal = heard(10.0, status=429, wait=5)
    assert entra_work.judged([refusal, heard(15.0), heard(16.0)]) == (1, 0)
    assert entra_work.judged([refusal, heard(14.0), heard(15.0)]) == (1, 1)
    under_way = [heard(10.0, route="POST /$batch", status=200)] * entra_work.THREADS
    assert entra_work.judged([refusal, *under_way]) == (1, 0)
    assert entra_work.judged([refusal, *under_way, *under_way]) == (1, entra_work.THREADS)
