"""Every function that the command line calls, and the API and the page after it. They take and give plain values, and print nothing.

A verb is handed a `Workspace`, opened with `open_workspace`: the newest loaded revision of one engagement, its database and its
plugins. What is done is decided below this module; here it is only put together. It is longer than others because it is the
product's table of contents.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from metasync import decisions, rights, roles
from metasync import explain as explaining
from metasync.blame import blamed
from metasync.contract import Check, MetasyncError, Purpose, Schema, Stopped, Unavailable, capabilities
from metasync.demo import example
from metasync.demo.example import Domain
from metasync.demo.tour import Stage, Tour
from metasync.doctor import Finding, doctor
from metasync.engagement import document, revision
from metasync.engagement import load as loading
from metasync.engagement.document import DocumentError
from metasync.engagement.model import Engagement, Notice, Role
from metasync.engagement.secrets import scrub
from metasync.explain import Explanation
from metasync.exporting import home
from metasync.exporting.lease import DirectoryBusy
from metasync.host import Host, PluginInfo
from metasync.keeping import (
    SecretName,
    audit_verify,
    commands,
    lock_plugins,
    new_plugin,
    plugins,
    secret_names,
    secret_store,
    test_plugin,
)
from metasync.logs import FORMATS as LOG_FORMATS
from metasync.logs import configure as configure_logs
from metasync.metrics import try_place as try_metrics
from metasync.naming import find_object
from metasync.notifying import Told
from metasync.notifying import trial as try_notifiers
from metasync.opening import DOCUMENT_NAME, NotLoaded, Settings, UsageError, open_workspace, refuse_broken, store
from metasync.overview import (
    ShownChange,
    ShownPlan,
    ShownRun,
    UnderWay,
    changes_of,
    every_object,
    every_problem,
    known_plan,
    known_run,
    matching,
    oldest_open_run,
    open_plans,
    operation_named,
    reference_name,
    runs_since,
    show_plan,
    show_run,
    under_way,
)
from metasync.planning import LimitExceeded, PlanSummary
from metasync.planning import approve as approve_plan
from metasync.planning import release as release_holds
from metasync.runs import run as running
from metasync.runs.lease import EngineBusy
from metasync.runs.outcome import Imported, RunOutcome, Waits
from metasync.runs.queue import stop as stop_run
from metasync.runs.scheduler import serve as schedule_runs
from metasync.runs.supervise import PARENT, Child, supervise
from metasync.runs.worker import default_processes, listen, listens, sweep
from metasync.runs.worker import serve as work_queue
from metasync.store import audit, directories, holds, looking, revisions
from metasync.store import runs as run_rows
from metasync.store.errors import Busy, Corrupt, DiskFailed, StoreError, StoreMissing, Unreachable
from metasync.store.looking import ProblemRow, Seen
from metasync.store.runs import RunRow, StepRow
from metasync.synchronising.rehearse import rehearse
from metasync.waves import people
from metasync.waves.membership import unreadable as unreadable_waves
from metasync.waves.moving import Moved, Refused
from metasync.waves.moving import back as wave_back
from metasync.waves.moving import cut_over as wave_cut_over
from metasync.waves.moving import move as wave_move
from metasync.waves.report import Rehearsed, Summary
from metasync.waves.report import Report as WaveReport
from metasync.waves.report import report as wave_report
from metasync.waves.report import summaries as waves
from metasync.workspace import Report, Workspace

__all__ = [
    "DOCUMENT_NAME",
    "LOG_FORMATS",
    "PARENT",
    "Child",
    "DocumentError",
    "Domain",
    "Explanation",
    "Finding",
    "Imported",
    "Moved",
    "NotLoaded",
    "PlanSummary",
    "PluginInfo",
    "ProblemRow",
    "Refused",
    "Rehearsed",
    "RunOutcome",
    "RunRow",
    "SecretName",
    "Seen",
    "Settings",
    "ShownChange",
    "ShownPlan",
    "ShownRun",
    "Stage",
    "StepRow",
    "StoreError",
    "Summary",
    "Told",
    "Tour",
    "UnderWay",
    "UsageError",
    "Waits",
    "WaveReport",
    "Workspace",
    "audit_verify",
    "changes_of",
    "commands",
    "configure_logs",
    "default_processes",
    "doctor",
    "listen",
    "listens",
    "lock_plugins",
    "matching",
    "new_plugin",
    "oldest_open_run",
    "open_plans",
    "open_workspace",
    "plugins",
    "reference_name",
    "runs_since",
    "schedule_runs",
    "scrub",
    "secret_names",
    "secret_store",
    "show_plan",
    "show_run",
    "supervise",
    "sweep",
    "test_plugin",
    "try_metrics",
    "try_notifiers",
    "under_way",
    "wave_back",
    "wave_cut_over",
    "wave_move",
    "wave_report",
    "waves",
    "work_queue",
]


class Trouble(Enum):
    """What sort of error it is, for exit codes and status codes."""

    USAGE = "bad usage or document"
    LIMIT = "stopped by a limit"
    UNAVAILABLE = "a directory, or the database, cannot be used now"
    STOPPED = "asked to stop"
    DAMAGED = "the database is damaged"


def trouble(error: MetasyncError) -> Trouble:
    """The sort of an error."""
    if isinstance(error, Stopped):
        return Trouble.STOPPED
    if isinstance(error, LimitExceeded):
        return Trouble.LIMIT
    if isinstance(error, (Unavailable, Busy, Unreachable, DiskFailed, EngineBusy, DirectoryBusy)):
        return Trouble.UNAVAILABLE
    return Trouble.DAMAGED if isinstance(error, Corrupt) else Trouble.USAGE


# --- set-up ----------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A document that can be loaded."""

    engagement: Engagement
    plugins: Sequence[PluginInfo]
    notices: Sequence[Notice]
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A document that was loaded."""

    engagement: Engagement
    revision: int
    fresh: bool
    """False: the newest revision said the same already."""
    database: str
    elsewhere: str | None = None
    """Where the revision before it was loaded from, if from another file: two documents with one name are one engagement."""


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What the test of one directory showed."""

    directory: str
    connector: str
    capabilities: Sequence[str] = ()
    purposes: frozenset[Purpose] = frozenset()
    """What the document uses it for."""
    check: Check | None = None
    schema: Schema | None = None
    error: str | None = None
    unavailable: bool = False


