"""The many that have neither partner nor history: worked in bulk, each read and computed once, and written by the driver's own bulk insert.

A newcomer is done here only where nothing is to be decided: no object of the target has one of its keys or unique values, and nobody else
looks for them. What is left over (`refused`) goes the careful way of `working`, like everybody who has a history; both ways leave the same
behind, which a test holds to be so. Profiles for which others decide along (several sources, merges, several profiles for one target) go
the careful way altogether.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import starmap
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection

from metasync import garbage
from metasync.blame import blamed
from metasync.contract import Operation, Taken
from metasync.engagement.model import Action, Origin
from metasync.store import codec, dirty, joins, matching, newcomers, pairs, pending, reservations, states, waits
from metasync.store.normalise import normalise
from metasync.store.rows import State, Status
from metasync.synchronising.computed import computed, desired
from metasync.synchronising.diff import created, creation_rules, wanted
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.match import KeyedLookups, keyed
from metasync.synchronising.program import NOTHING, Program
from metasync.synchronising.scope import Verdict, in_scope, judge
from metasync.synchronising.setting import Setting
from metasync.synchronising.unique import UniqueValues, expanded
from metasync.synchronising.units import ranked_values
from metasync.synchronising.working import to_be_created
from metasync.synchronising.writing import Writing

if TYPE_CHECKING:
    from metasync.engagement.model import Ranking

CREATE = Operation.CREATE.value
EMPTY = codec.encode({})
BULK = 2000
"""Newcomers per transaction."""
TO_BE_COMPARED = "in scope; to be compared with its partner"
"""How it stands with somebody who was joined, until that is done in the same pass."""

Key = tuple[str, str]
"""(name in the index, normalised value)."""


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
    """One that is in scope and may be created."""

    row: newcomers.Row
    rules: KeyedLookups
    """What the rules of `match:` look for, rule by rule."""
    claim: Claim
    """The same together, and its unique values."""
    label: str
    after: Mapping[str, Any]
    """What a new object for it would begin with."""
    agreed: bool | None
    values: Mapping[str, Any]
    """What is wanted, unique values given out."""
    computed: bytes
    words: str


class Newcomers:
    """Works the newcomers of one profile."""

    def __init__(self, at: Setting, writing: Writing) -> None:
        self.at, self.writing = at, writing
        self.backend = at.workspace.backend
        self._rules: dict[tuple[str, ...], bytes] = {}
        self._refused = Refused()
        self._joined: dict[Key, int] = {}
        """What those look for, or want, who were joined in this pass, as far as their partners do not have it."""
        self._first = 0
        """Identities from this number on were made in this pass."""

    def possible(self) -> bool:
        """Does nobody else decide along?"""
        at, profile = self.at, self.at.profile
        plain = not profile.merge and not at.hand.pair_keys and not at.loader.reference_attributes
        return at.alone and plain and profile.action is not Action.UPDATE_ONLY

    def resume(self) -> None:
        """Whoever was joined in a pass that ended before all newcomers were worked is a newcomer again: one who was not worked then may
        look for the same."""
        with self.backend.read() as connection:
            left = newcomers.left_behind(self.backend, connection, self.at.engagement_id, self.at.profile.name, TO_BE_COMPARED)
        for ids in self.at.portions(left):
            with self.backend.write("synchronise.unit") as connection:
                newcomers.take_back(self.backend, connection, self.at.engagement_id, self.at.profile.name, ids)

    def among(self, due: Sequence[int]) -> list[int]:
        """Those of these source objects that have neither partner nor history."""
        with self.backend.read() as connection:
            return newcomers.without_history(self.backend, connection, self.at.profile.name, self.at.source_ids, due)

    def run(self, ids: Collection[int], careful: Sequence[int], connector: Taken | None) -> tuple[set[int], set[int]]:
        """Work them; (those that were joined to a partner, and have yet to be compared with it; those that are refused). `careful`: those
        without partner who have a history, and go the careful way in any case.

        They are worked in the order in which they were imported: the rows that they leave then lie together. Who comes first decides
        nothing, for whoever is in another's way takes that one back with it: both are refused.
        """
        joined: set[int] = set()
        refused: set[int] = set()
        order = sorted(ids)
        with self.backend.read() as connection:
            self._first = joins.last_identity(connection) + 1
        for part in self.at.portions(careful):
            with garbage.paused(), self.backend.read() as connection:
                self._refuse(connection, self._claims_of(connection, part))
        for start in range(0, len(order), BULK):
            self.at.workspace.check_stop()
            with garbage.paused(), self.backend.write("synchronise.unit") as connection:
                self._portion(connection, order[start : start + BULK], connector, joined, refused)
            self.at.workspace.report(min(start + BULK, len(order)), len(order), f"synchronise {self.at.profile.name}")
        return joined, refused

    def _portion(self, connection: Connection, ids: list[int], connector: Taken | None, joined: set[int], refused: set[int]) -> None:
        rows = newcomers.rows(self.backend, connection, ids)
        coming: dict[int, Newcomer] = {}
        claims: list[Claim] = []
        outside: list[tuple[newcomers.Row, Verdict]] = []
        careful: set[int] = set()
        for object_id in ids:
            row = rows.get(object_id)
            found = self._look(connection, row) if row is not None else None
            if isinstance(found, Verdict) and row is not None:
                outside.append((row, found))
                continue
            if isinstance(found, Newcomer):
                coming[object_id] = found
                claims.append(found.claim)
                continue
            careful.add(object_id)
            if isinstance(found, Claim):
                claims.append(found)
        partners, rivals = self._decide(connection, coming, claims, careful, connector)
        refused |= careful
        self._join(connection, [(one, partners[number]) for number, one in coming.items() if number in partners and number not in careful])
        joined |= partners.keys() - careful
        self._create(connection, [one for number, one in coming.items() if number not in partners and number not in careful])
        self._leave_out(connection, outside)
        if rivals:
            self._joined = {key: number for key, number in self._joined.items() if number not in rivals}
            newcomers.take_back(self.backend, connection, self.at.engagement_id, self.at.profile.name, sorted(rivals))
            created = rivals - joined
            self.at.outcome.pending -= len(created)
            self.at.outcome.looked_at -= len(created)
            joined -= rivals
            refused |= rivals

    def _look(self, connection: Connection, row: newcomers.Row) -> Newcomer | Claim | Verdict | None:
        """What is to become of one; where that takes more care, what it looks for, or None: for nothing."""
        at, program = self.at, self.at.programs.get(row.directory_id)
        plain = row.state == State.LIVE.value and row.kind == at.profile.source_kind.value
        if program is None or not plain or (row.mark is not None and at.profile.scope.origin is Origin.NATIVE):
            return None
        here = (program.source, row.anchor)
        if here in at.hand.ignored:
            return None
        attributes = codec.decode(row.blob)
        environment: dict[str, Mapping[str, Any]] = {
            program.source: attributes,
            "source": attributes,
            "target": NOTHING,
            "wave": at.loader.waves(connection).of(None, row.id),
            "mv": NOTHING,
        }
        if self._rankings:
            environment["mv"] = ranked_values(self._rankings, environment)
        try:
            verdict = in_scope(program, attributes, environment)
            if not verdict.inside:
                return verdict
            rules = keyed(program.lookups(environment))
        except ObjectError:
            return None
        sought = frozenset(key for of_rule in rules for key in of_rule)
        try:
            values, place = wanted(program, environment, exists=False)
        except ObjectError:
            return Claim(row.id, sought, ())
        digest = computed(values, place, program.kept)
        claim = Claim(row.id, sought, _unique(program, values, place))
        if digest is None or here in at.hand.pairs:
            return claim
        try:
            return self._newcomer(row, program, rules, claim, values, place, verdict, digest)
        except ObjectError:
            return claim

    def _newcomer(
        self,
        row: newcomers.Row,
        program: Program,
        rules: KeyedLookups,
        claim: Claim,
        values: dict[str, Any],
        place: str | None,
        verdict: Verdict,
        digest: bytes,
    ) -> Newcomer:
        after = created(program, values, place)
        label = next((after[name] for name in ("displayName", "name", "mail") if isinstance(after.get(name), str)), row.label)
        enabled = values.get("enabled")
        return Newcomer(
            row=row,
            rules=rules,
            claim=claim,
            label=label,
            after=after,
            agreed=enabled if isinstance(enabled, bool) else None,
            values=values,
            computed=digest,
            words=verdict.words,
        )

    def _operations(self, one: Newcomer) -> bytes:
        """What is pending for somebody who is to be created."""
        rules = self._rules_of(self.at.programs[one.row.directory_id], one.after)
        return codec.join_frames([codec.Frame(CREATE, EMPTY, codec.encode(one.after), rules)])

    def _rules_of(self, program: Program, after: Mapping[str, Any]) -> bytes:
        """As they are stored: the same for all that begin with the same attributes."""
        names = tuple(after)
        rules = self._rules.get(names)
        if rules is None:
            rules = self._rules[names] = codec.encode_rules(creation_rules(program, after))
        return rules

    def _claims_of(self, connection: Connection, ids: Sequence[int]) -> list[Claim]:
        """What these look for, and want, who are worked with care."""
        claims = []
        for unit in self.at.loader.load(connection, ids):
            try:
                environment = unit.environment(self.at.engagement)
                if not judge(unit, environment, self.at.hand.ignored).inside:
                    continue
                sought = frozenset(key for of_rule in keyed(unit.program.lookups(environment)) for key in of_rule)
            except ObjectError:
                continue
            try:
                values, place = wanted(unit.program, environment, exists=False)
                claims.append(Claim(unit.id, sought, _unique(unit.program, values, place)))
            except ObjectError:
                claims.append(Claim(unit.id, sought, ()))
        return claims

    def _decide(
        self,
        connection: Connection,
        coming: Mapping[int, Newcomer],
        claims: Sequence[Claim],
        careful: set[int],
        connector: Taken | None,
    ) -> tuple[dict[int, tuple[newcomers.Candidate, str]], set[int]]:
        """(source object -> the one free object that the first rule with any candidate finds, and the rule; source objects that were worked
        earlier in this pass and are in the way of one of these). Those about whom more has to be said are added to `careful`."""
        backend, name, target = self.backend, self.at.profile.name, self.at.target_id
        sought = Counter(key for one in claims for key in one.sought)
        stand = Counter(unique.key for one in claims for unique in one.unique)
        hits = newcomers.candidates(backend, connection, target, matching.by_name(sought)) if sought else {}
        found = {one.id: {candidate for key in one.sought for candidate in hits.get(key, ())} for one in claims} if hits else {}
        times = Counter(candidate.id for some in found.values() for candidate in some)
        waiting = waits.wanted_by(backend, connection, name, target, sought)
        filled = backend.any(connection, "SELECT 1 FROM match_key WHERE directory_id = ?", target)
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
        partners: dict[int, tuple[newcomers.Candidate, str]] = {}
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
                (mine and partner is None)
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
            further = self._refuse(connection, again)
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
                looked = [self._look(connection, row) for row in earlier]
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
        rivals = joins.of_new_identities(backend, connection, sorted(one for one in identities if one >= self._first), self.at.source_ids)
        if looking := sorted({waiting[key] for one in claims for key in one.sought if key in waiting}):
            rivals |= joins.new_among(backend, connection, looking, self._first)
        return rivals | {self._joined[key] for key in keys if key in self._joined}

    def _refuse(self, connection: Connection, claims: Sequence[Claim]) -> set[Key]:
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
        partners: Mapping[int, tuple[newcomers.Candidate, str]],
        hits: Mapping[Key, Sequence[newcomers.Candidate]],
        bearers: Mapping[Key, set[int]],
    ) -> None:
        """What those look for, or want, who are joined is found in the index by whoever comes later; the rest is kept here."""
        for number in partners:
            claim = coming[number].claim
            self._joined.update((key, number) for key in claim.sought if key not in hits)
            self._joined.update((unique.key, number) for unique in claim.unique if unique.key not in bearers)

    def _partner(self, one: Newcomer, hits: Mapping[Key, Sequence[newcomers.Candidate]]) -> tuple[newcomers.Candidate, str] | None:
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

    def _identities(self, connection: Connection, coming: Sequence[Newcomer]) -> list[tuple[int, Newcomer]]:
        """A new identity for each of them."""
        at = self.at
        numbers = joins.add_newcomers(
            self.backend,
            connection,
            at.engagement_id,
            at.profile.source_kind.value,
            [(one.row.directory_id, one.row.anchor, one.row.id) for one in coming],
            revision=at.engagement.revision,
            run_id=at.run_id,
            author=at.workspace.author,
        )
        return list(zip(numbers, coming, strict=True))

    def _join(self, connection: Connection, pairs: Sequence[tuple[Newcomer, tuple[newcomers.Candidate, str]]]) -> None:
        """Give them their partners; they are dirty until they are compared with them."""
        if not pairs:
            return
        at, backend, name = self.at, self.backend, self.at.profile.name
        numbered = self._identities(connection, [one for one, _ in pairs])
        rows = (
            (identity, at.target_id, candidate.kind, candidate.anchor, candidate.id, name, words, candidate.mark is not None)
            for (identity, _), (_, (candidate, words)) in zip(numbered, pairs, strict=True)
        )
        author = at.workspace.author
        joins.add_partners(backend, connection, at.engagement_id, rows, revision=at.engagement.revision, run_id=at.run_id, author=author)
        known = (
            states.SyncState(object_id=one.row.id, digest=one.row.digest, status=Status.PENDING.value, reason=TO_BE_COMPARED)
            for one, _ in pairs
        )
        states.add(backend, connection, at.engagement_id, name, at.run_id, known)
        if not self._alone:
            changed = {one.row.id: one.row.id for one, _ in pairs} | {partner.id: one.row.id for one, (partner, _) in pairs}
            self.writing.tell_holders(connection, changed)

    def _create(self, connection: Connection, coming: Sequence[Newcomer]) -> None:
        """Plan to create them."""
        at, backend, name, engagement_id = self.at, self.backend, self.at.profile.name, self.at.engagement_id
        numbered = self._identities(connection, coming)
        creates = ((one.row.id, identity, one.label, self._operations(one)) for identity, one in numbered)
        pending.add_creates(backend, connection, engagement_id, name, at.run_id, at.target_id, at.profile.target_kind, creates)
        waiting = ((one.row.id, at.target_id, *key) for one in coming for key in sorted(one.claim.sought))
        waits.add(backend, connection, engagement_id, name, waiting)
        kept = (
            (unique.attribute, unique.key[1], unique.value, unique.base, identity, name)
            for identity, one in numbered
            for unique in one.claim.unique
        )
        reservations.add(backend, connection, engagement_id, at.target_id, kept)
        states.add(backend, connection, engagement_id, name, at.run_id, map(self._pending, coming))
        ids = [one.row.id for one in coming]
        dirty.clean(backend, connection, name, ids, at.now)
        if at.refers:
            dirty.await_references(backend, connection, engagement_id, name, ids)
        if not self._alone:
            self.writing.tell_holders(connection, {one: one for one in ids})
        at.outcome.looked_at += len(coming)
        at.outcome.pending += len(coming)

    def _leave_out(self, connection: Connection, outside: Sequence[tuple[newcomers.Row, Verdict]]) -> None:
        """Note why they are not in scope."""
        at, name = self.at, self.at.profile.name
        states.add(self.backend, connection, at.engagement_id, name, at.run_id, starmap(_left_out, outside))
        dirty.clean(self.backend, connection, name, [row.id for row, _ in outside], at.now)
        at.outcome.looked_at += len(outside)

    def _pending(self, one: Newcomer) -> states.SyncState:
        return states.SyncState(
            object_id=one.row.id,
            digest=one.row.digest,
            status=Status.PENDING.value,
            reason=to_be_created(one.words, self.at.profile.target),
            computed=one.computed,
            enabled=one.agreed,
            desired=desired(one.values),
        )

    @cached_property
    def _rankings(self) -> Mapping[str, Ranking]:
        return self.at.engagement.metaverse.get(self.at.profile.source_kind, {})

    @cached_property
    def _alone(self) -> bool:
        """Whoever may refer to one of them is looked at in this pass anyway."""
        profiles = self.at.engagement.profiles.values()
        here, target = self.at.source_names, self.at.profile.target
        return {one.name for one in profiles if one.target == target or not here.isdisjoint(one.sources)} <= self.at.whole


def _left_out(row: newcomers.Row, verdict: Verdict) -> states.SyncState:
    return states.SyncState(object_id=row.id, digest=row.digest, status=Status.OUT_OF_SCOPE.value, reason=verdict.words)


def _unique(program: Program, values: dict[str, Any], place: str | None) -> list[Unique]:
    """The values that stand only once; in `values` they take the form that the first pattern gives them."""
    found = []
    for name, known, mapping in program.unique:
        base = values[name]
        if isinstance(base, str):
            patterns = mapping.unique
            value = expanded(patterns[0], base, 2, known.max_length) if patterns else base
            key = UniqueValues.key(known, value, values.get("path") or place)
            found.append(Unique(key, known.name, value, base, patterns, known.max_length))
            values[name] = value
    return found


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
