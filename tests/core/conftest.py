"""A bench for planning and exporting: a source of people, a target that does as told, and what the synchroniser would leave pending."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import delete, insert, select, update

from metasync.contract import (
    AttributeSchema,
    Change,
    Check,
    Connector,
    Equality,
    Exporter,
    Found,
    Kind,
    KindSchema,
    Operation,
    Options,
    Outcome,
    Page,
    Pair,
    Presence,
    ReadRequest,
    Reference,
    Result,
    Role,
    Schema,
    Type,
    Unique,
    Veto,
    hookimpl,
)
from metasync.contract.exporter import Intent
from metasync.engagement.model import Approval, Directory, Engagement, ExporterUse, Limit, Profile
from metasync.host import Host
from metasync.store import codec, ledger, open_store, plans, runs
from metasync.store import pending as pending_rows
from metasync.store import tables as t
from metasync.store.rows import PendingOperation
from metasync.workspace import Workspace

ATTRIBUTES = (
    AttributeSchema(name="name", role=Role.NAME, unique=Unique.PARENT, equality=Equality.IGNORE_CASE),
    AttributeSchema(name="path", role=Role.PATH, equality=Equality.DN),
    AttributeSchema(name="mail", role=Role.SIGN_IN, unique=Unique.DIRECTORY, equality=Equality.IGNORE_CASE),
    AttributeSchema(name="title", equality=Equality.IGNORE_SPACE),
    AttributeSchema(name="phones", multi=True),
    AttributeSchema(name="enabled", type=Type.BOOLEAN, role=Role.ENABLED),
    AttributeSchema(name="manager", type=Type.REFERENCE),
    AttributeSchema(name="members", type=Type.REFERENCE, multi=True),
)
SCHEMA = Schema(
    kinds={
        kind: KindSchema(kind=kind, attributes={one.name: one for one in ATTRIBUTES}, operations=frozenset(Operation))
        for kind in (Kind.USER, Kind.GROUP, Kind.CONTAINER)
    }
)
MARK = "note"


@dataclass
class FakeDirectory:
    """What the fake connector holds, and how it misbehaves."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    bin: dict[str, dict[str, Any]] = field(default_factory=dict)
    restores: bool = True
    loses: str = ""
    """What does not return with a deleted object: then only its name does by itself."""
    calls: list[list[Change]] = field(default_factory=list)
    finds: list[list[Change]] = field(default_factory=list)
    script: dict[str, list[Any]] = field(default_factory=dict)
    """label -> what to do at each write: an Outcome, a Result, an exception, "written" (do it, then say unknown) or "silent"."""
    cannot_tell: set[str] = field(default_factory=set)
    on_write: Any = None
    creates: int = 0

    @property
    def order(self) -> list[tuple[str, str]]:
        """(operation, label) of everything that was tried, in order."""
        return [(change.operation.value, change.label) for call in self.calls for change in call]


DIRECTORIES: dict[str, FakeDirectory] = {}


