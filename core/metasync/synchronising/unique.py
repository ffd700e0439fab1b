"""Unique values: decided one after the other, in the order of the source's anchors, so that every dispatch gives the same plan (law 6).

A value is taken if an imported object has it, if it is reserved for another identity, or if the connector says so. What an identity once
got, it keeps as long as what it is made of stays the same. Values are compared folded: `Anna` and `anna` are one, and so are `SMTP:a@x` and
`smtp:a@x`. Of an attribute with several values each stands only once.

Where the document gives patterns, what we gave out stays reserved for its time. Without patterns the source alone says who has the value:
whoever gives it up frees it at once, also within one plan (law 10).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from metasync.blame import blamed
from metasync.contract import AttributeSchema, Taken, Unique
from metasync.store import joins, matching, objects, reservations, waits
from metasync.store import pending as pending_rows
from metasync.store.backend import Backend
from metasync.store.normalise import normalise
from metasync.store.rows import LEAVING
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.needs import BETWEEN, in_parent

MOST = 10_000
"""The highest {n} that is tried."""


class ValueTaken(ObjectError):
    """Another object has the value, or will; the object is looked at again when that changes."""

    def __init__(self, attribute: str, message: str, key: tuple[str, str]) -> None:
        super().__init__(attribute, message)
        self.key = key
        """(name in the index, value) of what must become free."""


@dataclass(kw_only=True, slots=True)
class UniqueValues:
    """Gives out the unique values of one directory, within one pass."""

    backend: Backend
    connection: Connection
    engagement_id: int
    directory_id: int
    reserve: timedelta
    """How long a name is kept after its object went."""
    now: datetime
    connector: Taken | None = None
    """Asked for values of what is not imported, if it can tell."""
    others: frozenset[str] = frozenset()
    """Profiles that make objects of another kind in the directory: what they reserve for an identity is for another object of it."""
    sharing: frozenset[str] = frozenset()
    """Those of them whose objects give way to ours, or ours to theirs: what they reserve for an identity is for ours as well."""
    taken_before: dict[tuple[str, str], bool] = field(default_factory=dict)
    _bearers: dict[tuple[str, str], list[matching.Candidate]] = field(default_factory=dict)
    _held: dict[tuple[str, str], reservations.Reservation | None] = field(default_factory=dict)
    _own: dict[tuple[int, str], list[reservations.Reservation]] = field(default_factory=dict)
    _fetched: set[int] = field(default_factory=set)
    _new: dict[tuple[str, str], reservations.Reservation] = field(default_factory=dict)
    freed: list[tuple[str, str]] = field(default_factory=list)
    """(name in the index, value) of what nobody wants any more."""
    _given_up: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """(attribute, value) -> target objects that have it now and shall have another."""
    _givers: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """The same by identity."""
    _relying: dict[int, list[tuple[int, ValueTaken]]] = field(default_factory=dict)
    """Target object -> who was given what it was about to give up, and what is to be said if it does not."""
    _worked: set[int] = field(default_factory=set)
    """Target objects whose changes are worked out in this portion: what is pending for them is of before."""
    _unwanted: set[int] = field(default_factory=set)
    _giving_way: dict[int, int] = field(default_factory=dict)
    """Identity -> its object of another kind that gives way to ours."""

    @staticmethod
    def key(known: AttributeSchema, value: str, place: Any) -> tuple[str, str]:
        """(name in the index, value) of what stands only once."""
        return _key(known), _folded(value, place, known)

    def work(self, own: int) -> None:
        """This target object is worked on in this portion."""
        self._worked.add(own)

    def give_up(self, known: AttributeSchema, value: str, place: Any, *, own: int, identity_id: int) -> None:
        """This object is about to have another value."""
        key = (known.name, _folded(value, place, known))
        self._given_up.setdefault(key, set()).add(own)
        self._givers.setdefault(key, set()).add(identity_id)

    def stays(self, own: int) -> list[tuple[int, ValueTaken]]:
        """This object is left as it is after all: (identity, error) of those who were given what it was about to give up."""
        relying = self._relying.pop(own, [])
        for identity_id, taken in relying:
            attribute, folded = taken.key
            key = (attribute.removesuffix("@path"), folded)
            if (row := self._new.get(key)) is not None and row.identity_id == identity_id:
                del self._new[key]
        return relying

    def give_way(self, identity_id: int, other: int) -> None:
        """What this other object of the identity has is free for the identity's own."""
        self._giving_way[identity_id] = other

    def want_only(self, known: AttributeSchema, values: Collection[tuple[str, Any]], *, identity_id: int) -> None:
        """(value, parent) that this identity has or wants. Whatever else was planned for it, and never written, is free for others."""
        kept = {_folded(value, place, known) for value, place in values}
        for held in self._own.get((identity_id, known.name), []):
            if held.id and held.released is None and held.value not in kept:
                self._unwanted.add(held.id)
                self._givers.setdefault((known.name, held.value), set()).add(identity_id)
                self._free(known.name, held.value)

    def let_go(self, identity_id: int, profiles: Collection[str]) -> None:
        """This identity has no object in the directory any more."""
        for attribute, folded in reservations.release_all(self.connection, self.directory_id, identity_id, profiles, self.now):
            self._free(attribute, folded)

    def _free(self, attribute: str, folded: str) -> None:
        self.freed.append((f"{attribute}@path" if BETWEEN in folded else attribute, folded))

    def fetch(self, identity_ids: Collection[int], values: Collection[tuple[AttributeSchema, str, Any]]) -> None:
        """Ask the database at once for what `resolve` will ask one by one: (attribute, value, parent)."""
        for key, rows in reservations.of_identities(self.connection, self.directory_id, identity_ids).items():
            self._own[key] = [row for row in rows if row.profile not in self.others]
        self._fetched |= set(identity_ids)
        by_name: dict[str, tuple[AttributeSchema, set[str]]] = {}
        for known, value, place in values:
            folded = _folded(value, place, known)
            if (known.name, folded) not in self._bearers:
                by_name.setdefault(known.name, (known, set()))[1].add(folded)
        for name, (known, foldeds) in by_name.items():
            bearers = matching.look_up(self.connection, self.directory_id, _key(known), foldeds)
            held = reservations.of_values(self.connection, self.directory_id, name, foldeds)
            for folded in foldeds:
                self._bearers[name, folded] = bearers.get(folded, [])
                self._held.setdefault((name, folded), held.get(folded))

    def flush(self) -> None:
        """Write what was reserved since the last time."""
        reservations.release(self.connection, self._unwanted, self.now)
        self._unwanted.clear()
        reservations.reserve(self.backend, self.connection, self.engagement_id, self.directory_id, list(self._new.values()))
        self._new.clear()

    def resolve_each(
        self,
        known: AttributeSchema,
        patterns: Sequence[str],
        bases: Sequence[Any],
        *,
        identity_id: int,
        own: int | None,
        profile: str,
        current: Any,
    ) -> tuple[Any, ...]:
        """The values that this identity gets of an attribute with several. What its object has already it may have from before, beside
        another one that has it, too: nothing is to be written, and that is left alone. Raises `ObjectError` where one is taken."""
        texts, there = each_of(bases), each_of(current)
        given: dict[str, str] = {}
        for folded, base in texts.items():
            if folded in there and not self._bearable(known, base, None, identity_id, own, plain=not patterns):
                given[folded] = base
                continue
            numbered = (one for one in there.values() if self._has_one(patterns, base, known.max_length, one))
            given[folded] = self.resolve(
                known,
                patterns,
                base,
                identity_id=identity_id,
                own=own,
                profile=profile,
                current=there.get(folded) or next(numbered, None),
                place=None,
                beside=texts.values(),
            )
        if patterns:
            self._drop(known, identity_id, lambda held: held.base not in texts.values())
        return in_place_of(bases, given)

    def resolve(
        self,
        known: AttributeSchema,
        patterns: Sequence[str],
        base: str,
        *,
        identity_id: int,
        own: int | None,
        profile: str,
        current: str | None,
        place: Any,
        beside: Collection[str] = (),
        free: bool = True,
    ) -> str:
        """The value that this identity gets. `own` is its object in the target, `current` that object's value; of an attribute with several
        values `beside` are all that it shall have. `free=False`: keep nothing reserved (a dry look). Raises `ObjectError` where every
        pattern is taken."""
        attribute = known.name
        within = place if known.unique is Unique.PARENT else None
        if identity_id not in self._fetched:
            self.fetch([identity_id], [])
        if not patterns:
            return self._plain(known, base, within, identity_id, own, profile, current, beside, free)
        for held in self._own.get((identity_id, attribute), []):
            same_place = within is None or held.value.startswith(in_parent(within, ""))
            if held.base == base and held.released is None and same_place and self._bearable(known, held.shown, within, identity_id, own):
                return held.shown
        limit = known.max_length
        if (
            current is not None
            and self._has_one(patterns, base, limit, current)
            and self._bearable(known, current, within, identity_id, own)
        ):
            self._keep(known, current, within, base, identity_id, profile, beside, free)
            return current
        for value in _expansions(patterns, base, limit, MOST):
            if self._bearable(known, value, within, identity_id, own) and not self._taken_elsewhere(attribute, value, current):
                self._keep(known, value, within, base, identity_id, profile, beside, free)
                return value
        key = (attribute, _folded(base, within, known))
        holder = self._holder(key, identity_id, own)
        words = f"{attribute}: {base!r} is taken by {holder}, and so is every pattern of `unique:`; free one of them, or add a pattern"
        raise ValueTaken(attribute, words, (_key(known), key[1]))

    def _plain(
        self,
        known: AttributeSchema,
        value: str,
        within: Any,
        identity_id: int,
        own: int | None,
        profile: str,
        current: str | None,
        beside: Collection[str],
        free: bool,
    ) -> str:
        """The value as the source has it, or nothing."""
        key = (known.name, _folded(value, within, known))
        bearable = self._bearable(known, value, within, identity_id, own, plain=True)
        said = f"{known.name}: {value!r} is taken by"
        do = "; correct one of the two, or say with `unique:` what to take instead"
        if not bearable or self._taken_elsewhere(known.name, value, current):
            raise ValueTaken(known.name, f"{said} {self._holder(key, identity_id, own)}{do}", (_key(known), key[1]))
        for bearer in self._bearers[key]:
            if bearer.id != own and bearer.id in self._given_up.get(key, ()):
                taken = ValueTaken(known.name, f"{said} the {bearer.kind} {bearer.label}{do}", (_key(known), key[1]))
                self._relying.setdefault(bearer.id, []).append((identity_id, taken))
        held = self._held[key]
        if held is None or held.identity_id != identity_id or held.released is not None or held.base != value:
            self._keep(known, value, within, value, identity_id, profile, beside, free)
        return value

    def _holder(self, key: tuple[str, str], identity_id: int, own: int | None) -> str:
        """Who has a value that is not to be had, in words."""
        mine, held = (own, self._giving_way.get(identity_id)), self._held[key]
        found = [f"the {bearer.kind} {bearer.label}" for bearer in self._bearers[key] if bearer.id not in mine]
        if not found and held is not None and (held.identity_id != identity_id or held.profile in self.others):
            rows = joins.of_identities(self.connection, [held.identity_id]).get(held.identity_id, [])
            those = objects.get(self.connection, {row.object_id for row in rows if row.object_id is not None})
            found = [f"the {those[number].kind} {those[number].label}, for whom it is kept" for number in sorted(those)]
        return found[0] if found else "an object that is not imported"

    @staticmethod
    def _has_one(patterns: Sequence[str], base: str, limit: int | None, current: str) -> bool:
        """It bears a numbered form of the name already, from before we kept a record: it is not renumbered."""
        folded = normalise(current)
        return folded != normalise(base) and any(normalise(one) == folded for one in _expansions(patterns, base, limit, 100))

    def _bearable(self, known: AttributeSchema, value: str, within: Any, identity_id: int, own: int | None, *, plain: bool = False) -> bool:
        key = (known.name, _folded(value, within, known))
        if key not in self._bearers:
            self.fetch([], [(known, value, within)])
        if plain:
            self._give_up_pending(known, key, own)
        going = self._given_up.get(key, set()) if plain else set()
        mine = (own, self._giving_way.get(identity_id))
        if any(bearer.id not in mine and bearer.id not in going for bearer in self._bearers[key]):
            return False
        held = self._held[key]
        if held is None or (held.identity_id == identity_id and held.profile not in self.others - self.sharing):
            return True
        if plain and (held.released is not None or held.identity_id in self._givers.get(key, ())):
            return True
        return held.released is not None and held.released + self.reserve <= self.now

    def _give_up_pending(self, known: AttributeSchema, key: tuple[str, str], own: int | None) -> None:
        """Whoever bears the value may have been found to give it up in an earlier portion, or in a pass that nobody exported yet."""
        asked = {bearer.id for bearer in self._bearers[key] if bearer.id != own} - self._worked - self._given_up.get(key, set())
        for row in pending_rows.on_targets(self.connection, asked):
            # Who leaves is moved last: until then the name is taken where it is.
            lost = {
                name
                for one in row.operations
                for name in one.after
                if name in one.before
                and not one.rules.get(name, "").startswith(LEAVING)
                and (key[1] not in each_of(one.after[name]) if known.multi else _differ(one.before[name], one.after[name]))
            }
            if row.target_id and (known.name in lost or (known.unique is Unique.PARENT and "path" in lost)):
                self._given_up.setdefault(key, set()).add(row.target_id)
                if row.identity_id is not None:
                    self._givers.setdefault(key, set()).add(row.identity_id)
        # Whoever waits for one of several values need not give up another for it.
        if own is None or known.multi:
            return
        for bearer in sorted(asked - self._given_up.get(key, set())):
            for identity_id in self._ring(known, bearer, own):
                self._given_up.setdefault(key, set()).add(bearer)
                self._givers.setdefault(key, set()).add(identity_id)

    def _ring(self, known: AttributeSchema, bearer: int, own: int) -> set[int]:
        """Does this bearer wait for a value that, over however many others, waits for ours? Then somebody must begin: its identity, or
        none."""
        first: set[int] = set()
        seen, trail = {bearer}, [bearer]
        while trail:
            at = trail.pop()
            for value, identity_id in waits.of_target(self.connection, self.directory_id, at, _key(known)):
                if at == bearer:
                    first.add(identity_id)
                for one in matching.look_up(self.connection, self.directory_id, _key(known), {value}).get(value, ()):
                    if one.id == own:
                        self.freed.append((_key(known), value))
                        return first
                    if one.id not in seen:
                        seen.add(one.id)
                        trail.append(one.id)
        return set()

    def _taken_elsewhere(self, attribute: str, value: str, current: str | None) -> bool:
        if self.connector is None or (current is not None and normalise(current) == normalise(value)):
            return False
        key = (attribute, normalise(value))
        if key not in self.taken_before:
            with blamed(getattr(self.connector, "name", "")):
                self.taken_before[key] = bool(self.connector.taken(attribute, [value]))
        return self.taken_before[key]

    def _keep(
        self,
        known: AttributeSchema,
        value: str,
        within: Any,
        base: str,
        identity_id: int,
        profile: str,
        beside: Collection[str],
        free: bool,
    ) -> None:
        if not free:
            return
        folded = _folded(value, within, known)
        row = reservations.Reservation(
            id=0, attribute=known.name, value=folded, shown=value, base=base, identity_id=identity_id, released=None, profile=profile
        )
        self._held[known.name, folded] = self._new[known.name, folded] = row
        self._drop(known, identity_id, lambda other: other.value != folded and (other.base == base or other.base not in beside))
        self._own[identity_id, known.name] = [row, *self._own.get((identity_id, known.name), [])]

    def _drop(self, known: AttributeSchema, identity_id: int, unwanted: Callable[[reservations.Reservation], bool]) -> None:
        """What was given out to this identity, and is not wanted any more, is free."""
        for held in self._own.get((identity_id, known.name), []):
            if held.id and held.released is None and unwanted(held):
                self._unwanted.add(held.id)
                self._free(known.name, held.value)


