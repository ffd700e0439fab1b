"""`--help` teaches: every verb says in a sentence what it does, and shows examples that can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import pytest

from metasync.cli.group import SECTIONS, metasync
from metasync.cli.main import run
from metasync.cli.session import Verb

from .conftest import Shell


def verbs(group: click.Group = metasync, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from verbs(command, (*path, name))
        else:
            yield (*path, name), command


VERBS = dict(verbs())


def test_every_verb_of_the_design_is_there() -> None:
    wanted = {
        *("init", "check", "load", "test", "doctor", "demo", "migrate"),
        *("import", "plan", "approve", "export", "confirm", "run", "pause", "resume", "stop", "undo", "release"),
        *("explain", "objects", "problems", "runs", "show", "join", "unjoin", "ignore"),
        *("wave list", "wave move", "wave cut-over", "wave back", "wave report"),
        *("plugin list", "plugin verify", "plugin new", "plugin test", "plugin lock"),
        *("worker", "scheduler", "up"),
        *("secrets set", "secrets rotate", "secrets list", "audit verify"),
    }
    assert {" ".join(path) for path in VERBS} == wanted


def test_every_verb_stands_in_a_section_of_the_help() -> None:
    listed = {name for names in SECTIONS.values() for name in names}
    assert {path[0] for path in VERBS} == listed


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_every_verb_has_examples_that_begin_with_its_own_name(path: tuple[str, ...]) -> None:
    command = VERBS[path]
    assert isinstance(command, Verb)
    assert command.examples
    for example in command.examples:
        words = example.partition("  # ")[0]
        assert f"metasync {' '.join(path)}" in words


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_examples_are_accepted_as_they_stand(path: tuple[str, ...]) -> None:
    for example in VERBS[path].examples:  # type: ignore[attr-defined]
        typed = example.partition("  # ")[0]
        for part in typed.replace("|", "&&").split("&&"):
            words = shlex.split(part.partition(" > ")[0])
            if words[:1] != ["metasync"]:
                continue
            command, context, rest = metasync, click.Context(metasync, info_name="metasync"), words[1:]
            while isinstance(command, click.Group):
                name, rest = rest[0], rest[1:]
                command = command.commands[name]
            command.make_context(" ".join(path), rest, parent=context, resilient_parsing=False).close()


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_help_shows_examples_and_fits_into_80_columns(path: tuple[str, ...], shell: Shell) -> None:
    done = shell(*path, "--help")
    assert "Examples:" in done.out
    assert "$ metasync" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_the_list_of_verbs_cuts_no_sentence_off(path: tuple[str, ...]) -> None:
    assert not VERBS[path].get_short_help_str(60).endswith("...")


def test_every_option_has_help() -> None:
    for path, command in VERBS.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{' '.join(path)} {parameter.opts}"


def test_the_bare_command_shows_the_help(shell: Shell) -> None:
    done = shell(code=None)
    assert "The job:" in done.out + done.err


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    from metasync import __version__

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"metasync {__version__}\n"
