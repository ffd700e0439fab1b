"""Trial notifications, and the problems of a notifier."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from metasync.contract import Notification, Notifier, Options, Secret, Unavailable, hookimpl
from metasync.host import Host
from metasync.testing.memory import MemoryDirectory, MemoryPlugin
from metasync.testing.small import SmallPlugin
from metasync.testing.staff import DOCUMENT, STAFF

from .conftest import Shell


class NoOptions(Options):
    """Nothing to say."""


class Tower:
    """Registers a bell, which may be broken."""

    def __init__(self) -> None:
        self.rung: list[str] = []
        self.broken = False

    @hookimpl
    def metasync_register_notifiers(self) -> Sequence[type[Notifier]]:
        tower = self

        class Bell(Notifier):
            name, title, Options = "bell", "The bell", NoOptions

            def notify(self, notification: Notification) -> None:
                if tower.broken:
                    raise Unavailable("the rope is torn; mend it")
                tower.rung.append(notification.subject)

        return [Bell]


@pytest.fixture
def tower() -> Tower:
    return Tower()


@pytest.fixture
def ringing(shell: Shell, hr: MemoryDirectory, ad: MemoryDirectory, tower: Tower, monkeypatch: pytest.MonkeyPatch) -> Shell:
    host = Host.of(MemoryPlugin({"hr": hr, "ad": ad}), SmallPlugin(), tower)
    monkeypatch.setattr(Host, "load", lambda *_, **__: host)
    shell.write(DOCUMENT.format(profiles=STAFF) + "notify: {bell: {}}\n")
    shell("load")
    return shell


def test_a_trial_is_sent_by_each_notifier_and_connects_to_no_directory(ringing: Shell, tower: Tower) -> None:
    assert ringing("test", "--notify").out == "bell: sent\n"
    assert tower.rung == ["Metasync pipeline: a trial notification"]
    assert ringing("test", "--notify", "--json").json == [{"notifier": "bell", "error": None}]


def test_what_went_wrong_is_shown_and_stands_as_a_problem_until_it_works(ringing: Shell, tower: Tower) -> None:
    tower.broken = True
    assert "the rope is torn; mend it" in ringing("test", "--notify", code=4).out
    said = ringing("problems", "--area", "notify").out
    assert said.startswith("warning: bell\n") and "[notify: not delivered]" in said
    tower.broken = False
    ringing("test", "--notify")
    assert "no problems of that sort" in ringing("problems", "--area", "notify").out


def test_a_failed_run_is_told(ringing: Shell, tower: Tower, hr: MemoryDirectory) -> None:
    hr.faults.unavailable = "nobody answers"
    ringing("run", code=None)
    assert tower.rung == ["Metasync pipeline: run 1 failed (people, groups)"]


def test_a_test_is_of_directories_or_of_notifiers(ringing: Shell) -> None:
    assert "directories or of notifiers" in ringing("test", "hr", "--notify", code=2).err


def test_a_document_without_notifiers_says_so(loaded: Shell) -> None:
    assert "names no notifier" in loaded("test", "--notify").out


def test_a_secret_of_a_notifier_is_listed_with_who_needs_it(
    shell: Shell, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Keyed(Options):
        key = Secret(title="Key", help="Of the tower.")

    class Gong(Notifier):
        name, title, Options = "gong", "The gong", Keyed

        def notify(self, notification: Notification) -> None:
            self.context.secret(self.options["key"])

    class Hall:
        @hookimpl
        def metasync_register_notifiers(self) -> Sequence[type[Notifier]]:
            return [Gong]

    host = Host.of(MemoryPlugin({"hr": hr, "ad": ad}), SmallPlugin(), Hall())
    monkeypatch.setattr(Host, "load", lambda *_, **__: host)
    shell.write(DOCUMENT.format(profiles=STAFF) + "notify: {gong: {key: {secret: tower-key}}}\n")
    shell("load")
    (listed,) = shell("secrets", "list", "--json", code=1).json
    assert (listed["name"], listed["needed_by"]) == ("tower-key", ["notify gong"])
    assert "metasync secrets set tower-key" in " ".join(shell("test", "--notify", code=4).out.split())