def init(folder: Path) -> list[Path]:
    """Write an example document and its CSV files; refuses to overwrite anything. What was written."""
    return example.write(folder)


def check(settings: Settings) -> Checked:
    """Read and check the document; where it was loaded and imported before, also what its expressions make of the imported objects."""
    read = document.read(settings.engagement)
    host = Host.load(read.plugins, settings.lock_file)
    refuse_broken(host, settings, read)
    engagement = loading.check(read, host)
    return Checked(
        engagement=engagement,
        plugins=host.plugins,
        notices=engagement.notices,
        warnings=[
            *unreadable_waves(engagement),
            *(f"{read.path}:{read.line_of(one)}: {one}" for one in _imported_warnings(settings, engagement, host)),
        ],
    )


def load(settings: Settings) -> Loaded:
    """Accept the document as a new revision. Makes the database where there is none."""
    read = document.read(settings.engagement)
    host = Host.load(read.plugins, settings.lock_file)
    refuse_broken(host, settings, read)
    engagement = loading.check(read, host)
    with store(settings, create=True) as backend:
        with backend.read() as connection:
            known = revisions.engagement_id(connection, engagement.name)
            before = None if known is None else revisions.newest(connection, known)
        roles.may_load(backend, read, settings.who)
        if known is None:
            # Whatever was exported before was so from a database that is not here any more: this one imports everything first.
            home.forget(settings.witness)
        accepted = revision.accept(backend, engagement, read.text, settings.who, host)
    fresh = before is None or before.number != accepted.revision
    moved = before is not None and before.path != str(Path(accepted.path).absolute())
    return Loaded(
        engagement=accepted,
        revision=accepted.revision,
        fresh=fresh,
        database=settings.url,
        elsewhere=before.path if before and moved else None,
    )


