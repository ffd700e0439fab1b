"""`script/lab` as a newcomer meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
