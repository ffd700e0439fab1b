"""Keeping: `plugin list|verify|new|test|lock`, `secrets set|rotate|list`, `audit verify`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from metasync import service
from metasync.cli.group import metasync
from metasync.cli.output import styled
from metasync.cli.session import Exit, Session, verb
from metasync.words import counted


@metasync.group("plugin")
def plugin() -> None:
    """Plugins: which are allowed and how they stand; pin them; write and test one of your own."""


@metasync.group("secrets")
def secrets() -> None:
    """Secrets that the document refers to by name, in the encrypted store of the database."""


@metasync.group("audit")
def audit() -> None:
    """The audit log: who decided and did what, hash-chained."""


@verb(plugin, "list", examples=("metasync plugin list  # every plugin that the document allows: state, version, what it brings",))
def plugin_list(session: Session) -> None:
    """List the plugins that the document allows.

    A broken one is listed with its reason and harms nothing.
    """
    _plugins(session, service.plugins(session.settings), grants=True)


@verb(plugin, "verify", examples=("metasync plugin verify  # are the installed files those of the distribution and of metasync.lock?",))
def plugin_verify(session: Session) -> None:
    """Verify the files of each plugin.

    Imports none. Exit code 1 where one is not as it must be.
    """
    _plugins(session, service.plugins(session.settings, load=False), grants=False)


def _plugins(session: Session, found: list[service.PluginInfo], *, grants: bool) -> None:
    session.out.json([{**{name: getattr(one, name) for name in one.__dataclass_fields__}, "working": one.working} for one in found])
    rows = []
    for one in found:
        words = "\n".join(part for part in (", ".join(one.grants) if grants else "", one.reason) if part)
        rows.append((one.name, one.version, styled(one.state.value, "good" if one.working else "error"), words))
    session.out.table(("Plugin", "Version", "State", "Brings" if grants else "Reason"), rows)
    if any(not one.working for one in found):
        session.worse(Exit.FAILED)


@verb(
    plugin, "lock", examples=("metasync plugin lock  # write metasync.lock beside the document: version, digest and rights of each plugin",)
)
def plugin_lock(session: Session) -> None:
    """Pin the plugins as they are installed now.

    From then on another version, file or right is refused until it is pinned again.
    """
    path, pinned, left = service.lock_plugins(session.settings)
    session.out.json({"lock": path, "pinned": [one.name for one in pinned], "left out": [one.name for one in left]})
    session.out.line(f"wrote {path}: {', '.join(one.name for one in pinned) or 'no plugin'}")
    for one in left:
        session.out.say(f"{one.name} is not pinned: {one.reason or one.state}", "warning")
    if left:
        session.worse(Exit.FAILED)


@verb(
    plugin,
    "new",
    examples=("metasync plugin new connector payroll  # a distribution of its own in ./metasync-payroll, which passes the suite at once",),
)
@click.argument("sort", type=click.Choice(["connector", "rewrite", "matcher"]))
@click.argument("name")
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", help="Where to write it (default ./metasync-NAME)."
)
def plugin_new(session: Session, sort: str, name: str, folder: Path | None) -> None:
    """Write a working plugin of your own.

    Of this SORT, called NAME: sources, tests, packaging. Nothing that exists is overwritten.
    """
    where = service.new_plugin(sort, name, folder)
    session.out.json({"folder": where})
    session.out.line(f"wrote {where}")
    session.out.say(f"Next: pip install -e {where} 'metasync[testing]' && metasync plugin test {where}")


@verb(plugin, "test", examples=("metasync plugin test metasync-payroll  # the conformance suite, and the plugin's own tests",))
@click.argument("folder", default=Path("."), type=click.Path(file_okay=False, path_type=Path))
@click.argument("arguments", nargs=-1, metavar="[-- PYTEST ARGUMENTS]")
def plugin_test(session: Session, folder: Path, arguments: tuple[str, ...]) -> None:
    """Run a plugin's tests, the conformance suite first.

    With pytest, which comes with the extra `testing`: pip install 'metasync[testing]'
    """
    if service.test_plugin(folder, arguments) != 0:
        session.worse(Exit.FAILED)


@verb(
    secrets,
    "set",
    examples=(
        "metasync secrets set contoso-bind  # asks for the secret, twice, without showing it",
        "cat password.txt | metasync secrets set contoso-bind  # from a program: one line on standard input",
    ),
)
@click.argument("name")
def secrets_set(session: Session, name: str) -> None:
    """Keep a secret, encrypted.

    It is never an argument, so that it is in no history and no list of processes.
    """
    if sys.stdin.isatty():
        value = click.prompt(f"secret {name}", hide_input=True, confirmation_prompt=True, err=True)
    else:
        value = sys.stdin.readline().rstrip("\r\n")
    if not value:
        raise click.UsageError("the secret is empty; nothing was changed")
    with service.secret_store(session.settings) as store:
        store.set(name, value)
    session.out.json({"secret": name, "set": True})
    session.out.line(f"secret {name} is set")


@verb(secrets, "rotate", examples=("metasync secrets rotate  # a new key; every secret is encrypted again, in one transaction",))
def secrets_rotate(session: Session) -> None:
    """Encrypt every secret again with a new key.

    The secrets themselves do not change.
    """
    with service.secret_store(session.settings) as store:
        done = store.rotate()
    session.out.json(done)
    session.out.line(f"{counted(done.secrets, 'secret')} encrypted with a new key")


@verb(secrets, "list", examples=("metasync secrets list  # which names the document refers to, and where each is found; never a secret",))
def secrets_list(session: Session) -> None:
    """List the names of secrets, and where each is found."""
    found = service.secret_names(session.settings)
    session.out.json(found)
    if not found:
        session.out.line("the document refers to no secret, and none is kept")
        return
    rows = []
    for one in found:
        where = one.where or ("not needed" if not one.needed_by else "missing")
        rows.append((one.name, styled(where, "good" if one.where else "error"), ", ".join(one.needed_by)))
    session.out.table(("Secret", "Found in", "Needed by"), rows)
    missing = [one.name for one in found if one.needed_by and not one.where]
    if missing:
        session.out.say(f"set what is missing: {', '.join(f'`metasync secrets set {name}`' for name in missing)}", "warning")
        session.worse(Exit.FAILED)


@verb(audit, "verify", examples=("metasync audit verify  # was a row edited, deleted or moved? Prints the last hash, to keep elsewhere",))
def audit_verify(session: Session) -> None:
    """Verify the whole audit log.

    What was cut off at its end shows only against a copy of the last hash that is kept elsewhere.
    """
    number, last, broken = service.audit_verify(session.settings)
    session.out.json({"rows": number, "last": last, "broken": broken})
    for one in broken:
        session.out.line(f"{one.text}", "error")
    if broken:
        session.worse(Exit.FAILED)
    else:
        session.out.line(f"the audit log holds: {counted(number, 'row')}, last hash {last or 'none'}", "good")
