"""`script/lab` as a newcomer meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from . import command, packages, trust

LAB = Path(__file__).resolve().parents[2] / "script/lab"


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    """Run it with plain Python, as `/usr/bin/env python3` would."""
    return subprocess.run([sys.executable, "-S", str(LAB), *words], capture_output=True, text=True)


def test_help_needs_nothing_installed() -> None:
    said = lab("--help")
    assert said.returncode == 0 and "loopback" in said.stdout


def test_down_and_status_do_no_harm_where_nothing_runs(tmp_path: Path) -> None:
    folder = str(tmp_path / "lab")
    assert [lab("down", "--folder", folder).returncode for _ in range(2)] == [0, 0]
    assert lab("status", "--folder", folder).returncode == 3
    assert json.loads(lab("status", "--json", "--folder", folder).stdout) == []


@pytest.mark.parametrize("address", ["10.0.0.1", "dc1"])
def test_an_address_of_the_network_is_refused(address: str, tmp_path: Path) -> None:
    said = lab("up", "--folder", str(tmp_path / "lab"), "--address", address)
    assert said.returncode == 1 and said.stderr.startswith("script/lab: ")
    assert not (tmp_path / "lab" / "contoso").exists()


@pytest.mark.lab
@pytest.mark.skipif(packages.why_not() is not None, reason=str(packages.why_not()))
def test_two_forests_trust_each_other_also_as_copies_and_asking_twice_does_no_harm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The first time they are made, which under load takes several attempts; then they are copied, with their trust."""
    place = tmp_path_factory.mktemp("t")  # short: the paths of a domain controller's sockets have room for 107 bytes
    address = command.free_address("127.0.77.11")  # where no other test's lab comes between
    for folder in (place / "a", place / "b"):
        try:
            for _ in range(2):
                said = lab("up", "--trust", "--seed", "1", "--folder", str(folder), "--address", address)
                assert said.returncode == 0, said.stderr
            here, there = command.standing(folder)
            assert trust.stands(here, there) and trust.stands(there, here)
        finally:
            assert lab("down", "--remove", "--folder", str(folder)).returncode == 0


@pytest.mark.lab
@pytest.mark.skipif(packages.why_not() is not None, reason=str(packages.why_not()))
def test_forests_that_were_made_without_a_trust_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    (folder / "contoso").mkdir(parents=True)
    plan = command.plans("127.0.0.11", False, 1)[0]
    (folder / "contoso" / "forest.json").write_text(json.dumps({"plan": asdict(plan), "layout": 0}))
    said = lab("up", "--trust", "--folder", str(folder))
    assert said.returncode == 1 and "--fresh" in said.stderr
