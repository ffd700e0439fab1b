"""The many that have neither partner nor history: worked in bulk, each read and computed once, and written by the driver's own bulk insert.

A newcomer is done here only where nothing is to be decided: no object of the target has one of its keys or unique values, and nobody else
looks for them. What is left over (`refused`) goes the careful way of `working`, like everybody who has a history; both ways leave the same
behind, which a test holds to be so. Profiles for which others decide along (several sources, merges, several profiles for one target) go
the careful way altogether.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import starmap
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection

from metasync import garbage
from metasync.contract import Operation, Taken
from metasync.engagement.model import Action, Origin
from metasync.store import codec, dirty, joins, matching, newcomers, pending, reservations, states, waits
from metasync.store.normalise import normalise
from metasync.store.rows import State, Status
from metasync.synchronising.computed import Images
from metasync.synchronising.diff import created, creation_rules, wanted
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.match import KeyedLookups, keyed
from metasync.synchronising.program import NOTHING, Program
from metasync.synchronising.scope import Verdict, in_scope
from metasync.synchronising.setting import Setting
from metasync.synchronising.unique import UniqueValues, expanded
from metasync.synchronising.units import WAITING, ranked_values
from metasync.synchronising.working import to_be_created
from metasync.synchronising.writing import Writing

if TYPE_CHECKING:
    from metasync.engagement.model import Ranking

CREATE = Operation.CREATE.value
EMPTY = codec.encode({})
BULK = 5000
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


class Newcomer(NamedTuple):
    """One that is in scope and may be created."""

    row: newcomers.Row
    rules: KeyedLookups
    """What the rules of `match:` look for, rule by rule."""
    sought: list[Key]
    """The same together."""
    unique: list[Unique]
    label: str
    operations: bytes
    agreed: bool | None
    desired: bytes
    computed: bytes
    words: str


class Newcomers:
    """Works the newcomers of one profile."""

    def __init__(self, at: Setting, writing: Writing) -> None:
        self.at, self.writing = at, writing
        self.backend = at.workspace.backend
        self._rules: dict[tuple[str, ...], bytes] = {}
        self._refused: set[Key] = set()
        """Unique values of those that went the careful way."""
        self._first = 0
        """Identities from this number on were made in this pass."""

    def possible(self) -> bool:
        """Does nobody else decide along?"""
        at, profile = self.at, self.at.profile
        plain = not profile.merge and not at.hand.pair_keys and not at.loader.reference_attributes
        return at.alone and plain and profile.action is not Action.UPDATE_ONLY

    def among(self, due: Sequence[int]) -> list[int]:
        """Those of these source objects that have neither partner nor history."""
        with self.backend.read() as connection:
            return newcomers.without_history(self.backend, connection, self.at.profile.name, self.at.source_ids, due)

    def run(self, ids: Collection[int], connector: Taken | None) -> tuple[set[int], set[int]]:
        """Work them; (those that were joined to a partner, and have yet to be compared with it; those that are refused).

        They are worked in the order in which they were imported: the rows that they leave then lie together. Who comes first decides
        nothing, for whoever is in another's way takes that one back with it: both are refused.
        """
        joined: set[int] = set()
        refused: set[int] = set()
        order = sorted(ids)
        with self.backend.read() as connection:
            self._first = joins.last_identity(connection) + 1
        for start in range(0, len(order), BULK):
            self.at.workspace.check_stop()
            with garbage.paused(), self.backend.write("synchronise.unit") as connection:
                self._portion(connection, order[start : start + BULK], connector, joined, refused)
            self.at.workspace.report(min(start + BULK, len(order)), len(order), f"synchronise {self.at.profile.name}")
        return joined, refused

    def _portion(self, connection: Connection, ids: list[int], connector: Taken | None, joined: set[int], refused: set[int]) -> None:
        rows = newcomers.rows(self.backend, connection, ids)
        coming: list[Newcomer] = []
        outside: list[tuple[newcomers.Row, Verdict]] = []
        for object_id in ids:
            row = rows.get(object_id)
            found = self._look(row) if row is not None else None
            if isinstance(found, Newcomer):
                coming.append(found)
            elif found is not None and row is not None:
                outside.append((row, found))
            else:
                refused.add(object_id)
        partners, disputed, rivals = self._partners(connection, coming)
        alone = [one for one in coming if one.row.id not in partners and one.row.id not in disputed]
        in_the_way, others = self._disputed(connection, alone, connector)
        rivals |= others
        for one in in_the_way:
            disputed.add(one.row.id)
            self._refused.update(unique.key for unique in one.unique)
        refused |= disputed
        self._join(connection, [(one, partners[one.row.id]) for one in coming if one.row.id in partners])
        joined |= partners.keys()
        self._create(connection, [one for one in alone if one.row.id not in disputed])
        self._leave_out(connection, outside)
        if rivals:
            newcomers.take_back(self.backend, connection, self.at.engagement_id, self.at.profile.name, sorted(rivals))
            created = rivals - joined
            self.at.outcome.pending -= len(created)
            self.at.outcome.looked_at -= len(created)
            joined -= rivals
            refused |= rivals

    def _look(self, row: newcomers.Row) -> Newcomer | Verdict | None:
        """What is to become of one; None where that takes more care."""
        at, program = self.at, self.at.programs.get(row.directory_id)
        plain = row.state == State.LIVE.value and row.kind == at.profile.source_kind.value
        if program is None or not plain or (row.mark is not None and at.profile.scope.origin is Origin.NATIVE):
            return None
        here = (program.source, row.anchor)
        if here in at.hand.ignored or here in at.hand.pairs:
            return None
        attributes = codec.decode(row.blob)
        environment: dict[str, Mapping[str, Any]] = {
            program.source: attributes,
            "source": attributes,
            "target": NOTHING,
            "wave": WAITING,
            "mv": NOTHING,
        }
        if self._rankings:
            environment["mv"] = ranked_values(self._rankings, environment)
        try:
            verdict = in_scope(program, attributes, environment)
            return self._newcomer(row, program, environment, verdict) if verdict.inside else verdict
        except ObjectError:
            return None

    def _newcomer(
        self, row: newcomers.Row, program: Program, environment: Mapping[str, Mapping[str, Any]], verdict: Verdict
    ) -> Newcomer | None:
        rules = keyed(program.lookups(environment))
        values, place = wanted(program, environment, exists=False)
        images = Images.of(values, place, program.kept)
        if images is None:
            return None
        unique: list[Unique] = []
        for name, known, mapping in program.unique:
            base = values[name]
            if isinstance(base, str):
                value = expanded(mapping.unique[0], base, 2, known.max_length) if mapping.unique else base
                unique.append(Unique(UniqueValues.key(known, value, values.get("path") or place), known.name, value, base))
                if value is not base:
                    values[name], images = value, None
        desired = images or Images.of(values, place, program.kept)
        assert desired is not None
        after = created(program, values, place)
        label = next((after[name] for name in ("displayName", "name", "mail") if isinstance(after.get(name), str)), row.label)
        enabled = values.get("enabled")
        return Newcomer(
            row=row,
            rules=rules,
            sought=[key for of_rule in rules for key in of_rule],
            unique=unique,
            label=label,
            operations=codec.join_frames([codec.Frame(CREATE, EMPTY, codec.encode(after), self._rules_of(program, after))]),
            agreed=enabled if isinstance(enabled, bool) else None,
            desired=desired.desired,
            computed=(images or desired).computed,
            words=verdict.words,
        )

    def _rules_of(self, program: Program, after: Mapping[str, Any]) -> bytes:
        """As they are stored: the same for all that begin with the same attributes."""
        names = tuple(after)
        rules = self._rules.get(names)
        if rules is None:
            rules = self._rules[names] = codec.encode_rules(creation_rules(program, after))
        return rules

    def _partners(
        self, connection: Connection, coming: Sequence[Newcomer]
    ) -> tuple[dict[int, tuple[newcomers.Candidate, str]], set[int], set[int]]:
        """(source object -> the one free object that the first rule with any candidate finds, and the rule; source objects about whose
        candidates more has to be said; source objects that were worked earlier in this pass and are in their way)."""
        at, backend = self.at, self.backend
        keys = {key for one in coming for key in one.sought}
        hits = newcomers.candidates(backend, connection, at.target_id, matching.by_name(keys)) if keys else {}
        if not hits:
            return {}, set(), set()
        found = {one.row.id: {candidate for key in one.sought for candidate in hits.get(key, ())} for one in coming}
        times = Counter(candidate.id for some in found.values() for candidate in some)
        partners: dict[int, tuple[newcomers.Candidate, str]] = {}
        disputed: set[int] = set()
        rivals: set[int] = set()
        for one in coming:
            if not (mine := found[one.row.id]):
                continue
            free = all(times[candidate.id] == 1 and candidate.identity_id is None for candidate in mine)
            partner = self._partner(one, hits) if free else None
            if partner is not None:
                partners[one.row.id] = partner
            else:
                disputed.add(one.row.id)
                rivals |= {candidate.identity_id for candidate in mine if (candidate.identity_id or 0) >= self._first}  # type: ignore[misc]
        return partners, disputed, joins.of_new_identities(backend, connection, sorted(rivals))

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

    def _disputed(self, connection: Connection, coming: Sequence[Newcomer], connector: Taken | None) -> tuple[list[Newcomer], set[int]]:
        """Of those without partner: (those whose keys or unique values somebody else has, wants or wanted, among each other, too; source
        objects that were worked earlier in this pass and are in their way)."""
        backend, name, target = self.backend, self.at.profile.name, self.at.target_id
        sought = Counter[Key](key for one in coming for key in one.sought)
        stand = Counter[Key](unique.key for one in coming for unique in one.unique)
        kept: dict[str, list[str]] = {}
        for one in coming:
            for unique in one.unique:
                kept.setdefault(unique.attribute, []).append(unique.key[1])
        there = matching.held(backend, connection, target, [*sought, *stand])
        waiting = waits.wanted_by(backend, connection, name, target, sought)
        held = reservations.held(backend, connection, target, kept)
        taken = there | waiting.keys() | {key for key, number in sought.items() if number > 1}
        unfree = there | self._refused | {key for key, number in stand.items() if number > 1}
        elsewhere = _elsewhere(connector, coming) if connector is not None else set()
        rivals = joins.of_new_identities(backend, connection, [one for one in held.values() if one >= self._first])
        if waiting:
            rivals |= joins.new_among(backend, connection, list(waiting.values()), self._first)
        disputed = [
            one
            for one in coming
            if not taken.isdisjoint(one.sought)
            or any(unique.key in unfree or (at := (unique.attribute, unique.key[1])) in held or at in elsewhere for unique in one.unique)
        ]
        return disputed, rivals

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
        creates = ((one.row.id, identity, one.label, one.operations) for identity, one in numbered)
        pending.add_creates(backend, connection, engagement_id, name, at.run_id, at.target_id, at.profile.target_kind, creates)
        waiting = ((one.row.id, at.target_id, *key) for one in coming for key in dict.fromkeys(one.sought))
        waits.add(backend, connection, engagement_id, name, waiting)
        kept = (
            (unique.attribute, unique.key[1], unique.value, unique.base, identity, name)
            for identity, one in numbered
            for unique in one.unique
        )
        reservations.add(backend, connection, engagement_id, at.target_id, kept)
        states.add(backend, connection, engagement_id, name, at.run_id, map(self._pending, coming))
        ids = [one.row.id for one in coming]
        dirty.clean(connection, name, ids, at.now)
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
        dirty.clean(connection, name, [row.id for row, _ in outside], at.now)
        at.outcome.looked_at += len(outside)

    def _pending(self, one: Newcomer) -> states.SyncState:
        return states.SyncState(
            object_id=one.row.id,
            digest=one.row.digest,
            status=Status.PENDING.value,
            reason=to_be_created(one.words, self.at.profile.target),
            computed=one.computed,
            enabled=one.agreed,
            desired=one.desired,
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


def _elsewhere(connector: Taken, coming: Sequence[Newcomer]) -> set[Key]:
    """(attribute, folded value) of what is not imported, as far as the connector can tell."""
    by_attribute: dict[str, dict[str, str]] = {}
    for one in coming:
        for unique in one.unique:
            by_attribute.setdefault(unique.attribute, {})[unique.value] = unique.key[1]
    found: set[Key] = set()
    for attribute, values in by_attribute.items():
        there = {normalise(value) for value in connector.taken(attribute, list(values))}
        found |= {(attribute, folded) for value, folded in values.items() if normalise(value) in there}
    return found
