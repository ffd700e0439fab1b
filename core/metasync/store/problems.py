"""Queries of problems: what a person should know, by area (import, synchronise, ...) and of what (a directory, profile,
wave or notifier)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, insert, or_, select

from metasync.store import clock
from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.rows import Problem, Severity, Status
from metasync.store.tables import change, directory, pending, pending_member, problem, sync_state

IMPORT = "import"
SYNCHRONISE = "synchronise"
EXPORT = "export"
NOTIFY = "notify"
AREAS = (IMPORT, SYNCHRONISE, "plan", EXPORT, "undo", "wave")
"""What may be wrong with the work itself: of a directory, profile or wave."""
NOT_IMPORTED = "not imported"
"""Code of the problem of a directory whose last import did not come to its end."""
REFUSED = ("rejected", "conflict", "not begun", "retried", "unknown", "not_reimported")
"""Codes of what a change came to that was not written, or did not last."""

Known = Mapping[tuple[str, str, str], datetime]
"""(anchor, attribute, code) -> since when a problem stands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemRow:
    """A problem as it stands."""

    id: int
    area: str
    of: str
    problem: Problem
    run_id: int | None
    since: datetime


def known(connection: Connection, engagement_id: int, area: str, of: str) -> dict[tuple[str, str, str], datetime]:
    """Since when the problems of one area and directory or profile stand."""
    query = select(problem.c.anchor, problem.c.attribute, problem.c.code, problem.c.since).where(*_about(engagement_id, area, of))
    return {(row.anchor, row.attribute, row.code): row.since for row in connection.execute(query)}


def add(
    connection: Connection, engagement_id: int, area: str, of: str, run_id: int | None, rows: Iterable[Problem], known: Known | None = None
) -> None:
    """Add problems; one that stood before (`known`) keeps its date."""
    now, since = clock.now(connection), known or {}
    values = [
        {
            "engagement_id": engagement_id,
            "area": area,
            "of": of,
            "object_id": row.object_id,
            "anchor": row.anchor,
            "attribute": row.attribute,
            "code": row.code,
            "text": row.text,
            "severity": row.severity.value,
            "run_id": run_id,
            "since": since.get((row.anchor, row.attribute, row.code), now),
        }
        for row in rows
    ]
    if values:
        connection.execute(insert(problem), values)


_SAME = ("engagement_id", "area", "of", "object_id", "anchor", "attribute", "code", "text")
"""Two problems that agree in these are one: what is refused at every run is told once, not once more each time."""


