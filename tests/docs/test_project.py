"""CHANGELOG.md and CONTRIBUTING.md speak of this version, and of what is really there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metasync import __version__
from metasync.engagement.reference import reference

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## (\d+\.\d+\.\d+)", CHANGELOG, re.MULTILINE)
    assert versions[0] == __version__


def test_what_is_accepted_and_does_not_act_yet_is_in_the_changelog() -> None:
    not_yet = CHANGELOG.partition("### Not yet\n")[2].partition("\nNot there:")[0]
    inert = {row.key for section in reference() for row in section.rows if "Not yet acting" in row.help}
    assert inert <= set(re.findall(r"`([a-z]+)`", not_yet))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"(?:script|tests|core|plugins|docs)/[\w/.-]+\w", CONTRIBUTING))))
def test_what_contributing_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_environment_is_the_one_that_is_made() -> None:
    made = set(re.findall(r'ROOT / "(\.venv[\w-]*)"', (ROOT / "script/test").read_text(encoding="utf-8")))
    assert made == set(re.findall(r"(\.venv[\w-]*)", CONTRIBUTING))
