"""docs/words.md: the words of the product, each once, in order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metasync.contract import Kind, Operation

ROOT = Path(__file__).resolve().parents[2]
ROWS = re.findall(r"^\| \*\*(.+?)\*\* \| (.+) \|$", (ROOT / "docs/words.md").read_text(encoding="utf-8"), re.MULTILINE)
MEANINGS = dict(ROWS)
# What code, command line, document, tables and pages are made of.
WORDS = (
    *("directory", "connector", "object", "anchor", "connector space", "identity", "metaverse", "join", "kind", "profile"),
    *("program", "operation", "change", "plan", "batch", "wave", "run"),
)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_product_is_explained(word: str) -> None:
    assert MEANINGS[word].strip()


def test_every_word_stands_once_in_the_order_of_the_alphabet() -> None:
    words = [word for word, _ in ROWS]
    assert words == sorted(set(words))


@pytest.mark.parametrize(("word", "members"), [("kind", Kind), ("operation", Operation)])
def test_what_a_word_lists_is_all_that_there_is(word: str, members: type[Kind] | type[Operation]) -> None:
    assert set(re.split(r", | or ", MEANINGS[word])) == {member.value for member in members}