def add_rows(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add problems, each as a row of the table. Who stands there already, told in the same words, stands there as of now."""
    if rows:
        one_by_one = {tuple(row[name] for name in _SAME): row for row in rows}
        same = [problem.c[name] == bindparam(f"the_{name}") for name in _SAME]
        known = [{f"the_{name}": row[name] for name in _SAME} for row in one_by_one.values()]
        connection.execute(delete(problem).where(*same), known)
        connection.execute(insert(problem), list(one_by_one.values()))


def replace(
    connection: Connection,
    engagement_id: int,
    area: str,
    of: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    objects: Collection[int] | None = None,
) -> None:
    """Let these be all problems of an area and profile (of these objects, where given)."""
    if objects is None:
        connection.execute(delete(problem).where(*_about(engagement_id, area, of)))
    else:
        clear(connection, engagement_id, area, of, objects)
    if rows:
        connection.execute(insert(problem), [{"engagement_id": engagement_id, "area": area, "of": of, **row} for row in rows])


def replace_synchronised(
    connection: Connection,
    engagement_id: int,
    profile: str,
    run_id: int,
    now: datetime,
    object_ids: Collection[int],
    rows: Sequence[Problem],
    *,
    codes: Collection[str] | None = None,
) -> None:
    """Replace the problems that the synchronisation of these objects found: all, or those with these codes."""
    about = and_(*_about(engagement_id, SYNCHRONISE, profile))
    if codes is not None:
        about &= problem.c.code.in_(codes)
    for part in portions(object_ids):
        connection.execute(delete(problem).where(about, problem.c.object_id.in_(part)))
    if rows:
        connection.execute(
            insert(problem),
            [
                {
                    "engagement_id": engagement_id,
                    "area": SYNCHRONISE,
                    "of": profile,
                    "object_id": row.object_id,
                    "anchor": row.anchor,
                    "attribute": row.attribute,
                    "code": row.code,
                    "text": row.text,
                    "severity": row.severity.value,
                    "run_id": run_id,
                    "since": now,
                }
                for row in rows
            ],
        )


def of_objects(
    backend: Backend, connection: Connection, engagement_id: int, profile: str, object_ids: Sequence[int], *, but: Sequence[str]
) -> set[int]:
    """Those of these objects in which the synchronisation found problems of other codes than these."""
    here = "problem WHERE engagement_id = ? AND area = ? AND of = ?"
    about = (engagement_id, SYNCHRONISE, profile)
    # Where all is well, there is nothing to be asked for one by one.
    if not backend.any(connection, f"SELECT 1 FROM {here}", *about):
        return set()
    found = backend.fetch(connection, f"SELECT DISTINCT object_id, code FROM {here} AND object_id IN ?", *about, list(object_ids))
    return {object_id for object_id, code in found if code not in but}


def clear(connection: Connection, engagement_id: int, area: str, of: str, object_ids: Collection[int], codes: Collection[str] = ()) -> None:
    """The problems of these objects are over: all, or those with these codes."""
    for part in portions(sorted(object_ids)):
        where = [*_about(engagement_id, area, of), problem.c.object_id.in_(part)]
        if codes:
            where.append(problem.c.code.in_(list(codes)))
        connection.execute(delete(problem).where(*where))


def clear_refused(connection: Connection, engagement_id: int, profile: str) -> None:
    """What was refused, and nobody wants any more, is over: nothing is pending for the object, nothing of it is on its way, and it is not
    simply out of sight."""
    wanted = [
        select(one.c.object_id).where(one.c.engagement_id == engagement_id, one.c.profile == profile) for one in (pending, pending_member)
    ]
    # Directory by directory: asked for several at once, SQLite reads the profile's whole history instead.
    known = connection.execute(select(directory.c.id).where(directory.c.engagement_id == engagement_id)).scalars().all()
    of_profile = change.c.profile == profile, change.c.state.in_(("approved", "in_flight"))
    going = [select(change.c.object_id).where(change.c.directory_id == number, *of_profile) for number in known]
    unread = select(sync_state.c.object_id).where(
        sync_state.c.engagement_id == engagement_id, sync_state.c.profile == profile, sync_state.c.status == Status.UNREAD.value
    )
    over = [problem.c.object_id.not_in(one) for one in (*wanted, *going, unread)]
    connection.execute(delete(problem).where(*_about(engagement_id, EXPORT, profile), problem.c.code.in_(REFUSED), *over))


def clear_others(connection: Connection, engagement_id: int, area: str, of: str, runs: Collection[int]) -> None:
    """The problems of one area and directory or profile are settled, but for those that these runs found."""
    found = problem.c.run_id.in_(sorted(runs))
    connection.execute(delete(problem).where(*_about(engagement_id, area, of), problem.c.run_id.is_(None) | ~found))


def clear_anchors(connection: Connection, engagement_id: int, area: str, of: str, anchors: Collection[str]) -> None:
    """The problems of these objects are settled."""
    for part in portions(anchors):
        connection.execute(delete(problem).where(*_about(engagement_id, area, of), problem.c.anchor.in_(part)))


def count(connection: Connection, engagement_id: int, *, area: str | None = None, of: str | None = None) -> dict[str, int]:
    """severity -> number."""
    query = select(problem.c.severity, func.count()).where(problem.c.engagement_id == engagement_id).group_by(problem.c.severity)
    if area is not None:
        query = query.where(problem.c.area == area)
    if of is not None:
        query = query.where(problem.c.of == of)
    return {row[0]: row[1] for row in connection.execute(query)}


def not_imported(connection: Connection, engagement_id: int) -> dict[str, str]:
    """Directory -> why its last import did not come to its end."""
    query = select(problem.c.of, problem.c.text).where(
        problem.c.engagement_id == engagement_id, problem.c.area == IMPORT, problem.c.code == NOT_IMPORTED
    )
    return {row.of: row.text for row in connection.execute(query)}


def standing(connection: Connection, engagement_id: int, area: str) -> set[str]:
    """Of what problems stand in one area."""
    query = select(problem.c.of).where(problem.c.engagement_id == engagement_id, problem.c.area == area).distinct()
    return set(connection.execute(query).scalars())


def new_errors(connection: Connection, engagement_id: int, run_id: int, began: datetime) -> int:
    """Errors of objects that importing or synchronising found in this run, and that did not stand before it."""
    query = select(func.count()).where(
        problem.c.engagement_id == engagement_id,
        problem.c.run_id == run_id,
        problem.c.area.in_((IMPORT, SYNCHRONISE)),
        problem.c.severity == Severity.ERROR.value,
        or_(problem.c.object_id != 0, problem.c.anchor != ""),
        problem.c.since >= began,
    )
    return connection.execute(query).scalar_one()


def page(
    connection: Connection, engagement_id: int, *, area: str | None = None, of: str | None = None, limit: int = 1000, after: int = 0
) -> list[ProblemRow]:
    """Problems in the order in which they were found, one page at a time."""
    query = select(problem).where(problem.c.engagement_id == engagement_id, problem.c.id > after).order_by(problem.c.id).limit(limit)
    if area is not None:
        query = query.where(problem.c.area == area)
    if of is not None:
        query = query.where(problem.c.of == of)
    return [
        ProblemRow(
            id=row.id,
            area=row.area,
            of=row.of,
            problem=Problem(
                code=row.code,
                text=row.text,
                severity=Severity(row.severity),
                object_id=row.object_id,
                anchor=row.anchor,
                attribute=row.attribute,
            ),
            run_id=row.run_id,
            since=row.since,
        )
        for row in connection.execute(query)
    ]


def _about(engagement_id: int, area: str, of: str) -> tuple[ColumnElement[bool], ...]:
    return problem.c.engagement_id == engagement_id, problem.c.area == area, problem.c.of == of
