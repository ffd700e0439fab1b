"""One pass of synchronisation: only what is dirty, profile by profile, portion by portion; each portion is one transaction.

    newcomers   everything without partner is looked up first, so that rivals are seen whatever the order (`match.Claims`)
    main        scope, merge, match, map, unique values, difference -> one pending row per object
    references  managers and members, once it is known who exists or is about to

Whoever comes to exist in the target, or ceases to, marks those that refer to him; the references are worked after all profiles' main part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from metasync.contract import Kind, MetasyncError, Operation, Schema, Taken, Unique
from metasync.engagement.model import Action, Cause, Leave, Profile
from metasync.expressions import CLEAR, KEEP
from metasync.store import codec, directories, joins, sync
from metasync.store.normalise import normalise
from metasync.store.rows import Problem, Severity, State
from metasync.synchronising import diff, leaving
from metasync.synchronising.fit import attribute_schema
from metasync.synchronising.match import ByHand, Claims, KeyedLookups, Matched, Matching, by_hand, keyed
from metasync.synchronising.needs import directory_needs, profiles_by_source
from metasync.synchronising.places import resolve_places
from metasync.synchronising.program import ObjectError, Program, compile_program, evaluate
from metasync.synchronising.references import UNRESOLVED, References, without_references
from metasync.synchronising.scope import HOLDS_ON, Status, Verdict, judge
from metasync.synchronising.unique import UniqueValues, expanded
from metasync.synchronising.units import PREFERENCE, Loader, Unit
from metasync.workspace import Workspace

PORTION = 2000
"""Units per transaction."""
ROUNDS = 5
"""How often a pass looks again at what it has itself made dirty."""


@dataclass(kw_only=True, slots=True)
class SyncOutcome:
    """What a pass did."""

    looked_at: int = 0
    pending: int = 0
    problems: int = 0
    not_ready: dict[str, str] = field(default_factory=dict)
    """profile -> why it was not synchronised, in words."""


def synchronise(workspace: Workspace, run_id: int, profiles: Collection[str] | None = None) -> SyncOutcome:
    """Bring the pending operations of these profiles (all, if None) up to date."""
    outcome = SyncOutcome()
    schemas = workspace.schemas()
    order = [PREFERENCE.index(kind) if kind is not Kind.CONTAINER else -1 for kind in Kind]
    rank = dict(zip(Kind, order, strict=True))
    chosen = [one for one in workspace.engagement.profiles.values() if profiles is None or one.name in profiles]
    passes = []
    for profile in sorted(chosen, key=lambda one: rank[one.target_kind] if one.target_kind is not Kind.GROUP else len(Kind)):
        missing = not_ready(workspace, profile, schemas)
        if missing:
            outcome.not_ready[profile.name] = missing
            continue
        try:
            passes.append(ProfilePass(workspace, run_id, profile, schemas, outcome))
        except MetasyncError as error:
            outcome.not_ready[profile.name] = str(error)
    for one in passes:
        one.main()
    for one in passes:
        one.references()
    return outcome


def not_ready(workspace: Workspace, profile: Profile, schemas: Mapping[str, Schema]) -> str:
    """Why a profile cannot be synchronised yet (law 1: unknown is not empty), or ""."""
    with workspace.backend.read() as connection:
        rows = directories.of_engagement(connection, workspace.engagement_id)
    for name in dict.fromkeys([*profile.sources, profile.target, *(merge.directory for merge in profile.merge)]):
        row, schema = rows.get(name), schemas.get(name)
        if row is None or schema is None or row.completed is None or row.requested is None:
            return f"{name} was never imported completely; run `metasync import {name}`"
        needs = directory_needs(workspace.engagement, workspace.host, schema, name)
        for kind, attributes in needs.attributes.items():
            missing = attributes - set(row.requested.get(kind.value, ()))
            if kind.value not in row.requested or missing:
                what = ", ".join(sorted(missing)) or "objects of it"
                return f"{name} was imported without {what} of {kind}, which the document needs now; run `metasync import {name} --full`"
    return ""


class ProfilePass:
    """One profile in one pass."""

    def __init__(self, workspace: Workspace, run_id: int, profile: Profile, schemas: Mapping[str, Schema], outcome: SyncOutcome) -> None:
        self.workspace, self.run_id, self.profile, self.schemas, self.outcome = workspace, run_id, profile, schemas, outcome
        self.engagement, self.engagement_id = workspace.engagement, workspace.engagement_id
        self.target_id = workspace.directory_ids[profile.target]
        self.source_ids = [workspace.directory_ids[name] for name in profile.sources]
        self.names = {number: name for name, number in workspace.directory_ids.items()}
        self.worked: set[int] = set()
        with workspace.backend.write() as connection:
            self.now = workspace.backend.now(connection)
            self.programs = self._programs(connection)
            self._mark_whole(connection)
            self.hand: ByHand = by_hand(self.engagement, profile, joins.decisions(connection, self.engagement_id))
        self.loader = Loader(workspace, profile, self.programs, schemas)
        directory = self.engagement.directories[profile.target]
        self.allowed = directory.allow_privileged
        self.matching = Matching(profile, self.target_id, profile.target, self.hand, self.allowed)
        self.by_source = profiles_by_source(self.engagement)
        self.same_target = {
            one.name for one in self.engagement.profiles.values() if (one.target, one.target_kind) == (profile.target, profile.target_kind)
        }

    # --- what to look at -----------------------------------------------------------------------------------------------------------------

    def _programs(self, connection: Connection) -> dict[int, Program]:
        programs = {}
        for source in self.profile.sources:
            places = resolve_places(connection, self.workspace, self.profile, source)
            program = compile_program(self.engagement, self.workspace.host, self.schemas, self.profile, source, places)
            programs[self.workspace.directory_ids[source]] = program
        return programs

    def _mark_whole(self, connection: Connection) -> None:
        """A revision marks only profiles whose program changed; so does a schema, and a container that the document names and that moved."""
        basis = hashlib.sha256(self.profile.configuration.encode())
        for name in sorted({*self.profile.sources, self.profile.target, *(merge.directory for merge in self.profile.merge)}):
            basis.update(codec.encode_schema(self.schemas[name]))
        for program in self.programs.values():
            basis.update(repr((program.places.under, sorted(program.places.mirror.items()))).encode())
        digest = basis.hexdigest()
        if sync.basis(connection, self.engagement_id, self.profile.name) != digest:
            sync.mark_whole(connection, self.engagement_id, self.profile.name, self.source_ids, self.profile.source_kind.value, digest)

    def _due(self) -> list[int]:
        with self.workspace.backend.read() as connection:
            return [
                one
                for one, directory_id, _ in sync.due(connection, self.engagement_id, self.profile.name, self.now)
                if directory_id in self.programs
            ]

    def _portions(self, ids: Sequence[int]) -> Iterator[list[int]]:
        for start in range(0, len(ids), PORTION):
            self.workspace.check_stop()
            yield list(ids[start : start + PORTION])

    # --- main ----------------------------------------------------------------------------------------------------------------------------

    def main(self) -> None:
        """Scope, merge, match, map, unique, difference."""
        for _ in range(ROUNDS):
            due = self._due()
            if not due:
                break
            claims, rivals = self._claims(due)
            if rivals:
                with self.workspace.backend.write() as connection:
                    sync.mark(connection, self.engagement_id, [(self.profile.name, one, 0) for one in rivals])
                due = self._due()
                claims, _ = self._claims(due)
            with ExitStack() as stack:
                connector = None
                if issubclass(self.workspace.connector_class(self.profile.target), Taken):
                    opened = stack.enter_context(self.workspace.connector(self.profile.target))
                    connector = opened if isinstance(opened, Taken) else None
                for number, ids in enumerate(self._portions(due)):
                    with self.workspace.backend.write() as connection:
                        unique = UniqueValues(
                            connection=connection,
                            engagement_id=self.engagement_id,
                            directory_id=self.target_id,
                            reserve=self.engagement.directories[self.profile.target].reserve_names,
                            now=self.now,
                            connector=connector,
                        )
                        self._portion(connection, ids, claims, unique)
                    self.workspace.report(min((number + 1) * PORTION, len(due)), len(due), f"synchronise {self.profile.name}")

    def _claims(self, due: Sequence[int]) -> tuple[Claims, list[int]]:
        """Look newcomers up before anybody is worked; also, whom they would compete with that is not dirty."""
        claims = Claims()
        keys_of: dict[tuple[int, str, str], int] = {}
        if not self.profile.match:
            return claims, []
        for ids in self._portions(due):
            with self.workspace.backend.read() as connection:
                found: list[tuple[Unit, KeyedLookups]] = []
                for unit in self.loader.load(connection, ids):
                    if unit.target is not None and unit.target.state is not State.GONE:
                        continue
                    try:
                        environment = unit.environment(self.engagement)
                        if judge(unit, environment, self.hand.ignored).inside:
                            found.append((unit, keyed(unit.program.lookups(environment))))
                    except ObjectError:
                        continue
                hits = self.matching.find(connection, [keys for _, keys in found])
                for unit, keys in found:
                    claims.add(unit, keys, {one.id for of_rule in keys for key in of_rule for one in hits.get(key, ())})
                    keys_of |= {(self.target_id, name, value): unit.id for of_rule in keys for name, value in of_rule}
        with self.workspace.backend.read() as connection:
            waiting = sync.waiting_for(connection, list(keys_of), but=due)
        return claims, [one for profile, one in waiting if profile == self.profile.name]

    def _portion(self, connection: Connection, ids: list[int], claims: Claims, unique: UniqueValues) -> None:
        units = self.loader.load(connection, ids)
        existed = self._existing(connection, units)
        judged: list[tuple[Unit, Verdict]] = []
        for unit in units:
            try:
                judged.append((unit, judge(unit, unit.environment(self.engagement), self.hand.ignored)))
            except ObjectError as error:
                self._stopped(unit, error)
        inside = [unit for unit, verdict in judged if verdict.inside and not unit.in_flight]
        self._identify(connection, inside)
        self._merge(connection, inside)
        self._match(connection, inside, claims)
        self._prepare(unique, inside)
        for unit, verdict in judged:
            try:
                self._work(connection, unit, verdict, unique)
            except ObjectError as error:
                self._stopped(unit, error)
        unique.flush()
        self._write(connection, units, existed)

    def _stopped(self, unit: Unit, error: ObjectError) -> None:
        """An error stops that object for that profile; no other."""
        unit.status, unit.reason, unit.operations, unit.creates = Status.PROBLEM, f"{error.attribute}: {error}", [], False
        unit.problem("value", str(error), error.attribute)

    # --- identities, merge, match --------------------------------------------------------------------------------------------------------

    def _identify(self, connection: Connection, units: Sequence[Unit]) -> None:
        """Every object in scope is, or joins, an identity. Whoever has none yet gets one after matching, unless a partner brings one."""
        for unit in units:
            if unit.target is not None and unit.target.state is State.GONE and unit.target_join is not None:
                # Somebody deleted it in the target. The join ends; a new object is planned like any other, and shown.
                joins.remove(connection, [unit.target_join.id])
                unit.joins = [one for one in unit.joins if one.id != unit.target_join.id]
                unit.problem("deleted in target", f"{unit.target.label} was deleted in {self.profile.target}", severity=Severity.NOTICE)
                unit.target = unit.target_join = None
                unit.partners.pop(self.profile.target, None)

    def _new_identities(self, connection: Connection, units: Sequence[Unit]) -> None:
        without = [unit for unit in units if unit.identity_id is None]
        numbers = joins.new_identities(connection, self.engagement_id, [unit.row.kind.value for unit in without])
        rows = []
        for unit, number in zip(without, numbers, strict=True):
            unit.identity_id = number
            rows.append(self._join_values(unit.identity_id, unit.row.directory_id, unit.row.kind, unit.row.anchor, unit.id, "source", None))
        joins.add(connection, rows)

    def _join_values(
        self, identity_id: int, directory_id: int, kind: Kind, anchor: str, object_id: int, rule: str, profile: str | None
    ) -> dict[str, Any]:
        return {
            "engagement_id": self.engagement_id,
            "identity_id": identity_id,
            "directory_id": directory_id,
            "kind": kind.value,
            "anchor": anchor,
            "object_id": object_id,
            "profile": profile,
            "rule": rule,
            "revision": self.engagement.revision,
            "run_id": self.run_id,
            "author": self.workspace.author,
            "created": False,
        }

    def _merge(self, connection: Connection, units: Sequence[Unit]) -> None:
        """Further sources join the same identity."""
        for number, merge in enumerate(self.profile.merge):
            directory_id = self.workspace.directory_ids[merge.directory]
            asking: list[tuple[Unit, str]] = []
            for unit in units:
                if unit.status or any(one.directory_id == directory_id and one.kind == unit.row.kind.value for one in unit.joins):
                    continue
                try:
                    value = unit.program.merge_key(unit.program.merges[number], unit.environment(self.engagement))
                except ObjectError as error:
                    self._stopped(unit, error)
                    continue
                if value is not None and not isinstance(value, tuple) and normalise(value):
                    asking.append((unit, normalise(value)))
            found = sync.look_up(connection, directory_id, merge.key, {value for _, value in asking})
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
                if len(candidates) > 1 or claimed[one.id] > 1 or (one.id in taken and taken[one.id].identity_id != unit.identity_id):
                    why = "several objects have it" if len(candidates) > 1 else "another identity has that object, or wants it"
                    unit.problem(
                        "merge", f"{merge.directory}.{merge.key} = {value}: {why}; nothing is taken from there", severity=Severity.WARNING
                    )
                    continue
                fresh.append((unit, one))
            self._new_identities(connection, [unit for unit, _ in fresh])
            rows = [
                self._join_values(
                    unit.identity_id or 0,
                    directory_id,
                    one.kind,
                    one.anchor,
                    one.id,
                    f"merge {merge.directory}.{merge.key}",
                    self.profile.name,
                )
                for unit, one in fresh
            ]
            joins.add(connection, rows)
            self._reload(connection, [unit for unit, _ in fresh])

    def _reload(self, connection: Connection, units: Sequence[Unit]) -> None:
        """See an identity's new objects."""
        again = {unit.id: unit for unit in self.loader.load(connection, [unit.id for unit in units])}
        for unit in units:
            new = again[unit.id]
            unit.identity_id, unit.joins, unit.partners = new.identity_id, new.joins, new.partners
            unit.target_join, unit.target, unit.cleared = new.target_join, new.target, new.cleared

    def _match(self, connection: Connection, units: Sequence[Unit], claims: Claims) -> None:
        """Find partners for those that have none; create identities for all that stay."""
        keys: dict[int, KeyedLookups] = {}
        for unit in units:
            if unit.status or unit.target is not None:
                continue
            try:
                keys[unit.id] = keyed(unit.program.lookups(unit.environment(self.engagement)))
            except ObjectError as error:
                self._stopped(unit, error)
        found = self.matching.find(connection, keys.values())
        joined: list[Unit] = []
        for unit in units:
            if unit.id not in keys:
                continue
            matched = self.matching.decide(connection, unit, keys[unit.id], found, claims)
            unit.waits += [(self.target_id, name, value) for of_rule in keys[unit.id] for name, value in of_rule]
            if matched.status is not None:
                unit.status, unit.reason = matched.status, matched.words
                if matched.code:
                    unit.problem(matched.code, matched.words)
            elif matched.candidate is not None:
                self._join(connection, unit, matched)
                joined.append(unit)
            elif self.profile.action is Action.UPDATE_ONLY:
                unit.status, unit.reason = Status.WAITING, f"no partner in {self.profile.target}, and the profile only updates"
        self._new_identities(connection, [unit for unit in units if not unit.status])
        self._reload(connection, joined)

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
                self.target_id,
                candidate.kind,
                candidate.anchor,
                candidate.id,
                f"match {matched.words}",
                self.profile.name,
            )
            marked = sync.objects(connection, [candidate.id])[candidate.id].mark is not None
            joins.add(connection, [{**values, "created": marked}])

    # --- one object ----------------------------------------------------------------------------------------------------------------------

    def _work(self, connection: Connection, unit: Unit, verdict: Verdict, unique: UniqueValues) -> None:
        if unit.status:
            return
        if unit.in_flight:
            unit.status, unit.reason = Status.IN_FLIGHT, "a change was sent and its outcome is not known yet; it is read back first"
            return
        if "*" in unit.held:
            unit.status, unit.reason = Status.HELD, "an undo holds it; `metasync release` lets it go"
            return
        if unit.target is not None and unit.target.privileged and not {unit.target.anchor, unit.target.label} & self.allowed:
            unit.status = Status.PROBLEM
            unit.reason = f"{unit.target.label} is privileged in {self.profile.target} and is not written"
            unit.problem("privileged", unit.reason + f"; name it in `allow privileged:` of {self.profile.target} if it shall be")
            return
        if unit.target is not None and unit.target.state is State.UNREAD:
            unit.status, unit.reason = (
                Status.UNREAD,
                f"its object in {self.profile.target} was not read by the last import; nothing is done until it is",
            )
            return
        if not verdict.inside:
            self._outside(connection, unit, verdict)
            return
        self._keep_in_step(unit, verdict, unique)

    def _outside(self, connection: Connection, unit: Unit, verdict: Verdict) -> None:
        unit.status, unit.reason, unit.cause = verdict.status or Status.OUT_OF_SCOPE, verdict.words, verdict.cause
        if verdict.cause is None or unit.target is None or unit.identity_id is None:
            return
        if unit.target.state is State.GONE:
            unit.status, unit.reason = Status.LEFT, f"{verdict.words}; its object in {self.profile.target} is gone"
            sync.release_names(connection, self.target_id, [unit.identity_id], self.now)
            return
        others = sync.statuses_of_identities(connection, [unit.identity_id]).get(unit.identity_id, [])
        holding = sorted(
            name
            for name, one, status in others
            if name in self.same_target and (name, one) != (self.profile.name, unit.id) and status in HOLDS_ON
        )
        if holding:
            unit.reason = f"{verdict.words}; {', '.join(holding)} still holds on to it"
            return
        self._leave(unit, verdict.cause)

    def _leave(self, unit: Unit, cause: Cause) -> None:
        """Law 5, for an object that nobody holds on to, or that is disabled in the source."""
        assert unit.target is not None
        before = unit.before
        unit.left_since = before.left_since if before and before.left_cause == cause.value and before.left_since else self.now
        steps = self.profile.leaving.get(cause, ())
        environment = unit.environment(self.engagement)
        places = []
        for step in steps:
            place = None
            if step.action is Leave.MOVE and step.place is not None:
                expression = unit.program.leaving_places[step.place]
                place = evaluate(expression, environment, "leaving", unit.program.source_schema)
            places.append(place if isinstance(place, str) else None)
        done = unit.target_join.done if unit.target_join else ()
        out = leaving.leave(steps, cause, unit.target, created=unit.created, since=unit.left_since, now=self.now, done=done, places=places)
        known = {one.operation for one in unit.operations}
        fresh = [one for one in out.operations if one.operation not in known and not (set(one.after) & unit.held)]
        if any(one.operation is Operation.DELETE for one in fresh):
            unit.operations = []
        unit.operations += fresh
        for problem in out.problems:
            unit.problem(problem.code, problem.text, severity=problem.severity)
        unit.due_at = out.due_at
        unit.cause = cause
        if cause is not Cause.DISABLED:
            unit.status = Status.LEAVING if unit.operations or out.due_at else Status.LEFT

    def _keep_in_step(self, unit: Unit, verdict: Verdict, unique: UniqueValues) -> None:
        program = unit.program
        if self.profile.action is Action.CREATE_ONLY and unit.target is not None:
            unit.status, unit.reason = Status.IN_STEP, "it exists, and the profile only creates"
            return
        desired, place = unit.wanted, unit.place
        self._unique(unit, desired, place, unique)
        unit.desired = codec.digest({name: value for name, value in desired.items() if value is not KEEP and value is not CLEAR})
        if unit.target is None:
            unit.operations = [diff.creation(program, desired, place)]
            unit.creates, unit.status, unit.reason = True, Status.PENDING, f"{verdict.words}; to be created in {self.profile.target}"
            return
        self._difference(unit, verdict, desired)

    def _difference(self, unit: Unit, verdict: Verdict, desired: dict[str, Any]) -> None:
        assert unit.target is not None
        done = unit.target_join.done if unit.target_join else ()
        ours = leaving.disabled_by_us(done) and self.profile.returning.enable
        before = unit.before
        drift = bool(before and before.desired == unit.desired and before.status == Status.IN_STEP)
        found = diff.difference(
            unit.program,
            desired,
            unit.target,
            held=unit.held,
            agreed=before.enabled if before else None,
            disabled_by_us=ours,
            drift=drift,
        )
        unit.operations, unit.agreed = found.operations, found.agreed
        for problem in found.problems:
            unit.problem(problem.code, problem.text, problem.attribute, severity=problem.severity)
        if verdict.cause is Cause.DISABLED and self.profile.leaving.get(Cause.DISABLED):
            self._leave(unit, Cause.DISABLED)
        elif done:
            back = leaving.come_back(
                self.profile.returning,
                unit.target,
                done,
                enabled_is_mapped="enabled" in unit.program.expressions,
                moved_by_place="path" in desired,
            )
            known = {one.operation for one in unit.operations}
            unit.operations += [one for one in back if one.operation not in known and not (set(one.after) & unit.held)]
        unit.status = Status.PENDING if unit.operations else Status.IN_STEP
        unit.reason = verdict.words

    # --- unique values -------------------------------------------------------------------------------------------------------------------

    def _compute(self, unit: Unit) -> tuple[dict[str, Any], str | None]:
        """What the target object shall hold, before unique values are decided, and where it belongs (None: where it is)."""
        environment = unit.environment(self.engagement)
        desired = unit.program.desired(environment)
        place, move = None, self.profile.place is not None and self.profile.place.move_existing
        if unit.target is None or move:
            place = unit.program.new_place(environment)
        if unit.target is not None and place is not None:
            desired.setdefault("path", place)
        return diff.fitted(unit.program, desired), place

    def _prepare(self, unique: UniqueValues, units: Sequence[Unit]) -> None:
        """Compute a portion, and ask the database once about all its unique values, instead of once for each."""
        values = []
        for unit in units:
            if unit.status or (self.profile.action is Action.CREATE_ONLY and unit.target is not None):
                continue
            try:
                unit.wanted, unit.place = self._compute(unit)
            except ObjectError as error:
                self._stopped(unit, error)
                continue
            place = unit.place or (unit.target.attributes.get("path") if unit.target is not None else None)
            for name, value in unit.wanted.items():
                known = attribute_schema(unit.program.target_schema, name)
                mapping = unit.program.mappings.get(name)
                if isinstance(value, str) and mapping and (known.unique or mapping.unique):
                    pattern = mapping.unique[0] if mapping.unique else "{value}"
                    values.append((known, expanded(pattern, value, 2, known.max_length), place))
        unique.fetch({unit.identity_id for unit in units if unit.identity_id is not None}, values)

    def _unique(self, unit: Unit, desired: dict[str, Any], place: str | None, unique: UniqueValues) -> None:
        """Replace wanted values that must be unique by those that this identity gets."""
        for name, value in desired.items():
            known = attribute_schema(unit.program.target_schema, name)
            mapping = unit.program.mappings.get(name)
            if not isinstance(value, str) or mapping is None or name in unit.held or not (known.unique or mapping.unique):
                continue
            target = unit.target
            if target is not None and mapping.strength.value == "once":
                continue
            current = target.attributes.get(name) if target is not None else None
            parent = None
            if known.unique is Unique.PARENT:
                parent = desired.get("path") or (target.attributes.get("path") if target is not None else place)
            desired[name] = unique.resolve(
                known,
                mapping.unique,
                value,
                identity_id=unit.identity_id or 0,
                own=target.object_id if target is not None else None,
                profile=self.profile.name,
                current=current if isinstance(current, str) else None,
                place=parent,
            )

    # --- what is left behind -------------------------------------------------------------------------------------------------------------

    def _existing(self, connection: Connection, units: Sequence[Unit]) -> dict[int, str]:
        """unit -> what stood for it in the target before this pass: an anchor, `planned`, or nothing."""
        before = sync.pending_of(connection, self.profile.name, [unit.id for unit in units])
        found = {}
        for unit in units:
            planned = "planned" if unit.id in before and before[unit.id].anchor is None else ""
            found[unit.id] = unit.target.anchor if unit.target is not None and unit.target.state is not State.GONE else planned
        return found

    def _write(self, connection: Connection, units: Sequence[Unit], existed: Mapping[int, str]) -> None:
        name, ids = self.profile.name, [unit.id for unit in units]
        pending = [
            sync.PendingRow(
                object_id=unit.id,
                identity_id=unit.identity_id,
                directory_id=self.target_id,
                kind=self.profile.target_kind,
                target_id=unit.target.object_id if unit.target is not None else None,
                anchor=unit.target.anchor if unit.target is not None else None,
                label=_label(unit),
                operations=unit.operations,
            )
            for unit in units
            if unit.operations
        ]
        sync.put_pending(connection, self.engagement_id, name, self.run_id, ids, pending)
        sync.drop_members(connection, name, [unit.id for unit in units if not _may_have_members(unit)])
        self._free_rivals(connection, units)
        waits = [(unit.id, *wait) for unit in units for wait in unit.waits]
        sync.put_wanted(connection, self.engagement_id, name, ids, waits)
        problems = [problem for unit in units for problem in unit.problems]
        sync.put_problems(connection, self.engagement_id, name, self.run_id, self.now, ids, problems)
        sync.put_states(connection, self.engagement_id, name, self.run_id, [_state(unit) for unit in units])
        sync.clean(connection, name, ids, self.now)
        for unit in units:
            if unit.due_at is not None:
                sync.mark(connection, self.engagement_id, [(name, unit.id, 0)], unit.due_at)
        self._tell_holders(connection, units, existed)
        self._tell_siblings(connection, units)
        self.worked |= set(ids)
        self.outcome.looked_at += len(ids)
        self.outcome.pending += len(pending)
        self.outcome.problems += sum(1 for problem in problems if problem.severity is not Severity.NOTICE)

    def _free_rivals(self, connection: Connection, units: Sequence[Unit]) -> None:
        """Whoever no longer waits for a key may have been in somebody's way."""
        before = sync.wanted_keys(connection, self.profile.name, [unit.id for unit in units])
        left = {key for unit in units for key in before.get(unit.id, set()) - set(unit.waits)}
        if left:
            rivals = sync.waiting_for(connection, list(left), but=[unit.id for unit in units])
            sync.mark(connection, self.engagement_id, [(name, one, 0) for name, one in rivals])

    def _tell_holders(self, connection: Connection, units: Sequence[Unit], existed: Mapping[int, str]) -> None:
        """Who came to exist in the target, or ceased to: those that refer to him look again, at him alone."""
        changed: set[int] = set()
        for unit in units:
            now = "planned" if unit.creates else ""
            if unit.target is not None and unit.target.state is not State.GONE:
                now = unit.target.anchor
            if now != existed.get(unit.id, "") or (unit.before is None and now):
                changed |= {unit.id, *(one.object_id for one in unit.joins if one.object_id is not None)}
        if not changed:
            return
        marks = []
        for holder, _, member, directory_id, kind in sync.holders(connection, changed):
            for profile in self.by_source.get((self.names.get(directory_id, ""), Kind(kind)), ()):
                marks.append((profile, holder, member))
        sync.mark(connection, self.engagement_id, marks)

    def _tell_siblings(self, connection: Connection, units: Sequence[Unit]) -> None:
        """When one profile lets go of an identity, or takes hold, the others with the same target must look again."""
        turned = [
            unit
            for unit in units
            if unit.identity_id is not None and unit.before is not None and (unit.before.status in HOLDS_ON) != (unit.status in HOLDS_ON)
        ]
        others = sync.statuses_of_identities(connection, {unit.identity_id for unit in turned if unit.identity_id is not None})
        marks = [
            (name, one, 0)
            for unit in turned
            for name, one, _ in others.get(unit.identity_id or 0, ())
            if name in self.same_target and (name, one) != (self.profile.name, unit.id)
        ]
        sync.mark(connection, self.engagement_id, marks)

    # --- references ----------------------------------------------------------------------------------------------------------------------

    def references(self) -> None:
        """Managers and members of what was worked, and of whatever refers to somebody that came or went."""
        if not any(program.references for program in self.programs.values()):
            with self.workspace.backend.write() as connection:
                stale = sync.due_members(connection, self.engagement_id, self.profile.name)
                sync.clean(connection, self.profile.name, stale, self.now, members=True)
            return
        with self.workspace.backend.read() as connection:
            by_member = sync.due_members(connection, self.engagement_id, self.profile.name)
        ids = sorted(self.worked | set(by_member))
        worker = References(self.profile.name, self.target_id, self.names, self.source_ids)
        for part in self._portions(ids):
            with self.workspace.backend.write() as connection:
                self._references_of(connection, part, by_member, worker)
                sync.clean(connection, self.profile.name, part, self.now, members=True)

    def _references_of(self, connection: Connection, ids: list[int], by_member: Mapping[int, set[int]], worker: References) -> None:
        pending = sync.pending_of(connection, self.profile.name, ids)
        units = []
        states = sync.states(connection, self.profile.name, ids)
        for unit in self.loader.load(connection, ids):
            row, state = pending.get(unit.id), states.get(unit.id)
            unit.creates = row is not None and row.anchor is None
            live = unit.target is not None and unit.target.state is State.LIVE
            if state is not None and state.status in (Status.IN_STEP, Status.PENDING) and (live or unit.creates):
                units.append(unit)
        anchors = [unit.target.anchor for unit in units if unit.target is not None]
        written = sync.written(connection, self.target_id, anchors)
        singles: dict[int, list[Any]] = {unit.id: [] for unit in units}
        problems: dict[int, list[Problem]] = {unit.id: [] for unit in units}
        for program in self.programs.values():
            mine = [unit for unit in units if unit.program is program]
            for mapping in program.references:
                current = self._current(connection, mine, mapping.attribute)
                if mapping.attribute == "members":
                    self._members_of(connection, worker, program, mapping, mine, by_member, current, written)
                    continue
                for unit_id, (wanted, lost) in worker.wanted(connection, mine, mapping).items():
                    unit = next(one for one in mine if one.id == unit_id)
                    operation, found = worker.single(program, unit, mapping, wanted, lost, current.get(unit_id, {}))
                    problems[unit_id] += found
                    if operation is not None:
                        singles[unit_id].append(operation)
        self._write_references(connection, units, pending, singles, problems, states)

    def _current(self, connection: Connection, units: Sequence[Unit], attribute: str) -> dict[int, dict[str, sync.Present]]:
        by_target = {unit.target.object_id: unit.id for unit in units if unit.target is not None and unit.target.object_id is not None}
        found = sync.present(connection, list(by_target), attribute, self.source_ids)
        return {by_target[target]: values for target, values in found.items()}

    def _members_of(
        self,
        connection: Connection,
        worker: References,
        program: Program,
        mapping: Any,
        units: Sequence[Unit],
        by_member: Mapping[int, set[int]],
        current: Mapping[int, Mapping[str, sync.Present]],
        written: Mapping[str, Any],
    ) -> None:
        whole = [unit for unit in units if unit.id in self.worked]
        partly = [unit for unit in units if unit.id not in self.worked and unit.id in by_member]
        standing = worker.stand_ins(connection, {member for unit in partly for member in by_member[unit.id]})
        for some, only in ((whole, None), (partly, by_member)):
            for unit_id, (wanted, _) in worker.wanted(connection, some, mapping, only).items():
                unit = next(one for one in some if one.id == unit_id)
                if mapping.attribute in unit.held:
                    sync.put_members(connection, self.engagement_id, self.profile.name, unit_id, mapping.attribute, [], None)
                    continue
                since = written.get(unit.target.anchor, ()) if unit.target is not None else ()
                members = None if only is None else {one: standing.get(one, set()) for one in by_member[unit_id]}
                rows, keys = worker.members(program, unit, mapping, wanted, current.get(unit_id, {}), since, members)
                sync.put_members(connection, self.engagement_id, self.profile.name, unit_id, mapping.attribute, rows, keys)

    def _write_references(
        self,
        connection: Connection,
        units: Sequence[Unit],
        pending: Mapping[int, sync.PendingRow],
        singles: Mapping[int, list[Any]],
        problems: Mapping[int, list[Problem]],
        states: Mapping[int, sync.SyncState],
    ) -> None:
        rows, changed = [], []
        for unit in units:
            row = pending.get(unit.id)
            kept = without_references(unit.program, row) if row else []
            operations = [*kept, *singles[unit.id]]
            if row is None and not operations:
                continue
            changed.append(unit.id)
            rows.append(
                sync.PendingRow(
                    object_id=unit.id,
                    identity_id=unit.identity_id,
                    directory_id=self.target_id,
                    kind=self.profile.target_kind,
                    target_id=unit.target.object_id if unit.target is not None else None,
                    anchor=unit.target.anchor if unit.target is not None else None,
                    label=_label(unit),
                    operations=operations,
                )
            )
        sync.put_pending(connection, self.engagement_id, self.profile.name, self.run_id, changed, rows)
        found = [one for unit in units for one in problems[unit.id]]
        ids = [unit.id for unit in units]
        sync.put_problems(connection, self.engagement_id, self.profile.name, self.run_id, self.now, ids, found, code=UNRESOLVED)


def _label(unit: Unit) -> str:
    if unit.target is not None and unit.target.object_id is not None:
        return unit.target.label
    created = next((one.after for one in unit.operations if one.operation is Operation.CREATE), {})
    for name in ("displayName", "name", "mail"):
        if isinstance(created.get(name), str):
            return str(created[name])
    return unit.source.label


def _may_have_members(unit: Unit) -> bool:
    return unit.status in (Status.IN_STEP, Status.PENDING)


def _state(unit: Unit) -> sync.SyncState:
    before = unit.before
    keep = before.enabled if before else None
    return sync.SyncState(
        object_id=unit.id,
        digest=unit.row.digest,
        status=unit.status or Status.PROBLEM,
        reason=unit.reason,
        enabled=unit.agreed if unit.agreed is not None else keep,
        desired=unit.desired,
        left_cause=unit.cause.value if unit.cause is not None and unit.left_since is not None else None,
        left_since=unit.left_since,
    )
