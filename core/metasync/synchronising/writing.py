"""What a portion leaves behind: pending rows, states, problems, and marks on whoever must look again because of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from metasync.contract import Kind, Operation
from metasync.store import dirty, joins, links, problems, replaced, states, waits
from metasync.store import pending as pending_rows
from metasync.store.rows import Severity, State, Status
from metasync.synchronising.scope import HOLDS_ON
from metasync.synchronising.setting import Setting, label_of
from metasync.synchronising.units import Unit


class Writing:
    """Writes a portion of worked units."""

    def __init__(self, at: Setting) -> None:
        self.at = at

    def existing(self, connection: Connection, units: Sequence[Unit]) -> dict[int, str]:
        """unit -> what stood for it in the target before this pass: an anchor, `planned`, or nothing."""
        before = pending_rows.planned(self.at.workspace.backend, connection, self.at.profile.name, [unit.id for unit in units])
        found = {}
        for unit in units:
            planned = "planned" if unit.id in before else ""
            found[unit.id] = unit.target.anchor if unit.target is not None and unit.target.state is not State.GONE else planned
        return found

    def write(self, connection: Connection, units: Sequence[Unit], existed: Mapping[int, str], freed: Sequence[tuple[str, str]]) -> None:
        backend, name, ids = self.at.workspace.backend, self.at.profile.name, [unit.id for unit in units]
        pending = [
            pending_rows.PendingRow(
                object_id=unit.id,
                identity_id=unit.identity_id,
                directory_id=self.at.target_id,
                kind=self.at.profile.target_kind,
                target_id=unit.target.object_id if unit.target is not None else None,
                anchor=unit.target.anchor if unit.target is not None else None,
                label=label_of(unit, _created(unit)),
                operations=unit.operations,
            )
            for unit in units
            if unit.operations or unit.gives_way is not None
        ]
        pending_rows.put(backend, connection, self.at.engagement_id, name, self.at.run_id, ids, pending)
        if self.at.replaced is not None:
            giving_way = [unit.gives_way for unit in units if unit.gives_way is not None]
            replaced.put(backend, connection, self.at.engagement_id, name, ids, giving_way)
        pending_rows.drop_members(connection, name, [unit.id for unit in units if not _may_have_members(unit)])
        self._free_rivals(connection, units)
        waits.put(backend, connection, self.at.engagement_id, name, ids, [(unit.id, *wait) for unit in units for wait in unit.waits])
        waiting = waits.on_keys(connection, [(self.at.target_id, *key) for key in freed])
        found = [problem for unit in units for problem in unit.problems]
        problems.replace_synchronised(connection, self.at.engagement_id, name, self.at.run_id, self.at.now, ids, found)
        states.put(backend, connection, self.at.engagement_id, name, self.at.run_id, [_state(unit) for unit in units])
        for unit in units:
            if unit.done is not None and unit.target_join is not None and unit.done != list(unit.target_join.done):
                joins.set_done(connection, unit.target_join.id, unit.done)
        dirty.clean(backend, connection, name, ids, self.at.now)
        if self.at.refers:
            # They are worked out in transactions of their own, which a process that ends here never comes to.
            dirty.await_references(backend, connection, self.at.engagement_id, name, [unit.id for unit in units if _may_have_members(unit)])
        dirty.mark(backend, connection, self.at.engagement_id, [(profile, one, 0) for profile, one in waiting])
        times = {unit.id: unit.due_at for unit in units if unit.due_at is not None}
        dirty.mark_later(backend, connection, self.at.engagement_id, name, times)
        self._tell_holders(connection, units, existed)
        self._tell_siblings(connection, units)
        self.at.outcome.looked_at += len(ids)
        self.at.outcome.pending += len(pending)
        self.at.outcome.problems += sum(1 for problem in found if problem.severity is not Severity.NOTICE)

    def _free_rivals(self, connection: Connection, units: Sequence[Unit]) -> None:
        """Whoever no longer waits for a key may have been in somebody's way."""
        before = waits.of_objects(connection, self.at.profile.name, [unit.id for unit in units])
        left = {key for unit in units for key in before.get(unit.id, set()) - set(unit.waits)}
        if left:
            rivals = waits.on_keys(connection, list(left), but=[unit.id for unit in units])
            dirty.mark(self.at.workspace.backend, connection, self.at.engagement_id, [(name, one, 0) for name, one in rivals])

    def _tell_holders(self, connection: Connection, units: Sequence[Unit], existed: Mapping[int, str]) -> None:
        """Who came to exist in the target, or ceased to: those that refer to him look again, at him alone."""
        changed: dict[int, int] = {}
        for unit in units:
            now = "planned" if unit.creates else ""
            if unit.target is not None and unit.target.state is not State.GONE:
                now = unit.target.anchor
            if now != existed.get(unit.id, "") or (unit.before is None and now):
                changed |= {unit.id: unit.id, **{one.object_id: unit.id for one in unit.joins if one.object_id is not None}}
        self.tell_holders(connection, changed)

    def tell_holders(self, connection: Connection, changed: Mapping[int, int]) -> None:
        """Those that refer to one of these objects look again, at him alone; object -> the source object that stands for it."""
        if not changed:
            return
        marks = []
        groups: dict[int, set[int]] = {}
        for holder, _, member, directory_id, kind in links.holders(connection, changed):
            if directory_id == self.at.target_id:
                groups.setdefault(holder, set()).add(changed[member])
            for profile in self.at.by_source.get((self.at.names.get(directory_id, ""), Kind(kind)), ()):
                marks.append((profile, holder, member))
        # A member that nobody stood for stays; now that somebody does, the source's group decides about it.
        for one in self.at.engagement.profiles.values() if groups else ():
            if one.target == self.at.profile.target:
                sources = [self.at.workspace.directory_ids[source] for source in one.sources]
                for holder, partner in dirty.partners(self.at.workspace.backend, connection, groups, sources, one.source_kind):
                    marks += [(one.name, partner, member) for member in groups[holder]]
        dirty.mark(self.at.workspace.backend, connection, self.at.engagement_id, marks)

    def _tell_siblings(self, connection: Connection, units: Sequence[Unit]) -> None:
        """When one profile lets go of an identity, or takes hold, the others with the same target must look again."""
        turned = [unit for unit in units if unit.identity_id is not None and _turned(unit)]
        others = states.of_identities(connection, {unit.identity_id for unit in turned if unit.identity_id is not None})
        marks = [
            (name, one, 0)
            for unit in turned
            for name, one, status in others.get(unit.identity_id or 0, ())
            if name in self.at.same_target
            and (name, one) != (self.at.profile.name, unit.id)
            and (unit.status in HOLDS_ON or status != Status.LEFT)
        ]
        dirty.mark(self.at.workspace.backend, connection, self.at.engagement_id, marks)


