"""Fixtures of the whole product: the lab's forest, and working folders."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from lab.samba import samba, samba_unit, two_sambas  # noqa: E402

__all__ = ["samba", "samba_unit", "two_sambas"]


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """What needs the lab says so by its fixture."""
    for item in items:
        if {"samba", "two_sambas"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.lab)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What stays together carries the name of its group, or each worker would fill a domain for itself."""
    if getattr(session.config.option, "loadgroup", False):
        for item in session.items:
            if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
                raise pytest.UsageError("this pytest-xdist keeps no `xdist_group` together under this pytest; see script/environment.py")


def pytest_configure(config: pytest.Config) -> None:
    """Tests that share a domain's contents stay together; without xdist the word means nothing."""
    config.addinivalue_line("markers", "xdist_group(name): these tests run one after another in one process")
