"""How long a plan takes is shown with it, where the target's connector knows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from metasync.contract import Estimate, Operation
from metasync.testing.memory import MemoryConnector

from .conftest import Shell


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target takes one write in fifty seconds."""

    def estimate(cls: type[MemoryConnector], options: Mapping[str, Any], writes: Mapping[Operation, int]) -> Estimate:
        number = sum(writes.values())
        return Estimate(lasts=timedelta(seconds=50 * number), words=f"{number} writes, one in 50 seconds")

    monkeypatch.setattr(MemoryConnector, "estimate", classmethod(estimate))


@pytest.mark.usefixtures("slow")
def test_a_plan_says_how_long_it_takes_and_an_exported_one_does_not(loaded: Shell) -> None:
    loaded("import")
    plan = next(one for one in loaded("plan", "--json").json["plans"] if one["profile"] == "people")
    assert plan["takes"] == {"seconds": 200.0, "words": "4 writes, one in 50 seconds"}
    number = str(plan["plan"])
    said = loaded("plan", "people")
    assert f"plan {number} takes at least 4 minutes: 4 writes, one in 50 seconds" in " ".join(said.out.split())
    assert "takes at least 4 minutes: 4 writes, one in 50 seconds" in " ".join(loaded("show", number).out.split())
    loaded("approve", number, "--reason", "a test")
    loaded("export", number)
    assert loaded("show", number, "--json").json["takes"] is None


def test_what_is_written_at_once_is_not_worth_a_line_of_the_plan(loaded: Shell) -> None:
    loaded("import")
    assert "takes" not in loaded("plan").out
    number = str(loaded.plans()[0])
    assert "takes less than a minute: 4 writes at 1,000 a second" in " ".join(loaded("show", number).out.split())


def test_a_connector_that_fails_at_it_hides_no_plan(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryConnector, "estimate", classmethod(lambda *_: 1 / 0))
    loaded("import")
    assert {one["takes"] for one in loaded("plan", "--json").json["plans"]} == {None}