class FakeConnector(Connector):
    """Writes to a `FakeDirectory`. It would accept a duplicate."""

    name = "fake"
    title = "A directory for tests"
    Options = Options
    commit_size = 3

    @property
    def store(self) -> FakeDirectory:
        return DIRECTORIES[self.context.directory]

    def check(self) -> Check:
        return Check(identity=self.context.directory)

    def discover(self) -> Schema:
        return SCHEMA

    def read(self, request: ReadRequest) -> Iterator[Page]:
        yield Page(complete=True)

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        store = self.store
        assert 0 < len(changes) <= self.commit_size
        store.calls.append(list(changes))
        for change in changes:
            if store.on_write is not None:
                store.on_write(change)
            steps = store.script.get(change.label)
            step = steps.pop(0) if steps else Outcome.APPLIED
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, Result):
                yield replace(step, id=change.id if step.id == "" else step.id)
                continue
            if step == "silent":
                continue
            if step == "written":
                self._apply(change)
                step = Outcome.UNKNOWN
            if step is not Outcome.APPLIED:
                yield Result(id=change.id, outcome=step, detail=f"the directory says {step}")
                continue
            yield self._apply(change)

    def _apply(self, change: Change) -> Result:
        store = self.store
        if change.operation is Operation.CREATE:
            store.creates += 1
            anchor = f"id-{change.label}-{store.creates}"
            store.objects[anchor] = dict(change.after)
            store.kinds[anchor] = change.kind
            if change.mark:
                store.marks[anchor] = change.mark
            return Result(id=change.id, outcome=Outcome.APPLIED, anchor=anchor)
        anchor = change.anchor or ""
        if change.operation is Operation.RESTORE:
            kept = store.bin.pop(anchor)
            store.objects[anchor] = {"name": kept["name"], **change.after} if store.loses else kept
            return Result(id=change.id, outcome=Outcome.APPLIED, anchor=anchor)
        entry = store.objects.get(anchor)
        if entry is None:
            if change.operation is Operation.DELETE:
                return Result(id=change.id, outcome=Outcome.APPLIED, already=True)
            return Result(id=change.id, outcome=Outcome.CONFLICT, detail="it is gone")
        if change.operation in (Operation.MEMBER_ADD, Operation.MEMBER_REMOVE):
            members = set(entry.get("members", ()))
            assert change.member is not None
            members = members | {change.member} if change.operation is Operation.MEMBER_ADD else members - {change.member}
            entry["members"] = tuple(sorted(members, key=lambda one: one.value))
            return Result(id=change.id, outcome=Outcome.APPLIED)
        for name in {*change.before, *change.after}:
            present = entry.get(name)
            if present != change.before.get(name) and (name not in change.after or present != change.after[name]):
                return Result(id=change.id, outcome=Outcome.CONFLICT, detail=f"{name} is {present!r}")
        if change.operation is Operation.DELETE:
            store.bin[anchor] = store.objects.pop(anchor)
            return Result(id=change.id, outcome=Outcome.APPLIED)
        for name, value in change.after.items():
            if value is None:
                entry.pop(name, None)
            else:
                entry[name] = value
        return Result(id=change.id, outcome=Outcome.APPLIED)

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        store = self.store
        store.finds.append(list(changes))
        for change in changes:
            if change.label in store.cannot_tell:
                yield Found(id=change.id, presence=Presence.UNKNOWN, detail="no answer")
                continue
            anchor, by_mark = change.anchor, False
            if change.operation is Operation.CREATE:
                anchor = next((one for one, mark in store.marks.items() if mark == change.mark and one in store.objects), None)
                by_mark = anchor is not None
                named = (one for one, entry in store.objects.items() if entry.get("name") == change.after.get("name"))
                anchor = anchor or next(named, None)
            entry = store.objects.get(anchor or "")
            if entry is None:
                yield Found(id=change.id, presence=Presence.ABSENT)
                continue
            names = {"members"} if change.member else {*change.before, *change.after}
            shown = {name: entry[name] for name in names if name in entry}
            yield Found(id=change.id, presence=Presence.PRESENT, anchor=anchor, by_mark=by_mark, attributes=shown)

    def restorable(self, anchors: Collection[str]) -> Mapping[str, str]:
        return {one: self.store.loses for one in anchors if one in self.store.bin and self.store.restores}


class FakePasswords(Exporter):
    """Carries a make-believe secret."""

    name = "passwords"
    title = "Passwords"
    Options = Options
    operations = frozenset({Operation.PASSWORD})
    attributes = frozenset({"changed"})
    needs = (Connector, Connector)
    carried: ClassVar[list[tuple[str, str]]] = []
    asked: ClassVar[list[str | None]] = []

    def plan(self, pairs: Iterator[Pair], since: str | None) -> Iterator[Intent]:
        FakePasswords.asked.append(since)
        for pair in pairs:
            state = str(pair.source_attributes.get("changed", ""))
            if state and pair.state != state:
                yield Intent(pair=pair, operation=Operation.PASSWORD, after={"password": "as in hr"}, reason="it changed", state=state)

    @property
    def cursor(self) -> str | None:
        return "behind"

    def write(self, intents: Sequence[tuple[str, Intent]], source: Connector, target: Connector) -> Iterator[Result]:
        for number, intent in intents:
            FakePasswords.carried.append((intent.pair.source, intent.pair.target))
            yield Result(id=number, outcome=Outcome.APPLIED)


