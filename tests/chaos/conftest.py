"""These tests use the harness of the whole product."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from chaos import doubles  # noqa: E402
from chaos.forks import Stable  # noqa: E402

collect_ignore_glob = [] if os.name == "posix" else ["test_*.py"]


@pytest.fixture(scope="session")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stable]:
    """What commands are forked from; with the test doubles as a plugin."""
    with Stable(doubles.install(tmp_path_factory.mktemp("installed"))) as made:
        yield made
