"""One unit: what it shall become, from its verdict to its operations. Queries only what others hold on to, and unique values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from metasync.contract import AttributeSchema, Operation, Unique
from metasync.engagement.model import Action, Cause, Leave, Several, Strength
from metasync.expressions import CLEAR, KEEP
from metasync.store.normalise import normalise
from metasync.store.rows import State, Status
from metasync.synchronising import diff, leaving
from metasync.synchronising.computed import computed
from metasync.synchronising.computed import desired as digest_of
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.family import STANDS, Family
from metasync.synchronising.images import source_name
from metasync.synchronising.program import evaluate
from metasync.synchronising.scope import Verdict, is_named
from metasync.synchronising.setting import Setting, stopped
from metasync.synchronising.unique import UniqueValues, ValueTaken, each_of, expanded
from metasync.synchronising.units import Unit


class Working:
    """Works one unit after the other."""

    def __init__(self, at: Setting) -> None:
        self.at = at

    def prepare(self, unique: UniqueValues, units: Sequence[Unit]) -> None:
        """Compute a portion, and ask the database once about all its unique values, instead of once for each."""
        values = []
        for unit in units:
            if unit.status or (self.at.profile.action is Action.CREATE_ONLY and unit.target is not None):
                continue
            try:
                environment = unit.environment(self.at.engagement)
                unit.wanted, unit.place = diff.wanted(unit.program, environment, exists=unit.target is not None)
            except ObjectError as error:
                stopped(unit, error)
                continue
            unit.computed = computed(unit.wanted, unit.place, unit.program.kept)
            place = unit.place or (unit.target.attributes.get("path") if unit.target is not None else None)
            for name, known, mapping in unit.program.unique:
                pattern = mapping.unique[0] if mapping.unique else "{value}"
                values += [(known, expanded(pattern, one, 2, known.max_length), place) for one in each_of(unit.wanted[name]).values()]
            _give_up(unit, unique)
        unique.fetch({unit.identity_id for unit in units if unit.identity_id is not None}, values)
        for unit in units:
            _forget(unit, unique)

    def family(self, connection: Connection, units: Sequence[Unit]) -> Family:
        """Who else stands for these identities."""
        return Family.load(connection, units, self.at.same_target)

    def work(self, unit: Unit, verdict: Verdict, unique: UniqueValues, family: Family) -> None:
        """Decide about one unit. Raises `ObjectError`."""
        if unit.status:
            return
        if unit.in_flight:
            unit.status, unit.reason = Status.IN_FLIGHT, "a change was sent and its outcome is not known yet; it is read back first"
            return
        if "*" in unit.held:
            unit.status, unit.reason = Status.HELD, "an undo holds it; `metasync release` lets it go"
            return
        target = unit.target
        if target is not None and target.privileged and not is_named(self.at.allowed, target.anchor, target.attributes):
            unit.status = Status.PROBLEM
            unit.reason = f"{target.label} is privileged in {self.at.profile.target} and is not written"
            unit.problem("privileged", unit.reason + f"; name it in `allow privileged:` of {self.at.profile.target} if it shall be")
            return
        if unit.target is not None and unit.target.state is State.UNREAD:
            unit.status, unit.reason = (
                Status.UNREAD,
                f"its object in {self.at.profile.target} was not read by the last import; nothing is done until it is",
            )
            return
        if not verdict.inside:
            self._outside(unit, verdict, unique, family)
            return
        leader = self._leader(unit, family)
        if leader is not None:
            unit.status, unit.reason = Status.IN_STEP, f"{verdict.words}; {leader} stands for the same identity, and comes first"
            return
        rival = self._rival(unit, family)
        if rival is not None:
            unit.status = Status.PROBLEM
            unit.reason = f"{rival} stands for the same identity, and both say `disjoint: {self.at.profile.disjoint}`"
            unit.problem("disjoint", f"{unit.reason}; {self.at.profile.name} writes nothing of it until the scopes are disjoint indeed")
            return
        self._keep_in_step(unit, verdict, unique)

    def _rival(self, unit: Unit, family: Family) -> str | None:
        """Law 4: a profile of the same disjoint group that was first. Of two that were both there the document's order decides."""
        profiles = self.at.engagement.profiles
        group, names = self.at.profile.disjoint, list(profiles)
        if group is None:
            return None
        established = unit.before is not None and unit.before.status in STANDS
        mine = names.index(self.at.profile.name)
        for name in family.standing(self.at.profile.name, unit):
            if profiles[name].disjoint == group and (not established or names.index(name) < mine):
                return name
        return None

    def _leader(self, unit: Unit, family: Family) -> str | None:
        """Of several sources with an object for one identity the first one decides."""
        before = self.at.source_ids[: self.at.source_ids.index(unit.row.directory_id)]
        for row in unit.joins:
            mine = row.directory_id in before and row.kind == unit.row.kind.value and not row.gone
            if mine and row.object_id is not None and family.leads(self.at.profile.name, row.object_id):
                return source_name(self.at.names[row.directory_id], row.anchor)
        return None

    def _outside(self, unit: Unit, verdict: Verdict, unique: UniqueValues, family: Family) -> None:
        unit.status, unit.reason, unit.cause = verdict.status or Status.OUT_OF_SCOPE, verdict.words, verdict.cause
        if verdict.cause is None or unit.identity_id is None:
            return
        if unit.target is None:
            if not any(family.holding(self.at.profile.name, unit)):
                unique.let_go(unit.identity_id, self.at.same_target)
            return
        if unit.target.state is State.GONE:
            unit.status, unit.reason = Status.LEFT, f"{verdict.words}; its object in {self.at.profile.target} is gone"
            unique.let_go(unit.identity_id, self.at.same_target)
            return
        holding, to_look = family.holding(self.at.profile.name, unit)
        to_look += sorted(self.at.unsure)
        if holding:
            unit.reason = f"{verdict.words}; {', '.join(holding)} still holds on to it"
        elif to_look:
            unit.reason = f"{verdict.words}; {', '.join(to_look)} may hold on to it, and has yet to look"
            unit.due_at = self.at.now
        elif taking := family.leaving(self.at.profile.name, unit):
            unit.reason = f"{verdict.words}; {', '.join(taking)} let go of it last, and sees to what follows"
        else:
            self._leave(unit, verdict.cause)

    def _leave(self, unit: Unit, cause: Cause) -> None:
        """Law 5, for an object that nobody holds on to, or that is disabled in the source."""
        assert unit.target is not None
        before = unit.before
        unit.left_since = before.left_since if before and before.left_cause == cause.value and before.left_since else self.at.now
        environment = unit.environment(self.at.engagement)
        steps = [step for step in self.at.profile.leaving.get(cause, ()) if unit.program.leaves_by(step, environment)]
        places = []
        for step in steps:
            place = None
            if step.action is Leave.MOVE and step.place is not None:
                expression = unit.program.leaving[step.place]
                place = evaluate(expression, environment, "leaving", unit.program.source_schema)
            places.append(place if isinstance(place, str) else None)
        done = unit.target_join.done if unit.target_join else ()
        out = leaving.leave(
            steps, cause, unit.target, created=unit.created, since=unit.left_since, now=self.at.now, done=done, places=places
        )
        known = {one.operation for one in unit.operations}
        fresh = [one for one in out.operations if one.operation not in known and not (set(one.after) & unit.held)]
        if any(one.operation is Operation.DELETE for one in fresh):
            unit.operations = []
        unit.operations += fresh
        for problem in out.problems:
            unit.problem(problem.code, problem.text, severity=problem.severity)
        if out.taken_back:
            unit.done = [{**one, leaving.TAKEN_BACK: True} if one["action"] in out.taken_back else one for one in done]
        unit.due_at = out.due_at
        unit.cause = cause
        if cause is not Cause.DISABLED:
            unit.status = Status.LEAVING if unit.operations or out.due_at else Status.LEFT

    def _keep_in_step(self, unit: Unit, verdict: Verdict, unique: UniqueValues) -> None:
        program = unit.program
        if self.at.profile.action is Action.CREATE_ONLY and unit.target is not None:
            unit.status, unit.reason = Status.IN_STEP, "it exists, and the profile only creates"
            return
        desired, place = unit.wanted, unit.place
        self._unique(unit, desired, place, unique)
        unit.desired = digest_of(desired)
        if unit.target is None:
            unit.operations = [diff.creation(program, desired, place)]
            # Whoever is created enabled and disabled in the source before the next look was disabled there: the two had agreed.
            unit.agreed = desired["enabled"] if isinstance(desired.get("enabled"), bool) else None
            unit.creates, unit.status, unit.reason = True, Status.PENDING, to_be_created(verdict.words, self.at.profile.target)
            return
        self._difference(unit, verdict, desired)

    def _difference(self, unit: Unit, verdict: Verdict, desired: dict[str, Any]) -> None:
        assert unit.target is not None
        done = unit.target_join.done if unit.target_join else ()
        ours = leaving.disabled_by_us(done) and self.at.profile.returning.enable
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
        # Where the document leaves `enabled` alone, nobody leaves by being disabled in the source.
        if verdict.cause is Cause.DISABLED and self.at.profile.leaving.get(Cause.DISABLED) and desired.get("enabled") is not KEEP:
            self._leave(unit, Cause.DISABLED)
        elif done:
            unit.done = leaving.still_done(done, unit.target)
            back = leaving.come_back(
                self.at.profile.returning,
                unit.target,
                done,
                may_enable=_may_enable(unit, desired.get("enabled")),
                moved_by_place="path" in desired,
            )
            known = {one.operation for one in unit.operations}
            unit.operations += [one for one in back if one.operation not in known and not (set(one.after) & unit.held)]
        unit.status = Status.PENDING if unit.operations else Status.IN_STEP
        unit.reason = verdict.words

    def _unique(self, unit: Unit, desired: dict[str, Any], place: str | None, unique: UniqueValues) -> None:
        """Replace wanted values that must be unique by those that this identity gets."""
        for name, known, mapping in unit.program.unique:
            value = desired[name]
            if not isinstance(value, (str, tuple)) or name in unit.held:
                continue
            target = unit.target
            if target is not None and mapping.strength.value == "once":
                continue
            current = target.attributes.get(name) if target is not None else None
            if isinstance(value, tuple):
                desired[name] = self._several(unit, known, mapping.unique, value, current, unique)
                continue
            parent = None
            if known.unique is Unique.PARENT:
                parent = desired.get("path") or (target.attributes.get("path") if target is not None else place)
            try:
                desired[name] = unique.resolve(
                    known,
                    mapping.unique,
                    value,
                    identity_id=unit.identity_id or 0,
                    own=target.object_id if target is not None else None,
                    profile=self.at.profile.name,
                    current=current if isinstance(current, str) else None,
                    place=parent,
                )
            except ValueTaken as taken:
                unit.waits.append((self.at.target_id, *taken.key))
                raise
            # Should somebody else take it before we do, it is decided again: whoever creates is found by what is reserved for it.
            if target is not None and (current is None or normalise(desired[name]) != normalise(current)):
                unit.waits.append((self.at.target_id, *unique.key(known, desired[name], parent)))

    def take_back(self, units: Sequence[Unit], unique: UniqueValues) -> list[Unit]:
        """Who was given what another one was about to give up, and does not, for that one is left as it is: those are stopped, too."""
        of_identity = {unit.identity_id: unit for unit in units}
        left = [unit for unit in units if not unit.operations]
        stopping = []
        while left:
            target = left.pop().target
            for identity_id, taken in unique.stays(target.object_id) if target is not None and target.object_id is not None else ():
                unit = of_identity[identity_id]
                if unit.operations:
                    stopped(unit, taken)
                    # As of anybody who is stopped: nothing of it is wanted until it is looked at again.
                    unit.gives_way = unit.desired = unit.agreed = None
                    unit.waits.append((self.at.target_id, *taken.key))
                    stopping.append(unit)
                    left.append(unit)
        return stopping

    def _several(
        self, unit: Unit, known: AttributeSchema, patterns: tuple[str, ...], wanted: tuple[Any, ...], current: Any, unique: UniqueValues
    ) -> tuple[Any, ...]:
        """The same for an attribute with several values: each of them stands only once."""
        target = unit.target
        try:
            given = unique.resolve_each(
                known,
                patterns,
                wanted,
                identity_id=unit.identity_id or 0,
                own=target.object_id if target is not None else None,
                profile=self.at.profile.name,
                current=current,
            )
        except ValueTaken as taken:
            unit.waits.append((self.at.target_id, *taken.key))
            raise
        if target is not None:
            there = each_of(current)
            unit.waits += [
                (self.at.target_id, *unique.key(known, one, None)) for folded, one in each_of(given).items() if folded not in there
            ]
        return given


