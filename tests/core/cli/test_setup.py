"""The first minutes: an empty folder, plugins that are refused, a doctor that says a thing once."""

from __future__ import annotations

from collections.abc import Mapping
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


def test_the_doctor_says_of_a_refused_plugin_once_why(refused: Shell) -> None:
    found = refused("doctor", "--json", code=1).json
    assert [one["what"] for one in found if "an editable install" in one["text"]] == ["plugin csv"]
    assert {one["what"] for one in found if "before all plugins are in use" in one["text"]} == {"document", "directories"}


def test_the_doctor_counts_one_row_as_one(shell: Shell) -> None:
    shell("load")
    (found,) = [one for one in shell("doctor", "--json", code=None).json if one["what"] == "audit log"]
    assert found["text"].startswith("1 row holds, last hash ")
    assert "the audit log holds: 1 row, last hash" in shell("audit", "verify").out
