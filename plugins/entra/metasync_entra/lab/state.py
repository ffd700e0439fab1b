"""The directory of one tenant: its objects, what is unique among them, the recycle bin and the journal. No rule of writing stands here."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from metasync_entra.lab.clock import Clock, iso
from metasync_entra.lab.journal import Entry, Journal
from metasync_entra.lab.relations import Relation
from metasync_entra.lab.rules import MEMBERSHIPS_DROP, NO_CHANGE, RECYCLE_BIN, follows
from metasync_entra.lab.schema import KINDS, Schema

BIN_DAYS = 30
DAY = 86_400.0


class Thing:
    """One object. `fields` holds what was ever set: None is a cleared value, a missing key one that never was."""

    __slots__ = ("created", "deleted", "fields", "history", "id", "kept", "kind")

    def __init__(self, kind: str, id_: str, fields: dict[str, Any], created: float) -> None:
        self.kind = kind
        self.id = id_
        self.fields = fields
        self.created = created
        self.deleted: float | None = None
        self.history: list[tuple[float, dict[str, Any]]] = []
        """(until when, what it was), the oldest first. Kept while reads may lag."""
        self.kept: list[tuple[str, str, str]] = []
        """Relations that deletion dropped: (name, source, target)."""

    def at(self, moment: float) -> Mapping[str, Any]:
        """What it was then."""
        for until, fields in self.history:
            if moment < until:
                return fields
        return self.fields


class Order:
    """Ids or names in order, for lists that go on where the last page ended. Sorted when read, not when written."""

    def __init__(self) -> None:
        self._sorted: list[tuple[str, str]] = []
        self._new: list[tuple[str, str]] = []
        self._gone: set[tuple[str, str]] = set()

    def add(self, key: str, id_: str) -> None:
        """Put one in."""
        pair = (key, id_)
        if pair in self._gone:
            self._gone.discard(pair)
        else:
            self._new.append(pair)

    def remove(self, key: str, id_: str) -> None:
        """Take one out."""
        self._gone.add((key, id_))

    def all(self) -> list[tuple[str, str]]:
        """(key, id), in order. It is not to be changed."""
        if self._new or self._gone:
            kept = [one for one in (*self._sorted, *self._new) if one not in self._gone] if self._gone else self._sorted + self._new
            kept.sort()
            self._sorted, self._new, self._gone = kept, [], set()
        return self._sorted


class Conflict(Exception):
    """A unique value is taken."""

    def __init__(self, property_: str, holder: str) -> None:
        super().__init__(property_)
        self.property = property_
        self.holder = holder


class Directory:
    """One tenant's objects."""

    def __init__(self, clock: Clock, domains: Iterable[str]) -> None:
        self.clock = clock
        self.schema = Schema()
        self.journal = Journal()
        self.domains: dict[str, dict[str, Any]] = {
            name: {"id": name, "isDefault": place == 0, "isInitial": place == 0, "isVerified": True, "authenticationType": "Managed"}
            for place, name in enumerate(domains)
        }
        self.live: dict[str, Thing] = {}
        self.bin: dict[str, Thing] = {}
        self.order: dict[str, Order] = {kind: Order() for kind in KINDS}
        self.names = Order()
        """Users by userPrincipalName, for lists that are split by its beginning."""
        self.relations: dict[str, Relation] = {"members": Relation(), "owners": Relation(), "manager": Relation()}
        self.remember = False
        """Whether old values are kept, for reads that lag."""
        self.epoch = 0
        self._shapes: dict[frozenset[str], frozenset[str]] = {}
        """One set of names for all objects that were made with the same properties."""
        self._unique: dict[tuple[str, str], str] = {}
        self._count = dict.fromkeys(KINDS, 0)

    # --- reading ------------------------------------------------------------------------------------------------------------------------

    def count(self, kind: str) -> int:
        """How many live objects of a kind there are."""
        return self._count[kind]

    def user_named(self, name: str) -> Thing | None:
        """The user of a userPrincipalName, without regard to case."""
        id_ = self._unique.get(("userPrincipalName", name.casefold()))
        return self.live.get(id_) if id_ else None

    def group_named(self, unique_name: str) -> Thing | None:
        """The group of a uniqueName."""
        id_ = self._unique.get(("uniqueName", unique_name.casefold()))
        return self.live.get(id_) if id_ else None

    def of_kind(self, kind: str) -> Iterator[Thing]:
        """Live objects, by id."""
        return (self.live[id_] for id_, _ in self.order[kind].all())

    def holder(self, kind: str, fields: Mapping[str, Any], but: str | None = None) -> tuple[str, str] | None:
        """(property, id) of another object that has one of these unique values."""
        for property_, value in unique_values(kind, fields):
            id_ = self._unique.get((space(property_), value))
            if id_ is not None and id_ != but:
                return property_, id_
        return None

    # --- writing ------------------------------------------------------------------------------------------------------------------------

    def create(self, kind: str, fields: dict[str, Any], id_: str | None = None) -> Thing:
        """Make an object. Its values are right already, but for what is unique."""
        taken = self.holder(kind, fields)
        if taken:
            raise Conflict(*taken)
        now = self.clock.now()
        id_ = id_ or str(uuid.uuid4())
        thing = Thing(kind, id_, {"id": id_, **fields}, now)
        self._enter(thing)
        names = frozenset(thing.fields)
        self.journal.append(Entry(kind, id_, now, fields=self._shapes.setdefault(names, names), created=True))
        return thing

    @follows(NO_CHANGE)
    def update(self, thing: Thing, changes: Mapping[str, Any]) -> frozenset[str]:
        """Change properties; those that really changed. A value that stays is no write."""
        changed = {name: value for name, value in changes.items() if name not in thing.fields or thing.fields[name] != value}
        changed = {name: value for name, value in changed.items() if name in thing.fields or value not in (None, [])}
        if not changed:
            return frozenset()
        after = {**thing.fields, **changed}
        taken = self.holder(thing.kind, after, thing.id)
        if taken:
            raise Conflict(*taken)
        now = self.clock.now()
        self._forget_unique(thing)
        if self.remember:
            thing.history.append((now, thing.fields))
            del thing.history[:-8]
        thing.fields = after
        self._claim_unique(thing)
        names = frozenset(changed)
        self.journal.append(Entry(thing.kind, thing.id, now, fields=names))
        return names

    def relate(self, name: str, source: Thing, target: Thing) -> None:
        """Add a reference; that it is not there yet was asked before."""
        self.relations[name].add(source.id, target.id)
        self.journal.append(Entry(source.kind, source.id, self.clock.now(), relation=(name, True, target.kind, target.id)))

    def unrelate(self, name: str, source_kind: str, source: str, target_kind: str, target: str) -> None:
        """Take a reference away."""
        self.relations[name].remove(source, target)
        self.journal.append(Entry(source_kind, source, self.clock.now(), relation=(name, False, target_kind, target)))

    @follows(RECYCLE_BIN, MEMBERSHIPS_DROP)
    def delete(self, thing: Thing) -> None:
        """Into the recycle bin, or for good where its kind has none. What led to it and from it is dropped first."""
        now = self.clock.now()
        for name, relation in self.relations.items():
            for source in list(relation.sources(thing.id)):
                thing.kept.append((name, source, thing.id))
                self.unrelate(name, self.live[source].kind, source, thing.kind, thing.id)
            for target in list(relation.targets(thing.id)):
                thing.kept.append((name, thing.id, target))
                relation.remove(thing.id, target)
        self._leave(thing)
        thing.deleted = now
        soft = thing.kind == "user" or (thing.kind == "group" and "Unified" in (thing.fields.get("groupTypes") or ()))
        if soft:
            self.bin[thing.id] = thing
            thing.fields = {**thing.fields, "deletedDateTime": iso(now)}
            if thing.kind == "user":
                thing.fields["userPrincipalName"] = thing.id.replace("-", "") + thing.fields["userPrincipalName"]
        self.journal.append(Entry(thing.kind, thing.id, now, gone="changed" if soft else "deleted"))

    def purge(self, thing: Thing) -> None:
        """Out of the recycle bin, for good."""
        del self.bin[thing.id]
        self.journal.append(Entry(thing.kind, thing.id, self.clock.now(), gone="deleted"))

    def restore(self, thing: Thing, *, name: str | None = None, memberships: bool = False) -> None:
        """Back from the recycle bin, under its old name or a new one."""
        fields = {**thing.fields}
        fields.pop("deletedDateTime", None)
        if thing.kind == "user":
            fields["userPrincipalName"] = name or fields["userPrincipalName"].removeprefix(thing.id.replace("-", ""))
        taken = self.holder(thing.kind, fields)
        if taken:
            raise Conflict(*taken)
        del self.bin[thing.id]
        thing.fields, thing.deleted, kept, thing.kept = fields, None, thing.kept, []
        thing.history.clear()
        self._enter(thing)
        self.journal.append(Entry(thing.kind, thing.id, self.clock.now(), fields=frozenset(fields), created=True))
        if memberships:
            for relation, source, target in kept:
                if source in self.live and target in self.live:
                    self.relate(relation, self.live[source], self.live[target])

    def expire(self) -> None:
        """Empty the recycle bin of what is older than its days."""
        limit = self.clock.now() - BIN_DAYS * DAY
        for thing in [one for one in self.bin.values() if (one.deleted or 0.0) <= limit]:
            self.purge(thing)

    def _enter(self, thing: Thing) -> None:
        self.live[thing.id] = thing
        self.order[thing.kind].add(thing.id, thing.id)
        self._count[thing.kind] += 1
        self._claim_unique(thing)

    def _leave(self, thing: Thing) -> None:
        del self.live[thing.id]
        self.order[thing.kind].remove(thing.id, thing.id)
        self._count[thing.kind] -= 1
        self._forget_unique(thing)

    def _claim_unique(self, thing: Thing) -> None:
        for property_, value in unique_values(thing.kind, thing.fields):
            self._unique[(space(property_), value)] = thing.id
        if thing.kind == "user":
            self.names.add(thing.fields["userPrincipalName"].casefold(), thing.id)

    def _forget_unique(self, thing: Thing) -> None:
        for property_, value in unique_values(thing.kind, thing.fields):
            self._unique.pop((space(property_), value), None)
        if thing.kind == "user":
            self.names.remove(thing.fields["userPrincipalName"].casefold(), thing.id)


def space(property_: str) -> str:
    """Addresses are unique among each other, wherever they stand."""
    return "address" if property_ in ("mail", "proxyAddresses") else property_


def unique_values(kind: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(property, value as it is compared)."""
    if kind == "user":
        yield "userPrincipalName", fields["userPrincipalName"].casefold()
        if fields.get("onPremisesImmutableId"):
            yield "onPremisesImmutableId", fields["onPremisesImmutableId"]
    if kind == "group":
        if fields.get("mailNickname"):
            yield "mailNickname", fields["mailNickname"].casefold()
        if fields.get("uniqueName"):
            yield "uniqueName", fields["uniqueName"].casefold()
    for address in fields.get("proxyAddresses") or ():
        scheme, _, value = address.partition(":")
        if scheme.casefold() == "smtp":
            yield "proxyAddresses", value.casefold()
    if fields.get("mail"):
        yield "mail", fields["mail"].casefold()
