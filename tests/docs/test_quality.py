"""Each plugin says of every rule of docs/quality.md how far it is, and the scaffold's template does too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
RULES = re.findall(r"^\| `([a-z-]+)` \| ", (ROOT / "docs/quality.md").read_text(encoding="utf-8"), re.MULTILINE)
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/setup.cfg"))
FILES = [
    *(folder / "quality.yaml" for folder in PLUGINS),
    ROOT / "core/metasync/testing/scaffold/templates/connector_quality.yaml.tmpl",
]


def said(file: Path) -> dict[str, Any]:
    """What a file says, rule by rule. A rule that stands twice is an error of YAML."""
    found = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    assert list(found) == ["rules"]
    rules: dict[str, Any] = found["rules"]
    return rules


def name_of(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def test_the_page_has_rules_and_names_none_twice() -> None:
    assert len(RULES) > 20
    assert len(set(RULES)) == len(RULES)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_every_rule_is_named_once_in_the_order_of_the_page(file: Path) -> None:
    assert list(said(file)) == RULES


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_what_is_not_done_has_a_comment(file: Path) -> None:
    for rule, answer in said(file).items():
        assert set(answer) <= {"status", "comment"}, rule
        assert answer["status"] in ("done", "todo", "exempt"), rule
        assert answer["status"] == "done" or str(answer.get("comment", "")).strip(), rule


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_what_the_readme_must_say_has_a_heading_where_it_is_done(folder: Path) -> None:
    rules = said(folder / "quality.yaml")
    pages = [folder / "README.md", ROOT / f"docs/connectors/{folder.name}.md"]
    readme = "\n".join(page.read_text(encoding="utf-8") for page in pages if page.exists()).casefold()
    headings = " ".join(line for line in readme.splitlines() if line.startswith("#"))
    for rule, words in (
        ("unverified-claims-listed", ("not verified", "not tried")),
        ("performance-measured", ("measured", "figures")),
        ("least-privilege-documented", ("rights",)),
    ):
        if rules[rule]["status"] == "done":
            assert any(word in headings for word in words), f"{rule} is done, and no heading of the README says {' or '.join(words)}"
