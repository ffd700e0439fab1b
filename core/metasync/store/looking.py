"""Queries for people who look: objects, their partners, problems, holds. They only read, page by page, and explain nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal_column, or_, select, tuple_

from metasync.contract import Reference
from metasync.store import codec, match_keys
from metasync.store.labels import any_case, is_called
from metasync.store.normalise import normalise
from metasync.store.problems import AREAS
from metasync.store.tables import audit, directory, engagement, join, link, match_key, object_, problem

PORTION = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """An object, by the names that people use."""

    id: int
    directory: str
    kind: str
    anchor: str
    label: str
    state: str
    privileged: bool
    identity: int | None
    created: bool
    """Metasync created it."""

    @property
    def name(self) -> str:
        """Its full name: DIRECTORY/ANCHOR."""
        return f"{self.directory}/{self.anchor}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemRow:
    """A problem, by the names that people use."""

    id: int
    area: str
    of: str
    object: str
    """DIRECTORY/ANCHOR, or where in the directory it is, or nothing."""
    label: str
    attribute: str
    code: str
    text: str
    severity: str
    run: int | None
    since: datetime


def _objects(engagement_id: int) -> Select[Any]:
    joined = object_.outerjoin(directory, directory.c.id == object_.c.directory_id).outerjoin(join, join.c.object_id == object_.c.id)
    of_object = [object_.c[name] for name in ("id", "kind", "anchor", "label", "state", "privileged")]
    columns = (*of_object, directory.c.name.label("directory"), join.c.identity_id.label("identity"), join.c.created.label("created"))
    return select(*columns).select_from(joined).where(object_.c.engagement_id == engagement_id)


def _in_directory(directory_id: int) -> ColumnElement[bool]:
    """Objects of one directory. Its number is no parameter: the database must see that the directory's own indexes have them."""
    return object_.c.directory_id == literal_column(str(int(directory_id)))


def _of_engagement(connection: Connection, engagement_id: int) -> dict[str, int]:
    """The directories of an engagement, by name."""
    query = select(directory.c.name, directory.c.id).where(directory.c.engagement_id == engagement_id).order_by(directory.c.id)
    return {row.name: row.id for row in connection.execute(query)}


def objects(
    connection: Connection,
    engagement_id: int,
    *,
    directories: Collection[str] = (),
    kinds: Collection[str] = (),
    states: Collection[str] = ("live",),
    text: str = "",
    joined: bool | None = None,
    limit: int = 50,
    after: tuple[str, str] = ("", ""),
) -> list[Seen]:
    """The next objects behind `after` = (directory, anchor): directory after directory, in the order of the anchors. `text`: a part of the
    label or of the anchor."""
    known = _of_engagement(connection, engagement_id)
    names = [name for name in known if not directories or name in directories]
    if after[0]:
        names = names[names.index(after[0]) :] if after[0] in names else []
    found: list[Seen] = []
    for name in names:
        query = _filtered_objects(connection, engagement_id, kinds, states, text, joined).where(_in_directory(known[name]))
        if name == after[0]:
            query = query.where(object_.c.anchor > after[1])
        query = query.order_by(object_.c.anchor, object_.c.id).limit(limit - len(found))
        found += [_seen(row) for row in connection.execute(query)]
        if len(found) >= limit:
            break
    return found


def _filtered_objects(
    connection: Connection, engagement_id: int, kinds: Collection[str], states: Collection[str], text: str, joined: bool | None
) -> Select[Any]:
    query = _objects(engagement_id)
    if kinds:
        query = query.where(object_.c.kind.in_(list(kinds)))
    if states:
        query = query.where(object_.c.state.in_(list(states)))
    if text:
        names = (any_case(connection, column) for column in (object_.c.label, object_.c.anchor))
        query = query.where(or_(*(name.icontains(text, autoescape=True) for name in names)))
    if joined is not None:
        query = query.where(join.c.id.is_not(None) if joined else join.c.id.is_(None))
    return query


def counts(connection: Connection, engagement_id: int) -> list[tuple[str, str, str, int]]:
    """(directory, kind, state, number) of all objects."""
    query = (
        select(directory.c.name, object_.c.kind, object_.c.state, func.count())
        .join(directory, directory.c.id == object_.c.directory_id)
        .where(object_.c.engagement_id == engagement_id)
        .group_by(directory.c.name, object_.c.kind, object_.c.state)
        .order_by(directory.c.name, object_.c.kind, object_.c.state)
    )
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


def by_anchor(connection: Connection, engagement_id: int, directory_id: int, anchor: str) -> list[Seen]:
    """The object with this anchor; also tombstones and what is unread. An anchor differs in nothing, not even in case."""
    query = _objects(engagement_id).where(_in_directory(directory_id), object_.c.anchor == anchor)
    return [_seen(row) for row in connection.execute(query)]


