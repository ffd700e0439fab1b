"""Plugins are verified, then loaded; one that cannot be used says why and harms nothing else."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metasync.contract import CONTRACT_VERSION, Rewrite, RunNotice, hookimpl
from metasync.host import Host, PluginFailed, State, verify_all

Install = Callable[..., Path]


def load(site: Path, allow: dict[str, str], **more: Any) -> Host:
    return Host.load(allow, more.pop("lock_file", None), more.pop("development", False), search=[str(site)])


def rewrite(name: str) -> Rewrite:
    return Rewrite(name=name, function=str.upper, help="h", example=("a", "b"))


class Speaks:
    """A plugin with one rewrite."""

    def __init__(self, name: str) -> None:
        self.rewrite_name = name

    @hookimpl
    def metasync_register_rewrites(self) -> list[Rewrite]:
        return [rewrite(self.rewrite_name)]


def test_an_allowed_plugin_is_verified_and_what_it_registers_is_there(site: Path, install: Install) -> None:
    install("probe")
    host = load(site, {"probe": ">=0.1"})
    (info,) = host.plugins
    assert (info.name, info.distribution, info.version, info.state) == ("probe", "metasync-probe", "0.1", State.VERIFIED)
    assert "not locked" in info.reason
    assert len(info.digest) == 64
    assert info.grants == ("rewrite probe_word",)
    assert host.rewrites["probe_word"].function("a") == "A"
    assert host.plugin_of("rewrites", "probe_word") == info


def test_a_plugin_that_the_document_does_not_allow_is_not_imported(site: Path, install: Install) -> None:
    install("probe")
    install("other", source="raise SystemExit('imported')")
    host = load(site, {"probe": ">=0.1"})
    assert [info.name for info in host.plugins] == ["probe"]
    assert "metasync_other" not in sys.modules


def test_a_missing_plugin_is_listed_with_what_to_install(site: Path) -> None:
    (info,) = load(site, {"csv": ">=0.1"}).plugins
    assert info.state is State.MISSING
    assert "pip install metasync-csv" in info.reason


def test_a_version_that_the_document_does_not_allow_is_refused(site: Path, install: Install) -> None:
    install("probe", version="0.3")
    host = load(site, {"probe": ">=0.1,<0.2"})
    (info,) = host.plugins
    assert info.state is State.REFUSED
    assert "0.3" in info.reason and "<0.2" in info.reason
    assert "metasync_probe" not in sys.modules
    assert not host.rewrites


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("import sys\nsys.exit(3)", "SystemExit"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "implements no hook"),
        (
            "from metasync.contract import hookimpl\n@hookimpl\ndef metasync_register_rewrites():\n    raise OSError('gone')",
            "OSError: gone",
        ),
        ("from metasync.contract import hookimpl\n@hookimpl\ndef metasync_register_rewrites():\n    return ['x']", "not a Rewrite"),
        ("from metasync.contract import hookimpl\n@hookimpl\ndef metasync_register_toys():\n    return []", "not a hook of the contract"),
        ("from metasync.contract import hookimpl\n@hookimpl\ndef metasync_planned(toy):\n    return None", "does not fit the contract"),
        (
            "from metasync.contract import hookimpl\n@hookimpl(wrapper=True)\ndef metasync_veto(engagement, profile, changes):\n"
            "    yield\n    return []",
            "is a wrapper",
        ),
    ],
)
def test_a_broken_plugin_is_listed_with_its_reason_and_harms_nothing_else(site: Path, install: Install, source: str, said: str) -> None:
    install("bad", source=source)
    install("good")
    host = load(site, {"bad": "", "good": ""})
    bad, good = host.plugins
    assert bad.state is State.BROKEN
    assert said in bad.reason
    assert good.state is State.VERIFIED
    assert list(host.rewrites) == ["good_word"]
    host.tell("metasync_planned", notice=RunNotice(engagement="e", run=1))


@pytest.mark.parametrize("name", ["size", "matches", "clear", "map", "int"])
def test_a_rewrite_whose_name_expressions_keep_for_themselves_breaks_its_plugin(name: str) -> None:
    host = Host.of(Speaks(name), Speaks("shout"))
    broken, sound = host.plugins
    assert broken.state is State.BROKEN
    assert f"`{name}`, a name that expressions keep for themselves" in broken.reason
    assert sound.working
    assert list(host.rewrites) == ["shout"]


def test_what_is_wrong_with_a_plugin_is_said_by_whoever_asked_and_not_printed_beside_it(
    site: Path, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("probe", editable=True)
    load(site, {"probe": ""})
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    with caplog.at_level(logging.INFO):
        load(site, {"probe": ""})
    assert "plugin probe is refused" in caplog.text


def test_a_plugin_that_registers_a_name_again_is_broken_and_keeps_nothing(site: Path, install: Install) -> None:
    install("first")
    install(
        "second",
        source="from metasync.contract import Rewrite, hookimpl\n@hookimpl\ndef metasync_register_rewrites():\n"
        "    return [Rewrite(name=n, function=str.lower, help='h', example=('a', 'b')) for n in ('own', 'first_word')]",
    )
    host = load(site, {"first": "", "second": ""})
    assert [info.state for info in host.plugins] == [State.VERIFIED, State.BROKEN]
    assert "`first_word`, which the plugin first registered" in host.plugins[1].reason
    assert list(host.rewrites) == ["first_word"]
    assert host.rewrites["first_word"].function("a") == "A"


def test_a_plugin_made_for_a_newer_contract_is_not_used() -> None:
    plugin = Speaks("a")
    plugin.metasync_contract = CONTRACT_VERSION + 1  # type: ignore[attr-defined]
    host = Host.of(plugin)
    assert host.plugins[0].state is State.BROKEN
    assert "update Metasync" in host.plugins[0].reason


def test_an_option_without_help_breaks_its_connector() -> None:
    from marshmallow import fields

    from metasync.contract import Matcher, Options

    class Bare(Options):
        path = fields.String()

    class BareMatcher(Matcher):
        name, title, Options = "bare", "t", Bare
        sources = targets = ()

        def lookups(self, values: Any) -> Any:
            return ()

    class Plugin:
        @hookimpl
        def metasync_register_matchers(self) -> list[type[Matcher]]:
            return [BareMatcher]

    assert "option `path` of the matcher `bare` has no title" in Host.of(Plugin()).plugins[0].reason


def test_an_option_that_the_document_keeps_for_itself_breaks_its_notifier() -> None:
    from marshmallow import fields

    from metasync.contract import Notification, Notifier, Options, option

    class OnOptions(Options):
        events = option(fields.String(data_key="on"), title="On", help="When.")

    class Bell(Notifier):
        name, title, Options = "bell", "t", OnOptions

        def notify(self, notification: Notification) -> None:
            raise NotImplementedError

    class Plugin:
        @hookimpl
        def metasync_register_notifiers(self) -> list[type[Notifier]]:
            return [Bell]

    assert "option `on` of the notifier `bell` has a name that the document keeps" in Host.of(Plugin()).plugins[0].reason


def test_an_editable_install_is_refused_outside_of_development(site: Path, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("probe", editable=True)
    monkeypatch.delenv("METASYNC_DEVELOPMENT", raising=False)
    (info,) = Host.load({"probe": ""}, search=[str(site)]).plugins
    assert info.state is State.REFUSED
    assert "METASYNC_DEVELOPMENT" in info.reason


def test_an_editable_install_is_shown_as_unsigned_in_development(site: Path, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("probe", editable=True)
    monkeypatch.setenv("METASYNC_DEVELOPMENT", "1")
    monkeypatch.syspath_prepend(str(site))
    host = Host.load({"probe": ""}, search=[str(site)])
    assert host.plugins[0].state is State.UNSIGNED
    assert "probe_word" in host.rewrites


def test_verify_all_imports_nothing(site: Path, install: Install) -> None:
    install("probe", source="raise SystemExit('imported')")
    (info,) = verify_all({"probe": ""}, None, False, search=[str(site)])
    assert info.state is State.VERIFIED
    assert "metasync_probe" not in sys.modules


def test_a_plugin_that_raises_while_told_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[int] = []

    class Raises:
        @hookimpl
        def metasync_planned(self, notice: RunNotice) -> None:
            raise RuntimeError("no mail today")

    class Ends:
        @hookimpl
        def metasync_planned(self, notice: RunNotice) -> None:
            raise SystemExit

    class Hears:
        @hookimpl
        def metasync_planned(self, notice: RunNotice) -> None:
            heard.append(notice.run)

    host = Host.of(Hears(), Raises(), Ends(), Hears())
    with caplog.at_level(logging.ERROR):
        host.tell("metasync_planned", notice=RunNotice(engagement="e", run=7))
    assert heard == [7, 7]
    assert "failed in metasync_planned" in caplog.text


def test_a_veto_that_could_not_be_asked_is_not_a_consent() -> None:
    class Raises:
        @hookimpl
        def metasync_veto(self, profile: str) -> list[Any]:
            raise RuntimeError("no answer")

    with pytest.raises(PluginFailed, match="no answer"):
        Host.of(Raises()).ask("metasync_veto", engagement="e", profile="p", changes=())


def test_answers_of_all_plugins_are_collected() -> None:
    class Objects:
        @hookimpl
        def metasync_veto(self, profile: str) -> list[str]:
            return [profile]

    class Silent:
        @hookimpl
        def metasync_veto(self) -> None:
            return None

    assert Host.of(Objects(), Silent(), Objects()).ask("metasync_veto", engagement="e", profile="p", changes=()) == ["p", "p"]


def test_two_hosts_in_one_process_do_not_see_each_other() -> None:
    assert list(Host.of(Speaks("a")).rewrites) == ["a"]
    assert list(Host.of(Speaks("b")).rewrites) == ["b"]
