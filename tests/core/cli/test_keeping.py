"""Plugins, secrets and the audit log on the command line."""

from __future__ import annotations

from .conftest import Shell


def test_where_only_editable_plugins_are_there_nothing_is_locked_and_the_error_says_what_to_do(loaded: Shell) -> None:
    done = loaded("plugin", "lock", code=2)
    assert "no plugin can be pinned, so metasync.lock was not written" in done.err
    assert not (loaded.folder / "metasync.lock").exists()


def test_where_there_is_no_secret_one_sentence_says_so(loaded: Shell) -> None:
    assert loaded("secrets", "list").out == "the document refers to no secret, and none is kept\n"
    assert loaded("secrets", "list", "--json").json == []