def with_anchor(connection: Connection, engagement_id: int, anchor: str) -> list[Seen]:
    """The objects of any directory with this anchor. Living ones, or tombstones where there is no living one."""
    known = _of_engagement(connection, engagement_id).values()
    found = [one for number in known for one in by_anchor(connection, engagement_id, number, anchor)]
    return [one for one in found if one.state != "gone"] or found


def labels(connection: Connection, engagement_id: int, names: Collection[str]) -> dict[str, str]:
    """DIRECTORY/ANCHOR -> what people call the object; what is not imported is absent."""
    wanted: dict[str, list[str]] = {}
    for name in names:
        where, _, anchor = name.partition("/")
        wanted.setdefault(where, []).append(anchor)
    known = _of_engagement(connection, engagement_id) if wanted else {}
    found: dict[str, str] = {}
    for where in wanted.keys() & known.keys():
        for start in range(0, len(wanted[where]), PORTION):
            query = select(object_.c.anchor, object_.c.label).where(_in_directory(known[where]))
            query = query.where(object_.c.anchor.in_(wanted[where][start : start + PORTION]))
            found.update({f"{where}/{row.anchor}": row.label for row in connection.execute(query)})
    return found


def by_label(connection: Connection, engagement_id: int, label: str, *, limit: int = 11) -> list[Seen]:
    """Objects that are called this; case does not count. Living ones, or tombstones where there is no living one."""
    found: list[Seen] = []
    for number in _of_engagement(connection, engagement_id).values():
        query = _objects(engagement_id).where(is_called(connection, number, label))
        found += [_seen(row) for row in connection.execute(query.limit(limit))]
    return [one for one in found if one.state != "gone"] or found


def by_key(
    connection: Connection, engagement_id: int, directory_id: int, attribute: str, value: str, *, limit: int = 11
) -> list[Seen] | None:
    """Objects whose attribute has this value, from the index; None where the index does not hold the attribute."""
    known = select(directory.c["keys"]).where(directory.c.id == directory_id)
    if attribute not in (connection.execute(known).scalar() or ()):
        return None
    ids = select(match_key.c.object_id).where(
        match_keys.of_directory(directory_id), match_key.c.name == attribute, match_key.c.value == normalise(value)
    )
    query = _objects(engagement_id).where(object_.c.id.in_(ids)).order_by(object_.c.id).limit(limit)
    return [_seen(row) for row in connection.execute(query)]


