"""Why is this value there, and why is this object not? In words from the document (`synchronising.interpret`) and from what is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from metasync.contract import MetasyncError, Operation, Schema
from metasync.engagement.model import Profile
from metasync.explain_leaving import leaving_steps
from metasync.store import history, holds, joins, objects, replaced, reservations, states
from metasync.store import pending as pending_rows
from metasync.store.joins import JoinRow
from metasync.store.rows import State, Status
from metasync.synchronising import interpret
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.fit import fit
from metasync.synchronising.images import source_name
from metasync.synchronising.interpret import show
from metasync.synchronising.match import Claims, Matching, by_hand, keyed
from metasync.synchronising.names import unknown
from metasync.synchronising.needs import canonical, kind_schema
from metasync.synchronising.places import resolve_places
from metasync.synchronising.program import Program, compile_program
from metasync.synchronising.replacing import successor_of
from metasync.synchronising.scope import Verdict, judge
from metasync.synchronising.units import Loader, Unit
from metasync.workspace import Workspace

UNDONE = frozenset({"approved", "rejected", "stale", "not_reimported"})
"""States of changes that a run was to write, and that are not there."""
HISTORY = 5
"""Changes that are shown, the newest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One step of an explanation."""

    topic: str
    """Such as `scope`, `match`, `displayName`."""
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What one profile makes of one object."""

    profile: str
    """Empty: of the object itself."""
    object: str
    """`directory/anchor`."""
    label: str
    status: str
    lines: tuple[Line, ...]


def explain(workspace: Workspace, object_id: int, attribute: str | None = None) -> list[Explanation]:
    """Explain an object under every profile that knows it: as a source, or as the partner of one. With `attribute`, that target attribute
    alone. Raises `MetasyncError` where there is no such object."""
    schemas = workspace.schemas()
    with workspace.backend.read() as connection:
        row = objects.get(connection, [object_id]).get(object_id)
        if row is None:
            raise MetasyncError(f"there is no object {object_id}")
        own = joins.of_objects(connection, [object_id]).get(object_id)
        family = joins.of_identities(connection, [own.identity_id])[own.identity_id] if own else []
        ids = dict.fromkeys([object_id, *(one.object_id for one in family if one.object_id is not None)])
        found = []
        for profile in workspace.engagement.profiles.values():
            for one in objects.get(connection, ids).values():
                directory = workspace.names[one.directory_id]
                if directory not in profile.sources:
                    continue
                if one.kind is not profile.source_kind and not states.of_objects(connection, profile.name, [one.id]):
                    continue
                if one.id != object_id and row.directory_id != workspace.directory_ids[profile.target] and directory != profile.target:
                    continue
                found.append(_Teller(workspace, connection, schemas, profile, directory).tell(one.id, attribute))
        name = source_name(workspace.names[row.directory_id], row.anchor)
        if not found:
            words = "no profile has such objects as its source, and it is nobody's partner"
            lines = (Line(topic="profiles", words=words), *_joined(workspace, family))
            found.append(Explanation(profile="", object=name, label=row.label, status=row.state.value, lines=lines))
        return found


def _joined(workspace: Workspace, family: Sequence[JoinRow]) -> list[Line]:
    lines = []
    for one in family:
        how = f"{one.rule}; revision {one.revision}, {f'run {one.run_id}, ' if one.run_id else ''}{one.author}"
        if one.created:
            how += "; Metasync created it"
        if one.object_id is None:
            how += "; not imported yet"
        done = ", ".join(str(step["action"]) for step in one.done)
        if done:
            how += f"; done when it left, and reversed when it returns: {done}"
        name = source_name(workspace.names[one.directory_id], one.anchor)
        lines.append(Line(topic="joined", words=f"{name} ({one.kind}) by {how}"))
    return lines


def _status(unit: Unit, since: history.Since | None) -> str:
    """How the last synchronisation left the object, and what was written since: the next one looks again."""
    if unit.before is None:
        return "not synchronised yet"
    before = f"{unit.before.status}: {unit.before.reason}".rstrip(": ")
    if since is None:
        held = ", ".join(sorted(unit.held - {"*"}))
        return f"{before}; an undo holds {held}" if held else before
    words = _since(since)
    if unit.before.status == Status.PENDING:
        return words
    # Whoever leaves is not in step, also where all that was due is written.
    return f"{before}; {words if unit.before.status == Status.IN_STEP else words.removeprefix('in step: ')}"


