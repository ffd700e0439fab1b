"""The way back of one profile, object by object and then member by member: which drafts an undo hands to the freezer, and which problems it
names where something cannot go back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from metasync.contract import Kind, Operation, Reference
from metasync.exporting.later import LaterMembers
from metasync.exporting.order import EXPORTED, Stage, is_reference, split_references
from metasync.exporting.shown import Showing, Shown
from metasync.planning.freezer import Draft, Freezer, Subject
from metasync.planning.undone import Undone, in_one_step
from metasync.store import joins, ledger
from metasync.store import written as written_rows
from metasync.store.joins import JoinRow
from metasync.store.ledger import ChangeRow
from metasync.store.rows import MARK_PREFIX, MOVED_MEMBERS, REPLACING
from metasync.workspace import Workspace

OPPOSITE = {
    Operation.ENABLE: Operation.DISABLE,
    Operation.DISABLE: Operation.ENABLE,
    Operation.CREATE: Operation.DELETE,
    Operation.RESTORE: Operation.DELETE,
    Operation.DELETE: Operation.RESTORE,
    Operation.MEMBER_ADD: Operation.MEMBER_REMOVE,
    Operation.MEMBER_REMOVE: Operation.MEMBER_ADD,
    Operation.CLEAR: Operation.UPDATE,
}
"""What takes an operation back; every other one is its own opposite."""
LOST = "its security identifier, memberships and password cannot return"


@dataclass(kw_only=True, slots=True)
class _Present:
    """What one object is now: as imported, overlaid with what was written since."""

    shown: Shown | None
    there: bool
    values: dict[str, Any]


@dataclass(kw_only=True, slots=True)
class Fate:
    """What becomes of objects that were created, over all plans of one undo: (directory, anchor)."""

    removed: set[tuple[int, str]] = field(default_factory=set)
    kept: set[tuple[int, str]] = field(default_factory=set)
    """Somebody changed them since: they stay as they are, with their memberships."""


class WayBack:
    """The way back for one profile."""

    def __init__(
        self,
        workspace: Workspace,
        connection: Connection,
        freezer: Freezer,
        *,
        undone: Undone,
        profile: str,
        directory: str,
        restorable: Mapping[str, str],
        fate: Fate,
    ) -> None:
        self._workspace = workspace
        self._connection = connection
        self._freezer = freezer
        self._undone = undone
        self._profile = profile
        self._directory = directory
        self._directory_id = workspace.directory_ids[directory]
        self._restorable = restorable
        self._fate = fate
        self._marks = workspace.engagement.directories[directory].mark is not None
        self._joins: Mapping[str, JoinRow] = {}
        """Of what was created, on the present page, where there are no marks."""
        self._looked_at: set[tuple[str | None, str, str]] = set()
        """Members (group, attribute, anchor) of whom it is decided."""
        self._gone: set[tuple[int, Kind]] = set()
        """(source object, kind) of what is deleted by this undo."""
        self._stay: set[int] = set()
        """Source objects whose object in the target stays, so that what gave way to it stays away, too."""

    def back(self) -> None:
        """Hand all drafts to the freezer: objects first, then members."""
        for rows in self._pages(members=False):
            groups = [list(group) for _, group in groupby(rows, key=lambda row: self._undone.place(row)[0])]
            showing, written = self._look(rows)
            for group in groups:
                # Something of another kind may have given way to the object.
                kinds = [[row for row in group if row.kind is kind] for kind in dict.fromkeys(row.kind for row in group)]
                gave_way = len(kinds) > 1 and any(row.operation is Operation.DELETE for row in group)
                # What was made first: whether it goes decides about the other.
                for some in sorted(kinds, key=lambda some: all(row.operation is not Operation.CREATE for row in some)):
                    self._object(sorted(some, key=_when), showing, written.get(some[-1].anchor or "", []), gave_way=gave_way)
        later = LaterMembers(self._directory_id)
        for rows in self._pages(members=True):
            showing = Showing(self._connection, self._workspace.engagement_id, self._directory_id, rows)
            later.look(self._connection, showing, rows)
            for row in rows:
                self._member(row, showing, later)

    def _pages(self, *, members: bool) -> Iterator[list[ChangeRow]]:
        """Pages of what the run wrote and nobody took back yet; the changes of one object are on one page."""
        after = (-1, 0)
        rest: list[ChangeRow] = []
        while True:
            rows = self._undone.rows(self._connection, profile=self._profile, directory_id=self._directory_id, members=members, after=after)
            done = written_rows.taken_back(self._connection, [row.id for row in rows])
            page = rest + [row for row in rows if row.id not in done]
            if not rows:
                if page:
                    yield page
                return
            after = self._undone.place(rows[-1])
            # The last object's changes may go on behind this page; members are taken one by one.
            rest = [] if members else [row for row in page if self._undone.place(row)[0] == after[0]]
            page = page if members else [row for row in page if self._undone.place(row)[0] != after[0]]
            if page:
                yield page

    def _look(self, rows: list[ChangeRow]) -> tuple[Showing, dict[str, list[ChangeRow]]]:
        showing = Showing(self._connection, self._workspace.engagement_id, self._directory_id, rows)
        anchors = {row.anchor for row in rows if row.anchor}
        if not self._marks:
            created = [row.anchor for row in rows if row.operation is Operation.CREATE and row.anchor]
            self._joins = joins.of_anchors(self._connection, self._directory_id, created)
        # Not by number: of two plans that one run wrote, what was frozen first may be written last.
        found = written_rows.of_anchors(self._connection, self._directory_id, anchors, ledger.DONE, members=False)
        return showing, found

    # --- one object --------------------------------------------------------------------------------------------------------------------

    def _object(self, rows: list[ChangeRow], showing: Showing, written: list[ChangeRow], *, gave_way: bool) -> None:
        for row in [row for row in rows if row.operation in EXPORTED]:
            self._problem(row, "cannot return", f"the {row.operation} of {row.label} cannot be taken back: what it was before is not known")
        rows = [row for row in rows if row.operation not in EXPORTED]
        if not rows:
            return
        # Of an object that went and was made anew meanwhile only the present one counts.
        rows = [row for row in rows if row.anchor == rows[-1].anchor]
        present = self._present(rows, showing, written)
        later = [one for one in written if not self._undone.covers(one) and _when(one) > _when(rows[-1])]
        made = next((row for row in rows if row.operation in (Operation.CREATE, Operation.RESTORE)), None)
        deleted = next((row for row in rows if row.operation is Operation.DELETE), None)
        if deleted is not None and made is None and deleted.object_id in self._stay:
            text = f"{deleted.label} does not come back: what took its place in {self._directory} is kept"
            self._problem(deleted, "cannot return", text)
        elif deleted is not None and made is None:
            handed_over = [row for row in rows if any(words.startswith(REPLACING) for words in row.rules.values())]
            self._restore(deleted, showing, present, [row for row in handed_over if row is not deleted])
        elif made is not None and deleted is None:
            if present.there and not self._remove(rows, made, showing, present, later, gave_way=gave_way):
                self._stay.add(made.object_id)
                self._fate.kept.add((self._directory_id, made.anchor or ""))
        elif made is None:
            self._change(rows, showing, present, later, written)

    def _present(self, rows: list[ChangeRow], showing: Showing, written: list[ChangeRow]) -> _Present:
        shown = showing.of(rows[-1].anchor)
        names = {name for row in rows for image in (row.before, row.after) for name in image}
        values = {name: showing.value(rows[-1], shown, name) for name in names} if shown is not None else {}
        present = _Present(shown=shown, there=shown is not None and shown.there, values=values)
        for one in written:
            if one.state != "written":
                continue
            if one.operation is Operation.DELETE:
                present.there = False
            elif one.operation in (Operation.CREATE, Operation.RESTORE):
                present.there = True
            present.values.update({name: value for name, value in showing.image(one.after).items() if name in names})
        return present

    def _change(self, rows: list[ChangeRow], showing: Showing, present: _Present, later: list[ChangeRow], written: list[ChangeRow]) -> None:
        if not present.there:
            label = rows[-1].label
            if any(one.operation is Operation.DELETE and self._undone.covers(one) for one in written):
                # Another profile deleted it (`replaces:`), and brings it back in this same undo, as it was last known.
                text = f"{label} comes back as it was when it was deleted; what {self._undone.words} changed in it before is left as it is"
                self._problem(rows[-1], "cannot return", text, severity="warning")
                return
            self._problem(rows[-1], "changed since", f"{label} is not there any more: {self._who(later, None)} deleted it")
            return
        drafts = in_one_step([draft for row in reversed(rows) for draft in self._reversed(row, showing, present, later)])
        if drafts:
            self._freezer.add(self._subject(rows[-1], present.shown), drafts)

    def _reversed(self, row: ChangeRow, showing: Showing, present: _Present, later: list[ChangeRow]) -> list[Draft]:
        before, after = showing.image(row.before), showing.image(row.after)
        back: dict[str, Any] = {}
        for name, value in after.items():
            now, old = present.values.get(name), before.get(name)
            if showing.same(row, name, now, old):
                continue
            if not showing.same(row, name, now, value):
                self._problem(
                    row, "changed since", f"{name} of {row.label} is left alone: {self._who(later, name)} changed it since", attribute=name
                )
                continue
            back[name] = old
        if not back:
            return []
        was = {name: present.values[name] for name in back if present.values.get(name) is not None}
        present.values.update(back)
        rules = dict.fromkeys(back, f"undo of {self._undone.words}")
        if row.operation not in (Operation.UPDATE, Operation.CLEAR):
            operation = OPPOSITE.get(row.operation, row.operation)
            return [Draft(operation=operation, before=was, after=back, rules=rules, undoes=(row.id,))]
        drafts = []
        for operation, names in (
            (Operation.UPDATE, [name for name in back if back[name] is not None]),
            (Operation.CLEAR, [name for name in back if back[name] is None]),
        ):
            if names:
                drafts.append(
                    Draft(
                        operation=operation,
                        before={name: was[name] for name in names if name in was},
                        after={name: back[name] for name in names},
                        rules={name: rules[name] for name in names},
                        undoes=(row.id,),
                    )
                )
        return drafts

    def _remove(
        self, rows: list[ChangeRow], made: ChangeRow, showing: Showing, present: _Present, later: list[ChangeRow], *, gave_way: bool
    ) -> bool:
        """Take a create back: only what is certainly ours, and is as we left it; False if it is kept. `gave_way`: another object comes back
        instead, which is restored before this one goes, and takes its addresses again afterwards."""
        shown = present.shown
        if made.operation is Operation.CREATE and not self._is_ours(made, shown):
            self._problem(
                made, "not ours", f"{made.label} is kept: it does not carry our mark, so it is not certainly the object that we created"
            )
            return False
        ours: dict[str, Any] = {}
        for row in rows:
            ours.update(showing.image(row.after))
        different = sorted(
            name
            for name, value in ours.items()
            if showing.is_imported(made, name) and not showing.same(made, name, present.values.get(name), value)
        )
        if different:
            who = self._who(later, different[0])
            self._problem(made, "changed since", f"{made.label} is kept: {who} changed {', '.join(different)} since it was created")
            return False
        before = {
            name: value for name, value in ours.items() if value is not None and not is_reference(value) and showing.is_imported(made, name)
        }
        self._gone.add((made.object_id, made.kind))
        self._fate.removed.add((self._directory_id, made.anchor or ""))
        draft = Draft(
            operation=Operation.DELETE,
            before=before,
            rules={"": f"undo of {self._undone.words}"},
            undoes=tuple(row.id for row in rows),
            stage=Stage.YIELD if gave_way else None,
        )
        self._freezer.add(self._subject(rows[-1], shown), [draft])
        return True

    def _is_ours(self, made: ChangeRow, shown: Shown | None) -> bool:
        """It carries the mark of this very create; where there are no marks, our record of the create stands in."""
        if shown is None:
            return True
        if self._marks:
            return shown.mark is not None and shown.mark.removeprefix(MARK_PREFIX) == made.tag
        join = self._joins.get(made.anchor or "")
        return join is not None and join.created

    def _restore(self, deleted: ChangeRow, showing: Showing, present: _Present, others: list[ChangeRow]) -> None:
        """Where the directory does not bring it back whole, what we know of it is written again. `others`: by what it handed over to
        another object before it was deleted."""
        if present.there:
            return
        anchor = deleted.anchor or ""
        if anchor not in self._restorable:
            self._problem(
                deleted,
                "cannot return",
                f"{deleted.label} cannot be restored in {self._directory}; created anew it would be another object: {LOST}",
            )
            return
        rule = f"undo of {self._undone.words}"
        plain: dict[str, Any] = {}
        references: dict[str, Any] = {}
        if missing := self._restorable[anchor]:
            self._problem(deleted, "cannot return", f"{deleted.label} is restored, but not whole: {missing}", severity="warning")
            known = showing.known(self._connection, deleted.kind, present.shown) if present.shown is not None else {}
            (_, plain), (_, references) = split_references({}, known)
        back = [_turned(row, rule) for row in reversed(others)]
        # What it had handed over is taken by somebody else until that one is gone.
        plain = {name: value for name, value in plain.items() if not any(name in draft.after for draft in back)}
        drafts = [
            Draft(operation=Operation.RESTORE, after=plain, rules={"": rule, **dict.fromkeys(plain, rule)}, undoes=(deleted.id,)),
            *([Draft(operation=Operation.UPDATE, after=references, rules=dict.fromkeys(references, rule))] if references else []),
            *back,
        ]
        self._freezer.add(self._subject(deleted, present.shown), drafts)

    # --- members -----------------------------------------------------------------------------------------------------------------------

    def _member(self, row: ChangeRow, showing: Showing, later: LaterMembers) -> None:
        shown = showing.of(row.anchor)
        if (row.object_id, row.kind) in self._gone or (shown is not None and not shown.there):
            return
        if row.object_id in self._stay and row.stage in MOVED_MEMBERS:
            return
        added = row.operation is Operation.MEMBER_ADD
        for name, member in showing.members(row):
            if (row.anchor, name, member.value) in self._looked_at:
                continue  # what was there before the first of several changes is what comes back
            who = (self._directory_id, member.value)
            if who in self._fate.removed or who in self._fate.kept:
                continue  # it goes by itself, or stays where it is
            if self._undone.run is None:
                self._looked_at.add((row.anchor, name, member.value))
            is_member = shown is not None and showing.is_member(shown, name, member.value)
            # What no import has shown yet.
            for operation, state in ((row.operation, row.state), *later.of(row, member.value)):
                if state == "written":
                    is_member = operation is Operation.MEMBER_ADD
            if is_member != added:
                continue
            image = {name: (Reference(value=member.value),)}
            draft = Draft(
                operation=OPPOSITE[row.operation],
                before=image if added else {},
                after={} if added else image,
                rules={name: f"undo of {self._undone.words}"},
                undoes=(row.id,),
            )
            self._freezer.add(self._subject(row, shown), [draft])

    # --- words -------------------------------------------------------------------------------------------------------------------------

    def _subject(self, row: ChangeRow, shown: Shown | None) -> Subject:
        return Subject(
            object_id=row.object_id,
            source=row.source,
            identity_id=row.identity_id,
            kind=row.kind,
            target_id=shown.id if shown else row.target_id,
            anchor=row.anchor,
            label=row.label,
            image=shown.attributes if shown else {},
        )

    def _who(self, later: list[ChangeRow], name: str | None) -> str:
        for one in reversed(later):
            if (name is None and one.operation is Operation.DELETE) or (name is not None and name in one.after):
                return f"run {one.run_id}"
        return f"somebody in {self._directory}"

    def _problem(self, row: ChangeRow, code: str, text: str, *, attribute: str = "", severity: str = "error") -> None:
        self._freezer.problems.append(
            {
                "object_id": row.object_id,
                "anchor": row.source.partition("/")[2] or row.anchor or "",
                "attribute": attribute,
                "code": code,
                "text": text,
                "severity": severity,
            }
        )


def _turned(row: ChangeRow, rule: str) -> Draft:
    """The way back from a change of values, behind a restore."""
    after = {name: row.before.get(name) for name in row.after}
    return Draft(
        operation=row.operation if row.operation is not Operation.CLEAR else Operation.UPDATE,
        before={name: value for name, value in row.after.items() if value is not None},
        after=after,
        rules=dict.fromkeys(after, rule),
        undoes=(row.id,),
        stage=Stage.UPDATE,
    )


def _when(row: ChangeRow) -> tuple[Any, int, int]:
    """The order in which changes were written."""
    return (row.written_at, row.stage, row.id)
