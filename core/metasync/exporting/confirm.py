"""Confirmation: an import shows what was written, or the change was `not_reimported`, with the attributes that differ.

A value is compared by the directory's own rule of equality (law 13). Of several changes to one attribute only the last one counts, and a
reference to somebody who was deleted since is no difference. What the import does not ask for cannot be compared, and what was written
after the import began, or within the connector's lag before, is left for the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from metasync.contract import Operation
from metasync.exporting.later import LaterMembers
from metasync.exporting.order import MEMBERS
from metasync.exporting.shown import Showing
from metasync.store import dirty, ledger, runs
from metasync.store import problems as problem_rows
from metasync.store import written as written_rows
from metasync.store.ledger import ChangeRow
from metasync.workspace import Workspace

PORTION = 500
GONE = frozenset({Operation.DELETE})
NOT_THERE = ["the object is not there"]
UNSEEN = frozenset({Operation.PASSWORD, Operation.SID})


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What an import confirmed."""

    confirmed: int = 0
    not_reimported: int = 0
    left: int = 0
    """Too fresh to be judged by this import."""


def confirm_import(workspace: Workspace, directory: str, run_id: int, *, began: datetime | None = None) -> Confirmation:
    """Compare everything written to a directory with its complete import. `began`: when the import did; else the run's step says it."""
    directory_id = workspace.directory_ids[directory]
    lag = workspace.connector_class(directory).lag
    workspace.backend.gather_statistics()
    with workspace.backend.read() as connection:
        began = began or _began(connection, run_id, directory)
    until = began - lag if began is not None else None
    confirmed = wrong = left = 0
    after = ("", 0)
    later_members, deletes = LaterMembers(directory_id), _Deletes(directory_id)
    while True:
        workspace.check_stop()
        # One transaction per portion: judged and recorded on the same view.
        with workspace.backend.write("confirm.portion", durable=True) as connection:
            until = until or workspace.backend.now(connection) - lag
            rows = _portion(connection, directory_id, after)
            if not rows:
                break
            after = (rows[-1].anchor or "", rows[-1].id)
            ripe = [row for row in rows if row.written_at is None or row.written_at <= until]
            showing = Showing(connection, workspace.engagement_id, directory_id, ripe)
            later_members.look(connection, showing, ripe)
            deletes.look(connection, ripe)
            good, bad = _judge(connection, showing, directory_id, ripe, later_members, deletes)
            written_rows.confirm(connection, [row.id for row in good], run_id)
            plans_done = {(row.profile, row.object_id) for row in good} - {(row.profile, row.object_id) for row, _ in bad}
            _clear(connection, workspace, plans_done)
            for row, names in bad:
                _not_reimported(connection, workspace, directory, row, names, run_id)
            # Nothing of theirs changed in the directory, so that no import looks at them again.
            moot = {(row.profile, row.object_id, dirty.WHOLE) for row in good if row.object_id and showing.went(row.after)}
            dirty.mark(workspace.backend, connection, workspace.engagement_id, moot)
        confirmed += len(good)
        wrong += len(bad)
        left += len(rows) - len(good) - len(bad)
    return Confirmation(confirmed=confirmed, not_reimported=wrong, left=left)


def _began(connection: Connection, run_id: int, directory: str) -> datetime | None:
    """When the import that is going on began, by the run's own record."""
    steps = [step for step in runs.steps(connection, run_id) if step.name in ("import", "confirm") and step.of == directory]
    return steps[-1].started if steps else None


def _portion(connection: Connection, directory_id: int, after: tuple[str, int]) -> list[ChangeRow]:
    return written_rows.written(connection, directory_id, after=after, limit=PORTION)


class _Deletes:
    """The deletes of the groups whose members are on the present page. They are looked for once per group: it may have 100,000 changes."""

    def __init__(self, directory_id: int) -> None:
        self._directory_id = directory_id
        self._known: dict[str, list[ChangeRow]] = {}

    def look(self, connection: Connection, rows: list[ChangeRow]) -> None:
        wanted = {row.anchor for row in rows if row.operation in MEMBERS and row.anchor}
        known = {anchor: self._known[anchor] for anchor in wanted & self._known.keys()}
        found = written_rows.of_anchors(connection, self._directory_id, wanted - known.keys(), ledger.DONE, members=False)
        for anchor in wanted - known.keys():
            known[anchor] = [one for one in found.get(anchor, []) if one.operation in GONE]
        self._known = known

    def behind(self, row: ChangeRow) -> bool:
        """The group was deleted behind this change."""
        return bool(_behind(row, self._known.get(row.anchor or "", [])))


