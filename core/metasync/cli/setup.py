"""Set-up: `demo`, `init`, `check`, `load`, `test`, `doctor`, `migrate`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import click

from metasync import service
from metasync.cli.group import metasync
from metasync.cli.output import Output, Reporter, styled
from metasync.cli.session import Exit, Session, verb
from metasync.contract import Purpose, Right
from metasync.words import counted

FILE = click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))


@verb(
    metasync,
    "init",
    examples=(
        "metasync init  # write an example document, with CSV files, into this folder",
        "metasync init contoso && cd contoso && metasync load && metasync run  # and see it work",
    ),
)
@click.argument("folder", required=False, default=Path("."), type=click.Path(file_okay=False, path_type=Path))
def init(session: Session, folder: Path) -> None:
    """Write a commented example that runs at once.

    A document and small CSV directories, into FOLDER. Nothing that exists is overwritten.
    """
    written = service.init(folder)
    session.out.json({"written": written})
    for path in written:
        session.out.line(f"wrote {path}")
    here = "" if folder == Path(".") else f"cd {folder} && "
    session.out.say(f"Next: {here}metasync load && metasync run")


@verb(
    metasync,
    "check",
    examples=(
        "metasync check contoso.yaml  # is the document sound? Every problem with file, line, key and what is allowed",
        "metasync check contoso.yaml --json  # for an editor or a pipeline",
    ),
)
@FILE
def check(session: Session, file: Path | None) -> None:
    """Check a document without loading it.

    Its keys, expressions and plugins, and what it promises that a directory cannot keep. Every problem names file, line and key,
    and says what is allowed there.
    """
    _choose(session, file)
    try:
        found = service.check(session.settings)
    except service.DocumentError as error:
        session.out.json({"sound": False, "problems": error.problems})
        if session.as_json:
            session.worse(Exit.USAGE)
            return
        raise
    session.out.json(
        {
            "sound": True,
            "engagement": found.engagement.name,
            "notices": found.notices,
            "warnings": found.warnings,
            "plugins": found.plugins,
        }
    )
    engagement = found.engagement
    parts = (counted(len(engagement.directories), "directory", "directories"), counted(len(engagement.profiles), "profile"))
    session.out.line(f"{session.engagement} is sound: {engagement.name}, {', '.join(parts)}", "good")
    for notice in found.notices:
        session.out.line(f"{session.engagement}:{notice.line}: {notice.key}: {notice.text}", "notice")
    for warning in found.warnings:
        session.out.line(f"warning: {warning}", "warning")


@verb(
    metasync,
    "load",
    examples=(
        "metasync load  # accept metasync.yaml of this folder as the newest revision",
        "metasync load contoso.yaml --database sqlite:////var/lib/metasync/contoso.db",
    ),
)
@FILE
def load(session: Session, file: Path | None) -> None:
    """Accept a document as the newest revision.

    Every other command acts on what was loaded last. Makes the database where there is none.
    """
    _choose(session, file)
    done = service.load(session.settings)
    session.out.json(
        {
            "engagement": done.engagement.name,
            "revision": done.revision,
            "new": done.fresh,
            "database": done.database,
            "elsewhere": done.elsewhere,
        }
    )
    said = "is loaded" if done.fresh else "was loaded before, nothing changed"
    session.out.line(f"revision {done.revision} of {done.engagement.name} {said}")
    if done.elsewhere:
        session.out.say(
            f"{done.engagement.name} was loaded from {done.elsewhere} before. Documents of one name are one engagement: the one that was "
            "loaded last counts. If these are two, give this one another `engagement:`, and load the other one again",
            "warning",
        )
    for notice in done.engagement.notices:
        session.out.say(f"{session.engagement}:{notice.line}: {notice.key}: {notice.text}", "notice")


@verb(
    metasync,
    "test",
    examples=(
        "metasync test  # connect to every directory; shows what it is and which rights are granted, missing or excessive",
        "metasync test contoso --json",
        "metasync test --notify  # a trial notification by each notifier of `notify:`",
    ),
)
@click.argument("directory", nargs=-1)
@click.option("--notify", is_flag=True, help="Connect to no directory; send a trial notification by each notifier instead.")
def test(session: Session, directory: tuple[str, ...], notify: bool) -> None:
    """Connect to directories, and show our rights there.

    To each DIRECTORY, or all: what it is, what it can hold, which rights are granted, missing or excessive. Changes nothing.
    """
    if notify:
        if directory:
            raise service.UsageError("a test is of directories or of notifiers; leave out the directories, or --notify")
        _test_notifiers(session)
        return
    found = session.ask(lambda workspace: service.test_directories(workspace, directory))
    session.out.json(found)
    for one in found:
        _show_test(session.out, one)
        if one.error is not None:
            session.worse(Exit.UNAVAILABLE if one.unavailable else Exit.FAILED)


def _test_notifiers(session: Session) -> None:
    found = session.ask(service.try_notifiers)
    session.out.json(found)
    if not found:
        session.out.line("the document names no notifier under `notify:`")
    for one in found:
        if one.error is None:
            session.out.line(f"{one.notifier}: sent", "good")
        else:
            session.out.line(f"{one.notifier}: failed", "error")
            session.out.pairs([("error", one.error)])
            session.worse(Exit.UNAVAILABLE)


def _show_test(out: Output, one: service.Tested) -> None:
    if one.error is not None or one.check is None:
        out.line(f"{one.directory}: failed", "error")
        out.pairs([("connector", one.connector), ("error", one.error)])
        return
    found, missing = one.check, bool(one.check.missing)
    out.line(f"{one.directory}: {'works, rights are missing' if missing else 'works'}", "warning" if missing else "good")
    kinds = one.schema.kinds.values() if one.schema else ()
    rows = [
        ("connector", f"{one.connector}: {', '.join(one.capabilities) or 'reads only'}"),
        ("identity", found.identity),
        ("software", found.software),
        ("kinds", ", ".join(f"{kind.kind} ({len(kind.attributes)} attributes)" for kind in kinds)),
        ("used for", ", ".join(sorted(one.purposes))),
        ("granted", ", ".join(found.granted)),
        ("missing", ", ".join(found.missing)),
        ("excessive", ", ".join(found.excessive)),
        *(("warning", warning) for warning in found.warnings),
    ]
    out.pairs((name, value) for name, value in rows if value)
    if found.rights:
        _show_rights(out, one.purposes, found.rights)


def _show_rights(out: Output, used: Collection[Purpose], rights: Sequence[Right]) -> None:
    """Each purpose, also those that the document does not have (yet), and how to grant what is missing of those that it has."""
    rows = []
    for one in rights:
        state, style = _state(one, used)
        rows.append((one.purpose.value, one.right, styled(state, style)))
    out.table(("For", "Right", "State"), rows)
    lacking = [one for one in rights if one.purpose in used and not one.granted and one.commands]
    if lacking:
        out.line("To grant what is missing, an administrator of the domain runs one of:")
    for one in lacking:
        out.line(f"# {one.purpose}: {one.right}")
        for command in one.commands:
            out.line(f"  {command}")


def _state(right: Right, used: Collection[Purpose]) -> tuple[str, str]:
    if right.granted:
        return "granted", "good"
    if right.purpose not in used:
        return "not granted, not needed here", ""
    return (f"not granted: {right.optional}", "notice") if right.optional else ("MISSING", "warning")


@verb(
    metasync,
    "doctor",
    examples=(
        "metasync doctor  # is everything in order here? Python, plugins, document, database, directories, audit log",
        "metasync doctor --json > report.json  # holds no secret; send it along when you ask for help",
    ),
)
def doctor(session: Session) -> None:
    """Look whether everything is in order here.

    Python, plugins, document, database, directories, audit log; and of what is not in order, what to do. Changes nothing.
    """
    with Reporter(session.out) as report:
        found = service.doctor(service.with_report(session.settings, report))
    session.out.json(found)
    marks = {"good": "ok", "notice": "note", "warning": "warning", "error": "problem"}
    session.out.table(("", "What", "Found"), [(styled(marks[one.level], one.level), one.what, one.text) for one in found])
    if any(one.level == "error" for one in found):
        session.worse(Exit.FAILED)


@verb(
    metasync,
    "migrate",
    examples=("metasync migrate  # after an upgrade of Metasync, and after a backup of the database",),
)
def migrate(session: Session) -> None:
    """Bring the database to this version of Metasync.

    Make a backup first; there is no way back.
    """
    url = service.migrate(session.settings)
    session.out.json({"database": url})
    session.out.line(f"{url} has the schema of this version")


def _choose(session: Session, file: Path | None) -> None:
    if file is not None:
        session.engagement = file
