"""A company that is in step with a directory, and a plan for many of its people: what the engine would leave, stored without its help.

Both directories are imported by the engine. What synchronising would find, and a plan, are put beside them by the shortest way, so that a
million objects stand within minutes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, literal, select

from metasync.contract import Kind, Operation, Reference
from metasync.exporting.order import Stage
from metasync.store import codec, freezing, plans, runs
from metasync.store import tables as t
from metasync.store.rows import Status
from metasync.testing.engine import Engine

from . import documents, people
from .ready import Company
from .sink import Held, SinkPlugin
from .working import engine_of, imported

APART = 20
"""So many of the source have no partner."""
PORTION = 1000


def standing(folder: Path, url: str, size: int, *, held: Held | None = None) -> Engine:
    """Source and target of this size, each identity with an object in both, nothing pending. Its first group has everybody as a member, in
    the source alone where the target can be written (`held`)."""
    hr, ad = Company(size), Company(size - APART, seed=1)
    if held is None:
        engine = engine_of(folder, url, documents.directory(), {"hr": hr, "ad": ad})
    else:
        held.fill(ad.entry(number) for number in range(ad.size))
        engine = engine_of(folder, url, documents.directory(sink=True), {"hr": hr}, [SinkPlugin(held)])
    for name in ("hr", "ad"):
        imported(engine, name)
    with engine.backend.write() as connection:
        _join(engine, connection, size)
        for name in ("hr", "ad") if held is None else ("hr",):
            _crowd(connection, engine.workspace.directory_ids[name])
    engine.backend.gather_statistics()
    return engine


def planned(engine: Engine, profile: str, changes: int) -> int:
    """A plan of so many changes, frozen; its number. Members where the profile is of groups, else one update per object."""
    with engine.backend.write() as connection:
        now = engine.backend.now(connection)
        run_id = runs.begin(connection, engine.workspace.engagement_id, kind="plan", what=[profile], author="bench", at=now)
        operation = Operation.MEMBER_ADD if profile == "groups" else Operation.UPDATE
        plan_id = plans.add(connection, _plan(engine, profile, run_id, now, operation, changes))
        rows = (_members if profile == "groups" else _updates)(engine, connection, changes)
        while portion := list(islice(rows, PORTION)):
            freezing.add(engine.backend, connection, [{**_change(engine, profile, plan_id, operation), **row} for row in portion])
        plans.change_plan(connection, plan_id, hash=plans.content_hash(connection, plan_id))
        return plan_id


def _join(engine: Engine, connection: Connection, size: int) -> None:
    """Identities, joins and states, as if every profile had been here. The import numbers objects as they come."""
    ids = engine.workspace.directory_ids
    one, other = t.object_.alias("one"), t.object_.alias("other")
    here = one.c.directory_id == ids["hr"]
    _copy(connection, t.identity, ("id", "engagement_id", "kind"), select(one.c.id, one.c.engagement_id, one.c.kind).where(here))
    names = ("engagement_id", "identity_id", "directory_id", "kind", "anchor", "object_id", "rule", "revision", "author", "created")
    constant = (literal("made for measuring"), literal(1), literal("bench"), literal(False))
    own = select(one.c.engagement_id, one.c.id, one.c.directory_id, one.c.kind, one.c.anchor, one.c.id, *constant).where(here)
    _copy(connection, t.join, names, own)
    partners = (
        select(one.c.engagement_id, one.c.id, other.c.directory_id, other.c.kind, other.c.anchor, other.c.id, *constant)
        .join(other, (other.c.id == one.c.id + size) & (other.c.directory_id == ids["ad"]))
        .where(here)
    )
    _copy(connection, t.join, names, partners)
    for profile in engine.workspace.engagement.profiles.values():
        states = select(
            one.c.engagement_id, literal(profile.name), one.c.id, one.c.digest, literal(Status.IN_STEP.value), literal(""), literal(1)
        ).where(here, one.c.kind == profile.source_kind.value)
        _copy(connection, t.sync_state, ("engagement_id", "profile", "object_id", "digest", "status", "reason", "run_id"), states)


def _crowd(connection: Connection, directory_id: int) -> None:
    """Make everybody a member of the first group."""
    one = t.object_.alias("one")
    people_ = one.c.directory_id == directory_id, one.c.kind == Kind.USER.value
    group = select(func.min(t.object_.c.id)).where(t.object_.c.directory_id == directory_id, t.object_.c.kind == Kind.GROUP.value)
    number = connection.execute(group).scalar_one()
    connection.execute(delete(t.link).where(t.link.c.object_id == number))
    names = ("directory_id", "object_id", "attribute", "key", "value", "target_id")
    constant = (literal(number), literal("members"), literal("anchor"))
    _copy(connection, t.link, names, select(one.c.directory_id, *constant, one.c.anchor, one.c.id).where(*people_))


def _copy(connection: Connection, table: Any, names: Sequence[str], rows: Any) -> None:
    connection.execute(insert(table).from_select(list(names), rows))


def _plan(engine: Engine, profile: str, run_id: int, now: Any, operation: Operation, changes: int) -> dict[str, Any]:
    return {
        "engagement_id": engine.workspace.engagement_id,
        "profile": profile,
        "purpose": "synchronise",
        "run_id": run_id,
        "state": "planned",
        "hash": "",
        "configuration": engine.workspace.engagement.profiles[profile].configuration,
        "revision": 1,
        "created": now,
        "counts": {operation.value: changes},
        "joined": changes,
        "exceeded": [],
    }


def _change(engine: Engine, profile: str, plan_id: int, operation: Operation) -> dict[str, Any]:
    """What every change of a plan has."""
    return {
        "engagement_id": engine.workspace.engagement_id,
        "plan_id": plan_id,
        "profile": profile,
        "directory_id": engine.workspace.directory_ids["ad"],
        "operation": operation.value,
        "stage": int(Stage.MEMBER if operation is Operation.MEMBER_ADD else Stage.UPDATE),
        "revision": 1,
        "tag": secrets.token_hex(16),
        "state": "planned",
        "attempts": 0,
        "fence": 0,
    }


def _updates(engine: Engine, connection: Connection, changes: int) -> Iterator[dict[str, Any]]:
    """One update of three attributes per person."""
    ids = engine.workspace.directory_ids
    own, other = t.join.alias("own"), t.join.alias("other")
    query = (
        select(own.c.object_id, own.c.identity_id, own.c.anchor, other.c.object_id.label("target_id"), other.c.anchor.label("there"))
        .join(other, (other.c.identity_id == own.c.identity_id) & (other.c.directory_id == ids["ad"]))
        .where(own.c.directory_id == ids["hr"], own.c.kind == Kind.USER.value)
        .order_by(own.c.id)
    )
    rules = dict.fromkeys(("title", "department", "description"), "people: `source.title`, made for measuring")
    for row in islice(connection.execute(query).all(), changes):
        before = {"title": "Clerk", "department": "Sales", "description": f"Berlin, room {row.object_id % 900}"}
        after = {"title": "Engineer", "department": "Research", "description": f"Wien, room {row.object_id % 900}"}
        yield {
            "tag": secrets.token_hex(16),
            "object_id": row.object_id,
            "identity_id": row.identity_id,
            "source": f"hr/{row.anchor}",
            "kind": Kind.USER.value,
            "target_id": row.target_id,
            "anchor": row.there,
            "label": f"Person {row.object_id}",
            "before": codec.encode(before),
            "after": codec.encode(after),
            "rules": rules,
        }


def _members(engine: Engine, connection: Connection, changes: int) -> Iterator[dict[str, Any]]:
    """So many members of one group."""
    ids = engine.workspace.directory_ids
    own, other = t.join.alias("own"), t.join.alias("other")
    group = connection.execute(
        select(own, other.c.object_id.label("target_id"), other.c.anchor.label("there"))
        .join(other, (other.c.identity_id == own.c.identity_id) & (other.c.directory_id == ids["ad"]))
        .where(own.c.directory_id == ids["hr"], own.c.kind == Kind.GROUP.value)
        .order_by(own.c.id)
        .limit(1)
    ).one()
    for number in range(changes):
        yield {
            "tag": secrets.token_hex(16),
            "object_id": group.object_id,
            "identity_id": group.identity_id,
            "source": f"hr/{group.anchor}",
            "kind": Kind.GROUP.value,
            "target_id": group.target_id,
            "anchor": group.there,
            "label": "Everybody",
            "before": codec.encode({}),
            "after": codec.encode({"members": (Reference(value=people.anchor(number, 1)),)}),
            "rules": {"members": "groups: members, made for measuring"},
        }