def images(connection: Connection, directory_id: int, kind: str = "") -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(object, anchor, attributes without references) of what lives in a directory, in portions: for what no index holds."""
    last = 0
    live = (object_.c.directory_id == directory_id, object_.c.state == "live")
    query = select(object_.c.id, object_.c.anchor, object_.c.blob).where(*live).order_by(object_.c.id).limit(PORTION)
    if kind:
        query = query.where(object_.c.kind == kind)
    while rows := connection.execute(query.where(object_.c.id > last)).all():
        last = rows[-1].id
        yield from ((row.id, row.anchor, codec.decode(row.blob)) for row in rows)


def by_ids(connection: Connection, engagement_id: int, ids: Sequence[int]) -> list[Seen]:
    """These objects."""
    return [_seen(row) for row in connection.execute(_objects(engagement_id).where(object_.c.id.in_(list(ids))).order_by(object_.c.id))]


def attributes(connection: Connection, object_id: int) -> dict[str, Any]:
    """All that was imported of an object, references included."""
    found = codec.decode(connection.execute(select(object_.c.blob).where(object_.c.id == object_id)).scalar_one())
    query = select(link.c.attribute, link.c.key, link.c.value).where(link.c.object_id == object_id).order_by(link.c.attribute, link.c.value)
    for row in connection.execute(query):
        found[row.attribute] = (*found.get(row.attribute, ()), Reference(key=row.key, value=row.value))
    return found


def partners(connection: Connection, engagement_id: int, identity_id: int) -> list[tuple[Seen | None, Mapping[str, Any]]]:
    """All joins of an identity, with their objects; None where the object is still to be imported."""
    query = select(join, directory.c.name.label("directory")).join(directory, directory.c.id == join.c.directory_id)
    rows = list(connection.execute(query.where(join.c.identity_id == identity_id).order_by(join.c.id)).mappings())
    known = {one.id: one for one in by_ids(connection, engagement_id, [row["object_id"] for row in rows if row["object_id"]])}
    return [(known.get(row["object_id"]), dict(row)) for row in rows]


def problems(
    connection: Connection,
    engagement_id: int,
    *,
    areas: Collection[str] = (),
    of: Collection[str] = (),
    severities: Collection[str] = (),
    codes: Collection[str] = (),
    object_id: int | None = None,
    run_id: int | None = None,
    limit: int = 50,
    after: tuple[str, int] | None = None,
) -> list[ProblemRow]:
    """Problems that stand, the worst and oldest first, behind `after` = (severity, number)."""
    query = (
        select(problem, object_.c.label.label("label"), object_.c.anchor.label("object_anchor"), directory.c.name.label("directory"))
        .select_from(
            problem.outerjoin(object_, object_.c.id == problem.c.object_id).outerjoin(directory, directory.c.id == object_.c.directory_id)
        )
        .where(*_these(engagement_id, areas, of, severities, codes, object_id, run_id))
    )
    if after is not None:
        query = query.where(tuple_(problem.c.severity, problem.c.id) > after)
    found = connection.execute(query.order_by(problem.c.severity, problem.c.id).limit(limit))
    return [_problem(row) for row in found]


def count_problems(
    connection: Connection,
    engagement_id: int,
    *,
    areas: Collection[str] = (),
    of: Collection[str] = (),
    severities: Collection[str] = (),
    codes: Collection[str] = (),
    object_id: int | None = None,
    run_id: int | None = None,
) -> int:
    """How many there are of those that `problems` gives."""
    query = select(func.count()).select_from(problem).where(*_these(engagement_id, areas, of, severities, codes, object_id, run_id))
    return int(connection.execute(query).scalar_one())


def problem_totals(connection: Connection, engagement_id: int, of: Collection[str]) -> dict[str, int]:
    """severity -> number of problems that stand against these directories or profiles."""
    here = problem.c.engagement_id == engagement_id, problem.c.area.in_(AREAS), problem.c.of.in_(sorted(of))
    query = select(problem.c.severity, func.count()).where(*here).group_by(problem.c.severity)
    return {row[0]: row[1] for row in connection.execute(query)}


def problem_counts(connection: Connection, engagement_id: int) -> dict[tuple[str, str, str, str], int]:
    """(severity, area, of, code) -> number of problems that stand."""
    columns = (problem.c.severity, problem.c.area, problem.c.of, problem.c.code)
    query = select(*columns, func.count()).where(problem.c.engagement_id == engagement_id).group_by(*columns).order_by(*columns)
    return {(row[0], row[1], row[2], row[3]): row[4] for row in connection.execute(query)}


def engagements(connection: Connection) -> list[str]:
    """The engagements that this database holds."""
    return list(connection.execute(select(engagement.c.name).order_by(engagement.c.name)).scalars())


def directories(connection: Connection, engagement_id: int) -> list[Mapping[str, Any]]:
    """name, connector, completed (time of the last complete import) of each directory."""
    columns = (directory.c.id, directory.c.name, directory.c.connector, directory.c.completed, directory.c.pinned)
    query = select(*columns).where(directory.c.engagement_id == engagement_id).order_by(directory.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def audit_size(connection: Connection) -> tuple[int, str]:
    """(number of rows, last hash) of the audit log."""
    row = connection.execute(select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).one_or_none()
    return (row.seq, row.hash) if row else (0, "")


def _these(
    engagement_id: int,
    areas: Collection[str],
    of: Collection[str],
    severities: Collection[str],
    codes: Collection[str],
    object_id: int | None,
    run_id: int | None,
) -> list[ColumnElement[bool]]:
    where = [problem.c.engagement_id == engagement_id]
    filters = ((problem.c.area, areas), (problem.c.of, of), (problem.c.severity, severities), (problem.c.code, codes))
    where += [column.in_(list(wanted)) for column, wanted in filters if wanted]
    if object_id is not None:
        where.append(problem.c.object_id == object_id)
    if run_id is not None:
        where.append(problem.c.run_id == run_id)
    return where


def _seen(row: Row[Any]) -> Seen:
    return Seen(
        id=row.id,
        directory=row.directory,
        kind=row.kind,
        anchor=row.anchor,
        label=row.label,
        state=row.state,
        privileged=bool(row.privileged),
        identity=row.identity,
        created=bool(row.created),
    )


def _problem(row: Row[Any]) -> ProblemRow:
    return ProblemRow(
        id=row.id,
        area=row.area,
        of=row.of,
        object=f"{row.directory}/{row.object_anchor}" if row.directory else row.anchor,
        label=row.label or "",
        attribute=row.attribute,
        code=row.code,
        text=row.text,
        severity=row.severity,
        run=row.run_id,
        since=row.since,
    )
