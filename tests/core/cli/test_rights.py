"""Which rights the document needs of a directory, what is said of those that are missing, and how to grant them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasync.contract import Check, Purpose, Right
from metasync.rights import judged
from metasync.testing.memory.connector import MemoryConnector

from .conftest import Shell

READ = Right(purpose=Purpose.IMPORT, right="read everything", granted=True)
CREATE = Right(purpose=Purpose.EXPORT, right="create user below OU=Staff", granted=False, commands=("delegate OU=Staff user",))
RESTORE = Right(purpose=Purpose.EXPORT, right="bring back", granted=False, optional="a delete cannot be undone", commands=("let it",))
RESET = Right(purpose=Purpose.PASSWORDS, right="Reset Password", granted=False, commands=("let it reset",))
FOUND = Check(identity="here", missing=("a licence",), rights=(READ, CREATE, RESTORE, RESET))


@pytest.mark.parametrize(
    ("used", "missing"),
    [
        ({Purpose.IMPORT}, ("a licence",)),
        ({Purpose.IMPORT, Purpose.EXPORT}, ("a licence", "export: create user below OU=Staff")),
        ({Purpose.IMPORT, Purpose.PASSWORDS}, ("a licence", "passwords: Reset Password")),
    ],
)
def test_only_what_the_document_needs_and_cannot_do_without_is_missing(used: set[Purpose], missing: tuple[str, ...]) -> None:
    assert judged(FOUND, frozenset(used)).missing == missing


def test_a_source_needs_no_right_to_write_and_a_target_is_told_how_to_get_it(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryConnector, "check", lambda self: replace(FOUND, identity=self.context.directory, missing=()))
    source, target = loaded("test", "hr"), loaded("test", "ad")
    assert "hr: works\n" in source.out and "delegate" not in source.out
    assert "not granted, not needed here" in source.out
    assert "ad: works, rights are missing" in target.out
    assert "  delegate OU=Staff user" in target.out and "  let it\n" in target.out and "let it reset" not in target.out
    assert "not granted: a delete cannot be undone" in " ".join(target.out.split())
    told = {one["directory"]: one for one in loaded("test", "--json").json}
    assert told["hr"]["purposes"] == ["import"] and told["hr"]["check"]["missing"] == []
    assert sorted(told["ad"]["purposes"]) == ["export", "import"]
    assert told["ad"]["check"]["rights"][1]["commands"] == ["delegate OU=Staff user"]
    warned = [one["text"] for one in loaded("doctor", "--json", code=None).json if one["level"] == "warning"]
    assert any("export: create user below OU=Staff" in text for text in warned)
