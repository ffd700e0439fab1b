"""Every table of the database, in the order of the pipeline. Names are those of docs/words.md.

Every row belongs to an engagement. Times are UTC; `UtcTime` stores them as fixed-width ISO 8601 text on SQLite, so that they sort, and as
`timestamptz` on PostgreSQL. Attribute images (`blob`, `before`, `after`) are the codec's bytes. Ids are meaningless numbers: whatever must
be equal on every store speaks of directories and anchors.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)
from sqlalchemy import String as PlainString
from sqlalchemy import Text as PlainText
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")


class ServerText(TypeDecorator[str]):
    """Text on PostgreSQL: ordered by code points, as on SQLite, since plans must be equal and a server's own collation changes with its
    operating system; and NUL, which it does not take, as an escape."""

    impl = PlainText(collation="C")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value.replace("\0", "\\x00") if value else value


Text = PlainText().with_variant(ServerText(), "postgresql")


def String(length: int) -> PlainString:
    """Short text. The length is for the reader: no database of ours refuses a longer one."""
    return PlainString(length).with_variant(ServerText(), "postgresql")


class UtcTime(TypeDecorator[datetime]):
    """An aware time in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(PlainString(27) if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None or isinstance(value, datetime):
            return value
        return datetime.fromisoformat(value)


def as_stored(connection: Connection, time: Any) -> Any:
    """A time as the driver takes it; one that the database gave stays as it is."""
    if isinstance(time, datetime) and connection.dialect.name == "sqlite":
        return UtcTime().process_bind_param(time, connection.dialect)
    return time


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


def _engagement(*, index: bool = False, key: bool = False) -> Column[int]:
    return Column("engagement_id", Id, ForeignKey("engagement.id"), nullable=False, index=index, primary_key=key)


def _directory() -> Column[int]:
    return Column("directory_id", Id, ForeignKey("directory.id"), nullable=False)


engagement = Table(
    "engagement",
    metadata,
    _id(),
    Column("name", String(200), nullable=False, unique=True),
    Column("created", UtcTime, nullable=False),
)

revision = Table(
    "revision",
    metadata,
    _id(),
    _engagement(),
    Column("number", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("configurations", JSON, nullable=False, comment="profile -> digest of its effective configuration"),
    Column("author", String(200), nullable=False),
    Column("created", UtcTime, nullable=False),
    UniqueConstraint("engagement_id", "number"),
)

secret = Table(
    "secret",
    metadata,
    _id(),
    _engagement(),
    Column("name", String(200), nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("changed", UtcTime, nullable=False),
    UniqueConstraint("engagement_id", "name"),
)

directory = Table(
    "directory",
    metadata,
    _id(),
    _engagement(),
    Column("name", String(200), nullable=False),
    Column("connector", String(200), nullable=False),
    Column("pinned", Text, comment="Check.identity at the first import; another one is refused"),
    Column("schema", LargeBinary, comment="what discover() said last, pickled never: store.codec.encode_schema"),
    Column("requested", JSON, comment="kind -> attributes of the last complete full import"),
    Column("keys", JSON, comment="names that match_key holds for this directory"),
    Column("completed", UtcTime, comment="when the last complete import ended"),
    Column("generation", Integer, nullable=False, default=0, comment="number of the last full import that was begun"),
    UniqueConstraint("engagement_id", "name"),
)

cursor = Table(
    "cursor",
    metadata,
    _engagement(),
    Column("directory_id", Id, ForeignKey("directory.id"), primary_key=True),
    Column("stream", String(200), primary_key=True),
    Column("cursor", Text, comment="where the next delta starts; NULL: a full import follows"),
    Column("resume", Text, comment="of an interrupted full import: behind the last stored page"),
    Column("resume_generation", Integer),
    Column("taken", UtcTime),
)

object_ = Table(
    "object",
    metadata,
    _id(),
    _engagement(),
    _directory(),
    Column("kind", String(20), nullable=False),
    Column("anchor", Text, nullable=False, comment="unique per directory: a partial index per directory, built after its first load"),
    Column("label", Text, nullable=False, comment="what people call it"),
    Column("state", String(10), nullable=False, comment="live, unread or gone"),
    Column("digest", LargeBinary(16), nullable=False, comment="xxh3-128 of the logical content, references included"),
    Column("blob", LargeBinary, nullable=False),
    Column("generation", Integer, nullable=False, comment="directory.generation of the import that wrote it last"),
    Column("mark", String(64), comment="our durable mark, where it carries one"),
    Column("privileged", Boolean, nullable=False, default=False),
    Column("run_id", Id, comment="the import that changed it last"),
    Column("version", LargeBinary(16), comment="of what the directory last said, where it says versions: what has it has this digest"),
)

# The indexes of anchors are partial, one per directory, and made long after statements were prepared. When SQLite 3.40 prepares a
# statement again because the schema changed, it forgets that its plan depends on the bound `directory_id`, and reads another directory's
# index. It remembers where such an index was there from the beginning; no directory has the id 0.
Index(
    "uq_object_anchor_0",
    object_.c.anchor,
    unique=True,
    sqlite_where=object_.c.directory_id == 0,
    postgresql_where=object_.c.directory_id == 0,
)

seen = Table(
    "seen",
    metadata,
    _directory(),
    Column("object_id", Id, nullable=False, comment="seen by a full import that may have to be resumed"),
    Index("uq_seen", "directory_id", "object_id", unique=True),
)

match_key = Table(
    "match_key",
    metadata,
    Column("object_id", Id, nullable=False),
    Column("name", Text, nullable=False, comment="an attribute, or `=` and an expression"),
    Column("value", Text, nullable=False, comment="normalised; found by a partial index per directory, built after its first load"),
    # Behind the key, as it is stored: SQLite 3.40 looks for it in the wrong place when it checks the file.
    _directory(),
    PrimaryKeyConstraint("object_id", "name", "value"),
    sqlite_with_rowid=False,
)

link = Table(
    "link",
    metadata,
    _directory(),
    Column("object_id", Id, primary_key=True, autoincrement=False, comment="the object that holds the reference"),
    Column("attribute", Text, primary_key=True),
    Column("key", Text, primary_key=True, comment="anchor, or the attribute whose value names the target"),
    Column("value", Text, primary_key=True, comment="normalised unless key is anchor"),
    Column("target_id", Id, comment="the object referred to, once it was imported"),
    Index("ix_link_value", "directory_id", "key", "value"),
    sqlite_with_rowid=False,
)

# Without what is unresolved: at a first load that is everything, and each row would enter the index twice.
Index(
    "ix_link_target",
    link.c.target_id,
    link.c.attribute,
    sqlite_where=link.c.target_id.is_not(None),
    postgresql_where=link.c.target_id.is_not(None),
)

identity = Table(
    "identity",
    metadata,
    _id(),
    _engagement(),
    Column("kind", String(20), nullable=False),
)

join = Table(
    "join",
    metadata,
    _id(),
    _engagement(),
    Column("identity_id", Id, ForeignKey("identity.id"), nullable=False),
    _directory(),
    Column("kind", String(20), nullable=False),
    Column("anchor", Text, nullable=False),
    Column("object_id", Id, index=True, comment="NULL while provisional: created, not yet imported"),
    Column("profile", String(200), comment="the profile whose rule joined it; NULL for the identity's first object"),
    Column("rule", Text, nullable=False, comment="in words"),
    Column("revision", Integer, nullable=False),
    Column("run_id", Id),
    Column("author", String(200), nullable=False),
    Column("created", Boolean, nullable=False, default=False, comment="Metasync created the object"),
    Column("done", JSON, comment="steps of leaving that we took and may reverse: [{action, before, run}]"),
    UniqueConstraint("directory_id", "anchor"),
    UniqueConstraint("identity_id", "directory_id", "kind"),
)

# What was created and no import has shown yet: little, among many joins.
Index(
    "ix_join_provisional",
    join.c.directory_id,
    sqlite_where=join.c.object_id.is_(None),
    postgresql_where=join.c.object_id.is_(None),
)

decision = Table(
    "decision",
    metadata,
    _id(),
    _engagement(),
    Column("decision", String(20), nullable=False, comment="join, unjoin or ignore"),
    Column("directory", String(200), nullable=False),
    Column("anchor", Text, nullable=False),
    Column("other_directory", String(200)),
    Column("other_anchor", Text),
    Column("reason", Text, nullable=False),
    Column("author", String(200), nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("ix_decision_object", "engagement_id", "directory", "anchor"),
)

wanted = Table(
    "wanted",
    metadata,
    _engagement(),
    Column("profile", String(200), nullable=False),
    Column("object_id", Id, nullable=False, comment="the source object that waits"),
    _directory(),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("directory_id", "name", "value", "profile", "object_id"),
    Index("ix_wanted_object", "object_id", "profile"),
    sqlite_with_rowid=False,
)

sync_state = Table(
    "sync_state",
    metadata,
    _engagement(),
    Column("profile", String(200), primary_key=True),
    Column("object_id", Id, primary_key=True, comment="the source object"),
    Column("digest", LargeBinary(16), nullable=False, comment="of the source object"),
    Column("target", LargeBinary(16), comment="digest of the target object, where nothing is held of it or on its way to it"),
    Column("computed", LargeBinary(16), comment="digest of what the mappings yielded, before unique values were given out"),
    Column("status", String(30), nullable=False),
    Column("reason", Text, nullable=False, default="", comment="in words"),
    Column("enabled", Boolean, comment="the value of `enabled` that we last wanted"),
    Column("desired", LargeBinary(16), comment="digest of all values that we last wanted: equal, and the target differs: drift"),
    Column("left_cause", String(20)),
    Column("left_since", UtcTime),
    Column("run_id", Id),
    Index("ix_sync_state_status", "engagement_id", "profile", "status"),
    sqlite_with_rowid=False,
)

profile_state = Table(
    "profile_state",
    metadata,
    _engagement(key=True),
    Column("profile", String(200), primary_key=True),
    Column("basis", String(64), nullable=False, comment="digest of configuration, schemas and waves when all of it was last marked dirty"),
    Column("reference_basis", String(64), nullable=False, comment="the same of what decides about references alone"),
)

dirty = Table(
    "dirty",
    metadata,
    _engagement(),
    Column("profile", String(200), primary_key=True),
    Column("object_id", Id, primary_key=True, comment="the source object"),
    Column(
        "member_id",
        Id,
        primary_key=True,
        default=0,
        comment="0: the whole object; -1: its references; -2: all but those; else this member of it",
    ),
    Column("due_at", UtcTime, comment="NULL: now"),
    sqlite_with_rowid=False,
)

pending = Table(
    "pending",
    metadata,
    _id(),
    _engagement(),
    Column("profile", String(200), nullable=False),
    Column("object_id", Id, nullable=False, comment="the source object"),
    Column("identity_id", Id),
    _directory(),
    Column("kind", String(20), nullable=False, comment="of the target object"),
    Column("target_id", Id, comment="the target object; NULL for a create"),
    Column("anchor", Text, comment="the target's; NULL for a create"),
    Column("label", Text, nullable=False),
    Column("operations", LargeBinary, nullable=False, comment="codec.encode_operations, without single references"),
    Column("reference_operations", LargeBinary, comment="the same of single references, which are worked out later"),
    Column("run_id", Id),
    UniqueConstraint("profile", "object_id"),
    Index("ix_pending_object", "object_id"),
)

Index(
    "ix_pending_target",
    pending.c.target_id,
    sqlite_where=pending.c.target_id.is_not(None),
    postgresql_where=pending.c.target_id.is_not(None),
)

pending_member = Table(
    "pending_member",
    metadata,
    _engagement(),
    Column("profile", String(200), nullable=False),
    Column("object_id", Id, nullable=False, comment="the source group"),
    Column("member_key", Text, nullable=False, comment="anchor in the target, or `directory/anchor` of the source it will be created for"),
    Column("member_created", Boolean, nullable=False, comment="False: member_key is an anchor in the target"),
    Column("attribute", Text, nullable=False),
    Column("operation", String(20), nullable=False),
    Column("label", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Index("uq_pending_member", "profile", "object_id", "attribute", "member_key", unique=True),
)

pending_replaced = Table(
    "pending_replaced",
    metadata,
    _engagement(),
    Column("profile", String(200), primary_key=True, comment="the one that says `replaces:`"),
    Column("object_id", Id, primary_key=True, comment="the source object; it has a row in `pending`, too"),
    _directory(),
    Column("kind", String(20), nullable=False, comment="of the object that gives way"),
    Column("target_id", Id, nullable=False),
    Column("anchor", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("operations", LargeBinary, nullable=False, comment="codec.encode_operations; its memberships are read when the plan is made"),
    Index("ix_pending_replaced_object", "object_id"),
    sqlite_with_rowid=False,
)

plan = Table(
    "plan",
    metadata,
    _id(),
    _engagement(),
    Column("profile", String(200), nullable=False, comment="or the exporter's name"),
    Column("purpose", String(20), nullable=False, comment="synchronise, undo or exporter"),
    Column("run_id", Id, nullable=False),
    Column("state", String(20), nullable=False, comment="planned, approved, exported, superseded or empty"),
    Column("hash", String(64), nullable=False),
    Column("configuration", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("counts", JSON, nullable=False, comment="operation -> number"),
    Column("joined", Integer, nullable=False, comment="what percent limits are of"),
    Column("exceeded", JSON, nullable=False, comment="limits that it passes: [{operation, count, allowed, words}]"),
    Column("undoes", Id, comment="the run"),
    Column("note", Text, nullable=False, default=""),
)

approval = Table(
    "approval",
    metadata,
    _id(),
    _engagement(),
    Column("plan_id", Id, ForeignKey("plan.id"), nullable=False, index=True),
    Column("profile", String(200), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("configuration", String(64), nullable=False),
    Column("beyond", JSON, nullable=False, comment="operations whose limits it lifts, once"),
    Column("reason", Text, nullable=False),
    Column("author", String(200), nullable=False),
    Column("at", UtcTime, nullable=False),
)

run = Table(
    "run",
    metadata,
    _id(),
    _engagement(index=True),
    Column("kind", String(20), nullable=False, comment="import, plan, export, confirm, run or undo"),
    Column("state", String(20), nullable=False, comment="queued, running, done, failed, stopped or waiting"),
    Column("what", JSON, nullable=False, comment="directories, profiles or plans"),
    Column("author", String(200), nullable=False),
    Column("started", UtcTime, nullable=False),
    Column("finished", UtcTime),
    Column("stop", Boolean, nullable=False, default=False, comment="asked to stop"),
    Column("counts", JSON, nullable=False),
    Column("error", Text),
    Column("options", JSON, comment="of a run on the queue: what it was asked for with"),
    Column("dispatch", String(20), comment="of a run on the queue: which dispatcher brings it to the workers"),
    Column("queued", UtcTime, comment="when it was put on the queue"),
    Index("ix_run_state", "engagement_id", "state"),
)

step = Table(
    "step",
    metadata,
    _id(),
    Column("run_id", Id, ForeignKey("run.id"), nullable=False, index=True),
    Column("name", String(20), nullable=False, comment="import, synchronise, plan, export or confirm"),
    Column("of", String(200), nullable=False, comment="the directory or profile"),
    Column("state", String(20), nullable=False),
    Column("done", Integer, nullable=False, default=0),
    Column("total", Integer),
    Column("started", UtcTime, nullable=False),
    Column("finished", UtcTime),
    Column("text", Text, nullable=False, default=""),
    Column("updated", UtcTime, comment="when `done`, `total` and `text` were looked at last"),
    Column("batch_id", Id, comment="of a run on the queue: what was worked"),
)

batch = Table(
    "batch",
    metadata,
    _id(),
    _engagement(),
    Column("run_id", Id, ForeignKey("run.id"), nullable=False, index=True),
    Column("kind", String(20), nullable=False, comment="export; of a run on the queue also run, import, synchronise and its other steps"),
    Column("of", Text, nullable=False, comment="the directory or profiles"),
    Column("directory_id", Id, ForeignKey("directory.id"), comment="of an export"),
    Column("state", String(20), nullable=False, comment="ready, leased, waiting (for other batches of its run) or done"),
    Column("nonce", String(32), nullable=False),
    Column("owner", String(200)),
    Column("fence", Integer, nullable=False, default=0),
    Column("lease_until", UtcTime),
    Column("due_at", UtcTime),
    Column("nudged", UtcTime, comment="when a dispatcher was told of it last"),
    Column("attempts", Integer, nullable=False, comment="how often a worker began it"),
    Column("created", UtcTime, nullable=False),
    Column("what", JSON, comment="what the step needs to know"),
    Column("result", JSON, comment="what the step came to"),
    Index("ix_batch_state", "state", "directory_id"),
)

change = Table(
    "change",
    metadata,
    _id(),
    _engagement(),
    Column("plan_id", Id, ForeignKey("plan.id"), nullable=False),
    Column("run_id", Id, comment="the run that exported it"),
    Column("batch_id", Id),
    Column("profile", String(200), nullable=False),
    Column("object_id", Id, nullable=False, comment="the source object; 0 if none"),
    Column("identity_id", Id),
    Column("source", Text, nullable=False, comment="`directory/anchor` of the source object, for people and for references to it"),
    _directory(),
    Column("kind", String(20), nullable=False),
    Column("target_id", Id),
    Column("anchor", Text, comment="of the target object; of a create, once it was written"),
    Column("label", Text, nullable=False),
    Column("operation", String(20), nullable=False),
    Column("stage", Integer, nullable=False, comment="order of export: exporting.order"),
    Column("before", LargeBinary, nullable=False),
    Column("after", LargeBinary, nullable=False),
    Column("rules", JSON, nullable=False, comment="attribute -> the mapping that decided, in words"),
    Column("revision", Integer, nullable=False),
    Column("tag", String(32), nullable=False),
    Column(
        "state",
        String(20),
        nullable=False,
        comment="planned, approved, in_flight, written, confirmed, not_reimported, rejected, stale or superseded",
    ),
    Column("attempts", Integer, nullable=False, default=0),
    Column("fence", Integer, nullable=False, default=0),
    Column("due_at", UtcTime),
    Column("error", Text),
    Column("written_at", UtcTime),
    Column("confirmed_run", Id),
    Column("undone_by", Id, comment="the change of an undo that took this one back"),
    # Each ends with what its pages are ordered by: else every page would sort all that is left.
    Index("ix_change_plan", "plan_id", "state", "stage", "id"),
    Index("ix_change_order", "plan_id", "id"),
    Index("ix_change_source", "profile", "object_id", "state", "run_id", "id"),
    Index("ix_change_state", "directory_id", "state", "anchor", "id"),
)

# A first load is all creates: they have neither target nor anchor, no run until they are exported, and seldom is anything taken back.
Index(
    "ix_change_run",
    change.c.run_id,
    change.c.object_id,
    change.c.id,
    sqlite_where=change.c.run_id.is_not(None),
    postgresql_where=change.c.run_id.is_not(None),
)
Index(
    "ix_change_anchor",
    change.c.directory_id,
    change.c.anchor,
    sqlite_where=change.c.anchor.is_not(None),
    postgresql_where=change.c.anchor.is_not(None),
)
Index(
    "ix_change_target",
    change.c.directory_id,
    change.c.target_id,
    change.c.state,
    sqlite_where=change.c.target_id.is_not(None),
    postgresql_where=change.c.target_id.is_not(None),
)
Index(
    "ix_change_undone",
    change.c.undone_by,
    sqlite_where=change.c.undone_by.is_not(None),
    postgresql_where=change.c.undone_by.is_not(None),
)

problem = Table(
    "problem",
    metadata,
    _id(),
    _engagement(),
    Column("area", String(20), nullable=False, comment="import, synchronise, plan, export, undo, wave or notify"),
    Column("of", String(200), nullable=False, comment="the directory, profile, wave or notifier"),
    Column("object_id", Id, nullable=False, default=0),
    Column("anchor", Text, nullable=False, default="", comment="or where in the directory"),
    Column("attribute", Text, nullable=False, default=""),
    Column("code", String(40), nullable=False),
    Column("text", Text, nullable=False),
    Column("severity", String(10), nullable=False, comment="error, warning or notice"),
    Column("run_id", Id),
    Column("since", UtcTime, nullable=False),
    Index("ix_problem_object", "engagement_id", "area", "of", "object_id"),
    Index("ix_problem_severity", "engagement_id", "severity", "id"),
)

hold = Table(
    "hold",
    metadata,
    _id(),
    _engagement(),
    Column("profile", String(200), nullable=False),
    Column("object_id", Id, nullable=False, comment="the source object"),
    Column("attribute", Text, nullable=False, comment="`*`: the object itself"),
    Column("run_id", Id, nullable=False, comment="the undo"),
    Column("reason", Text, nullable=False),
    UniqueConstraint("profile", "object_id", "attribute"),
)

pin = Table(
    "pin",
    metadata,
    _engagement(key=True),
    Column("profile", String(200), primary_key=True),
    Column("path", Text, primary_key=True, comment="as written in `scope: under:` or `mirror:`"),
    _directory(),
    Column("anchor", Text, nullable=False, comment="of the container that the path meant when it was first resolved"),
)

reserved = Table(
    "reserved",
    metadata,
    _id(),
    _engagement(),
    _directory(),
    Column("attribute", Text, nullable=False),
    Column("value", Text, nullable=False, comment="folded; with the parent in front where it is unique per parent"),
    Column("shown", Text, nullable=False, comment="the value as written"),
    Column("base", Text, nullable=False, comment="the value before the pattern"),
    Column("identity_id", Id, nullable=False),
    Column("profile", String(200), nullable=False),
    Column("released", UtcTime, comment="set when its object went; free for others after the directory's `reserve names`"),
    UniqueConstraint("directory_id", "attribute", "value"),
    Index("ix_reserved_identity", "identity_id", "directory_id", "attribute"),
)

wave = Table(
    "wave",
    metadata,
    _engagement(key=True),
    Column("identity_id", Id, primary_key=True, autoincrement=False, comment="whose state it is; who has no row is waiting"),
    Column(
        "object_id",
        Id,
        nullable=False,
        comment="by which the file named him: should his identity be made anew, he is found by it",
    ),
    Column("name", String(200), nullable=False, comment="of the wave that he moves with, whatever its file says since"),
    Column("key", Text, nullable=False, comment="as the file has it"),
    Column("state", String(20), nullable=False, comment="waiting, moving or cut over"),
    Column("reason", Text, nullable=False),
    Column("author", String(200), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("began", UtcTime, nullable=False, comment="when he last began to move: `undo --wave` goes back to there"),
)

wave_member = Table(
    "wave_member",
    metadata,
    _engagement(key=True),
    Column("name", String(200), primary_key=True, comment="of the wave"),
    Column("key", Text, primary_key=True, comment="normalised"),
    Column("shown", Text, nullable=False, comment="the key as the file has it"),
    Column("object_id", Id, comment="the source object that has the key; NULL: nobody is sure to be meant"),
    Column("identity_id", Id, comment="of that object, where it has one"),
    Column("code", String(40), nullable=False, comment="why nobody is meant; empty where somebody is"),
)

exporter_state = Table(
    "exporter_state",
    metadata,
    _engagement(key=True),
    Column("exporter", String(200), primary_key=True),
    Column("pair", String(200), primary_key=True, comment="empty: the exporter's cursor"),
    Column("state", Text),
)

lease = Table(
    "lease",
    metadata,
    Column("name", String(200), primary_key=True, comment="such as `engine/ENGAGEMENT`"),
    Column("owner", String(200), nullable=False),
    Column("fence", Integer, nullable=False),
    Column("until", UtcTime, nullable=False),
)

schedule = Table(
    "schedule",
    metadata,
    _engagement(key=True),
    Column("profile", String(200), primary_key=True),
    Column("paused", Boolean, nullable=False, default=False),
    Column("next", UtcTime),
    Column("rule", Text, comment="the words of the document that `next` was worked out from"),
    Column("run_id", Id, comment="the run that it was put on the queue with last"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Id, primary_key=True, autoincrement=False),
    _engagement(),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(40), nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", JSON, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

BULK = (object_, match_key, link, seen, identity, join, wanted, sync_state, dirty, pending, pending_member, change, problem, reserved)
"""Where an import, a synchronisation and a plan write rows in thousands. PostgreSQL looks each of them up again for each foreign key, which
was a third and more of what they cost: there, only what may be deleted keeps them. On SQLite, where they cost nothing, the same code is
held to all."""

for _table in BULK:
    for _key in _table.foreign_key_constraints:
        if _key.referred_table is not identity:
            _key.ddl_if(dialect="sqlite")
