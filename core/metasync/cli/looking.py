"""Looking and deciding: `explain`, `objects`, `problems`, `runs`, `show`, `join`, `unjoin`, `ignore`. Of waves see `waves`."""

from __future__ import annotations

from itertools import islice
from typing import Any

import click

from metasync import service
from metasync.cli.following import follow_runs
from metasync.cli.group import metasync
from metasync.cli.output import styled, when
from metasync.cli.session import Exit, Session, reason_option, verb
from metasync.cli.tables import plan_as_json, plan_table, show_plan, states_line
from metasync.contract import Kind
from metasync.words import counted

OBJECT = click.argument("name", metavar="OBJECT")
ALL = click.option("--all", "everything", is_flag=True, help="Show all of them.")
LIMIT = click.option("--limit", type=click.IntRange(min=1), default=50, metavar="N", help="Show at most N.")
KIND = click.Choice([kind.value for kind in Kind])
STATE = click.Choice(["live", "unread", "gone"])
AREA = click.Choice(["import", "synchronise", "plan", "export", "undo", "wave", "notify"])
SEVERITY = click.Choice(["error", "warning", "notice"])
STYLE_OF = {"done": "good", "failed": "error", "stopped": "warning", "waiting": "warning", "running": "notice", "queued": "dim"}


@verb(
    metasync,
    "explain",
    examples=(
        "metasync explain hr/E1001  # what each profile makes of this person, and why, or why not",
        "metasync explain directory:mail=ann@fabrikam.test title  # where this value comes from",
        'metasync explain "Ann Lee" mail  # by name, where only one object is called that',
    ),
)
@OBJECT
@click.argument("attribute", required=False)
def explain(session: Session, name: str, attribute: str | None) -> None:
    """Explain a value, or why something is not there.

    OBJECT is DIRECTORY/ANCHOR, DIRECTORY:attribute=value, or an anchor or a name that only one object has.
    """
    found = session.ask(lambda workspace: service.explain(workspace, name, attribute))
    session.out.json(found)
    for one in found:
        session.out.line(f"{one.object} ({one.label})" + (f", profile {one.profile}" if one.profile else "") + f": {one.status}", "heading")
        session.out.pairs((line.topic, line.words) for line in one.lines)


@verb(
    metasync,
    "objects",
    examples=(
        "metasync objects  # how many there are, by directory, kind and state",
        "metasync objects --directory hr --text lee  # search by name or anchor",
        "metasync objects --directory directory --unjoined --all --json",
        "metasync objects --directory hr --after hr/E1050  # the next 50",
    ),
)
@click.option("--directory", multiple=True, help="Of this directory; may be repeated.")
@click.option("--kind", multiple=True, type=KIND, metavar="KIND", help=f"Of this kind: {', '.join(KIND.choices)}.")
@click.option("--state", multiple=True, type=STATE, metavar="STATE", help="In this state: live (default), unread, gone.")
@click.option("--text", default="", metavar="TEXT", help="Whose name or anchor holds this.")
@click.option("--joined/--unjoined", "joined", default=None, help="Only those that are joined to an identity, or that are not.")
@click.option("--after", default="", metavar="OBJECT", help="Go on behind this one, DIRECTORY/ANCHOR; they are in the order of these.")
@LIMIT
@ALL
def objects(
    session: Session,
    directory: tuple[str, ...],
    kind: tuple[str, ...],
    state: tuple[str, ...],
    text: str,
    joined: bool | None,
    after: str,
    limit: int,
    everything: bool,
) -> None:
    """List objects as they were last imported.

    Without any option: how many there are, by directory, kind and state.
    """
    if not (directory or kind or state or text or after or everything) and joined is None and not session.as_json:
        rows = session.ask(service.object_counts)
        session.out.table(("Directory", "Kind", "State", "Objects"), rows, right=("Objects",))
        return

    def work(workspace: service.Workspace) -> None:
        names = service.known_directories(workspace, directory) if directory else ()
        states = state or ("live",)
        found = service.objects(workspace, after=after, directories=names, kinds=kind, states=states, text=text, joined=joined)
        shown = found if everything else islice(found, limit)
        if session.as_json:
            session.out.json({"object": one.name, **_object_fields(one)} for one in shown)
            return
        last = ""

        def row(one: service.Seen) -> tuple[str, str, str, str]:
            nonlocal last
            last = one.name
            return one.name, one.kind, one.label, f"{one.state}{', joined' if one.identity is not None else ''}"

        if not session.out.rows(("Object", "Kind", "Name", "State"), map(row, shown)):
            session.out.line("no objects of that sort; `metasync objects` counts all")
        elif next(found, None) is not None:
            session.out.say(f"there are more than {limit}; go on with --after {_quoted(last)}, show them with --all, or narrow it down")

    session.ask(work)


