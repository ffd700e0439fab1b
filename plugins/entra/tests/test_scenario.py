"""The scenario that a lab tenant and, where somebody asks for it, a live one go through; and that no other tenant is ever touched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from metasync_entra.lab import Lab

from . import scenario
from .conftest import options_for
from .scenario import LIVE, LIVE_NAMES, NotNamed, Scenario, ScenarioFailed, connected, play_lab, play_live

WRITES = ("POST", "PATCH", "PUT", "DELETE")


def holds(lab: Lab) -> dict[str, Any]:
    """Everything that is there."""
    return {one: lab.control.read(one) for kind in ("user", "group", "orgContact") for one in lab.control.ids(kind)}


def written(lab: Lab) -> list[str]:
    """What was written, but for batches themselves."""
    return [f"{one['method']} {one['path']}" for one in lab.control.trace() if one["method"] in WRITES and "$batch" not in one["path"]]


@pytest.fixture
def named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The lab tenant, named as a live one has to be."""
    values = {
        "TENANT": lab.tenant_id,
        "DOMAIN": lab.domains[-1],
        "APPLICATION": lab.client_id,
        "CERTIFICATE": str(lab.certificate.pem),
        "WRITE": lab.tenant_id,
    }
    assert set(values) == set(LIVE_NAMES)
    for name, value in values.items():
        monkeypatch.setenv(LIVE + name, value)
    return values


def elsewhere(lab: Lab) -> Mapping[str, Any]:
    """What leads to the lab in place of Microsoft."""
    return {name: value for name, value in options_for(lab).items() if name in ("login", "graph", "ca file")}


def test_the_scenario_holds_in_a_lab_tenant_and_leaves_it_as_it_was(lab: Lab) -> None:
    lab.control.seed(users=5, groups=2, members=3, managers=True)
    before = holds(lab)
    said: list[str] = []
    play_lab(lab, said.append)
    assert len(said) == 9
    assert holds(lab) == before
    assert lab.control.stats()["deleted"] == 3, "two users and a guest lie in the bin"


def test_a_tenant_that_does_not_do_as_it_must_is_told_and_cleaned(lab: Lab) -> None:
    lab.control.set(lag_delta=3600.0)
    with pytest.raises(ScenarioFailed, match="delta of users says"):
        play_lab(lab, lambda words: None)
    assert holds(lab) == {}


def test_what_cannot_be_deleted_is_named(lab: Lab) -> None:
    lab.control.fault("status", status=403, method="DELETE", path="/groups/", in_batch=None, times=None)
    with pytest.raises(ScenarioFailed, match=r"delete metasync-scenario-\w+\* by hand"):
        play_lab(lab, lambda words: None)
    assert len(holds(lab)) == 1, "the others are gone"


def test_a_tenant_that_takes_its_time_is_waited_for(lab: Lab) -> None:
    lab.control.set(lag_delta=60.0)
    with connected(options_for(lab)) as connector:
        passed = [0.0]

        def pause(seconds: float) -> None:
            passed[0] += seconds
            lab.control.clock(advance=seconds)

        playing = Scenario(connector=connector, domain="contoso.com", patience=30.0, say=lambda words: None, pause=pause)
        playing.play()
    assert passed[0] >= 60


def test_the_way_to_a_live_tenant_leads_where_the_environment_says(lab: Lab, named: dict[str, str]) -> None:
    play_live(lambda words: None, elsewhere(lab), patience=0.0)
    assert lab.control.stats()["deleted"] == 3


@pytest.mark.parametrize("name", LIVE_NAMES)
def test_a_live_tenant_that_is_not_named_in_full_is_not_touched(
    lab: Lab, named: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(LIVE + name)
    lab.control.clear_stats()
    with pytest.raises(NotNamed, match=f"missing: {LIVE}{name}"):
        play_live(lambda words: None, elsewhere(lab))
    assert lab.control.stats()["calls"] == {}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"WRITE": "11111111-2222-3333-4444-555555555555"}, "another tenant"),
        ({"TENANT": "contoso.com"}, "not a domain"),
        ({"WRITE": "yes"}, "not a domain"),
        ({"DOMAIN": "elsewhere.test"}, "no verified domain"),
    ],
)
def test_nothing_is_written_where_the_names_do_not_fit(
    lab: Lab, named: dict[str, str], monkeypatch: pytest.MonkeyPatch, values: dict[str, str], words: str
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(LIVE + name, value)
    lab.control.trace(on=True)
    with pytest.raises(NotNamed, match=words):
        play_live(lambda given: None, elsewhere(lab))
    assert written(lab) == []


def test_a_sign_in_that_leads_to_another_tenant_writes_nothing(lab: Lab, named: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    other = "11111111-2222-3333-4444-555555555555"
    monkeypatch.setattr(scenario.EntraID, "tenant", property(lambda self: other))
    lab.control.trace(on=True)
    with pytest.raises(NotNamed, match=other):
        play_live(lambda words: None, elsewhere(lab))
    assert written(lab) == []


def test_typed_without_more_it_never_leaves_this_machine(named: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, scenario.__file__], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "delete what was made"


def test_typed_with_a_wish_for_a_live_tenant_that_is_not_named_it_refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in LIVE_NAMES:
        monkeypatch.delenv(LIVE + name, raising=False)
    done = subprocess.run([sys.executable, scenario.__file__, "--live"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "NotNamed" in done.stderr and done.stdout == ""
