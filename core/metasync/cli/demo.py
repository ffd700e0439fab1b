"""`demo`: the whole job on made-up data, shown command by command, so that each can be typed again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.rule import Rule

from metasync import service
from metasync.cli.group import metasync
from metasync.cli.session import Exit, Session, verb


@verb(
    metasync,
    "demo",
    examples=(
        "metasync demo  # an HR file of 400 people and a directory kept as CSV, in ./metasync-demo",
        "metasync demo /tmp/try --people 2000",
        "metasync demo --entra-lab tenant/facts.json  # into the tenant of `metasync lab entra --users 0 --groups 0 --folder tenant`",
        "metasync demo --only-files  # write document and files, and try the commands yourself",
    ),
)
@click.argument("folder", required=False, default=Path("metasync-demo"), type=click.Path(file_okay=False, path_type=Path))
@click.option("--people", type=click.IntRange(60, 200_000), default=400, metavar="N", help="How many people HR knows.")
@click.option("--only-files", is_flag=True, help="Write the document and the files, and stop there.")
@click.option("--ad-server", metavar="HOST", help="Into an Active Directory domain: its domain controller.")
@click.option("--ad-certificate-name", metavar="NAME", help="The name in the domain controller's certificate.")
@click.option("--ad-base", metavar="DN", help="The domain; it needs OU=Imported and OU=Groups.")
@click.option("--ad-bind", metavar="ACCOUNT", help="Who signs in; the password is METASYNC_SECRET_DOMAIN_BIND.")
@click.option("--ad-ca-file", metavar="FILE", help="The authority of the domain controller's certificate.")
@click.option(
    "--entra-lab",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Into a lab tenant of Entra ID: the line that `metasync lab entra` printed.",
)
def demo(
    session: Session,
    folder: Path,
    people: int,
    only_files: bool,
    ad_server: str | None,
    ad_certificate_name: str | None,
    ad_base: str | None,
    ad_bind: str | None,
    ad_ca_file: str | None,
    entra_lab: Path | None,
) -> None:
    """See the whole job on made-up data.

    Plan, approve, export, confirm, explain, undo, shown command by command. Touches nothing but FOLDER, and the domain or the lab tenant
    where one is named.
    """
    if session.as_json:
        raise click.UsageError("the demo is for people; the commands that it shows all know --json")
    domain = None
    if ad_server is not None:
        if not (ad_base and ad_bind and ad_ca_file):
            raise click.UsageError("for a domain say --ad-server, --ad-base, --ad-bind and --ad-ca-file")
        if entra_lab is not None:
            raise click.UsageError("say --ad-server or --entra-lab: the demo has one target")
        domain = service.Domain(server=ad_server, host=ad_certificate_name or ad_server, base=ad_base, bind=ad_bind, ca=ad_ca_file)
    shown = Session(engagement=folder / service.DOCUMENT_NAME)
    stage = service.Stage(
        say=lambda words: _say(session, words),
        run=lambda command: _run(session, shown, command),
        plans=lambda state: [one.id for one in shown.ask(service.open_plans) if one.state == state],
        changes=lambda: sum(one.changes for one in shown.ask(service.open_plans)),
        last_export=lambda: shown.ask(_last_export),
    )
    tour = service.Tour(folder=folder, stage=stage, people=people, domain=domain, entra_lab=entra_lab)
    session.out.results.print(Rule("Metasync", style="bold"))
    _say(session, f"An HR file of {people} people, and a {tour.target.word if tour.target else 'directory'} to keep in step with it:")
    tour.prepare()
    if not only_files:
        tour.show()
    _say(session, "What to type next:")
    here = shlex.quote(str(folder))
    rows = [
        (f"cd {here}", ""),
        ("metasync objects --text garcia", "look around"),
        ("metasync problems", "what a person should know"),
        ("metasync release --all && metasync run", "let the second day happen after all"),
        ("metasync run --help", "every command teaches with examples"),
    ]
    if only_files:
        rows = [(f"cd {here}", ""), ("metasync load", "accept the document"), ("metasync run", "see what would be changed")]
    session.out.pairs((f"  {command}", words) for command, words in rows)


def _say(session: Session, words: str) -> None:
    if not words.startswith(" "):
        session.out.line()
    session.out.line(words, "" if words.startswith(" ") else "heading")


def _run(session: Session, shown: Session, command: Sequence[str]) -> int:
    """Do a command as if it had been typed in the folder."""
    session.out.line(f"$ metasync {shlex.join(command)}", "notice")
    step = replace(shown, code=Exit.DONE)
    try:
        metasync.main(args=list(command), prog_name="metasync", standalone_mode=False, obj=step)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    return int(step.code)


def _last_export(workspace: service.Workspace) -> int:
    """The newest run that wrote something."""
    wrote = [
        one.id
        for one in service.runs(workspace, limit=50)
        if one.kind in ("export", "run") and (one.counts.keys() & {"confirmed", "written"})
    ]
    return wrote[0]