def _object_fields(one: service.Seen) -> dict[str, object]:
    return {
        "kind": one.kind,
        "label": one.label,
        "state": one.state,
        "joined": one.identity is not None,
        "identity": one.identity,
        "created": one.created,
        "privileged": one.privileged,
    }


@verb(
    metasync,
    "problems",
    examples=(
        "metasync problems  # what stands, the worst first",
        "metasync problems --of staff --severity error",
        "metasync problems --object hr/E1001 --json",
    ),
)
@click.option(
    "--area", multiple=True, type=AREA, metavar="AREA", help="Of this step: import, synchronise, plan, export, undo, wave, notify."
)
@click.option("--of", multiple=True, metavar="NAME", help="Of this directory, profile, wave or notifier.")
@click.option("--severity", multiple=True, type=SEVERITY, metavar="SEVERITY", help="error, warning or notice.")
@click.option("--code", multiple=True, help="Of this sort.")
@click.option("--object", "name", metavar="OBJECT", help="Of this object.")
@LIMIT
@ALL
def problems(
    session: Session,
    area: tuple[str, ...],
    of: tuple[str, ...],
    severity: tuple[str, ...],
    code: tuple[str, ...],
    name: str | None,
    limit: int,
    everything: bool,
) -> None:
    """List what is wrong, with which object, what to do."""

    def work(workspace: service.Workspace) -> None:
        filters: dict[str, Any] = {"name": name, "areas": area, "of": of, "severities": severity, "codes": code}
        found = service.problems(workspace, **filters)
        shown = found if everything else islice(found, limit)
        if session.as_json:
            session.out.json(shown)
            return
        number = 0
        for one in shown:
            number += 1
            _print_problem(session, one)
        narrowed = any(filters.values())
        if not number:
            words = "no problems of that sort; `metasync problems` lists all" if narrowed else "no problems"
            session.out.line(words, "" if narrowed else "good")
        elif next(found, None) is not None:
            more = service.count_problems(workspace, **filters) - number
            session.out.say(f"there are more than {limit}, {more} more; narrow it down, or show them with --all")

    session.ask(work)


def _print_problem(session: Session, one: service.ProblemRow) -> None:
    where = " ".join(
        part for part in (one.object, f"({one.label})" if one.label and one.label not in one.object else "", one.attribute) if part
    )
    session.out.line(f"{one.severity}: {one.of}: {where}" if where else f"{one.severity}: {one.of}", one.severity)
    session.out.line(f"  {one.text}  [{one.area}: {one.code}]")


@verb(
    metasync,
    "runs",
    examples=(
        "metasync runs  # the last runs, newest first",
        "metasync runs --follow  # what is under way, live: how far, how fast, what is waited for; Ctrl-C ends it",
        "metasync runs --limit 100 --json",
    ),
)
@click.option("--limit", type=click.IntRange(min=1), default=20, metavar="N", help="Show at most N.")
@click.option("--follow", is_flag=True, help="Show what is under way, until Ctrl-C.")
def runs(session: Session, limit: int, follow: bool) -> None:
    """List the last runs, and the plans that wait."""
    if follow:
        follow_runs(session)
        return
    found, waiting, paused = session.ask(
        lambda workspace: (
            service.runs(workspace, limit=limit),
            service.open_plans(workspace),
            sorted(service.paused_profiles(workspace).intersection(workspace.engagement.profiles)),
        )
    )
    session.out.json({"runs": found, "open plans": waiting, "paused": paused})
    session.out.table(
        ("Run", "Kind", "State", "Started (UTC)", "Of"),
        [(one.id, one.kind, styled(one.state, STYLE_OF.get(one.state, "")), when(one.started)[:-1], _of(one)) for one in found],
        right=("Run",),
    )
    plan_table(session.out, waiting)
    if paused:
        session.out.line(f"paused: {', '.join(paused)}; left out by `run` and by schedules until `metasync resume {' '.join(paused)}`")


def _of(run: service.RunRow) -> str:
    """What it was asked to do, and why it failed."""
    return "\n".join(part for part in (", ".join(run.what), run.error) if part)


