"""Writes the changes of one plan, in one transaction: splits references off, asks for vetoes, orders, counts and hashes.

Where the drafts come from (pending rows, an undo, an exporter) is not decided here.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from metasync.contract import AttributeSchema, Change, Kind, Operation, Reference, Veto
from metasync.equality import Attributes
from metasync.exporting.order import MEMBERS, PLACES, Holder, Stage, Swap, Vacancies, split_references, stage_of, step_aside, unique_keys
from metasync.planning.objections import NONE, Objections, key_of
from metasync.store import codec, directories, freezing, plans
from metasync.synchronising.created import CREATED_FOR
from metasync.workspace import Workspace

PORTION = 500
EMPTY = codec.encode({})
ANCHOR = "anchor"


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """One operation on one object, before it is frozen."""

    operation: Operation
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    undoes: tuple[int, ...] = ()
    """Of an undo: the changes that it takes back."""
    stage: Stage | None = None
    """Where its place in the order does not follow from what it does; then nothing of the object is brought forward either."""
    counts: bool = True
    """False where another draft, of which it is a part, stands for both in the counts of the plan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The object that drafts are about: where it comes from, and what it is in the target."""

    object_id: int
    source: str
    identity_id: int | None
    kind: Kind
    target_id: int | None
    anchor: str | None
    label: str
    image: Mapping[str, Any] = field(default_factory=dict)
    """As last imported, where the drafts rename, move or delete it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Refusal:
    """Why a change is not in the plan, as the problem of its object says it."""

    code: str
    text: str
    attribute: str = ""
    severity: str = "warning"


class Tags:
    """128 random bits for each change, asked of the system for many at a time."""

    def __init__(self) -> None:
        self._ready: list[str] = []

    def next(self) -> str:
        """The next one, as 32 hexadecimal digits."""
        if not self._ready:
            bits = secrets.token_bytes(16 * PORTION).hex()
            self._ready = [bits[start : start + 32] for start in range(0, len(bits), 32)]
        return self._ready.pop()


