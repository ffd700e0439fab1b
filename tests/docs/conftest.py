"""The pages, and what writes their generated parts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# script/generated.py is a part of script/docs, not of a distribution.
sys.path.insert(0, str(ROOT / "script"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the person's own engagement; editable installs load, as those of a checkout are."""
    for name in ("METASYNC_ENGAGEMENT", "METASYNC_DATABASE", "METASYNC_DISPATCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("METASYNC_DEVELOPMENT", "1")
