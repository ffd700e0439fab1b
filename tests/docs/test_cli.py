"""docs/cli.md names every variable that the product reads, and every verb."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import metasync.cli.main  # noqa: F401  registers every verb
from metasync.cli.group import SECTIONS
from metasync.cli.group import metasync as group

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/cli.md").read_text(encoding="utf-8")


def test_every_variable_is_named() -> None:
    read: set[str] = set()
    for path in (ROOT / "core/metasync").rglob("*.py"):
        if "testing" not in path.parts:
            constants = (node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant))
            read |= {one for one in constants if isinstance(one, str) and re.fullmatch(r"METASYNC_[A-Z_]+", one)}
    named = set(re.findall(r"`(METASYNC_[A-Z_]+)`", PAGE))
    assert {one for one in read if not one.endswith("_")} <= named
    assert "METASYNC_SECRET_" in read and "METASYNC_SECRET_NAME" in named


def test_every_verb_is_in_a_section() -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(group.commands)
    for name in group.commands:
        assert f"### `metasync {name}`\n" in PAGE