class Freezer:
    """Takes drafts, object by object; those of existing objects before those of creates. `finish` orders and hashes them."""

    def __init__(
        self,
        connection: Connection,
        workspace: Workspace,
        *,
        plan_id: int,
        profile: str,
        directory: str,
        revision: int,
        objections: Objections = NONE,
    ) -> None:
        self._connection = connection
        self._workspace = workspace
        self._plan_id = plan_id
        self._profile = profile
        self._directory_id = workspace.directory_ids[directory]
        self._schema = directories.schema_of(connection, self._directory_id)
        self._revision = revision
        self._asks = bool(workspace.host.manager.hook.metasync_veto.get_hookimpls())
        self._objections = objections
        self._attributes = Attributes(self._schema)
        self._vacancies = Vacancies()
        self._holders: list[Holder] = []
        self._dropped: set[str] = set()
        """Tags of changes that were objected to, and are not part of the plan."""
        self._moving: dict[str, dict[str, Any]] = {}
        """Tag of a move without a rename -> the values that it takes along."""
        self._containers: dict[str, int] = {}
        """Tag of a rename or move of a container -> the stage in which a container would be created there."""
        self._waiting: list[tuple[Subject, list[dict[str, Any]], bool, bool, tuple[Operation, ...]]] = []
        self._rows = 0
        self.counts: Counter[Operation] = Counter()
        self.problems: list[dict[str, Any]] = []
        self._told: set[tuple[int, str]] = set()
        self.vetoed: set[int] = set()
        """Source objects that shall not be created, or restored: nothing that follows for them is planned either."""
        self._vetoed_sources: set[str] = set(objections.not_created)
        self._objected: set[int] = set()
        """Source objects to a change of which somebody objects: nothing is handed over for them."""
        self.taken_back: list[tuple[tuple[int, ...], str]] = []
        self._directory = directory
        self._content = plans.ContentHash()
        self._tags = Tags()

    def add(self, subject: Subject, drafts: Sequence[Draft]) -> None:
        """Freeze these operations on one object, in this order."""
        self._add(subject, drafts)
        if self._rows >= PORTION:
            self._flush()

    def add_together(self, several: Sequence[tuple[Subject, Sequence[Draft]]]) -> None:
        """The same of several objects that hand something over for the sake of one source object: all of it, or where somebody objects to
        any of it, or to what is to be done for that one, nothing."""
        for subject, drafts in several:
            self._add(subject, drafts, together=True)
        if self._rows >= PORTION:
            self._flush()

    def _add(self, subject: Subject, drafts: Sequence[Draft], *, together: bool = False) -> None:
        rows: list[dict[str, Any]] = []
        references: list[dict[str, Any]] = []
        creates = any(draft.operation is Operation.CREATE for draft in drafts)
        attributes = self._attributes.of(subject.kind)
        image = dict(subject.image)
        for draft in drafts:
            self._split(subject, draft, rows, references)
            # What a create takes matters only where something existing frees it.
            if creates and self._vacancies:
                path = str(draft.after.get("path") or "")
                self._vacancies.take(unique_keys(attributes, draft.after, path=path))
        if not creates and all(draft.stage is None for draft in drafts):
            requests = _requests(rows)
            rows = [row for request in requests for row in request]
            for request in requests:
                self._hold(subject, request, attributes, image)
        self._waiting.append((subject, rows + references, creates, together, tuple(draft.operation for draft in drafts if draft.counts)))
        self._rows += len(rows) + len(references)

    def add_creates(self, rows: Sequence[freezing.PendingObject]) -> Sequence[freezing.PendingObject]:
        """Freeze creates as they are stored, unopened; those that are left are to be added like anything else.

        Nobody may be asked about them, and nothing existing may free what they take: otherwise their values matter.
        """
        if self._asks or self._vacancies or self._vetoed_sources:
            return rows
        self._flush()
        rest: list[freezing.PendingObject] = []
        ready: list[tuple[Any, ...]] = []
        objected = self._objections.objects
        for row in rows:
            found = None if row.object_id in objected else _plain_create(row)
            if found is None or row.kind == Kind.CONTAINER.value:
                rest.append(row)
                continue
            about = (row.object_id, row.identity_id, row.source, row.kind, None, None, row.label)
            ready += [self._frozen(about, stage, *frame) for stage, frame in found]
            self.counts.update(Operation(frame.operation) for stage, frame in found if stage is not Stage.REFERENCE)
        self._store(ready)
        return rest

    def add_members(self, rows: Sequence[freezing.PendingMember], kind: Kind) -> Sequence[freezing.PendingMember]:
        """Freeze what groups of this kind shall gain or lose; those that are left are to be added like anything else."""
        if self._asks or self._vetoed_sources:
            return rows
        self._flush()
        ready: list[tuple[Any, ...]] = []
        rest: list[freezing.PendingMember] = []
        if objected := self._objections.objects:
            rest = [row for row in rows if row.object_id in objected]
            rows = [row for row in rows if row.object_id not in objected]
        for row in rows:
            key = CREATED_FOR if row.member_created else ANCHOR
            image = codec.encode({row.attribute: (Reference(value=row.member_key, key=key),)})
            gains = row.operation == Operation.MEMBER_ADD
            before, after = (EMPTY, image) if gains else (image, EMPTY)
            about = (row.object_id, row.identity_id, row.source, kind.value, row.target_id, row.anchor, row.label)
            ready.append(self._frozen(about, Stage.MEMBER, row.operation, before, after, codec.encode_rules({row.attribute: row.rule})))
        self._store(ready)
        self.counts.update(Operation(row.operation) for row in rows)
        return rest

    def _frozen(self, about: tuple[Any, ...], stage: int, operation: str, before: bytes, after: bytes, rules: bytes) -> tuple[Any, ...]:
        """A row in the order of `freezing.COLUMNS`; `about` is its object, from the source object's id to the label."""
        object_id, identity_id, source, kind, target_id, anchor, label = about
        self._content.add(self._profile, source, self._directory, kind, target_id, anchor, operation, before, after)
        return (
            self._workspace.engagement_id,
            self._plan_id,
            self._profile,
            object_id,
            identity_id,
            source,
            self._directory_id,
            kind,
            target_id,
            anchor,
            label,
            operation,
            int(stage),
            before,
            after,
            rules.decode(),
            self._revision,
            self._tags.next(),
            "planned",
            0,
            0,
        )

    def _store(self, rows: Sequence[tuple[Any, ...]]) -> None:
        freezing.add_frozen(self._workspace.backend, self._connection, rows)

    def finish(self) -> str:
        """Order everything; the hash of the plan."""
        self._flush()
        levels, swaps = self._settled()
        containers = {tag: stage for tag, stage in self._containers.items() if tag not in self._dropped}
        known = freezing.by_tags(self._connection, self._plan_id, {*levels, *(swap.tag for swap in swaps), *containers})
        for swap in swaps:
            self._swap(swap, levels, known[swap.tag])
        # What a container is called, and where it stands, is what others are created in and move to: it goes before them, parents before
        # children, unless it must wait for a name.
        first = {tag: stage for tag, stage in containers.items() if levels.get(tag, 1) == 1 and not swaps}
        for tag, stage in {**{tag: Stage.FREE + level for tag, level in levels.items()}, **first}.items():
            freezing.bring_forward(self._connection, self._plan_id, known[tag], stage)
        # Who steps aside changes what was added: then it is read once more.
        return plans.content_hash(self._connection, self._plan_id) if swaps else self._content.hexdigest()

    def _settled(self) -> tuple[dict[str, int], list[Swap]]:
        """See `Vacancies.settle`; what was objected to frees nothing, and nobody steps aside for it."""
        if not self._dropped:
            return self._vacancies.settle()
        vacancies = Vacancies()
        for holder in self._holders:
            if self._dropped.isdisjoint(holder.tags):
                vacancies.hold(holder)
        return vacancies.settle()

    def _split(self, subject: Subject, draft: Draft, rows: list[dict[str, Any]], references: list[dict[str, Any]]) -> None:
        whole = draft.operation in MEMBERS or draft.operation is Operation.DELETE
        if whole or (draft.operation is not Operation.CREATE and not _waits_for_somebody(draft)):
            rows.append(self._row(subject, draft, draft.operation, draft.before, draft.after))
            return
        (before, after), (before_references, after_references) = split_references(draft.before, draft.after)
        if after or not after_references or draft.operation is Operation.CREATE:
            rows.append(self._row(subject, draft, draft.operation, before, after))
        if after_references:
            operation = Operation.UPDATE if draft.operation is Operation.CREATE else draft.operation
            references.append(self._row(subject, draft, operation, before_references, after_references))

    def _row(
        self, subject: Subject, draft: Draft, operation: Operation, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> dict[str, Any]:
        tag = self._tags.next()
        path = str(after.get("path") or before.get("path") or subject.image.get("path") or "")
        rules = {name: words for name, words in draft.rules.items() if name in after or name in before or (name not in draft.after)}
        if draft.undoes:
            self.taken_back.append((draft.undoes, tag))
        return {
            "engagement_id": self._workspace.engagement_id,
            "plan_id": self._plan_id,
            "profile": self._profile,
            "object_id": subject.object_id,
            "identity_id": subject.identity_id,
            "source": subject.source,
            "directory_id": self._directory_id,
            "kind": subject.kind.value,
            "target_id": subject.target_id,
            "anchor": subject.anchor,
            "label": subject.label,
            "operation": operation.value,
            "stage": draft.stage if draft.stage is not None else stage_of(operation, subject.kind, after, rules, path),
            "before": codec.encode(before),
            "after": codec.encode(after),
            "rules": rules,
            "revision": self._revision,
            "tag": tag,
            "state": "planned",
            "attempts": 0,
            "fence": 0,
        }

    def _hold(
        self, subject: Subject, request: Sequence[Mapping[str, Any]], attributes: Mapping[str, AttributeSchema], image: dict[str, Any]
    ) -> None:
        """Remember what a request to an existing object frees and takes: one change, or a rename with its move. `image` follows it."""
        operations = {Operation(row["operation"]) for row in request}
        if operations & MEMBERS:
            return
        before: dict[str, Any] = {}
        after: dict[str, Any] = {}
        for row in request:
            before.update(codec.decode(row["before"]))
            after.update(codec.decode(row["after"]))
        image.update(before)
        late = any(row["stage"] >= Stage.OUT for row in request)
        if subject.kind is Kind.CONTAINER and operations <= PLACES and not late:
            path = str(after.get("path") or image.get("path") or "")
            self._containers |= {str(row["tag"]): stage_of(Operation.CREATE, Kind.CONTAINER, after, {}, path) for row in request}
        whole = bool(operations & (PLACES | {Operation.DELETE}))
        old_image = dict(image)
        old = unique_keys(attributes, old_image if whole else before, path=str(image.get("path") or ""))
        for name, value in after.items():
            if value is None:
                image.pop(name, None)
            else:
                image[name] = value
        new: dict[bytes, str] = {}
        if Operation.DELETE not in operations:
            new = unique_keys(attributes, image if whole else after, path=str(image.get("path") or ""))
        frees = {key: name for key, name in old.items() if key not in new}
        takes = [key for key in new if key not in old]
        if frees or takes:
            tags = tuple(str(row["tag"]) for row in request)
            holder = Holder(tags=tags, name=subject.source or subject.label, late=late, frees=frees, takes=takes)
            self._holders.append(holder)
            self._vacancies.hold(holder)
            if operations == {Operation.MOVE}:
                self._moving[tags[0]] = {name: old_image[name] for name in set(frees.values())}

    def _swap(self, swap: Swap, levels: Mapping[str, int], known: freezing.Numbered) -> None:
        """Two objects exchange a value: the one steps aside first, so that the other can take it."""
        row = freezing.by_id(self._connection, known.id)
        before = codec.decode(row.before)
        held = self._moving.get(swap.tag, before)
        way = step_aside(self._attributes.of(Kind(row.kind)), swap, held, row.source or row.label)
        if way is None:
            return
        operation, after = way
        copied = {name: value for name, value in row._mapping.items() if name != "id"}

        def step(stage: int, before: Mapping[str, Any], after: Mapping[str, Any], words: str) -> dict[str, Any]:
            return {
                **copied,
                "operation": operation.value,
                "stage": stage,
                "before": codec.encode(before),
                "after": codec.encode(after),
                "rules": {swap.attribute: words},
                "tag": self._tags.next(),
            }

        own = {swap.attribute: held[swap.attribute]}
        steps = [step(Stage.FREE, own, after, "steps aside: another object takes its value, and it another's")]
        if swap.tag in self._moving:
            # Who moves keeps the name: there it is free by then.
            steps.append(step(Stage.FREE + levels[swap.tag], after, own, "stepped aside for another object that moved here"))
        else:
            held_then = {name: value for name, value in {**before, **after}.items() if value is not None}
            freezing.set_before(self._connection, row.id, codec.encode(held_then))
        freezing.add(self._workspace.backend, self._connection, steps)

    def _flush(self) -> None:
        refused = {**self._refusals(), **self._vetoes()}
        ready: list[dict[str, Any]] = []
        self._objected.update(one[0].object_id for one in self._waiting if any(row["tag"] in refused for row in one[1]))
        for subject, rows, creates, together, operations in self._waiting:
            reasons = [refused[row["tag"]] for row in rows if row["tag"] in refused]
            if subject.object_id in self.vetoed:
                continue
            if together and subject.object_id in self._objected:
                for reason in reasons:
                    self._problem(subject, reason)
                continue
            waits = self._vetoed_member(rows)
            if reasons and (creates or _stays_away(rows, refused)):
                self.vetoed.add(subject.object_id)
                self._vetoed_sources.add(subject.source)
                self._problem(subject, reasons[0])
                continue
            kept = [row for row in rows if row["tag"] not in refused and row["tag"] not in waits]
            for reason in reasons:
                self._problem(subject, reason)
            gone = Counter(Operation(row["operation"]) for row in rows if row["tag"] in refused or row["tag"] in waits)
            ready += kept
            self.counts.update(Counter(operations) - gone)
        if refused or self.vetoed or self._vetoed_sources:
            kept_tags = {row["tag"] for row in ready}
            self._dropped |= {row["tag"] for _, rows, *_ in self._waiting for row in rows} - kept_tags
        for row in ready:
            fields = (row["source"], self._directory, row["kind"], row["target_id"], row["anchor"], row["operation"])
            self._content.add(self._profile, *fields, row["before"], row["after"])
        freezing.add(self._workspace.backend, self._connection, ready)
        self._waiting = []
        self._rows = 0

    def _vetoed_member(self, rows: Iterable[Mapping[str, Any]]) -> set[str]:
        """Changes that refer to an object whose create was vetoed."""
        if not self._vetoed_sources:
            return set()
        found = set()
        for row in rows:
            for value in codec.decode(row["after"]).values():
                for one in value if isinstance(value, tuple) else (value,):
                    if isinstance(one, Reference) and one.key == CREATED_FOR and one.value in self._vetoed_sources:
                        found.add(row["tag"])
        return found

    def _refusals(self) -> dict[str, _Refusal]:
        """What the directory said before that it would refuse."""
        known = self._objections.changes
        if not known:
            return {}
        found = {}
        for subject, rows, *_ in self._waiting:
            for row in rows if subject.object_id in self._objections.objects else ():
                if (one := known.get(key_of(row))) is not None:
                    text = f"{self._directory} would refuse the {row['operation']} of {subject.label}: {one.reason}; {one.remedy}"
                    found[row["tag"]] = _Refusal(code="would be refused", text=text, attribute=one.attribute, severity="error")
        return found

    def _vetoes(self) -> dict[str, _Refusal]:
        if not self._asks:
            return {}
        changes = [
            as_change(row, before=codec.decode(row["before"]), after=codec.decode(row["after"]))
            for _, rows, *_ in self._waiting
            for row in rows
        ]
        if not changes:
            return {}
        answers: Collection[Veto] = self._workspace.host.ask(
            "metasync_veto", engagement=self._workspace.engagement.name, profile=self._profile, changes=tuple(changes)
        )
        labels = {change.id: change.label for change in changes}
        return {
            veto.change: _Refusal(code="veto", text=f"a plugin objects to a change of {labels.get(veto.change, '')}: {veto.reason}")
            for veto in answers
        }

    def _problem(self, subject: Subject, refusal: _Refusal) -> None:
        if (subject.object_id, refusal.text) in self._told:
            return  # a group that takes nobody is said once
        self._told.add((subject.object_id, refusal.text))
        self.problems.append(
            {
                "object_id": subject.object_id,
                "anchor": subject.source.partition("/")[2] or subject.anchor or "",
                "attribute": refusal.attribute,
                "code": refusal.code,
                "text": refusal.text,
                "severity": refusal.severity,
            }
        )


def _plain_create(row: freezing.PendingObject) -> list[tuple[Stage, codec.Frame]] | None:
    """What one create becomes: itself, what it takes over from another object, and its references as an update behind it. None where it has
    to be opened for that."""
    operations = codec.frames(row.operations)
    stages = {Operation.CREATE.value: Stage.CREATE, Operation.UPDATE.value: Stage.UPDATE}
    plain = operations and operations[0].operation == Operation.CREATE.value and all(one.operation in stages for one in operations)
    if not plain or len(operations) > len(stages) or any(b'"r":' in one.after for one in operations):
        return None
    found = [(stages[one.operation], one) for one in operations]
    if row.reference_operations is None:
        return found
    references = codec.frames(row.reference_operations)
    if len(references) != 1 or references[0].operation != Operation.UPDATE.value or references[0].before != EMPTY:
        return None
    return [*found, (Stage.REFERENCE, references[0])]


def as_change(row: Mapping[str, Any], *, before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    """A frozen row as plugins see it, by its tag."""
    operation = Operation(row["operation"])
    member = None
    if operation in MEMBERS:
        member = next(
            (one for value in (*after.values(), *before.values()) for one in (value if isinstance(value, tuple) else (value,))), None
        )
    return Change(
        id=row["tag"],
        operation=operation,
        kind=Kind(row["kind"]),
        anchor=row["anchor"],
        label=row["label"],
        before=before,
        after=after,
        member=member,
        tag=row["tag"],
    )


def _stays_away(rows: Iterable[Mapping[str, Any]], refused: Container[str]) -> bool:
    """Is it refused that the object is restored, so that nothing else can be written to it?"""
    return any(row["operation"] == Operation.RESTORE.value and row["tag"] in refused for row in rows)


def _waits_for_somebody(draft: Draft) -> bool:
    """It refers to an object that this plan, or another one, has yet to create; until then the other values must not wait."""
    values = (one for value in draft.after.values() for one in (value if isinstance(value, tuple) else (value,)))
    return any(isinstance(one, Reference) and one.key == CREATED_FOR for one in values)


def _requests(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """What reaches the directory at once: every row by itself, but a rename and its move, which then stand side by side."""
    places = [row for row in rows if Operation(row["operation"]) in PLACES and row["stage"] < Stage.OUT]
    if len(places) != len(PLACES) or {Operation(row["operation"]) for row in places} != PLACES:
        return [[row] for row in rows]
    return [places if row is places[0] else [row] for row in rows if row is not places[1]]
