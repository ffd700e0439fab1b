"""Why is this value there, and why is this object not? In words from the document (`synchronising.interpret`) and from what is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from metasync.contract import MetasyncError, Schema
from metasync.engagement.model import Profile
from metasync.store import history, joins, objects, reservations, states
from metasync.store import pending as pending_rows
from metasync.store.joins import JoinRow
from metasync.store.rows import State, Status
from metasync.synchronising import interpret
from metasync.synchronising.images import source_name
from metasync.synchronising.interpret import show
from metasync.synchronising.match import Claims, Matching, by_hand, keyed
from metasync.synchronising.names import unknown
from metasync.synchronising.needs import canonical
from metasync.synchronising.places import resolve_places
from metasync.synchronising.program import ObjectError, Program, compile_program
from metasync.synchronising.scope import judge
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
                directory = workspace.directory_name(one.directory_id)
                if directory not in profile.sources:
                    continue
                if one.kind is not profile.source_kind and not states.of_objects(connection, profile.name, [one.id]):
                    continue
                if one.id != object_id and row.directory_id != workspace.directory_ids[profile.target] and directory != profile.target:
                    continue
                found.append(_Teller(workspace, connection, schemas, profile, directory).tell(one.id, attribute))
        name = source_name(workspace.directory_name(row.directory_id), row.anchor)
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
        name = source_name(workspace.directory_name(one.directory_id), one.anchor)
        lines.append(Line(topic="joined", words=f"{name} ({one.kind}) by {how}"))
    return lines


def _status(unit: Unit, since: history.Since | None) -> str:
    """How the last synchronisation left the object, and what was written since: the next one looks again."""
    if unit.before is None:
        return "not synchronised yet"
    before = f"{unit.before.status}: {unit.before.reason}".rstrip(": ")
    if since is None:
        return before
    words = _since(since)
    return words if unit.before.status == Status.PENDING else f"{before}; {words}"


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
        self.loader = Loader(workspace, profile, {workspace.directory_ids[source]: self.program}, schemas)
        self.hand = by_hand(workspace.engagement, profile, joins.decisions(connection, workspace.engagement_id))

    def tell(self, object_id: int, attribute: str | None) -> Explanation:
        unit = self.loader.load(self.connection, [object_id])[0]
        environment = unit.environment(self.workspace.engagement)
        name = canonical(self.program.target_schema, attribute) if attribute else None
        lines: list[Line] = []
        inside = False
        if name is None:
            inside, scope = self._scope(unit, environment)
            lines += scope
            lines += self._partner(unit, environment)
        if name is not None or unit.target is not None or inside:
            lines += self._values(unit, environment, name)
        since = history.written_since(self.connection, self.profile.name, unit.id)
        if since is None or since.states & UNDONE:  # else all of it was written meanwhile, and the history says so
            lines += self._pending(unit, name)
        lines += self._history(unit, name)
        lines += self._problems(unit, name)
        return Explanation(
            profile=self.profile.name,
            object=source_name(self.source, unit.row.anchor),
            label=unit.row.label,
            status=_status(unit, since),
            lines=tuple(lines),
        )

    def _scope(self, unit: Unit, environment: Mapping[str, Mapping[str, object]]) -> tuple[bool, list[Line]]:
        lines = []
        inside = False
        if unit.source.state is not State.LIVE:
            lines.append(Line(topic="source", words=f"the object is {unit.source.state} in {self.source}"))
        try:
            verdict = judge(unit, environment, self.hand.ignored)
            inside = verdict.inside
            lines.append(Line(topic="scope", words=("inside: " if inside else "outside: ") + verdict.words))
            if self.program.where is not None and unit.source.state is State.LIVE:
                lines.append(Line(topic="scope", words=interpret.in_where(self.program, environment)[1]))
        except ObjectError as error:
            lines.append(Line(topic="scope", words=f"cannot be told: {error}. Nothing is done to the object before it can"))
        return inside, lines

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

    def _values(self, unit: Unit, environment: Mapping[str, Mapping[str, object]], attribute: str | None) -> list[Line]:
        lines: list[Line] = []
        known = {*self.program.mappings, *(("path",) if self.profile.place else ())}
        if attribute is not None and attribute not in known:
            if wrong := unknown(self.program.target_schema, self.profile.target, attribute):
                return [Line(topic=attribute, words=wrong)]
            lines.append(Line(topic=attribute, words=f"{self.profile.name} does not map it; it is left as it is in {self.profile.target}"))
            return [*lines, *self._now(unit, attribute)]
        for one in self.program.references:
            if attribute in (None, one.attribute):
                of = " and ".join(f"{root}.{name}" for root, name in one.contributors)
                lines.append(Line(topic=one.attribute, words=f"follows the identities that {of} refers to"))
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
            words += f"; so it shall be {show(reason.value)}" if reason.value is not None else "; so there is nothing"
            words += f" ({reason.words})" if reason.words else ""
            lines.append(Line(topic=reason.attribute, words=words))
            lines += self._now(unit, reason.attribute) if attribute else []
        return lines

    def _now(self, unit: Unit, attribute: str) -> list[Line]:
        if unit.target is None:
            return [Line(topic=attribute, words=f"there is no object in {self.profile.target} yet")]
        lines = [Line(topic=attribute, words=f"{self.profile.target} has {show(unit.target.attributes.get(attribute))}")]
        if unit.identity_id is not None:
            kept = reservations.of_identities(self.connection, self.loader.target_id, [unit.identity_id])
            for one in kept.get((unit.identity_id, attribute), [])[:1]:
                lines.append(Line(topic=attribute, words=f"{one.shown} is reserved for it, made of {one.base}"))
        if attribute in unit.held or "*" in unit.held:
            lines.append(Line(topic=attribute, words="an undo holds it; `metasync release` lets it go"))
        return lines

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

    def _history(self, unit: Unit, attribute: str | None) -> list[Line]:
        lines = []
        for one in history.changes_of(self.connection, self.profile.name, unit.id, attribute, HISTORY):
            when = f" {one.written_at:%Y-%m-%d %H:%M:%SZ}" if one.written_at else ""
            touched = {name: value for name, value in one.after.items() if attribute in (None, name)}
            values = "; ".join(f"{name} from {show(one.before.get(name))} to {show(value)}" for name, value in touched.items())
            words = f"plan {one.plan_id}{f', run {one.run_id}' if one.run_id else ''}{when}: {one.operation} is {one.state}"
            words += f" ({values})" if values and attribute is not None else ""
            words += f"; {one.error}" if one.error else ""
            lines.append(Line(topic="history", words=words))
        return lines

    def _problems(self, unit: Unit, attribute: str | None) -> list[Line]:
        found = history.problems_of(self.connection, self.profile.name, unit.id)
        return [Line(topic="problem", words=f"{one.code}: {one.text}") for one in found if attribute is None or one.attribute == attribute]
