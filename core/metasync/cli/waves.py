"""Waves: `wave list`, `wave move`, `wave cut-over`, `wave back`, `wave report`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click

from metasync import service
from metasync.cli.group import metasync
from metasync.cli.output import styled, when
from metasync.cli.session import Exit, Session, reason_option, verb
from metasync.words import counted

NAME = click.argument("name", metavar="WAVE")
ONLY = click.option(
    "--object", "objects", multiple=True, metavar="OBJECT", help="Only this person: his key, his name, or an object; may be repeated."
)
EXCEPT = click.option("--except", "but", multiple=True, metavar="OBJECT", help="Leave this person out; may be repeated.")
READY = click.option("--ready", is_flag=True, help="Let those go who can, and leave the others where they are.")
STYLES = {"waiting": "dim", "moving": "warning", "cut over": "good"}
SHOWN = 20
"""People who cannot go that are shown, unless --json is asked for."""


@metasync.group("wave")
def wave() -> None:
    """Move people together, wave by wave.

    A wave is a file of keys that the document names. Each person in it is waiting, then moving, then cut over; mappings, scopes and
    exporters read that as `wave.state`. Whoever is in no wave is waiting.
    """


@verb(wave, "list", examples=("metasync wave list  # the waves, and how far their people are",))
def wave_list(session: Session) -> None:
    """List the waves, and how far their people are.

    Reads the files of the waves again. Keys that mean nobody, or not only one, are problems.
    """
    found = session.ask(service.waves)
    session.out.json(found)
    if not found:
        session.out.line("the document has no waves; write `waves: {NAME: {file: NAME.csv, key: ATTRIBUTE}}`")
        return
    columns = ("Wave", "Keys", "Found", "Waiting", "Moving", "Cut over", "Problems", "File")
    rows = [(one.wave, one.keys, one.meant, one.waiting, one.moving, one.cut_over, one.problems, Path(one.file).name) for one in found]
    session.out.table(columns, rows, right=columns[1:-1])
    if any(one.problems for one in found):
        session.out.say("see `metasync problems --area wave`", "warning")


@verb(
    wave,
    "move",
    examples=(
        'metasync wave move leeds --reason "CHG-1017"  # its people begin to move; the next plan acts on it',
        'metasync wave move leeds --object E1001 --reason "a pilot of one"',
        'metasync wave move leeds --ready --reason "three keys are being looked up"  # without those whom nobody knows',
    ),
)
@NAME
@ONLY
@EXCEPT
@READY
@reason_option
def move(session: Session, name: str, objects: tuple[str, ...], but: tuple[str, ...], ready: bool, reason: str) -> None:
    """Let the people of a wave begin to move.

    Those of WAVE who are waiting are moving then. Where a key means nobody, nobody moves, unless --except or --ready is given.
    """
    _go(session, name, lambda workspace: service.wave_move(workspace, name, reason=reason, objects=objects, but=but, ready=ready))


@verb(
    wave,
    "cut-over",
    examples=(
        'metasync wave cut-over leeds --reason "CHG-1018"  # all of them, or nobody, with reasons',
        'metasync wave cut-over leeds --except E1007 --reason "E1007 is on leave"',
        'metasync wave cut-over leeds --ready --reason "the rest follows on Monday"',
    ),
)
@NAME
@ONLY
@EXCEPT
@READY
@reason_option
def cut_over(session: Session, name: str, objects: tuple[str, ...], but: tuple[str, ...], ready: bool, reason: str) -> None:
    """Hand the people of a wave over.

    Authority moves person by person. It is refused while anything of somebody is pending, in flight, not confirmed or drifting:
    then nobody is cut over, unless --except or --ready is given. `metasync wave back` reverses it.
    """
    _go(session, name, lambda workspace: service.wave_cut_over(workspace, name, reason=reason, objects=objects, but=but, ready=ready))


@verb(
    wave,
    "back",
    examples=(
        'metasync wave back leeds --reason "mail does not arrive"  # who is cut over is moving again',
        'metasync wave back leeds --to waiting --reason "postponed"  # as if they had never begun',
        'metasync wave back leeds --object E1007 --reason "only this one"  # then `metasync undo --wave leeds` plans the way back',
    ),
)
@NAME
@click.option("--to", type=click.Choice(["moving", "waiting"]), default="moving", metavar="STATE", help="To moving, or to waiting.")
@ONLY
@EXCEPT
@reason_option
def back(session: Session, name: str, to: str, objects: tuple[str, ...], but: tuple[str, ...], reason: str) -> None:
    """Take the people of a wave back.

    Those of WAVE who are cut over are moving again; with `--to waiting` all of them wait. Nothing is written by that: plan, or plan the
    way back with `metasync undo --wave`.
    """
    _go(session, name, lambda workspace: service.wave_back(workspace, name, reason=reason, to=to, objects=objects, but=but))


def _go(session: Session, name: str, work: Callable[[service.Workspace], service.Moved]) -> None:
    done = session.work(work)
    session.out.json(
        {
            "wave": done.wave,
            "state": done.state,
            "done": done.done,
            "people": [_person(one) for one in done.people] if done.done else [],
            "refused": [{**_person(one.person), "why": list(one.why)} for one in done.refused],
            "already": done.already,
            "sent back": done.sent_back,
        }
    )
    for one in done.refused[:SHOWN]:
        session.out.line(f"{one.person.name}: {'; '.join(one.why)}", "warning")
    if len(done.refused) > SHOWN:
        session.out.line(f"... and {len(done.refused) - SHOWN} more: `metasync wave report {name} --all`", "warning")
    if not done.done:
        if done.refused:
            can = f"{counted(len(done.people), 'person', 'people')} could go" if done.people else "nobody could go"
            session.out.line(
                f"nobody of {name} was moved on, because {counted(len(done.refused), 'person', 'people')} cannot; {can}", "error"
            )
            if done.people:
                session.out.say("Put that right, leave them out with --except, or let the others go with --ready")
            session.worse(Exit.FAILED)
        else:
            session.out.line(
                f"nobody of {name} was to be moved on; {counted(done.already, 'person', 'people')} {_be(done.already)} {done.state}"
            )
        return
    session.out.line(f"{_people(len(done.people))} of {name} {_be(len(done.people))} {done.state} now", "good")
    if done.sent_back:
        session.out.line(f"{counted(done.sent_back, 'change')} that {_were(done.sent_back)} planned before went back to review")
    if not done.read_by:
        session.out.say("no profile reads `wave`: that changes no plan", "notice")
    else:
        session.out.say("Next: metasync plan")


def _people(number: int) -> str:
    return counted(number, "person", "people")


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _person(one: Any) -> dict[str, Any]:
    return {"key": one.key, "label": one.label, "before": one.state}


@verb(
    wave,
    "report",
    examples=(
        "metasync wave report leeds  # a rehearsal: who is found where, what would be done, who is ready",
        "metasync wave report leeds --all --json > leeds.json",
    ),
)
@NAME
@click.option("--all", "everything", is_flag=True, help="Show everybody, not only the first 50.")
def report(session: Session, name: str, everything: bool) -> None:
    """Rehearse a wave.

    Shows who is in WAVE, in which directories they were found, what a plan would do for them, those who wait taken as moving, and what
    speaks against the cut-over of each. Writes nothing.
    """
    found = session.work(lambda workspace: service.wave_report(workspace, name))
    if session.as_json:
        session.out.json(_report_as_json(found))
        return
    out = session.out
    ready = sum(one.ready for one in found.people)
    states = found.states()
    out.line(f"Wave {found.wave}", "heading")
    rows: list[tuple[str, object]] = [
        ("file", f"{found.file}, by {found.key}" if found.file else "the document does not have it any more"),
        ("people", f"{len(found.people)}: " + (", ".join(f"{number} {state}" for state, number in states.items()) or "nobody")),
        *((f"in {where}", f"{there} found, {missing} missing") for where, (there, missing) in found.found_in().items()),
        *((f"profile {profile}", words) for profile, words in _sums(found)),
        ("ready", f"{ready} of {len(found.people)} for the cut-over"),
        ("imported", ", ".join(f"{where} {when(at) or 'never'}" for where, at in found.imported.items())),
    ]
    out.pairs(rows)
    shown = found.people if everything else list(islice(found.people, 50))
    if shown:
        out.line()
        out.table(("Key", "Person", "State", "Found in", "Would be", "Cut-over"), map(_row, shown))
    if len(shown) < len(found.people):
        out.line(f"{len(found.people) - len(shown)} more: `metasync wave report {name} --all`")
    for text in found.problems:
        out.line(text, "warning")
    for profile, why in found.not_tried.items():
        out.say(f"what {profile} would do is not known: {why}", "warning")
    if not found.read_by:
        out.say("no profile reads `wave`: to move people changes no plan", "notice")
    if not found.as_of_now:
        out.say("another run works: the file is as it was read last", "notice")


def _sums(found: service.WaveReport) -> Iterable[tuple[str, str]]:
    of_profile: dict[str, list[str]] = {}
    for (profile, what), number in found.outcomes().items():
        of_profile.setdefault(profile, []).append(f"{number} {what}")
    return ((profile, ", ".join(parts)) for profile, parts in of_profile.items())


def _row(one: service.Rehearsed) -> Sequence[object]:
    there = [found.directory + ("" if found.joined else " (not joined)") for found in one.found]
    where = "\n".join(dict.fromkeys([*there, *(f"not in {name}" for name in one.missing)]))
    would = "\n".join(dict.fromkeys(f"{f.profile}: {f.what}" for f in one.outcomes))
    verdict = "done" if one.state == "cut over" else "ready" if one.ready else "\n".join(one.against)
    style = "good" if verdict in ("done", "ready") else "warning"
    return one.key, one.label, styled(one.state, STYLES.get(one.state, "")), where, would, styled(verdict, style)


def _report_as_json(found: service.WaveReport) -> dict[str, Any]:
    return {
        "wave": found.wave,
        "file": found.file,
        "key": found.key,
        "states": dict(found.states()),
        "found": {where: {"found": there, "missing": missing} for where, (there, missing) in found.found_in().items()},
        "outcomes": [{"profile": profile, "what": what, "people": number} for (profile, what), number in found.outcomes().items()],
        "ready": sum(one.ready for one in found.people),
        "imported": found.imported,
        "read by": list(found.read_by),
        "problems": list(found.problems),
        "not tried": dict(found.not_tried),
        "people": [
            {
                "key": one.key,
                "label": one.label,
                "state": one.state,
                "reason": one.reason,
                "author": one.author,
                "since": one.since,
                "in file": one.in_file,
                "found": list(one.found),
                "missing": list(one.missing),
                "joined": one.joined,
                "outcomes": list(one.outcomes),
                "pending": list(one.pending),
                "problems": list(one.problems),
                "held": list(one.held),
                "ready": one.ready,
                "against": list(one.against),
            }
            for one in found.people
        ],
    }