def _judge(
    connection: Connection, showing: Showing, directory_id: int, rows: list[ChangeRow], later_members: LaterMembers, deletes: _Deletes
) -> tuple[list[ChangeRow], list[tuple[ChangeRow, list[str]]]]:
    plain = [row for row in rows if row.operation not in MEMBERS]
    first = min((row.id for row in plain), default=0)
    anchors = {row.anchor for row in plain if row.anchor}
    written = written_rows.of_anchors(connection, directory_id, anchors, ledger.DONE, members=False, after_id=first - 1)
    good: list[ChangeRow] = []
    bad: list[tuple[ChangeRow, list[str]]] = []
    for row in rows:
        if row.operation in MEMBERS:
            names = [] if deletes.behind(row) else _members_missing(showing, row, later_members)
        else:
            names = _differences(showing, row, _behind(row, written.get(row.anchor or "", [])))
        if names is None:
            continue
        if names:
            bad.append((row, names))
        else:
            good.append(row)
    return good, bad


def _behind(row: ChangeRow, written: list[ChangeRow]) -> list[ChangeRow]:
    """Changes to the same object that were written after this one."""
    return [one for one in written if one.id != row.id and (one.written_at, one.id) > (row.written_at, row.id)]


def _differences(showing: Showing, row: ChangeRow, later: list[ChangeRow]) -> list[str] | None:
    """What of a written change the import does not show; empty: it is confirmed; None: the import did not read the object."""
    if row.operation in UNSEEN:
        return []
    if any(one.operation in GONE for one in later):
        return []
    shown = showing.of(row.anchor)
    if row.operation in GONE:
        return ["the object is still there"] if shown is not None and shown.there else []
    if shown is None or not shown.there:
        return NOT_THERE
    if not shown.read:
        return None
    overwritten = {name for change in later for name in change.after}
    after = showing.image(row.after)
    return [
        name
        for name, value in after.items()
        if name not in overwritten
        and showing.is_imported(row, name)
        and not showing.went({name: value})
        and not showing.same(row, name, value, showing.value(row, shown, name))
    ]


def _members_missing(showing: Showing, row: ChangeRow, later_members: LaterMembers) -> list[str] | None:
    """As `_differences`, of a member: who was changed again by a later plan is no difference."""
    shown = showing.of(row.anchor)
    if shown is None or not shown.there:
        return NOT_THERE
    if not shown.read:
        return None
    wanted = row.operation is Operation.MEMBER_ADD
    return [
        f"{name}: {one.value}"
        for name, one in showing.members(row)
        if not later_members.of(row, one.value)
        and showing.is_member(shown, name, one.value) != wanted
        and not (wanted and showing.went({name: one}))
    ]


def _not_reimported(connection: Connection, workspace: Workspace, directory: str, row: ChangeRow, names: list[str], run_id: int) -> None:
    """The change did not last: say so, and have the object synchronised again."""
    words = ", ".join(names)
    text = f"{row.operation} of {row.label} was written to {directory}, and the import does not show it: {words}"
    written_rows.not_reimported(connection, row.id, run_id, text)
    problem_rows.clear(connection, workspace.engagement_id, "export", row.profile, [row.object_id], codes=["not_reimported"])
    problem = {
        "engagement_id": workspace.engagement_id,
        "area": "export",
        "of": row.profile,
        "object_id": row.object_id,
        "anchor": row.source.partition("/")[2] or row.anchor or "",
        "attribute": names[0] if len(names) == 1 and names[0] in row.after else "",
        "code": "not_reimported",
        "text": text,
        "severity": "error",
        "run_id": run_id,
        "since": workspace.backend.now(connection),
    }
    problem_rows.add_rows(connection, [problem])
    if row.object_id:
        dirty.mark(workspace.backend, connection, workspace.engagement_id, [(row.profile, row.object_id, 0)])


def _clear(connection: Connection, workspace: Workspace, done: set[tuple[str, int]]) -> None:
    by_profile: dict[str, set[int]] = {}
    for profile, object_id in done:
        by_profile.setdefault(profile, set()).add(object_id)
    for profile, objects in by_profile.items():
        problem_rows.clear(connection, workspace.engagement_id, "export", profile, objects, codes=["not_reimported"])