UNDECIDED = (Status.IN_FLIGHT, Status.UNREAD, Status.HELD, Status.PROBLEM, "")
"""Such a pass does not tell whether somebody is still leaving: the time since he left runs on."""


def _turned(unit: Unit) -> bool:
    """It took hold, or let go."""
    held = unit.before is not None and unit.before.status in HOLDS_ON
    return held != (unit.status in HOLDS_ON)


def _may_have_members(unit: Unit) -> bool:
    return unit.status in (Status.IN_STEP, Status.PENDING) and unit.desired is not None


def _state(unit: Unit) -> states.SyncState:
    before = unit.before
    keep = before.enabled if before else None
    cause, since = unit.cause.value if unit.cause is not None else None, unit.left_since
    if since is None and before is not None and unit.status in UNDECIDED:
        cause, since = before.left_cause, before.left_since
    return states.SyncState(
        object_id=unit.id,
        digest=unit.row.digest,
        # What an undo holds is not compared: once it is released, the two digests say nothing.
        target=unit.target_digest if not unit.held else None,
        computed=unit.computed,
        status=unit.status or Status.PROBLEM,
        reason=unit.reason,
        enabled=unit.agreed if unit.agreed is not None else keep,
        desired=unit.desired,
        left_cause=cause if since is not None else None,
        left_since=since,
    )


def _created(unit: Unit) -> Mapping[str, Any]:
    return next((one.after for one in unit.operations if one.operation is Operation.CREATE), {})