def each_of(values: Any) -> dict[str, str]:
    """Folded -> the text, of one value or of several."""
    several = values if isinstance(values, tuple) else (values,)
    return {normalise(one): one for one in several if isinstance(one, str)}


def in_place_of(values: Sequence[Any], given: Mapping[str, str]) -> tuple[Any, ...]:
    """The values, those numbered that were. `given`: folded -> what was given for it."""
    found = ((one, given.get(normalise(one), one) if isinstance(one, str) else one) for one in values)
    return tuple(one if isinstance(one, str) and normalise(one) == normalise(other) else other for one, other in found)


def _differ(before: Any, after: Any) -> bool:
    """More than in upper and lower case."""
    return not (isinstance(before, str) and isinstance(after, str) and normalise(before) == normalise(after))


def _key(known: AttributeSchema) -> str:
    return f"{known.name}@path" if known.unique is Unique.PARENT else known.name


def _folded(value: str, within: Any, known: AttributeSchema) -> str:
    return in_parent(within, normalise(value)) if known.unique is Unique.PARENT else normalise(value)


def _expansions(patterns: Sequence[str], base: str, limit: int | None, most: int) -> Iterator[str]:
    """Every value that the patterns allow, in order; {n} counts from 2. The base is shortened so that the whole fits the attribute."""
    for pattern in patterns:
        numbers = range(2, most) if "{n}" in pattern else range(1)
        for number in numbers:
            yield expanded(pattern, base, number, limit)


def expanded(pattern: str, base: str, number: int, limit: int | None) -> str:
    """One value of a pattern, shortened to the limit before what the pattern adds."""
    local, _, domain = base.partition("@")

    def fill(value: str, local: str) -> str:
        return pattern.replace("{value}", value).replace("{local}", local).replace("{domain}", domain).replace("{n}", str(number))

    out = fill(base, local)
    if limit is not None and len(out) > limit:
        over = len(out) - limit
        out = fill(base[: max(0, len(base) - over)].rstrip(), local[: max(0, len(local) - over)].rstrip())
    return out
