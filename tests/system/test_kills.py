"""kill -9 of an export into a domain, ten times: nothing is lost, and nothing is there twice (I1, I2)."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .office import Office, office
from .product import changes

if TYPE_CHECKING:
    from lab.samba import Samba

PEOPLE = int(os.environ.get("METASYNC_SYSTEM_KILLED_PEOPLE", "150"))
KILLS = 10


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX; what it proves does not depend on the platform")
def test_i1_i2_ten_kills_of_an_export_into_a_domain_lose_nothing_and_repeat_nothing(samba: Samba, tmp_path: Path) -> None:
    """I1: no change is lost. I2: none is applied twice. The next process goes on at once: no person, and no lease to wait for."""
    with office(samba, tmp_path / "work", PEOPLE) as place:
        plans = place.plan()
        planned = Counter(change["operation"] for plan in plans for change in plan["changes"])
        numbers = [str(plan["plan"]) for plan in plans]
        for number in numbers:
            place.product("approve", number, "--reason", "a test")
        dice = random.Random(7)
        sent = 0
        for _ in range(KILLS):
            enough = dice.randint(1, planned["create"] // KILLS)
            with started(place, numbers) as (victim, pipe):
                for _ in range(enough):
                    assert os.read(pipe, 1), victim.communicate()
                victim.kill()
                victim.communicate()
            sent += enough
        assert sent < planned["create"], "it was killed while there was something to do"
        with started(place, numbers) as (last, _):
            out, err = last.communicate(timeout=300)
        assert last.returncode == 0, (out, err)
        states = Counter(change["state"] for number in numbers for change in place.product("show", "plan", number, "--all")["changes"])
        assert states == {"confirmed": sum(planned.values())}

        entries = place.dump().values()
        people = [held for held in entries if b"user" in held["objectclass"]]
        company = place.company
        assert Counter(held["employeenumber"] for held in people) == Counter(frozenset({key.encode()}) for key in company.people)
        assert len([held for held in entries if b"group" in held["objectclass"]]) == len(company.teams)
        assert len([held for held in entries if b"contact" in held["objectclass"]]) == len(company.partners)
        assert sum(len(held.get("member", ())) for held in entries) == sum(len(team.members) for team in company.teams.values())
        assert sum("manager" in held for held in people) == sum(bool(one.manager) for one in company.people.values())
        marks = Counter(held["admindescription"] for held in entries if "admindescription" in held)
        assert sum(marks.values()) == len(marks) == planned["create"], "each object is of one change, and each change has one object"
        assert changes(place.product.plan()) == [], "and the next plan is empty"
        place.product("audit", "verify")


@contextmanager
def started(place: Office, plans: list[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process exports; it, and a pipe with a byte for each request that the domain was sent."""
    read, write = os.pipe()
    program = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("victim.py")), str(place.product.document), str(write), *plans],
        env=place.product.environment(),
        pass_fds=[write],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    os.close(write)
    with program:
        try:
            yield program, read
        finally:
            program.kill()
            os.close(read)
