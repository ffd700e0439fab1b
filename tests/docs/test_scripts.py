"""Every script says what it does, and how it is called, to whoever asks it with `--help`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path.name for path in (ROOT / "script").iterdir() if path.is_file() and not path.suffix)


def call(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run([sys.executable, str(ROOT / "script" / script), *arguments], capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_how_the_script_is_called_and_does_nothing_else(script: str) -> None:
    done = call(script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"script/{script}" in done.stdout


@pytest.mark.parametrize("script", ["docs", "scaffold", "types", "wheel"])
def test_an_unknown_option_is_refused(script: str) -> None:
    done = call(script, "--fly")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