def _since(since: history.Since) -> str:
    what = f"run {since.run_id} took back what was written" if since.undo else f"written by run {since.run_id}"
    if "in_flight" in since.states:
        return f"in flight: run {since.run_id} sent it, and the outcome is not known yet; it is read back first"
    if since.states & UNDONE:
        return f"pending: run {since.run_id} did not write all of it, or the import does not show it; the history says what"
    if "written" in since.states:
        return f"{what}, to be confirmed by the next import"
    return f"held: {what}, and an import shows it" if since.undo else f"in step: {what}, and an import shows it"


class _Teller:
    """Explains the objects of one source under one profile."""

    def __init__(self, workspace: Workspace, connection: Connection, schemas: Mapping[str, Schema], profile: Profile, source: str) -> None:
        self.workspace, self.connection, self.profile, self.source = workspace, connection, profile, source
        places = resolve_places(connection, workspace, profile, source, pin=False)
        self.program: Program = compile_program(workspace.engagement, workspace.host, schemas, profile, source, places)
        self.target_schema = kind_schema(schemas, profile.target, profile.target_kind)
        """With the names that the directory itself uses."""
        self.loader = Loader(workspace, profile, {workspace.directory_ids[source]: self.program}, schemas)
        self.hand = by_hand(workspace.engagement, profile, joins.decisions(connection, workspace.engagement_id))

    def tell(self, object_id: int, attribute: str | None) -> Explanation:
        unit = self.loader.load(self.connection, [object_id])[0]
        environment = unit.environment(self.workspace.engagement)
        name = canonical(self.target_schema, attribute) if attribute else None
        verdict, lines = self._scope(unit, environment)
        if name is not None and verdict is not None and verdict.inside:
            lines = []
        if name is None:
            lines += self._partner(unit, environment)
            successors = [one for one in self.workspace.engagement.profiles.values() if one.replaces == self.profile.name]
            if words := successor_of(self.connection, unit, successors):
                lines.append(Line(topic="replaced", words=words))
        if name is not None or (verdict is not None and verdict.inside):
            lines += self._values(unit, environment, name, verdict)
        if name in (None, "enabled", "path") and verdict is not None and verdict.cause is not None:
            steps = leaving_steps(self.connection, unit, environment, verdict.cause)
            lines += [Line(topic="leaving", words=words) for words in steps]
        lines += self._held(unit, name)
        since = history.written_since(self.connection, self.profile.name, unit.id)
        if since is None or since.states & UNDONE:  # else all of it was written meanwhile, and the history says so
            lines += self._pending(unit, name)
            lines += self._gives_way(unit) if name is None else []
        lines += self._history(unit, name)
        lines += self._problems(unit, name)
        return Explanation(
            profile=self.profile.name,
            object=source_name(self.source, unit.row.anchor),
            label=unit.row.label,
            status=_status(unit, since),
            lines=tuple(lines),
        )

    def _scope(self, unit: Unit, environment: Mapping[str, Mapping[str, object]]) -> tuple[Verdict | None, list[Line]]:
        """The verdict, None where it cannot be told, and what it rests on."""
        lines = []
        verdict = None
        if unit.wave.get("name") is not None:
            lines.append(Line(topic="wave", words=f"{unit.wave['name']}: {unit.wave['state']}"))
        if unit.source.state is not State.LIVE:
            lines.append(Line(topic="source", words=f"the object is {unit.source.state} in {self.source}"))
        try:
            verdict = judge(unit, environment, self.hand.ignored)
            lines.append(Line(topic="scope", words=("inside: " if verdict.inside else "outside: ") + verdict.words))
            if self.program.where is not None and unit.source.state is State.LIVE:
                lines.append(Line(topic="scope", words=interpret.in_where(self.program, environment)[1]))
        except ObjectError as error:
            lines.append(Line(topic="scope", words=f"cannot be told: {error}. Nothing is done to the object before it can"))
        return verdict, lines

    def _partner(self, unit: Unit, environment: Mapping[str, Mapping[str, object]]) -> list[Line]:
        lines = _joined(self.workspace, unit.joins)
        if unit.target is not None:
            return lines
        try:
            keys = keyed(self.program.lookups(environment))
        except ObjectError as error:
            return [*lines, Line(topic="match", words=f"cannot be told: {error}")]
        matching = Matching(self.profile, self.loader.target_id, self.profile.target, self.hand, frozenset())
        found = matching.find(self.connection, [keys])
        for match, of_rule in zip(self.program.matches, keys, strict=True):
            looked = ", ".join(f"{name.lstrip('=')} = {value}" for name, value in of_rule) or "nothing, because the keys are empty"
            hits = [f"{one.label} ({one.kind})" for key in of_rule for one in found.get(key, ())]
            lines.append(Line(topic="match", words=f"by {match.words}: looked for {looked}; found {', '.join(hits) or 'nobody'}"))
        decided = matching.decide(self.connection, unit, keys, found, Claims())
        if decided.words:
            lines.append(Line(topic="match", words=decided.words))
        return lines

    def _values(
        self, unit: Unit, environment: Mapping[str, Mapping[str, object]], attribute: str | None, verdict: Verdict | None
    ) -> list[Line]:
        """What the mappings make of it; of one that is not inside, only what is there: nothing that they make is ever written."""
        lines: list[Line] = []
        known = {*self.program.mappings, *(("path",) if self.profile.place else ())}
        if attribute is not None and attribute not in known:
            if wrong := unknown(self.program.target_schema, self.profile.target, attribute):
                return [Line(topic=attribute, words=wrong)]
            lines.append(Line(topic=attribute, words=f"{self.profile.name} does not map it; it is left as it is in {self.profile.target}"))
            return [*lines, *self._now(unit, attribute)]
        if attribute is not None and (verdict is None or not verdict.inside):
            return [Line(topic=attribute, words="no mapping decides about it while the object is not inside"), *self._now(unit, attribute)]
        for one in self.program.references:
            if attribute in (None, one.attribute):
                of = " and ".join(f"{root}.{name}" for root, name in one.contributors)
                held = "; an undo holds it as it is" if one.attribute in unit.held else ""
                lines.append(Line(topic=one.attribute, words=f"follows the identities that {of} refers to{held}"))
        try:
            reasons = interpret.desired(self.program, environment)[1]
        except ObjectError as error:
            return [*lines, Line(topic=error.attribute, words=f"cannot be computed: {error}. The object is left as it is")]
        for reason in reasons:
            if attribute not in (None, reason.attribute):
                continue
            read = ", ".join(f"{name} is {show(value)}" for name, value in reason.inputs.items())
            words = f"`{reason.expression}`{f', where {read}' if read else ''}"
            for step, value in reason.steps:
                words += f"; {step} makes {show(value)}"
            words += self._shall(unit, reason)
            words += f" ({reason.words})" if reason.words else ""
            lines.append(Line(topic=reason.attribute, words=words))
            lines += self._now(unit, reason.attribute) if attribute else []
        return lines

    def _shall(self, unit: Unit, reason: interpret.Reason) -> str:
        """What comes of a mapping's value: what an undo holds stays, and what stands only once may be numbered."""
        if reason.attribute in unit.held or "*" in unit.held:
            return f"; that makes {show(reason.value)}, and an undo holds it as it is"
        if reason.value is None:
            return "; so there is nothing"
        mapping = self.program.mappings[reason.attribute]
        if not mapping.unique or not isinstance(reason.value, (str, tuple)):
            return f"; so it shall be {show(reason.value)}"
        try:
            base = fit(self.program.target_schema, reason.attribute, reason.value, shorten=True)
        except ObjectError as error:
            return f"; that cannot be written: {error}"
        if isinstance(base, tuple):
            shown = {one.base: one.shown for one in reversed(self._reserved(unit, reason.attribute))}
            return f"; so it shall be {show(tuple(shown.get(one, one) for one in base))}, as far as `unique:` has given out"
        given = [one for one in self._reserved(unit, reason.attribute) if one.base == base]
        if not given:
            return f"; so it shall be {show(base)}, or the first of `unique:` that is free"
        return f"; `unique:` gave it {show(given[0].shown)}, so it shall be that"

    def _reserved(self, unit: Unit, attribute: str) -> list[reservations.Reservation]:
        """What is reserved for it now, the newest first."""
        if unit.identity_id is None:
            return []
        kept = reservations.of_identities(self.connection, self.loader.target_id, [unit.identity_id])
        return [one for one in reversed(kept.get((unit.identity_id, attribute), [])) if one.released is None]

    def _now(self, unit: Unit, attribute: str) -> list[Line]:
        if unit.target is None:
            return [Line(topic=attribute, words=f"there is no object in {self.profile.target} yet")]
        if unit.target.state is State.GONE:
            return [Line(topic=attribute, words=f"the object is gone in {self.profile.target}")]
        lines = [Line(topic=attribute, words=f"{self.profile.target} has {show(unit.target.attributes.get(attribute))}")]
        for one in self._reserved(unit, attribute)[:1]:
            lines.append(Line(topic=attribute, words=f"{one.shown} is reserved for it, made of {one.base}"))
        return lines

    def _held(self, unit: Unit, attribute: str | None) -> list[Line]:
        """Which undo holds what of the object, and how it is let go."""
        found: dict[tuple[int, str], list[str]] = {}
        for row in holds.those(
            self.connection, self.workspace.engagement_id, profile=self.profile.name, objects=[unit.id], attribute=attribute
        ):
            found.setdefault((row.run_id, row.reason), []).append("the object" if row.attribute == "*" else row.attribute)
        release = f"`metasync release --object {source_name(self.source, unit.row.anchor)}` lets it go"
        return [
            Line(topic="held", words=f"{', '.join(names)}: {reason}; {release}, `metasync release --run {run_id}` everything of that undo")
            for (run_id, reason), names in found.items()
        ]

    def _pending(self, unit: Unit, attribute: str | None) -> list[Line]:
        row = pending_rows.of_objects(self.connection, self.profile.name, [unit.id]).get(unit.id)
        lines = []
        for operation in row.operations if row else ():
            for name, after in operation.after.items():
                if attribute in (None, name):
                    words = f"{operation.operation}: {name} from {show(operation.before.get(name))} to {show(after)}"
                    lines.append(Line(topic="pending", words=words))
            if not operation.after and attribute is None:
                lines.append(Line(topic="pending", words=str(operation.operation)))
        return lines

    def _gives_way(self, unit: Unit) -> list[Line]:
        row = replaced.of_object(self.connection, self.profile.name, unit.id)
        if row is None:
            return []
        steps = [f"{one.operation} {', '.join(one.after)}".rstrip() for one in row.operations]
        words = f"the {row.kind} {row.label} gives way: {'; '.join(steps)}"
        holding = replaced.memberships(self.connection, row.directory_id, [row.target_id]).get(row.target_id, ())
        if holding:
            words += f"; memberships go over in {', '.join(one.label for one in holding)}"
        return [Line(topic="replaces", words=words)]

    def _history(self, unit: Unit, attribute: str | None) -> list[Line]:
        lines = []
        for one in history.changes_of(self.connection, self.profile.name, unit.id, attribute, HISTORY):
            when = f" {one.written_at:%Y-%m-%d %H:%M:%SZ}" if one.written_at else ""
            values = _members(one) or "; ".join(
                f"{name} from {show(one.before.get(name))} to {show(value)}"
                for name, value in one.after.items()
                if attribute is not None and attribute == name
            )
            of = f" of the {one.kind} {one.label}" if self.profile.replaces and one.kind != self.profile.target_kind else ""
            words = f"plan {one.plan_id}{f', run {one.run_id}' if one.run_id else ''}{when}: {one.operation}{of} is {one.state}"
            words += f" ({values})" if values else ""
            words += f"; {one.error}" if one.error else ""
            lines.append(Line(topic="history", words=words))
        return lines

    def _problems(self, unit: Unit, attribute: str | None) -> list[Line]:
        found = history.problems_of(self.connection, self.workspace.engagement_id, self.profile.name, unit.id)
        # One that names no attribute is about all of them.
        about = [one for one in found if attribute is None or one.attribute in ("", attribute)]
        return [Line(topic="problem", words=f"{one.code}: {one.text}") for one in about]


def _members(past: history.Past) -> str:
    """Who was added to a group, or removed."""
    if past.operation not in (Operation.MEMBER_ADD, Operation.MEMBER_REMOVE):
        return ""
    added = past.operation == Operation.MEMBER_ADD
    members = [one.value for values in (past.after if added else past.before).values() for one in values or ()]
    return f"{'added' if added else 'removed'} {', '.join(members)}"