def migrate(settings: Settings) -> str:
    """Bring the database to this version's schema; the URL of the database."""
    with store(settings, create=False, upgrade=True) as backend:
        return backend.url


def test_directories(workspace: Workspace, names: Sequence[str] = ()) -> list[Tested]:
    """Connect to each directory, ask what it is, which rights we have, and what it can hold. Changes nothing."""
    found = []
    for number, name in enumerate(known_directories(workspace, names), 1):
        workspace.report(number - 1, None, f"test {name}")
        which = workspace.engagement.directories[name].connector
        able = capabilities(workspace.connector_class(name))
        used = rights.purposes(workspace.engagement, name)
        try:
            with workspace.connector(name) as connector, blamed(which):
                answer, schema = rights.judged(connector.check(), used), connector.discover()
        except MetasyncError as error:
            unavailable = isinstance(error, Unavailable)
            found.append(Tested(directory=name, connector=which, capabilities=able, error=str(error), unavailable=unavailable))
        else:
            found.append(Tested(directory=name, connector=which, capabilities=able, purposes=used, check=answer, schema=schema))
    return found


# --- the job ---------------------------------------------------------------------------------------------------------------------------


def import_directories(workspace: Workspace, names: Sequence[str] = (), *, full: bool = False) -> RunOutcome:
    """Import these directories, or all."""
    roles.need(workspace, Role.OPERATOR, "import")
    return running.import_directories(workspace, known_directories(workspace, names), full=full)


def plan(workspace: Workspace, profiles: Sequence[str] = (), *, objects: Sequence[str] = (), wave: str | None = None) -> RunOutcome:
    """Synchronise and freeze these profiles, or all; with `objects` a pilot of these alone, with `wave` of its people."""
    chosen = known_profiles(workspace, profiles)
    roles.need(workspace, Role.OPERATOR, "plan")
    if wave is not None:
        if objects:
            raise UsageError("a pilot is of a wave or of objects; give --wave or --object")
        return running.plan(workspace, chosen, wave=known_wave(workspace, wave))
    ids = [_source_of(workspace, find_object(workspace, name)) for name in objects]
    return running.plan(workspace, chosen, ids if objects else None)


def approve(workspace: Workspace, plan_id: int, *, reason: str, beyond: Collection[str] = ()) -> PlanSummary:
    """Let a plan be written, in exactly the form that was shown."""
    return approve_plan(workspace, plan_id, reason=reason, beyond=frozenset(operation_named(one) for one in beyond))


def export(workspace: Workspace, plan_ids: Sequence[int]) -> RunOutcome:
    """Write approved plans, and confirm them by an import."""
    roles.need(workspace, Role.OPERATOR, f"export {', '.join(f'plan {number}' for number in plan_ids)}")
    with workspace.backend.read() as connection:
        for number in plan_ids:
            known_plan(connection, workspace, number)
    return running.export(workspace, plan_ids)


def confirm(workspace: Workspace) -> RunOutcome:
    """Import the targets, and see what of the written is there."""
    roles.need(workspace, Role.OPERATOR, "confirm")
    return running.confirm(workspace)


def run(workspace: Workspace, profiles: Sequence[str] = (), *, approve: bool = False, reason: str = "") -> RunOutcome:
    """Import, synchronise, plan, approve what may be, export, confirm."""
    roles.need(workspace, Role.OPERATOR, "run")
    if approve:
        roles.need(workspace, Role.APPROVER, "run --approve")
    return running.run(workspace, known_profiles(workspace, profiles), approve=approve, reason=reason)


def undo(workspace: Workspace, run_id: int) -> RunOutcome:
    """Plan the way back from a run."""
    roles.need(workspace, Role.OPERATOR, f"undo run {run_id}")
    _known_run(workspace, run_id)
    return running.undo(workspace, run_id)


def undo_wave(workspace: Workspace, name: str) -> RunOutcome:
    """Plan the way back from what was written for the people of a wave since they began to move."""
    roles.need(workspace, Role.OPERATOR, f"undo the wave {name}")
    return running.undo_wave(workspace, known_wave(workspace, name))


