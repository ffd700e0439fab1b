"""What newcomers look for and want, and who of them is in whose way: those about whom nothing has to be decided, those who have found a
partner, and those who go the careful way. Nothing is written here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection

from metasync.blame import blamed
from metasync.contract import AttributeSchema, Taken
from metasync.store import joins, match_keys, matching, newcomers, pairs, reservations, waits
from metasync.store.normalise import normalise
from metasync.store.rows import State
from metasync.synchronising.match import KeyedLookups
from metasync.synchronising.program import Program
from metasync.synchronising.scope import Verdict
from metasync.synchronising.setting import Setting
from metasync.synchronising.unique import UniqueValues, each_of, expanded, in_place_of

Key = tuple[str, str]
"""(name in the index, normalised value)."""
Partner = tuple[newcomers.Candidate, str]
"""An object of the target, and the rule that found it, in words."""


class Unique(NamedTuple):
    """A value that stands only once."""

    key: Key
    attribute: str
    value: str
    base: str
    """What it was made of."""
    patterns: tuple[str, ...]
    limit: int | None

    def others(self, number: int) -> list[Key]:
        """The first keys that its patterns give where the first is taken."""
        name, folded = self.key
        within = folded.removesuffix(normalise(self.value))
        found = []
        for pattern in self.patterns:
            numbers = range(2, 2 + number) if "{n}" in pattern else range(1)
            found += [(name, within + normalise(expanded(pattern, self.base, one, self.limit))) for one in numbers]
        return found


class Claim(NamedTuple):
    """What one looks for who is in scope, and wants for itself."""

    id: int
    sought: frozenset[Key]
    unique: Sequence[Unique]


@dataclass(slots=True)
class Refused:
    """What those look for, and want, who go the careful way: whoever looks for the same goes it with them."""

    sought: set[Key] = field(default_factory=set)
    candidates: set[int] = field(default_factory=set)
    stand: set[Key] = field(default_factory=set)
    """Unique values that one of them may be given."""
    alike: Counter[Key] = field(default_factory=Counter)
    """How many of them want the same."""


class Newcomer(NamedTuple):
    """One that is in scope, and may be joined or created."""

    row: newcomers.Row
    rules: KeyedLookups
    """What the rules of `match:` look for, rule by rule."""
    claim: Claim
    """The same together, and its unique values."""
    label: str
    after: Mapping[str, Any] | None
    """What a new object for it would begin with; None: none may be made."""
    agreed: bool | None
    values: Mapping[str, Any]
    """What is wanted, unique values given out."""
    computed: bytes
    words: str


class Rivals:
    """Decides about the newcomers of one profile, portion by portion of one pass. `look`: what one looks for and wants who was worked
    before. Identities from `first` on were made in this pass."""

    def __init__(self, at: Setting, look: Callable[[Connection, newcomers.Row], Newcomer | Claim | Verdict | None], first: int) -> None:
        self.at, self.look, self.first = at, look, first
        self.backend = at.workspace.backend
        self._refused = Refused()
        self._joined: dict[Key, int] = {}
        """What those look for, or want, who were joined in this pass, as far as their partners do not have it."""

    def forget(self, taken_back: Collection[int]) -> None:
        """These source objects were joined, and are no more."""
        self._joined = {key: number for key, number in self._joined.items() if number not in taken_back}

    def decide(
        self,
        connection: Connection,
        coming: Mapping[int, Newcomer],
        claims: Sequence[Claim],
        careful: set[int],
        connector: Taken | None,
    ) -> tuple[dict[int, Partner], set[int]]:
        """(source object -> the one free object that the first rule with any candidate finds, and the rule; source objects that were worked
        earlier in this pass and are in the way of one of these). Those about whom more has to be said are added to `careful`."""
        backend, name, target = self.backend, self.at.profile.name, self.at.target_id
        sought = Counter(key for one in claims for key in one.sought)
        stand = Counter(unique.key for one in claims for unique in one.unique)
        hits = newcomers.candidates(backend, connection, target, matching.by_name(sought)) if sought else {}
        found = {one.id: {candidate for key in one.sought for candidate in hits.get(key, ())} for one in claims} if hits else {}
        times = Counter(candidate.id for some in found.values() for candidate in some)
        waiting = waits.wanted_by(backend, connection, name, target, sought)
        filled = match_keys.any_of(backend, connection, target)
        bearers = pairs.bearers(backend, connection, target, matching.by_name(stand)) if filled else {}
        kept: dict[str, list[str]] = {}
        for one in claims:
            for unique in one.unique:
                kept.setdefault(unique.attribute, []).append(unique.key[1])
        held = reservations.held(backend, connection, target, kept)
        elsewhere: set[Key] = set()
        if connector is not None:
            asked = [unique for one in coming.values() for unique in one.claim.unique if unique.key not in bearers]
            elsewhere = _elsewhere(connector, asked)
        partners: dict[int, Partner] = {}
        refused, joined = self._refused, self._joined
        contested = {key for key, number in sought.items() if number > 1 or key in refused.sought or key in waiting or key in joined}
        contested_values = {key for key, number in stand.items() if number > 1 or key in refused.stand or key in joined}
        for number, newcomer in coming.items():
            claim = newcomer.claim
            mine = found.get(number, set())
            partner = None
            if mine and all(times[each.id] == 1 and each.identity_id is None and each.id not in refused.candidates for each in mine):
                partner = self._partner(newcomer, hits)
            own = {partner[0].id} if partner is not None else set()
            disputed = (
                (partner is None and (mine or newcomer.after is None))
                or not contested.isdisjoint(claim.sought)
                or any(
                    unique.key in contested_values
                    or not bearers.get(unique.key, own) <= own
                    or (value := (unique.attribute, unique.key[1])) in held
                    or value in elsewhere
                    for unique in claim.unique
                )
            )
            if disputed:
                careful.add(number)
            elif partner is not None:
                partners[number] = partner
        again = [one for one in claims if one.id in careful]
        rivals: set[int] = set()
        # Whoever goes the careful way takes those along who may get what they want, and these again others.
        while again:
            further = self.refuse(connection, again)
            in_the_way = self._in_the_way(connection, again, further, found, waiting, held) - rivals
            rivals |= in_the_way
            again = [
                one.claim
                for number, one in coming.items()
                if number not in careful and any(unique.key in refused.stand for unique in one.claim.unique)
            ]
            careful |= {one.id for one in again}
            if in_the_way:
                earlier = newcomers.rows(backend, connection, sorted(in_the_way)).values()
                looked = [self.look(connection, row) for row in earlier]
                again += [one.claim for one in looked if isinstance(one, Newcomer)]
        for number in careful & partners.keys():
            del partners[number]
        self._remember(connection, coming, partners, hits, bearers)
        return partners, rivals

    def _in_the_way(
        self,
        connection: Connection,
        claims: Sequence[Claim],
        further: Collection[Key],
        found: Mapping[int, Collection[newcomers.Candidate]],
        waiting: Mapping[Key, int],
        held: Mapping[Key, int],
    ) -> set[int]:
        """Source objects that were worked earlier in this pass, and look for or have got what one of these looks for or may get."""
        backend = self.backend
        keys = {key for one in claims for key in (*one.sought, *(unique.key for unique in one.unique))}.union(further)
        identities = {each.identity_id for one in claims for each in found.get(one.id, ()) if each.identity_id is not None}
        identities |= {identity for one in claims for unique in one.unique if (identity := held.get((unique.attribute, unique.key[1])))}
        if further:
            identities |= set(reservations.held(backend, connection, self.at.target_id, _by_attribute(further)).values())
        rivals = joins.of_new_identities(backend, connection, sorted(one for one in identities if one >= self.first), self.at.source_ids)
        if looking := sorted({waiting[key] for one in claims for key in one.sought if key in waiting}):
            rivals |= joins.new_among(backend, connection, looking, self.first)
        return rivals | {self._joined[key] for key in keys if key in self._joined}

    def refuse(self, connection: Connection, claims: Sequence[Claim]) -> set[Key]:
        """These go the careful way: whoever comes later and looks for the same, or wants it, goes it, too. What else they may be given."""
        refused = self._refused
        for one in claims:
            refused.sought |= one.sought
            refused.stand.update(unique.key for unique in one.unique)
            refused.alike.update(unique.key for unique in one.unique)
        keys = matching.by_name({key for one in claims for key in one.sought})
        hits = newcomers.candidates(self.backend, connection, self.at.target_id, keys) if keys else {}
        refused.candidates |= {candidate.id for some in hits.values() for candidate in some}
        further = self._further(connection, {unique.key: unique for one in claims for unique in one.unique if len(unique.patterns) > 0})
        refused.stand |= further
        return further

    def _further(self, connection: Connection, unique: Mapping[Key, Unique]) -> set[Key]:
        """The values that are given out where the first is taken: as many of each as there are who may need one, and one more."""
        backend, target = self.backend, self.at.target_id
        further: set[Key] = set()
        numbers = {key: self._refused.alike[key] + 1 for key in unique}
        while numbers:
            given = {key: unique[key].others(number) for key, number in numbers.items()}
            every = {one for some in given.values() for one in some}
            further |= every
            there = matching.held(backend, connection, target, every) if every else set()
            kept = reservations.held(backend, connection, target, _by_attribute(every)) if every else {}
            taken = {
                key: sum(one in there or (one[0].removesuffix("@path"), one[1]) in kept for one in some) for key, some in given.items()
            }
            more = {key: self._refused.alike[key] + 1 + taken[key] for key in given}
            numbers = {key: more[key] for key, number in numbers.items() if number < more[key] and len(given[key]) >= number}
        return further

    def _remember(
        self,
        connection: Connection,
        coming: Mapping[int, Newcomer],
        partners: Mapping[int, Partner],
        hits: Mapping[Key, Sequence[newcomers.Candidate]],
        bearers: Mapping[Key, set[int]],
    ) -> None:
        """What those look for, or want, who are joined is found in the index by whoever comes later; the rest is kept here."""
        for number in partners:
            claim = coming[number].claim
            self._joined.update((key, number) for key in claim.sought if key not in hits)
            self._joined.update((unique.key, number) for unique in claim.unique if unique.key not in bearers)

    def _partner(self, one: Newcomer, hits: Mapping[Key, Sequence[newcomers.Candidate]]) -> Partner | None:
        """Law 2, where it is simple: the first rule with any candidate finds exactly one, of the right kind and free."""
        at = self.at
        program = at.programs[one.row.directory_id]
        for match, of_rule in zip(program.matches, one.rules, strict=True):
            candidates = {candidate for key in of_rule for candidate in hits.get(key, ())}
            if not candidates:
                continue
            candidate = candidates.pop()
            there = (at.profile.target, candidate.anchor)
            plain = candidate.state == State.LIVE and candidate.kind == at.profile.target_kind and not candidate.privileged
            by_hand = there in at.hand.pairs or (program.source, one.row.anchor, *there) in at.hand.apart
            return (candidate, f"match {match.words}") if plain and not candidates and not by_hand else None
        return None


def unique_values(program: Program, values: dict[str, Any], place: str | None) -> list[Unique]:
    """The values that stand only once; in `values` they take the form that the first pattern gives them."""
    found = []
    for name, known, mapping in program.unique:
        base, patterns = values[name], mapping.unique
        if isinstance(base, str):
            one = _unique(known, patterns, base, values.get("path") or place)
            found.append(one)
            values[name] = one.value
        elif isinstance(base, tuple):
            several = {folded: _unique(known, patterns, text, None) for folded, text in each_of(base).items()}
            found += several.values()
            if patterns:
                values[name] = in_place_of(base, {folded: one.value for folded, one in several.items()})
    return found


def _unique(known: AttributeSchema, patterns: tuple[str, ...], base: str, place: Any) -> Unique:
    value = expanded(patterns[0], base, 2, known.max_length) if patterns else base
    return Unique(UniqueValues.key(known, value, place), known.name, value, base, patterns, known.max_length)


def _by_attribute(keys: Iterable[Key]) -> dict[str, list[str]]:
    """Attribute -> values, of keys by which those are found that stand only once."""
    found: dict[str, list[str]] = {}
    for name, value in keys:
        found.setdefault(name.removesuffix("@path"), []).append(value)
    return found


def _elsewhere(connector: Taken, asked: Iterable[Unique]) -> set[Key]:
    """(attribute, folded value) of what is not imported, as far as the connector can tell."""
    by_attribute: dict[str, dict[str, str]] = {}
    for unique in asked:
        by_attribute.setdefault(unique.attribute, {})[unique.value] = unique.key[1]
    found: set[Key] = set()
    for attribute, values in by_attribute.items():
        with blamed(getattr(connector, "name", "")):
            there = {normalise(value) for value in connector.taken(attribute, list(values))}
        found |= {(attribute, folded) for value, folded in values.items() if normalise(value) in there}
    return found
