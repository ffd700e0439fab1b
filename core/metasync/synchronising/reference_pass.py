"""The last part of a pass: managers and members, once it is known who exists in the target or is about to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from metasync import garbage
from metasync.store import dirty, references, states
from metasync.store import holders as holder_rows
from metasync.store import pending as pending_rows
from metasync.store import problems as problem_rows
from metasync.store import written as written_rows
from metasync.store.rows import PendingOperation, Problem, State, Status
from metasync.synchronising.created import Resolver
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.fit import attribute_schema
from metasync.synchronising.program import MEMBERS, Program, ReferenceMapping, evaluate
from metasync.synchronising.references import TOLD, UNRESOLVED, Holder, References
from metasync.synchronising.setting import Setting, label_of
from metasync.synchronising.units import Unit

Since = Mapping[str, Sequence[written_rows.Unconfirmed]]
"""Anchor in the target -> what was written to it, or may have been, and no import has shown yet."""


class ReferencePass:
    """Works the references of what was worked, and of whatever refers to somebody that came or went."""

    def __init__(self, at: Setting) -> None:
        self.at = at
        self.backend = at.workspace.backend
        self.worker = References(self.backend, at.profile.name, at.target_id, at.names)
        self.whole: set[int] = set()
        """Source objects all of whose references are looked at."""

    def run(self) -> None:
        """Managers and members of what was worked, and of whatever refers to somebody that came or went."""
        with self.backend.read() as connection:
            by_member = dirty.due_members(connection, self.at.engagement_id, self.at.profile.name)
            self.whole = set(dirty.due_references(connection, self.at.engagement_id, self.at.profile.name))
            plain = self.at.refers and self._plain(connection)
        for part in self.at.portions(sorted(self.whole | by_member.keys())):
            with garbage.paused(), self.backend.write("synchronise.references") as connection:
                if self.at.refers:
                    holders, since = self._plainly(connection, part) if plain else self._closely(connection, part)
                    self._work(connection, holders, since, by_member)
                dirty.clean_references(self.backend, connection, self.at.profile.name, part)

    def _plain(self, connection: Connection) -> bool:
        """Do references depend on nothing but links and partners: no condition, no other directory, nothing on its way, nothing held?"""
        for program in self.at.programs.values():
            for one in program.references:
                if one.condition is not None or any(root not in ("source", program.source) for root, _ in one.contributors):
                    return False
        return not holder_rows.under_way(self.backend, connection, self.at.engagement_id, self.at.profile.name, self.at.target_id)

    def _plainly(self, connection: Connection, ids: Sequence[int]) -> tuple[list[Holder], Since]:
        """Those that are kept in step, from a few columns."""
        rows = holder_rows.kept(self.backend, connection, self.at.profile.name, ids, self.at.target_id, self.at.profile.target_kind.value)
        return [
            Holder(
                id=row.id,
                anchor=row.anchor,
                program=self.at.programs[row.directory_id],
                creates=row.creates,
                identity_id=row.identity_id,
                target_id=row.target_id,
                target_anchor=row.target_anchor,
                label=row.label,
            )
            for row in rows
            if row.directory_id in self.at.programs
        ], {}

    def _closely(self, connection: Connection, ids: Sequence[int]) -> tuple[list[Holder], Since]:
        """Those that are kept in step, from all that is known of them."""
        name = self.at.profile.name
        creates = pending_rows.planned(self.backend, connection, name, ids)
        stood = states.of_objects(connection, name, ids)
        units = []
        for unit in self.at.loader.load(connection, ids):
            state = stood.get(unit.id)
            live = unit.target is not None and unit.target.state is State.LIVE
            # Without wanted values the main part left the object to somebody else, or to itself.
            kept = state is not None and state.status in (Status.IN_STEP, Status.PENDING) and state.desired is not None
            if kept and (live or unit.id in creates):
                units.append(unit)
        anchors = [unit.target.anchor for unit in units if unit.target is not None]
        since = written_rows.unconfirmed(connection, self.at.target_id, anchors)
        return [self._holder(unit, creates=unit.id in creates) for unit in units], since

    def _holder(self, unit: Unit, *, creates: bool) -> Holder:
        target = unit.target
        holder = Holder(
            id=unit.id,
            anchor=unit.row.anchor,
            program=unit.program,
            creates=creates,
            identity_id=unit.identity_id,
            target_id=target.object_id if target is not None else None,
            target_anchor=target.anchor if target is not None else None,
            label=label_of(unit, {}),
            held=unit.held,
            written=target.attributes if target is not None else {},
            cleared=unit.cleared,
            others={name: image.object_id for name, image in unit.partners.items() if image.object_id is not None},
        )
        # A false `when` leaves a reference alone, as a hold does.
        conditions = [(one.attribute, one.condition) for one in unit.program.references if one.condition is not None]
        environment = unit.environment(self.at.engagement) if conditions else {}
        for attribute, condition in conditions:
            try:
                if evaluate(condition, environment, attribute, unit.program.source_schema) is True:
                    continue
            except ObjectError as error:
                text = f"{attribute}: {error}; it is left alone"
                problem = Problem(code=UNRESOLVED, text=text, object_id=unit.id, anchor=unit.row.anchor, attribute=attribute)
                holder.problems.append(problem)
            holder.held |= {attribute}
        return holder

    def _work(self, connection: Connection, holders: Sequence[Holder], since: Since, by_member: Mapping[int, set[int]]) -> None:
        singles: dict[int, list[PendingOperation]] = {}
        problems: list[Problem] = [problem for one in holders for problem in one.problems]
        for program in self.at.programs.values():
            mine = [one for one in holders if one.program is program]
            by_id = {one.id: one for one in mine}
            for mapping in program.references:
                current = self._current(connection, mine, mapping.attribute)
                if mapping.attribute == MEMBERS:
                    self._members_of(connection, program, mapping, mine, by_member, current, since)
                    continue
                for holder_id, (wanted, lost) in self.worker.wanted(connection, mine, mapping).items():
                    holder = by_id[holder_id]
                    operation, found = self.worker.single(program, holder, mapping, wanted, lost, current.get(holder_id, {}))
                    problems += found
                    if operation is not None:
                        singles.setdefault(holder_id, []).append(operation)
        self._write(connection, holders, singles, problems)

    def _current(self, connection: Connection, holders: Sequence[Holder], attribute: str) -> dict[int, dict[str, references.Present]]:
        by_target = {one.target_id: one.id for one in holders if one.target_id is not None}
        found = references.present(self.backend, connection, by_target, attribute, self.at.source_ids) if by_target else {}
        return {by_target[target]: values for target, values in found.items()}

    def _members_of(
        self,
        connection: Connection,
        program: Program,
        mapping: ReferenceMapping,
        holders: Sequence[Holder],
        by_member: Mapping[int, set[int]],
        current: Mapping[int, Mapping[str, references.Present]],
        since: Since,
    ) -> None:
        backend, engagement_id, name = self.backend, self.at.engagement_id, self.at.profile.name
        by_id = {one.id: one for one in holders}
        # Which contributor decides can be told from all members alone.
        ranked = len(mapping.contributors) > 1 and not mapping.union
        whole = [one for one in holders if one.id in self.whole or (ranked and one.id in by_member)]
        partly = [one for one in holders if one.id not in self.whole and one.id in by_member and not ranked]
        made = Resolver(engagement_id, self.at.target_id)
        written = {one.id: since.get(one.target_anchor, ()) if one.target_anchor is not None else () for one in holders}
        made.learn(connection, [after for changes in written.values() for _, after, _ in changes])
        standing = self.worker.stand_ins(connection, {member for one in partly for member in by_member[one.id]})
        unmovable = attribute_schema(program.target_schema, mapping.attribute).fixed
        fixed = self._current(connection, holders, unmovable) if unmovable else {}
        pending_rows.drop_members(connection, name, [one.id for one in whole], mapping.attribute)
        for some, only in ((whole, None), (partly, by_member)):
            for holder_id, (wanted, _) in self.worker.wanted(connection, some, mapping, only).items():
                holder = by_id[holder_id]
                if mapping.attribute in holder.held:
                    pending_rows.drop_members(connection, name, [holder_id], mapping.attribute)
                    continue
                members = None if only is None else {one: standing.get(one, set()) for one in by_member[holder_id]}
                rows, keys = self.worker.members(
                    program,
                    holder,
                    mapping,
                    wanted,
                    current.get(holder_id, {}),
                    written[holder_id],
                    members,
                    fixed.get(holder_id, ()),
                    anchor_of=made.anchor,
                )
                if keys is not None:
                    pending_rows.drop_member_keys(connection, name, holder_id, mapping.attribute, keys)
                pending_rows.add_members(backend, connection, engagement_id, name, rows)

    def _write(
        self,
        connection: Connection,
        holders: Sequence[Holder],
        singles: Mapping[int, Sequence[PendingOperation]],
        problems: Collection[Problem],
    ) -> None:
        backend, engagement_id, name, run_id = self.backend, self.at.engagement_id, self.at.profile.name, self.at.run_id
        rows = [
            pending_rows.PendingRow(
                object_id=one.id,
                identity_id=one.identity_id,
                directory_id=self.at.target_id,
                kind=self.at.profile.target_kind,
                target_id=one.target_id,
                anchor=one.target_anchor,
                label=one.label,
                operations=pending_rows.merged([], singles[one.id]),
            )
            for one in holders
            if one.id in singles
        ]
        ids = [one.id for one in holders]
        pending_rows.put_references(backend, connection, engagement_id, name, run_id, ids, rows)
        problem_rows.replace_synchronised(connection, engagement_id, name, run_id, self.at.now, ids, list(problems), codes=TOLD)