def to_be_created(words: str, target: str) -> str:
    """Why somebody is pending who has no object yet."""
    return f"{words}; to be created in {target}"


def _give_up(unit: Unit, unique: UniqueValues) -> None:
    """What stands only once, and this object is about to have another value of, is free for others in the same plan."""
    target = unit.target
    if target is None or target.object_id is None or unit.identity_id is None:
        return
    unique.work(target.object_id)
    place = target.attributes.get("path")
    moves = unit.wanted.get("path", place)
    for name, mapping in unit.program.mappings.items():
        known, current = unit.program.target_schema.attributes.get(name), target.attributes.get(name)
        wanted = unit.wanted.get(name, KEEP)
        fixed = mapping.unique or mapping.strength is not Strength.ENFORCED or name in unit.held or wanted is KEEP
        if known is None or known.unique is None or fixed:
            continue
        if isinstance(current, tuple) and (mapping.values is not Several.ADD or wanted is CLEAR):
            stays = each_of(wanted)
            for value in (one for folded, one in each_of(current).items() if folded not in stays):
                unique.give_up(known, value, None, own=target.object_id, identity_id=unit.identity_id)
        if not isinstance(current, str):
            continue
        another = not isinstance(wanted, str) or normalise(wanted) != normalise(current)
        if another or (known.unique is Unique.PARENT and moves != place):
            unique.give_up(known, current, place, own=target.object_id, identity_id=unit.identity_id)