def stop(workspace: Workspace, run_id: int) -> RunRow:
    """Ask a run to stop after what it has begun; one that waits on the queue ends at once."""
    roles.need(workspace, Role.OPERATOR, f"stop run {run_id}")
    stopped = stop_run(workspace, run_id)
    if stopped is None:
        row = _known_run(workspace, run_id)
        raise UsageError(f"run {run_id} is {row.state}, not running; there is nothing to stop")
    return stopped


def pause(workspace: Workspace, profiles: Sequence[str] = (), *, paused: bool = True) -> list[str]:
    """Have `run` leave these profiles out, or take them in again."""
    roles.need(workspace, Role.OPERATOR, "pause" if paused else "resume")
    chosen = known_profiles(workspace, profiles)
    with workspace.backend.write() as connection:
        run_rows.set_paused(connection, workspace.engagement_id, chosen, paused)
        audit.append(connection, workspace.engagement_id, workspace.author, "pause" if paused else "resume", ", ".join(chosen))
    return chosen


def paused_profiles(workspace: Workspace) -> frozenset[str]:
    """The profiles that `run` leaves out."""
    with workspace.backend.read() as connection:
        return run_rows.paused(connection, workspace.engagement_id)


def release(
    workspace: Workspace, *, profile: str | None = None, name: str | None = None, run_id: int | None = None, attribute: str | None = None
) -> int:
    """Let the next plan act again on what an undo restored; how many holds there were.

    `run_id`: the run that planned or wrote the undo, or the run that it took back.
    """
    roles.need(workspace, Role.OPERATOR, "release")
    if run_id is not None:
        _known_run(workspace, run_id)
    if profile is not None:
        known_profiles(workspace, [profile])
    chosen = None if name is None else [_source_of(workspace, find_object(workspace, name))]
    return release_holds(workspace, profile=profile, objects=chosen, run_id=run_id, attribute=attribute)


def held(workspace: Workspace) -> Mapping[int, int]:
    """Run that wrote an undo -> number of holds that it left."""
    with workspace.backend.read() as connection:
        return holds.by_run(connection, workspace.engagement_id)


# --- looking and deciding ---------------------------------------------------------------------------------------------------------------


def explain(workspace: Workspace, name: str, attribute: str | None = None) -> list[Explanation]:
    """Why a value is there, or why an object is not."""
    return explaining.explain(workspace, find_object(workspace, name).id, attribute)


def objects(workspace: Workspace, *, after: str = "", **filters: Any) -> Iterator[Seen]:
    """Objects as last imported, by directory and anchor, read as they are asked for; filters as `store.looking.objects` names them.
    `after`: behind this object, DIRECTORY/ANCHOR. Raises `UsageError` at once."""
    directory, _, anchor = after.partition("/")
    if after and not anchor:
        raise UsageError(f"{after!r} is no DIRECTORY/ANCHOR")
    if after:
        known_directories(workspace, [directory])
    return every_object(workspace, after=(directory, anchor), **filters)


def object_counts(workspace: Workspace) -> list[tuple[str, str, str, int]]:
    """(directory, kind, state, number)."""
    with workspace.backend.read() as connection:
        return looking.counts(connection, workspace.engagement_id)


def problems(workspace: Workspace, *, name: str | None = None, **filters: Any) -> Iterator[ProblemRow]:
    """Problems that stand, the worst first, read as they are asked for; filters as `store.looking.problems` names them. Raises
    `MetasyncError` at once."""
    object_id = None if name is None else find_object(workspace, name).id
    return every_problem(workspace, object_id=object_id, **filters)


def count_problems(workspace: Workspace, *, name: str | None = None, **filters: Any) -> int:
    """How many problems stand that `problems` gives."""
    object_id = None if name is None else find_object(workspace, name).id
    with workspace.backend.read() as connection:
        return looking.count_problems(connection, workspace.engagement_id, object_id=object_id, **filters)


def problem_totals(workspace: Workspace, of: Collection[str]) -> Mapping[str, int]:
    """severity -> number of problems that stand against these directories or profiles."""
    with workspace.backend.read() as connection:
        return looking.problem_totals(connection, workspace.engagement_id, of)


