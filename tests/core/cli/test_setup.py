"""The first minutes: an empty folder, plugins that are refused, a doctor that says a thing once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

import pytest

from metasync.host import Host, PluginInfo, State

from .conftest import Shell


class Refused:
    """A host whose one plugin is refused."""

    plugins = (PluginInfo(name="csv", distribution="metasync-csv", state=State.REFUSED, reason="an editable install"),)
    commands: Mapping[str, object] = MappingProxyType({})
    dispatchers: Mapping[str, object] = MappingProxyType({})


@pytest.fixture
def refused(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(Host, "load", lambda *_, **__: Refused())
    return loaded


@pytest.mark.parametrize("verb", [("plan",), ("run",), ("load",), ("check", "contoso.yaml")])
def test_in_an_empty_folder_every_verb_says_how_to_begin(shell: Shell, tmp_path: Path, verb: tuple[str, ...]) -> None:
    (tmp_path / "metasync.yaml").unlink()
    said = shell(*verb, code=2).err
    assert "there is no such file" in said
    assert "`metasync init`" in said
    assert "`--engagement FILE`" in said


def test_a_refused_plugin_is_named_once(refused: Shell) -> None:
    said = refused("plan", code=2)
    assert (said.out + said.err).count("an editable install") == 1


def test_a_plugin_that_is_not_in_use_is_named_with_file_line_and_key(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (loaded.folder / "metasync.yaml").read_text(encoding="utf-8").replace('standard: ">=0"', 'standard: ">=0", foo: ">=1"')
    loaded.write(text)
    lost = PluginInfo(name="foo", distribution="", state=State.MISSING, reason="metasync-foo is not installed")
    monkeypatch.setattr(Host.load({}), "plugins", (*Host.load({}).plugins, lost))
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "foo:" in one)
    for verb in ("check", "load", "run"):
        said = loaded(verb, code=2).err
        assert said.startswith(f"metasync.yaml:{line}:")
        assert "plugins.foo: is not in use, missing: metasync-foo is not installed" in said
    (problem,) = loaded("check", "--json", code=2).json["problems"]
    assert (problem["line"], problem["key"]) == (line, "plugins.foo")


def test_a_modified_plugin_is_audited_once_and_once_when_it_is_in_order_again(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    working = Host.load({})

    def plugins(**values: str) -> None:
        host = Refused()
        host.plugins = (PluginInfo(name="csv", distribution="metasync-csv", state=State.MODIFIED, reason="csv.py is changed", **values),)
        monkeypatch.setattr(Host, "load", lambda *_, **__: host)

    plugins(expected="aa", digest="bb")
    loaded("plan", code=2)
    loaded("runs", code=2)
    assert audited(loaded) == [("plugin modified", "csv", "aa", "bb")]
    plugins(expected="aa", digest="cc")
    loaded("check", code=2)
    assert audited(loaded)[1:] == [("plugin modified", "csv", "aa", "cc")]
    monkeypatch.setattr(Host, "load", lambda *_, **__: working)
    monkeypatch.setattr(working, "plugins", (*working.plugins, PluginInfo(name="csv", distribution="", state=State.PINNED, digest="aa")))
    loaded("runs")
    loaded("runs")
    assert audited(loaded)[2:] == [("plugin in order again", "csv", None, "aa")]
    plugins(expected="aa", digest="cc")
    loaded("plan", code=2)
    assert audited(loaded)[3:] == [("plugin modified", "csv", "aa", "cc")]
    monkeypatch.setattr(Host, "load", lambda *_, **__: working)
    assert "holds" in loaded("audit", "verify").out


def audited(shell: Shell) -> list[tuple[object, ...]]:
    """(action, plugin, expected, found) of every row about a plugin."""
    with closing(sqlite3.connect(shell.folder / "metasync.db")) as connection:
        rows = connection.execute("SELECT action, subject, detail FROM audit WHERE action LIKE 'plugin%' ORDER BY seq").fetchall()
    return [(action, subject, json.loads(detail).get("expected"), json.loads(detail)["found"]) for action, subject, detail in rows]


def test_the_doctor_says_of_a_refused_plugin_once_why(refused: Shell) -> None:
    found = refused("doctor", "--json", code=1).json
    assert [one["what"] for one in found if "an editable install" in one["text"]] == ["plugin csv"]
    assert {one["what"] for one in found if "before all plugins are in use" in one["text"]} == {"document", "directories"}


def test_the_doctor_counts_one_row_as_one(shell: Shell) -> None:
    shell("load")
    (found,) = [one for one in shell("doctor", "--json", code=None).json if one["what"] == "audit log"]
    assert found["text"].startswith("1 row holds, last hash ")
    assert "the audit log holds: 1 row, last hash" in shell("audit", "verify").out