class Plugin:
    """Registers the fakes, and objects to whom the test names."""

    def __init__(self) -> None:
        self.objects_to: set[str] = set()
        self.notices: list[str] = []

    @hookimpl
    def metasync_register_connectors(self) -> Sequence[type[Connector]]:
        return [FakeConnector]

    @hookimpl
    def metasync_register_exporters(self) -> Sequence[type[Exporter]]:
        return [FakePasswords]

    @hookimpl
    def metasync_veto(self, engagement: str, profile: str, changes: Sequence[Change]) -> Sequence[Veto]:
        return [Veto(change=one.id, reason="not him") for one in changes if one.label in self.objects_to]

    @hookimpl
    def metasync_approval_needed(self, notice: Any) -> None:
        self.notices.append("approval needed")


class Bench:
    """An engagement with the profile `staff` from hr to fabrikam, and a second one, `others`."""

    def __init__(self, path: Path, *, marks: bool = True) -> None:
        self.backend = open_store(str(path))
        self.plugin = Plugin()
        self.passwords = FakePasswords
        self.host = Host.of(self.plugin)
        DIRECTORIES.clear()
        FakePasswords.carried.clear()
        FakePasswords.asked.clear()
        self.hr, self.fabrikam = DIRECTORIES.setdefault("hr", FakeDirectory()), DIRECTORIES.setdefault("fabrikam", FakeDirectory())
        profile = Profile(
            name="staff",
            source_kind=Kind.USER,
            target_kind=Kind.USER,
            sources=("hr",),
            target="fabrikam",
            configuration="one",
            limits={operation: Limit(count=5000) for operation in Operation},
        )
        self.engagement = Engagement(
            name="bench",
            path="bench.yaml",
            plugins={},
            directories={
                "hr": Directory(name="hr", connector="fake", options={}),
                "fabrikam": Directory(name="fabrikam", connector="fake", options={}, mark=MARK if marks else None),
            },
            profiles={
                "staff": profile,
                "others": replace(profile, name="others"),
                "groups": replace(profile, name="groups", source_kind=Kind.GROUP, target_kind=Kind.GROUP),
            },
            revision=1,
        )
        with self.backend.write() as connection:
            known = connection.execute(select(t.engagement.c.id)).scalar()
            self.engagement_id = int(known) if known else self._found(connection)
            self.directory_ids = {row.name: int(row.id) for row in connection.execute(select(t.directory))}

    def _found(self, connection: Any) -> int:
        row = insert(t.engagement).values(name="bench", created=datetime.now(UTC)).returning(t.engagement.c.id)
        engagement = int(connection.execute(row).scalar_one())
        for name in ("hr", "fabrikam"):
            values = {
                "engagement_id": engagement,
                "name": name,
                "connector": "fake",
                "schema": codec.encode_schema(SCHEMA),
                "generation": 1,
            }
            connection.execute(insert(t.directory).values(**values))
        return engagement

    @property
    def workspace(self) -> Workspace:
        return Workspace(
            backend=self.backend,
            host=self.host,
            engagement=self.engagement,
            engagement_id=self.engagement_id,
            directory_ids=self.directory_ids,
            secrets=None,  # type: ignore[arg-type]
            author="anna",
        )

    def profile(self, name: str = "staff", **values: Any) -> None:
        """Give a profile of the document these values."""
        profiles = dict(self.engagement.profiles)
        profiles[name] = replace(profiles[name], **values)
        self.engagement = replace(self.engagement, profiles=profiles)

    def limit(self, operation: Operation, limit: Limit, profile: str = "staff") -> None:
        """Give an operation another limit."""
        self.profile(profile, limits={**self.engagement.profiles[profile].limits, operation: limit})

    def carry(self, **values: Any) -> None:
        """Use the exporter of passwords."""
        self.engagement = replace(self.engagement, exporters=(ExporterUse(name="passwords", source="hr", target="fabrikam", **values),))

    # --- what importing and synchronising would do -------------------------------------------------------------------------------------

    def run(self, kind: str = "run") -> int:
        """A new run."""
        with self.backend.write() as connection:
            return runs.begin(connection, self.engagement_id, kind=kind, what=[], author="anna", at=self.backend.now(connection))

    def person(self, anchor: str, *, kind: Kind = Kind.USER, target: Mapping[str, Any] | None = None, **attributes: Any) -> int:
        """A source object with an identity; with `target` also its joined object, in the directory and imported. The source's number."""
        source = self.put_object("hr", anchor, kind, {"name": anchor, **attributes})
        with self.backend.write() as connection:
            identity = int(
                connection.execute(
                    insert(t.identity).values(engagement_id=self.engagement_id, kind=kind.value).returning(t.identity.c.id)
                ).scalar_one()
            )
            self._join(connection, identity, "hr", kind, anchor, source)
        if target is not None:
            there = f"t-{anchor}"
            self.fabrikam.objects[there] = dict(target)
            self.fabrikam.kinds[there] = kind
            number = self.put_object("fabrikam", there, kind, target)
            with self.backend.write() as connection:
                self._join(connection, identity, "fabrikam", kind, there, number)
        return source

    def _join(self, connection: Any, identity: int, directory: str, kind: Kind, anchor: str, number: int) -> None:
        connection.execute(
            insert(t.join).values(
                engagement_id=self.engagement_id,
                identity_id=identity,
                directory_id=self.directory_ids[directory],
                kind=kind.value,
                anchor=anchor,
                object_id=number,
                rule="",
                revision=1,
                author="anna",
                created=False,
            )
        )

    def put_object(self, directory: str, anchor: str, kind: Kind, attributes: Mapping[str, Any], mark: str | None = None) -> int:
        """An object as imported."""
        plain, references = codec.split(dict(attributes))
        values = {
            "kind": kind.value,
            "label": str(attributes.get("name", anchor)),
            "state": "live",
            "digest": codec.digest(dict(attributes)),
            "blob": codec.encode(plain),
            "generation": 1,
            "mark": mark,
            "privileged": False,
            "run_id": 1,
        }
        with self.backend.write() as connection:
            where = (t.object_.c.directory_id == self.directory_ids[directory], t.object_.c.anchor == anchor)
            number = connection.execute(select(t.object_.c.id).where(*where)).scalar()
            if number is None:
                row = {"engagement_id": self.engagement_id, "directory_id": self.directory_ids[directory], "anchor": anchor, **values}
                number = int(connection.execute(insert(t.object_).values(**row).returning(t.object_.c.id)).scalar_one())
            else:
                connection.execute(update(t.object_).where(*where).values(**values))
            connection.execute(delete(t.link).where(t.link.c.object_id == number))
            for attribute, key, value in references:
                target = connection.execute(
                    select(t.object_.c.id).where(t.object_.c.directory_id == self.directory_ids[directory], t.object_.c.anchor == value)
                ).scalar()
                link = {"object_id": number, "attribute": attribute, "key": key, "value": value, "target_id": target}
                connection.execute(insert(t.link).values(directory_id=self.directory_ids[directory], **link))
            connection.execute(
                update(t.join)
                .where(t.join.c.directory_id == self.directory_ids[directory], t.join.c.anchor == anchor)
                .values(object_id=number)
            )
        return int(number)

    def imports(self) -> None:
        """The target is imported as it stands."""
        for anchor, entry in list(self.fabrikam.objects.items()):
            shown = {name: value for name, value in entry.items() if value not in (None, ())}
            self.put_object("fabrikam", anchor, self.fabrikam.kinds[anchor], shown, self.fabrikam.marks.get(anchor))
        with self.backend.write() as connection:
            gone = t.object_.c.anchor.not_in(list(self.fabrikam.objects))
            here = t.object_.c.directory_id == self.directory_ids["fabrikam"]
            connection.execute(update(t.object_).where(here, gone).values(state="gone"))

    def pend(self, source: int, *operations: PendingOperation, profile: str = "staff") -> None:
        """What the synchroniser leaves for one object."""
        with self.backend.write() as connection:
            row = connection.execute(select(t.object_).where(t.object_.c.id == source)).one()
            kind = self.engagement.profiles[profile].target_kind if row.kind != "container" else Kind.CONTAINER
            identity = connection.execute(select(t.join.c.identity_id).where(t.join.c.object_id == source)).scalar_one()
            target = ledger.place_of(connection, identity, self.directory_ids["fabrikam"], kind.value)
            pending_rows.put(
                self.backend,
                connection,
                self.engagement_id,
                profile,
                1,
                [source],
                [
                    pending_rows.PendingRow(
                        object_id=source,
                        identity_id=identity,
                        directory_id=self.directory_ids["fabrikam"],
                        kind=kind,
                        target_id=target.object_id if target else None,
                        anchor=target.anchor if target else None,
                        label=row.label,
                        operations=list(operations),
                    )
                ],
            )

    def pend_create(self, source: int, profile: str = "staff", **after: Any) -> None:
        """A create with these attributes."""
        label = self.label(source)
        self.pend(source, PendingOperation(operation=Operation.CREATE, after={"name": label, **after}), profile=profile)

    def pend_update(
        self, source: int, before: Mapping[str, Any], after: Mapping[str, Any], operation: Operation = Operation.UPDATE
    ) -> None:
        """An update."""
        rules = dict.fromkeys(after, "a mapping")
        self.pend(source, PendingOperation(operation=operation, before=before, after=after, rules=rules))

    def pend_members(self, group: int, operation: Operation, *keys: str, created: bool = False) -> None:
        """Members that a group shall gain or lose."""
        rows = [
            pending_rows.MemberRow(
                object_id=group, member_key=key, member_created=created, attribute="members", operation=operation, label=key, rule="members"
            )
            for key in keys
        ]
        with self.backend.write() as connection:
            pending_rows.drop_members(connection, "groups", [group], "members")
            pending_rows.add_members(self.backend, connection, self.engagement_id, "groups", rows)

    def settled(self) -> None:
        """Nothing is pending any more."""
        with self.backend.write() as connection:
            connection.execute(delete(t.pending))
            connection.execute(delete(t.pending_member))

    # --- looking -------------------------------------------------------------------------------------------------------------------------

    def label(self, source: int) -> str:
        with self.backend.read() as connection:
            return str(connection.execute(select(t.object_.c.label).where(t.object_.c.id == source)).scalar_one())

    def changes(self, plan_id: int) -> list[ledger.ChangeRow]:
        """A plan's changes, in the order of export."""
        with self.backend.read() as connection:
            rows = ledger.changes(connection, self.engagement_id, plan_id=plan_id)
        return sorted(rows, key=lambda row: (row.stage, row.id))

    def states(self, plan_id: int) -> dict[str, int]:
        with self.backend.read() as connection:
            return ledger.count(connection, [plan_id])

    def plan(self, plan_id: int) -> plans.PlanRow:
        with self.backend.read() as connection:
            row = plans.get(connection, self.engagement_id, plan_id)
        assert row is not None
        return row

    def problems(self, area: str | None = None) -> list[str]:
        with self.backend.read() as connection:
            query = select(t.problem.c.text, t.problem.c.area).order_by(t.problem.c.id)
            return [row.text for row in connection.execute(query) if area is None or row.area == area]

    def holds(self) -> set[tuple[int, str]]:
        with self.backend.read() as connection:
            return {(row.object_id, row.attribute) for row in connection.execute(select(t.hold))}

    def rows(self, table: Any) -> list[Any]:
        with self.backend.read() as connection:
            return list(connection.execute(select(table)).all())

    def set_due(self, when: timedelta = timedelta(seconds=-1)) -> None:
        """Everything that waits becomes due."""
        with self.backend.write() as connection:
            due = self.backend.now(connection) + when
            connection.execute(update(t.change).where(t.change.c.due_at.is_not(None)).values(due_at=due))

    def close(self) -> None:
        self.backend.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "bench.db")
    yield made
    made.close()


@pytest.fixture
def unmarked(tmp_path: Path) -> Iterator[Bench]:
    """A directory without an attribute for our mark."""
    made = Bench(tmp_path / "unmarked.db", marks=False)
    yield made
    made.close()


__all__ = ["Approval", "Bench", "Reference"]
