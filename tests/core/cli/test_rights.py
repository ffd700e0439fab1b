"""Which rights the document needs of a directory, what is said of those that are missing, and how to grant them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from metasync.contract import Check, Kind, Purpose, Right
from metasync.rights import judged
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.memory.connector import MemoryConnector
from metasync.testing.staff import DOCUMENT

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


def test_what_the_account_may_beyond_its_purposes_is_more_than_is_needed() -> None:
    """A right to write where nothing is written; of other purposes only what suffices for them."""
    create, half = replace(CREATE, granted=True), replace(RESET, right="Replicating Directory Changes", granted=True)
    found = replace(FOUND, rights=(READ, create, RESTORE, RESET, half))
    assert judged(found, frozenset({Purpose.IMPORT, Purpose.EXPORT})).excessive == ()
    said = ("export, for which the document does not use it: create user below OU=Staff",)
    assert judged(found, frozenset({Purpose.IMPORT})).excessive == said
    whole = replace(found, rights=(READ, half, replace(RESET, granted=True)))
    assert len(judged(whole, frozenset({Purpose.IMPORT})).excessive) == 1


PLACED = """
  people:
    kind: user
    source: hr
    target: ad
    place: 'source.title == "Guest" ? "OU=Guests,DC=x" : "OU=" + source.department + ",OU=Staff,DC=x"'
    leaving: {deleted: [{move: '"OU=Leavers,DC=x"'}]}
    map: {cn: source.displayName}
  known:
    kind: contact
    source: hr
    target: ad
    action: update only
    match: [{source: mail, target: mail}]
    place: '"OU=Contacts,DC=x"'
    map: {cn: source.displayName}
  teams:
    kind: group
    source: hr
    target: ad
    place: {mirror: {"OU=Teams,DC=y": "OU=Groups,DC=x"}}
    map: {cn: source.displayName}
"""


def test_a_connector_is_told_what_the_document_writes_and_where(tmp_path: Path) -> None:
    engine = Engine(tmp_path, DOCUMENT.format(profiles=PLACED), {"hr": MemoryDirectory(), "ad": MemoryDirectory()})
    try:
        there, here = (engine.workspace.context(name).settings for name in ("ad", "hr"))
        assert there.written == {Kind.USER, Kind.CONTACT, Kind.GROUP}
        assert there.places == {
            Kind.USER: ("Guest", "OU=Guests,DC=x", "OU=", ",OU=Staff,DC=x", "OU=Leavers,DC=x"),
            Kind.GROUP: ("OU=Groups,DC=x",),
        }
        assert (here.written, here.places) == (frozenset(), {})
    finally:
        engine.close()


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