def problem_counts(workspace: Workspace) -> Mapping[tuple[str, str, str, str], int]:
    """(severity, area, of, code) -> number."""
    with workspace.backend.read() as connection:
        return looking.problem_counts(connection, workspace.engagement_id)


def runs(workspace: Workspace, *, limit: int = 20) -> list[RunRow]:
    """The last runs, newest first."""
    with workspace.backend.read() as connection:
        return run_rows.newest(connection, workspace.engagement_id, limit=limit)


def join(workspace: Workspace, one: str, other: str, reason: str) -> tuple[Seen, Seen]:
    """These two stand for the same identity."""
    roles.need(workspace, Role.OPERATOR, "join")
    pair = find_object(workspace, one), find_object(workspace, other)
    decisions.join(workspace, *pair, reason)
    return pair


def unjoin(workspace: Workspace, one: str, other: str | None, reason: str) -> Seen:
    """Take two objects apart; who left the identity."""
    roles.need(workspace, Role.OPERATOR, "unjoin")
    second = find_object(workspace, other) if other else None
    return decisions.unjoin(workspace, find_object(workspace, one), second, reason)


def ignore(workspace: Workspace, name: str, reason: str, *, take_back: bool = False) -> tuple[Seen, int]:
    """Leave an object alone, or take back what was decided about it."""
    roles.need(workspace, Role.OPERATOR, "ignore")
    found = find_object(workspace, name)
    if take_back:
        return found, decisions.withdraw(workspace, found, reason)
    decisions.ignore(workspace, found, reason)
    return found, 1


def known_wave(workspace: Workspace, name: str) -> str:
    """A wave of the document, or one that people still move with. Raises `NoSuchWave`."""
    with workspace.backend.read() as connection:
        people.known(workspace, connection, name)
    return name


# --- helpers ---------------------------------------------------------------------------------------------------------------------------


def known_directories(workspace: Workspace, names: Sequence[str]) -> list[str]:
    """These directories, or all in the document's order."""
    return _known("directory", names, workspace.engagement.directories)


def known_profiles(workspace: Workspace, names: Sequence[str]) -> list[str]:
    """These profiles, or all in the document's order."""
    return _known("profile", names, workspace.engagement.profiles)


def with_report(settings: Settings, report: Report) -> Settings:
    """The same settings, reporting to somebody else."""
    return replace(settings, report=report)


def _known(word: str, names: Sequence[str], known: Mapping[str, object]) -> list[str]:
    for name in names:
        if name not in known:
            raise UsageError(f"there is no {word} {name!r}; the document has: {', '.join(known)}")
    return list(dict.fromkeys(names)) or list(known)


def _known_run(workspace: Workspace, run_id: int) -> RunRow:
    """A run of this engagement: said before anything is begun, or put on the queue, for one that is not there. Raises `UsageError`."""
    with workspace.backend.read() as connection:
        return known_run(connection, workspace, run_id)


def _source_of(workspace: Workspace, seen: Seen) -> int:
    """The source object that plans and holds are kept under: the object itself, or for a target's object its partner."""
    sources = {source for profile in workspace.engagement.profiles.values() for source in profile.sources}
    if seen.identity is None:
        return seen.id
    with workspace.backend.read() as connection:
        family = looking.partners(connection, workspace.engagement_id, seen.identity)
    made_it = [one for one, row in family if one is not None and row["profile"] is None and one.directory in sources]
    return made_it[0].id if made_it else seen.id


def _imported_warnings(settings: Settings, engagement: Engagement, host: Host) -> list[str]:
    """What the document's expressions make of the objects that were imported; nothing where none were yet."""
    try:
        with store(settings, create=False) as backend, backend.read() as connection:
            number = revisions.engagement_id(connection, engagement.name)
            if number is None:
                return []
            known = directories.of_engagement(connection, number)
            ids = {name: known[name].id for name in engagement.directories if name in known}
            return rehearse(connection, engagement, host, ids, directories.schemas(connection, ids))
    except StoreMissing:
        return []
