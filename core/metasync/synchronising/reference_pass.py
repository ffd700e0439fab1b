"""The last part of a pass: managers and members, once it is known who exists in the target or is about to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from metasync.store import dirty, references, states
from metasync.store import pending as pending_rows
from metasync.store import problems as problem_rows
from metasync.store import written as written_rows
from metasync.store.rows import Problem, State, Status
from metasync.synchronising.program import ObjectError, Program, evaluate
from metasync.synchronising.references import UNRESOLVED, References, with_references
from metasync.synchronising.setting import Setting, label_of
from metasync.synchronising.units import Unit


class ReferencePass:
    """Works the references of what was worked, and of whatever refers to somebody that came or went."""

    def __init__(self, at: Setting) -> None:
        self.at = at

    def run(self) -> None:
        """Managers and members of what was worked, and of whatever refers to somebody that came or went."""
        if not any(program.references for program in self.at.programs.values()):
            with self.at.workspace.backend.write() as connection:
                stale = dirty.due_members(connection, self.at.engagement_id, self.at.profile.name)
                dirty.clean(connection, self.at.profile.name, stale, self.at.now, members=True)
            return
        with self.at.workspace.backend.read() as connection:
            by_member = dirty.due_members(connection, self.at.engagement_id, self.at.profile.name)
            self.at.worked |= dirty.due_references(connection, self.at.engagement_id, self.at.profile.name)
        ids = sorted(self.at.worked | set(by_member))
        worker = References(self.at.profile.name, self.at.target_id, self.at.names, self.at.source_ids)
        for part in self.at.portions(ids):
            with self.at.workspace.backend.write("synchronise.references") as connection:
                self._references_of(connection, part, by_member, worker)
                dirty.clean(connection, self.at.profile.name, part, self.at.now, members=True)

    def _references_of(self, connection: Connection, ids: list[int], by_member: Mapping[int, set[int]], worker: References) -> None:
        pending = pending_rows.of_objects(connection, self.at.profile.name, ids)
        units = []
        stood = states.of_objects(connection, self.at.profile.name, ids)
        for unit in self.at.loader.load(connection, ids):
            row, state = pending.get(unit.id), stood.get(unit.id)
            unit.creates = row is not None and row.anchor is None
            live = unit.target is not None and unit.target.state is State.LIVE
            # Without wanted values the main part left the object to somebody else, or to itself.
            kept = state is not None and state.status in (Status.IN_STEP, Status.PENDING) and state.desired is not None
            if kept and (live or unit.creates):
                units.append(unit)
        anchors = [unit.target.anchor for unit in units if unit.target is not None]
        written = written_rows.unconfirmed(connection, self.at.target_id, anchors)
        singles: dict[int, list[Any]] = {unit.id: [] for unit in units}
        problems: dict[int, list[Problem]] = {unit.id: [] for unit in units}
        for unit in units:
            problems[unit.id] += self._hold_back(unit)
        for program in self.at.programs.values():
            mine = [unit for unit in units if unit.program is program]
            by_id = {unit.id: unit for unit in mine}
            for mapping in program.references:
                current = self._current(connection, mine, mapping.attribute)
                if mapping.attribute == "members":
                    self._members_of(connection, worker, program, mapping, mine, by_member, current, written)
                    continue
                for unit_id, (wanted, lost) in worker.wanted(connection, mine, mapping).items():
                    unit = by_id[unit_id]
                    operation, found = worker.single(program, unit, mapping, wanted, lost, current.get(unit_id, {}))
                    problems[unit_id] += found
                    if operation is not None:
                        singles[unit_id].append(operation)
        self._write_references(connection, units, pending, singles, problems)

    def _hold_back(self, unit: Unit) -> list[Problem]:
        """A false `when` leaves a reference alone, as a hold does."""
        problems = []
        conditions = [(one.attribute, one.condition) for one in unit.program.references if one.condition is not None]
        environment = unit.environment(self.at.engagement) if conditions else {}
        for attribute, condition in conditions:
            try:
                if evaluate(condition, environment, attribute, unit.program.source_schema) is True:
                    continue
            except ObjectError as error:
                text = f"{attribute}: {error}; it is left alone"
                problems.append(Problem(code=UNRESOLVED, text=text, object_id=unit.id, anchor=unit.row.anchor, attribute=attribute))
            unit.held |= {attribute}
        return problems

    def _current(self, connection: Connection, units: Sequence[Unit], attribute: str) -> dict[int, dict[str, references.Present]]:
        by_target = {unit.target.object_id: unit.id for unit in units if unit.target is not None and unit.target.object_id is not None}
        found = references.present(connection, list(by_target), attribute, self.at.source_ids)
        return {by_target[target]: values for target, values in found.items()}

    def _members_of(
        self,
        connection: Connection,
        worker: References,
        program: Program,
        mapping: Any,
        units: Sequence[Unit],
        by_member: Mapping[int, set[int]],
        current: Mapping[int, Mapping[str, references.Present]],
        written: Mapping[str, Any],
    ) -> None:
        by_id = {unit.id: unit for unit in units}
        # Which contributor decides can be told from all members alone.
        ranked = len(mapping.contributors) > 1 and not mapping.union
        whole = [unit for unit in units if unit.id in self.at.worked or (ranked and unit.id in by_member)]
        partly = [unit for unit in units if unit.id not in self.at.worked and unit.id in by_member and not ranked]
        standing = worker.stand_ins(connection, {member for unit in partly for member in by_member[unit.id]})
        for some, only in ((whole, None), (partly, by_member)):
            for unit_id, (wanted, _) in worker.wanted(connection, some, mapping, only).items():
                unit = by_id[unit_id]
                if mapping.attribute in unit.held:
                    self._put_members(connection, unit_id, mapping.attribute, [], None)
                    continue
                since = written.get(unit.target.anchor, ()) if unit.target is not None else ()
                members = None if only is None else {one: standing.get(one, set()) for one in by_member[unit_id]}
                rows, keys = worker.members(program, unit, mapping, wanted, current.get(unit_id, {}), since, members)
                self._put_members(connection, unit_id, mapping.attribute, rows, keys)

    def _put_members(
        self, connection: Connection, group: int, attribute: str, rows: Sequence[pending_rows.MemberRow], keys: Collection[str] | None
    ) -> None:
        backend, engagement_id, name = self.at.workspace.backend, self.at.engagement_id, self.at.profile.name
        pending_rows.put_members(backend, connection, engagement_id, name, group, attribute, rows, keys)

    def _write_references(
        self,
        connection: Connection,
        units: Sequence[Unit],
        pending: Mapping[int, pending_rows.PendingRow],
        singles: Mapping[int, list[Any]],
        problems: Mapping[int, list[Problem]],
    ) -> None:
        rows, changed = [], []
        for unit in units:
            row = pending.get(unit.id)
            operations = with_references(unit.program, row.operations if row else [], singles[unit.id])
            if row is None and not operations:
                continue
            changed.append(unit.id)
            rows.append(
                pending_rows.PendingRow(
                    object_id=unit.id,
                    identity_id=unit.identity_id,
                    directory_id=self.at.target_id,
                    kind=self.at.profile.target_kind,
                    target_id=unit.target.object_id if unit.target is not None else None,
                    anchor=unit.target.anchor if unit.target is not None else None,
                    label=row.label if row is not None else label_of(unit, {}),
                    operations=operations,
                )
            )
        pending_rows.put(self.at.workspace.backend, connection, self.at.engagement_id, self.at.profile.name, self.at.run_id, changed, rows)
        found = [one for unit in units for one in problems[unit.id]]
        ids = [unit.id for unit in units]
        name, run_id, now = self.at.profile.name, self.at.run_id, self.at.now
        problem_rows.replace_synchronised(connection, self.at.engagement_id, name, run_id, now, ids, found, code=UNRESOLVED)
