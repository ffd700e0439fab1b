"""A verb that is not known is answered with the one that was meant."""

from __future__ import annotations

import pytest

from metasync.cli.group import OTHER_WORDS, SECTIONS

from .conftest import Shell


@pytest.mark.parametrize(("typed", "meant"), [("exlpain", "explain"), ("improt", "import"), ("status", "runs"), ("Sync", "run")])
def test_the_verb_that_was_meant_is_named(shell: Shell, typed: str, meant: str) -> None:
    assert f"Did you mean `metasync {meant}`" in shell(typed, code=2).err


def test_where_nothing_is_near_the_help_is(shell: Shell) -> None:
    assert "See `metasync --help`" in shell("xylophone", code=2).err


def test_other_words_lead_to_verbs_that_there_are() -> None:
    assert set(OTHER_WORDS.values()) <= {name for names in SECTIONS.values() for name in names}