@verb(
    metasync,
    "show",
    examples=(
        "metasync show 4  # plan 4: counts, limits, the first 50 changes with before, after and rule",
        "metasync show plan 4 --operation delete --operation disable --all",
        "metasync show run 12  # run 12: its steps, plans and what was written",
    ),
)
@click.argument("what", nargs=-1, required=True, metavar="[plan|run] NUMBER")
@click.option("--all", "everything", is_flag=True, help="Of a plan: all changes, not only the first 50.")
@click.option("--operation", multiple=True, metavar="OPERATION", help="Of a plan: only such changes; may be repeated.")
@click.option("--object", "text", default="", metavar="TEXT", help="Of a plan: only of objects whose name or anchor holds this.")
def show(session: Session, what: tuple[str, ...], everything: bool, operation: tuple[str, ...], text: str) -> None:
    """Show a plan or a run.

    A number alone is a plan's.
    """
    word, number = _what(what)
    if word == "run":
        _show_run(session, number)
        return
    limit = None if everything or session.as_json else 50

    def work(workspace: service.Workspace) -> None:
        found = service.show_plan(workspace, number)
        changes = service.changes_of(workspace, found, limit=limit, operations=operation, text=text)
        if session.as_json:
            session.out.json(plan_as_json(workspace, found, changes))
        else:
            show_plan(session.out, found, changes, lambda: service.matching(workspace, found, operations=operation, text=text))

    session.ask(work)


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _what(words: tuple[str, ...]) -> tuple[str, int]:
    word, number = ("plan", words[0]) if len(words) == 1 else (words[0], words[1])
    if len(words) > 2 or word not in ("plan", "run") or not number.isdecimal():
        raise click.UsageError("say `show NUMBER` or `show plan NUMBER` for a plan, `show run NUMBER` for a run")
    return word, int(number)


def _show_run(session: Session, number: int) -> None:
    found = session.ask(lambda workspace: service.show_run(workspace, number))
    session.out.json({"run": found.run, "steps": found.steps, "plans": found.plans, "written": found.written})
    run = found.run
    session.out.line(f"Run {run.id}: {run.kind} of {', '.join(run.what)}", "heading")
    rows = [
        ("state", run.state),
        ("started", f"{when(run.started)} by {run.author}"),
        ("finished", when(run.finished)),
        ("error", run.error or ""),
    ]
    session.out.pairs((name, value) for name, value in rows if value)
    steps = [(one.name, one.of, styled(one.state, STYLE_OF.get(one.state, "")), one.text) for one in found.steps]
    session.out.table(("Step", "Of", "State", "Result"), steps)
    plan_table(session.out, found.plans)
    if found.written:
        states_line(session.out, "written by this run", found.written)


@verb(
    metasync,
    "join",
    examples=('metasync join hr/E1001 directory/4711 --reason "same person, married name"  # whatever the match rules say',),
)
@click.argument("one")
@click.argument("other")
@reason_option
def join(session: Session, one: str, other: str, reason: str) -> None:
    """Join two objects by hand.

    ONE and OTHER stand for the same person, group or contact, whatever the match rules say. Kept across revisions.
    """
    pair = session.ask(lambda workspace: service.join(workspace, one, other, reason))
    session.out.json({"joined": [seen.name for seen in pair]})
    session.out.line(f"{pair[0].name} and {pair[1].name} are a pair; the next plan acts on it")


@verb(
    metasync,
    "unjoin",
    examples=('metasync unjoin hr/E1001 directory/4711 --reason "two people of one name"  # and keep them apart',),
)
@click.argument("one")
@click.argument("other", required=False)
@reason_option
def unjoin(session: Session, one: str, other: str | None, reason: str) -> None:
    """Take two objects apart, and keep them apart.

    OTHER may be left out where ONE has one partner only.
    """
    left = session.ask(lambda workspace: service.unjoin(workspace, one, other, reason))
    session.out.json({"left": left.name})
    session.out.line(f"{left.name} left the identity; the next plan acts on it")


@verb(
    metasync,
    "ignore",
    examples=(
        'metasync ignore hr/E1001 --reason "test account"  # leave it alone: no profile acts on it',
        'metasync ignore hr/E1001 --take-back --reason "real after all"',
    ),
)
@OBJECT
@reason_option
@click.option("--take-back", is_flag=True, help="Take back what was decided by hand about the object: ignore, join and unjoin.")
def ignore(session: Session, name: str, reason: str, take_back: bool) -> None:
    """Leave an object alone.

    It is neither matched nor changed by any profile.
    """
    found, number = session.ask(lambda workspace: service.ignore(workspace, name, reason, take_back=take_back))
    session.out.json({"object": found.name, "ignored": not take_back, "decisions": number})
    if take_back:
        session.out.line(f"took back {counted(number, 'decision')} about {found.name}")
        if not number:
            session.worse(Exit.FAILED)
    else:
        session.out.line(f"{found.name} is left alone from now on")
