"""The rules themselves: each has a source, is enforced somewhere, and is tested somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import metasync_entra.lab
from metasync_entra.lab import rules

LAB = Path(metasync_entra.lab.__file__).parent
TESTS = Path(__file__).parent
PAGE = Path(__file__).parents[4] / "docs" / "lab-entra.md"
NAMES = set(rules.every())


def named_in(folder: Path, *, but: str) -> set[str]:
    """Every name that the code of a folder uses, of a module or of its own."""
    found: set[str] = set()
    for path in folder.glob("*.py"):
        if path.name == but:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found.add(node.id)
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
    return found


def test_no_rule_is_without_a_source() -> None:
    assert len(NAMES) > 70
    assert [name for name, rule in rules.every().items() if len(rule.source.strip()) < 8] == []
    assert [name for name, rule in rules.every().items() if not rule.says.endswith(".")] == []


def test_what_says_that_it_is_ours_is_marked_as_inferred() -> None:
    """A wording or a status of our own is not passed off as the service's."""
    ours = {name for name, rule in rules.every().items() if re.search(r"\b(wording|status) is ours\b", rule.source)}
    assert {name for name in ours if not rules.every()[name].inferred} == set()


def test_every_rule_is_enforced_somewhere() -> None:
    assert NAMES - named_in(LAB, but="rules.py") == set()


def test_every_rule_is_tested_somewhere() -> None:
    assert NAMES - named_in(TESTS, but="test_rules.py") == set()


def test_refusals_name_a_rule() -> None:
    """No refusal is made without one of the rules: its first argument is a name in capitals, or a parameter called rule."""
    makers = {"Refused", "bad_request", "SignInRefused", "_invalid"}
    wrong = []
    for path in LAB.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers):
                continue
            first = node.args[0]
            if not (isinstance(first, ast.Name) and (first.id in NAMES or first.id == "rule")):
                wrong.append(f"{path.name}:{node.lineno}")
    assert wrong == []


def test_the_page_lists_every_rule_with_its_source() -> None:
    rows = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) ?\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(rows) == NAMES, "script/docs writes the table"
    for name, rule in rules.every().items():
        assert rule.source in rows[name]
        assert rows[name].endswith("| yes") == rule.inferred
