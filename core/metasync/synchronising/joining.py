"""Who is who: partners that went, merging further sources, joining partners, identities. The rules themselves stand in `match`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from metasync.contract import Kind, Operation
from metasync.engagement.model import Action
from metasync.store import dirty, joins, ledger, matching, objects, waits
from metasync.store import written as written_rows
from metasync.store.joins import JoinRow
from metasync.store.normalise import normalise
from metasync.store.rows import Severity, State, Status
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.match import Claims, KeyedLookups, Matched, keyed
from metasync.synchronising.setting import Setting, stopped
from metasync.synchronising.units import Unit


class Joining:
    """Gives every unit in scope its identity and its partners."""

    def __init__(self, at: Setting) -> None:
        self.at = at

    def let_go_of_deleted(self, connection: Connection, units: Sequence[Unit]) -> None:
        """Whose partner was deleted in the target has none any more: a new object is planned like any other, and shown. What we did not
        delete ourselves, a person should know."""
        for unit in units:
            if unit.target is not None and unit.target.state is State.GONE and unit.target_join is not None:
                joins.remove(connection, [unit.target_join.id])
                unit.joins = [one for one in unit.joins if one.id != unit.target_join.id]
                written = written_rows.of_anchors(connection, self.at.target_id, [unit.target.anchor], ledger.DONE)
                if not any(one.operation is Operation.DELETE for one in written.get(unit.target.anchor, ())[-1:]):
                    text = f"{unit.target.label} was deleted in {self.at.profile.target}"
                    unit.problem("deleted in target", text, severity=Severity.NOTICE)
                unit.target = unit.target_join = None
                unit.partners.pop(self.at.profile.target, None)

    def _new_identities(self, connection: Connection, units: Sequence[Unit]) -> None:
        without = [unit for unit in units if unit.identity_id is None]
        numbers = joins.new_identities(connection, self.at.engagement_id, [unit.row.kind.value for unit in without])
        rows = []
        for unit, number in zip(without, numbers, strict=True):
            unit.identity_id = number
            rows.append(self._join_values(unit.identity_id, unit.row.directory_id, unit.row.kind, unit.row.anchor, unit.id, "source", None))
        joins.add(connection, rows)

    def _join_values(
        self, identity_id: int, directory_id: int, kind: Kind, anchor: str, object_id: int, rule: str, profile: str | None
    ) -> dict[str, Any]:
        return {
            "engagement_id": self.at.engagement_id,
            "identity_id": identity_id,
            "directory_id": directory_id,
            "kind": kind.value,
            "anchor": anchor,
            "object_id": object_id,
            "profile": profile,
            "rule": rule,
            "revision": self.at.engagement.revision,
            "run_id": self.at.run_id,
            "author": self.at.workspace.author,
            "created": False,
        }

    def claim_merges(self, unit: Unit, claims: Claims) -> None:
        """Note what a unit looks for in further sources, before anybody is worked: whoever else does is a rival, in whatever portion."""
        for number, merge in enumerate(self.at.profile.merge):
            directory_id = self.at.workspace.directory_ids[merge.directory]
            if (value := self._merge_value(unit, number, directory_id)) is not None:
                claims.merges.setdefault((directory_id, merge.key, value), set()).add(unit.id)

    def _merge_value(self, unit: Unit, number: int, directory_id: int) -> str | None:
        """What the further source's key must have, where the identity has nothing of it yet. Raises `ObjectError`."""
        if any(not one.gone for one in self._merged(unit, directory_id)):
            return None
        value = unit.program.merge_key(unit.program.merges[number], unit.environment(self.at.engagement))
        return None if value is None or isinstance(value, tuple) else normalise(value) or None

    def merge(self, connection: Connection, units: Sequence[Unit], claims: Claims) -> None:
        """Further sources join the same identity."""
        for number, merge in enumerate(self.at.profile.merge):
            directory_id = self.at.workspace.directory_ids[merge.directory]
            asking: list[tuple[Unit, str]] = []
            for unit in units:
                if unit.status:
                    continue
                try:
                    value = self._merge_value(unit, number, directory_id)
                except ObjectError as error:
                    stopped(unit, error)
                    continue
                if value is not None:
                    asking.append((unit, value))
            found = matching.look_up(connection, directory_id, merge.key, {value for _, value in asking})
            taken = joins.of_objects(connection, {one.id for rows in found.values() for one in rows})
            claimed: dict[int, int] = {}
            for _, value in asking:
                for one in found.get(value, ()):
                    claimed[one.id] = claimed.get(one.id, 0) + 1
            fresh = []
            for unit, value in asking:
                candidates = [one for one in found.get(value, ()) if one.kind is unit.row.kind]
                unit.waits.append((directory_id, merge.key, value))
                if not candidates:
                    continue
                one = candidates[0]
                rivals = max(claimed[one.id], len(claims.merges.get((directory_id, merge.key, value), ())))
                if len(candidates) > 1 or rivals > 1 or (one.id in taken and taken[one.id].identity_id != unit.identity_id):
                    why = "several objects have it" if len(candidates) > 1 else "another identity has that object, or wants it"
                    unit.problem(
                        "merge", f"{merge.directory}.{merge.key} = {value}: {why}; nothing is taken from there", severity=Severity.WARNING
                    )
                    continue
                fresh.append((unit, one))
            self._new_identities(connection, [unit for unit, _ in fresh])
            joins.remove(connection, [one.id for unit, _ in fresh for one in self._merged(unit, directory_id)])
            rows = [
                self._join_values(
                    unit.identity_id or 0,
                    directory_id,
                    one.kind,
                    one.anchor,
                    one.id,
                    f"merge {merge.directory}.{merge.key}",
                    self.at.profile.name,
                )
                for unit, one in fresh
            ]
            joins.add(connection, rows)
            self._reload(connection, [unit for unit, _ in fresh], merge.directory)

    def _merged(self, unit: Unit, directory_id: int) -> list[JoinRow]:
        """What the identity has of a further source already; what was deleted there gives way to what was made anew."""
        return [one for one in unit.joins if one.directory_id == directory_id and one.kind == unit.row.kind.value]

    def _reload(self, connection: Connection, units: Sequence[Unit], directory: str) -> None:
        """See an identity's new object in this directory; other profiles that read the directory see it, too."""
        again = {unit.id: unit for unit in self.at.loader.load(connection, [unit.id for unit in units])}
        for unit in units:
            new = again[unit.id]
            unit.identity_id, unit.joins, unit.partners, unit.wave = new.identity_id, new.joins, new.partners, new.wave
            unit.target_join, unit.target, unit.cleared = new.target_join, new.target, new.cleared
            unit.target_digest = new.target_digest
        marks = []
        for profile in self.at.readers(directory) if units else ():
            sources = [self.at.workspace.directory_ids[name] for name in profile.sources]
            found = dirty.partners(self.at.workspace.backend, connection, list(again), sources, profile.source_kind)
            marks += [(profile.name, partner, dirty.WHOLE) for _, partner in found]
        dirty.mark(self.at.workspace.backend, connection, self.at.engagement_id, marks)

    def match(self, connection: Connection, units: Sequence[Unit], claims: Claims) -> None:
        """Find partners for those that have none; create identities for all that stay."""
        keys: dict[int, KeyedLookups] = {}
        for unit in units:
            if unit.status or unit.target is not None:
                continue
            try:
                keys[unit.id] = keyed(unit.program.lookups(unit.environment(self.at.engagement)))
            except ObjectError as error:
                stopped(unit, error)
        found = self.at.matching.find(connection, keys.values())
        joined: list[Unit] = []
        alone: list[Unit] = []
        for unit in units:
            if unit.id not in keys:
                continue
            matched = self.at.matching.decide(connection, unit, keys[unit.id], found, claims)
            if matched.candidate is None:
                unit.waits += self._sought(unit, keys[unit.id])
            if matched.status is not None:
                unit.status, unit.reason = matched.status, matched.words
                if matched.code:
                    unit.problem(matched.code, matched.words)
            elif matched.candidate is not None:
                self._join(connection, unit, matched)
                joined.append(unit)
            elif self.at.profile.action is Action.UPDATE_ONLY:
                unit.status, unit.reason = Status.WAITING, f"no partner in {self.at.profile.target}, and the profile only updates"
            else:
                alone.append(unit)
        self._wait_for_others(connection, alone)
        self._new_identities(connection, [unit for unit in units if not unit.status])
        self._reload(connection, joined, self.at.profile.target)

    def expect(self, units: Sequence[Unit]) -> None:
        """Whoever was created, and was not imported yet, is still looked for by his keys: nobody else is created by them."""
        for unit in units:
            try:
                unit.waits += self._sought(unit, keyed(unit.program.lookups(unit.environment(self.at.engagement))))
            except ObjectError:
                continue

    def _sought(self, unit: Unit, keys: KeyedLookups) -> list[tuple[int, str, str]]:
        sought = [(self.at.target_id, name, value) for of_rule in keys for name, value in of_rule]
        pair = self.at.hand.partner_of(unit, self.at.profile.target)
        return [*sought, (self.at.target_id, pair[0], normalise(pair[1]))] if pair is not None else sought

    def _wait_for_others(self, connection: Connection, units: Sequence[Unit]) -> None:
        """Whom another profile is about to create in the same target is not created twice."""
        others = self.at.same_target - {self.at.profile.name}
        sought = {key for unit in units for key in unit.waits} if others else set()
        creating = waits.creating(self.at.workspace.backend, connection, sought, others)
        for unit in units:
            names = sorted({name for key in unit.waits for name in creating.get(key, ())})
            if names:
                unit.status = Status.WAITING
                unit.reason = f"{', '.join(names)} is about to create an object with the same key; it is joined once it is there"

    def _join(self, connection: Connection, unit: Unit, matched: Matched) -> None:
        candidate = matched.candidate
        assert candidate is not None
        taken = joins.of_objects(connection, [candidate.id]).get(candidate.id)
        if taken is not None and unit.identity_id is None:
            if matched.takes_over is not None:
                joins.remove(connection, [matched.takes_over.id])
            unit.identity_id = taken.identity_id
            rule = f"takes the place of {matched.takes_over.anchor}" if matched.takes_over else f"match {matched.words}"
            joins.add(
                connection,
                [self._join_values(taken.identity_id, unit.row.directory_id, unit.row.kind, unit.row.anchor, unit.id, rule, None)],
            )
            return
        if taken is None:
            self._new_identities(connection, [unit])
            values = self._join_values(
                unit.identity_id or 0,
                self.at.target_id,
                candidate.kind,
                candidate.anchor,
                candidate.id,
                f"match {matched.words}",
                self.at.profile.name,
            )
            marked = objects.get(connection, [candidate.id])[candidate.id].mark is not None
            joins.add(connection, [{**values, "created": marked}])
            if unit.before is not None and not marked:
                # It may have been planned to create one; with this one it never agreed about anything.
                unit.before = unit.before._replace(enabled=None)
