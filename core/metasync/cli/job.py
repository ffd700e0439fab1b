"""The job: `import`, `plan`, `approve`, `export`, `confirm`, `run`, `pause`, `resume`, `stop`, `undo`, `release`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import click

from metasync import service
from metasync.cli.group import metasync
from metasync.cli.session import Exit, Session, reason_option, verb
from metasync.cli.tables import imports_table, plan_as_json, plan_table, say_takes, settle, states_line
from metasync.words import counted

PROFILES = click.argument("profile", nargs=-1)


@verb(
    metasync,
    "import",
    examples=(
        "metasync import  # read every directory: what changed, where the connector can tell",
        "metasync import hr --full  # read everything of one directory again",
    ),
)
@click.argument("directory", nargs=-1)
@click.option("--full", is_flag=True, help="Read everything, also where a delta would do.")
def import_(session: Session, directory: tuple[str, ...], full: bool) -> None:
    """Import directories into the database.

    Each DIRECTORY, or all. Writes nothing into any directory.
    """
    done = session.work(lambda workspace: service.import_directories(workspace, directory, full=full))
    session.out.json({"run": done.run, "state": done.state, "imports": done.imports})
    imports_table(session.out, done)
    settle(session, done)


@verb(
    metasync,
    "plan",
    examples=(
        "metasync plan  # what would be changed, of every profile, from what was imported last",
        "metasync plan staff --object hr/E1001 --object hr/E1002  # a pilot of two people",
        "metasync plan --wave leeds  # a pilot of a wave's people, and of nobody else",
        "metasync plan --json > plan.json  # plan, hash, revision, counts, problems, changes with before, after, rule",
    ),
)
@PROFILES
@click.option("--object", "objects", multiple=True, metavar="OBJECT", help="Freeze a pilot of this object alone; may be repeated.")
@click.option("--wave", metavar="WAVE", help="Freeze a pilot of this wave's people alone.")
def plan(session: Session, profile: tuple[str, ...], objects: tuple[str, ...], wave: str | None) -> None:
    """Work out what would be changed, as plans.

    Of each PROFILE, or all, from what was imported last. A plan is frozen: it is written as it stands, or not at all. Writes
    nothing into any directory.
    """

    def work(workspace: service.Workspace) -> tuple[service.RunOutcome, list[service.ShownPlan]]:
        done = service.plan(workspace, profile, objects=objects, wave=wave)
        return done, [service.show_plan(workspace, number) for number in done.plans]

    def show(workspace: service.Workspace, worked: tuple[service.RunOutcome, list[service.ShownPlan]]) -> None:
        done, found = worked
        session.out.json({"run": done.run, "plans": _plans_as_json(workspace, found)})
        plan_table(session.out, [one.plan for one in found])
        say_takes(session.out, found)
        _say_problems(session, workspace, found)

    done, found = session.work(work, then=show)
    settle(session, done)
    _say_next(session, [one.plan for one in found])


@verb(
    metasync,
    "approve",
    examples=(
        'metasync approve 4 --reason "checked with HR"  # let plan 4 be written, in exactly the form that was shown',
        'metasync approve 4 --beyond delete --reason "the Leeds office closed, CHG-1017"  # also past the limit for deletes, this once',
    ),
)
@click.argument("plan", type=int)
@reason_option
@click.option("--beyond", multiple=True, metavar="OPERATION", help="Lift this operation's limit, for this plan alone; may be repeated.")
def approve(session: Session, plan: int, reason: str, beyond: tuple[str, ...]) -> None:
    """Approve a plan, in exactly the form that was shown.

    The approval binds the hash of PLAN and the configuration that made it: if either changes, it is void.
    """
    done = session.ask(lambda workspace: service.approve(workspace, plan, reason=reason, beyond=beyond))
    session.out.json({"plan": done.id, "state": done.state, "hash": done.hash, "beyond": beyond})
    session.out.line(f"plan {done.id} of {done.profile} is approved: {counted(done.changes, 'change')}")
    session.out.say(f"Next: metasync export {done.id}")


@verb(
    metasync,
    "export",
    examples=("metasync export 4  # write what was approved, then import the target again to confirm it",),
)
@click.argument("plan", nargs=-1, required=True, type=int)
def export(session: Session, plan: tuple[int, ...]) -> None:
    """Write approved plans, then confirm by an import.

    Asked again for the same PLAN, it goes on where it was stopped, and writes nothing twice.
    """
    done = session.work(lambda workspace: service.export(workspace, plan))
    session.out.json(
        {
            "run": done.run,
            "state": done.state,
            "plans": done.plans,
            "finished": done.finished,
            "written": done.written,
            "unwritable": done.unwritable,
            "waiting": done.waiting,
        }
    )
    for number, before in done.finished.items():
        session.out.line(f"plan {number} was exported by run {before} already, and nothing was left to write")
    if set(done.plans) - set(done.finished) - set(done.waiting):
        states_line(session.out, f"run {done.run}", done.written)
    for number in done.waiting:
        session.out.line(f"plan {number} {done.waiting[number]}", "warning")
    settle(session, done)


@verb(
    metasync,
    "confirm",
    examples=("metasync confirm  # import the targets, and see whether what was written is there",),
)
def confirm(session: Session) -> None:
    """Import the targets, and confirm what was written.

    What they do not show is a problem that names the attributes.
    """
    done = session.work(service.confirm)
    session.out.json({"run": done.run, "state": done.state, "imports": done.imports})
    imports_table(session.out, done)
    settle(session, done)


@verb(
    metasync,
    "run",
    examples=(
        "metasync run  # import, plan, export what policy approves, confirm; exit code 3 where something waits for a person",
        'metasync run staff --approve --reason "nightly"  # approve too, but never past a limit',
    ),
)
@PROFILES
@click.option("--approve", is_flag=True, help="Approve what would wait for a person. Never lifts a limit.")
@click.option("--reason", default="", metavar="TEXT", help="With --approve: why; kept in the audit log.")
def run(session: Session, profile: tuple[str, ...], approve: bool, reason: str) -> None:
    """Do the whole job.

    For each PROFILE, or all: import, synchronise, plan, approve by policy, export, confirm.
    """

    if reason and not approve:
        raise click.UsageError("--reason says why --approve approves; give both, or neither")

    def work(workspace: service.Workspace) -> tuple[service.RunOutcome, list[service.ShownPlan]]:
        done = service.run(workspace, profile, approve=approve, reason=reason)
        return done, [service.show_plan(workspace, number) for number in done.plans]

    def show(workspace: service.Workspace, worked: tuple[service.RunOutcome, list[service.ShownPlan]]) -> None:
        done, found = worked
        session.out.json(
            {
                "run": done.run,
                "state": done.state,
                "imports": done.imports,
                "left out": done.left_out,
                "plans": [plan_as_json(workspace, one, iter(())) for one in found],
                "waiting": done.waiting,
                "written": done.written,
                "unwritable": done.unwritable,
            }
        )
        imports_table(session.out, done)
        plan_table(session.out, [one.plan for one in found])
        if done.written:
            states_line(session.out, f"run {done.run}", done.written)
        _say_problems(session, workspace, found)

    done, found = session.work(work, then=show)
    _say_next(session, [one.plan for one in found if one.plan.id in done.waiting], done.waiting)
    settle(session, done)


@verb(
    metasync,
    "pause",
    examples=("metasync pause staff  # `run` leaves this profile out until `metasync resume staff`",),
)
@PROFILES
def pause(session: Session, profile: tuple[str, ...]) -> None:
    """Have `run` leave profiles out."""
    _set_paused(session, profile, paused=True)


@verb(metasync, "resume", examples=("metasync resume staff  # `run` takes this profile in again",))
@PROFILES
def resume(session: Session, profile: tuple[str, ...]) -> None:
    """Have `run` take profiles in again."""
    _set_paused(session, profile, paused=False)


def _set_paused(session: Session, profile: Sequence[str], *, paused: bool) -> None:
    done = session.ask(lambda workspace: service.pause(workspace, profile, paused=paused))
    session.out.json({"profiles": done, "paused": paused})
    session.out.line(f"{'paused' if paused else 'resumed'}: {', '.join(done)}")


@verb(
    metasync,
    "stop",
    examples=("metasync stop 12  # ask run 12, wherever it works, to stop after what it has begun",),
)
@click.argument("run", type=int)
def stop(session: Session, run: int) -> None:
    """Ask a run to stop safely.

    It ends what it has begun within seconds; nothing is lost or left half-written.
    """
    row = session.ask(lambda workspace: service.stop(workspace, run))
    session.out.json({"run": row.id, "stopping": True})
    session.out.line(f"run {row.id} was asked to stop; see `metasync show run {row.id}`")


@verb(
    metasync,
    "undo",
    examples=(
        "metasync undo 12  # plan the way back from what run 12 exported; approve and export it like any other plan",
        'metasync undo 12 && metasync show 9 && metasync approve 9 --reason "wrong OU" && metasync export 9',
        "metasync undo --wave leeds  # the way back from all that was written for its people since they began to move",
    ),
)
@click.argument("run", required=False, type=int)
@click.option("--wave", metavar="WAVE", help="Undo what was written for this wave's people since they began to move.")
def undo(session: Session, run: int | None, wave: str | None) -> None:
    """Plan the way back from a run, or from a wave.

    Each attribute returns to what it was before RUN, where it still is what the run wrote. The rest are problems that name who
    changed it since.
    """
    if (run is None) == (wave is None):
        raise click.UsageError("name the run to undo, `metasync runs` lists them; or a wave, with --wave")
    what = f"that run {run} wrote" if wave is None else f"that was written for the people of {wave} since they began to move"

    def work(workspace: service.Workspace) -> tuple[service.RunOutcome, list[service.ShownPlan]]:
        done = service.undo_wave(workspace, wave) if wave is not None else service.undo(workspace, run or 0)
        return done, [service.show_plan(workspace, number) for number in done.plans]

    def show(workspace: service.Workspace, worked: tuple[service.RunOutcome, list[service.ShownPlan]]) -> None:
        done, found = worked
        problems = service.problems(workspace, areas=["undo"])
        if session.as_json:
            session.out.json({"run": done.run, "plans": _plans_as_json(workspace, found), "problems": problems})
            return
        plan_table(session.out, [one.plan for one in found])
        first = list(islice(problems, 20))
        if not any(one.plan.changes for one in found) and not first:
            session.out.line(f"nothing {what} is still there to be taken back")
        for problem in first:
            session.out.line(f"{problem.object}: {problem.text}", "warning")
        more = service.count_problems(workspace, areas=["undo"]) - len(first)
        if more > 0:
            session.out.line(f"... and {more} more: `metasync problems --area undo`")

    _, found = session.work(work, then=show)
    _say_next(session, [one.plan for one in found])


@verb(
    metasync,
    "release",
    examples=(
        "metasync release --run 12  # let plans act again on what the undo of run 12 restored",
        "metasync release --object hr/E1001 --attribute title",
    ),
)
@click.option("--run", "run_id", type=int, metavar="RUN", help="Of the undo of this run; the undo's own run will do, too.")
@click.option("--profile", metavar="PROFILE", help="Of this profile.")
@click.option("--object", "name", metavar="OBJECT", help="Of this object.")
@click.option("--attribute", metavar="ATTRIBUTE", help="Of this attribute.")
@click.option("--all", "everything", is_flag=True, help="Everything that is held.")
def release(session: Session, run_id: int | None, profile: str | None, name: str | None, attribute: str | None, everything: bool) -> None:
    """Let plans act again on what an undo restored.

    Until then it is held, so that the next run does not redo what was undone.
    """
    if not everything and not any((run_id, profile, name, attribute)):
        raise click.UsageError("say what to release: --run, --profile, --object, --attribute, or --all")

    def work(workspace: service.Workspace) -> tuple[int, Mapping[int, int]]:
        found = service.release(workspace, profile=profile, name=name, run_id=run_id, attribute=attribute)
        return found, service.held(workspace)

    found, left = session.ask(work)
    session.out.json({"released": found, "still held": sum(left.values())})
    if found or not left:
        session.out.line(f"released {counted(found, 'hold')}" if found else "nothing is held")
        return
    runs = ", ".join(f"{counted(number, 'hold')} of the undo that run {run} wrote" for run, number in left.items())
    session.out.line(f"nothing of that is held. There are {runs}: `metasync release --run {next(iter(left))}`")
    session.worse(Exit.FAILED)


def _plans_as_json(workspace: service.Workspace, found: Sequence[service.ShownPlan]) -> list[dict[str, Any]]:
    """Plans with all their changes."""
    return [plan_as_json(workspace, one, service.changes_of(workspace, one)) for one in found]


def _say_problems(session: Session, workspace: service.Workspace, found: Sequence[service.ShownPlan]) -> None:
    totals = service.problem_totals(workspace, {one.plan.profile for one in found})
    problems, errors = sum(totals.values()), totals.get("error", 0)
    if problems:
        words = f"{counted(problems, 'problem')} ({counted(errors, 'error')}); see `metasync problems`"
        session.out.say(words, "error" if errors else "warning")


def _say_next(session: Session, found: Sequence[service.PlanSummary], waiting: Any = None) -> None:
    for one in found:
        why = (waiting or {}).get(one.id)
        if one.state == "empty":
            continue
        if why is service.Waits.STAGING:
            session.out.say(f"plan {one.id} of {one.profile} is staging: it is never exported. Look at it: metasync show {one.id}")
        elif why is service.Waits.WINDOW:
            session.out.say(f"plan {one.id} of {one.profile} waits until its directory may be written (`windows`); export it then")
        elif one.state == "planned":
            beyond = "".join(f" --beyond {_quoted(limit.operation.value)}" for limit in one.exceeded)
            session.out.say(f"Next: metasync show {one.id}, then metasync approve {one.id}{beyond} --reason TEXT")
        elif one.state == "approved":
            session.out.say(f"Next: metasync export {one.id}")


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text