def _forget(unit: Unit, unique: UniqueValues) -> None:
    """What was planned once, and is neither there nor wanted any more, holds nobody up, also not those who exchange values in a ring."""
    if unit.identity_id is None or unit.status or not unit.wanted:
        return
    present = unit.target.attributes if unit.target is not None else {}
    place = unit.wanted.get("path") or present.get("path") or unit.place
    for name, mapping in unit.program.mappings.items():
        known, wanted = unit.program.target_schema.attributes.get(name), unit.wanted.get(name, KEEP)
        fixed = mapping.unique or mapping.strength is not Strength.ENFORCED or name in unit.held or wanted is KEEP
        if known is None or known.unique is None or fixed:
            continue
        those = ((wanted, place), (present.get(name), present.get("path")))
        kept = [(value, where) for values, where in those for value in each_of(values).values()]
        unique.want_only(known, kept, identity_id=unit.identity_id)


def _may_enable(unit: Unit, value: Any) -> bool:
    """Where a mapping keeps `enabled`, it decides whether a returner is enabled again; else whoever is disabled in the source stays so."""
    mapping = unit.program.mappings.get("enabled")
    kept = isinstance(value, bool) and mapping is not None and mapping.strength is not Strength.ONCE
    return not kept and unit.source.attributes.get("enabled") is not False
