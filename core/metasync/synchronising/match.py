"""Matching (law 2): the first rule with any candidate decides; exactly one free candidate joins; anything else touches nobody.

Newcomers of one pass are looked at together first (`Claims`), so that two of them that want one partner, or that would both create the
same person,
are both shown and neither is touched, whatever the order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from metasync.contract import Lookup
from metasync.engagement.model import Engagement, Profile
from metasync.store import codec, joins, matching, objects
from metasync.store.joins import DecisionRow, JoinRow
from metasync.store.matching import Candidate
from metasync.store.normalise import normalise
from metasync.store.rows import Status
from metasync.synchronising.images import source_name
from metasync.synchronising.needs import target_key
from metasync.synchronising.pairing import pairing_file
from metasync.synchronising.scope import is_named
from metasync.synchronising.units import Unit

KeyedLookups = list[list[tuple[str, str]]]
"""Per rule: (name in the index, normalised value)."""


def keyed(lookups: Sequence[Sequence[Lookup]]) -> KeyedLookups:
    """Look-ups in the form of the index; empty values are left out."""
    found: KeyedLookups = []
    for of_rule in lookups:
        keys: list[tuple[str, str]] = []
        for lookup in of_rule:
            values = lookup.value if isinstance(lookup.value, tuple) else (lookup.value,)
            keys += [(target_key(lookup.key), folded) for value in values if (folded := normalise(value))]
        found.append(sorted(set(keys)))
    return found


@dataclass(kw_only=True, slots=True)
class Claims:
    """What the newcomers of a pass look for: who else does."""

    by_key: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    by_candidate: dict[int, list[int]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    sources: dict[int, str] = field(default_factory=dict)
    merges: dict[tuple[int, str, str], set[int]] = field(default_factory=dict)
    """(directory, key, value) of a further source -> the objects that would join what has it."""

    def add(self, unit: Unit, keys: KeyedLookups, candidates: Collection[int]) -> None:
        """Note what a newcomer looks for, and what it found."""
        self.names[unit.id] = source_name(unit.source.directory, unit.source.anchor)
        self.sources[unit.id] = unit.source.directory
        for key in {key for of_rule in keys for key in of_rule}:
            self.by_key.setdefault(key, []).append(unit.id)
        for candidate in candidates:
            self.by_candidate.setdefault(candidate, []).append(unit.id)

    def rivals_for(self, candidate: int, but: int) -> list[str]:
        """Other newcomers of the same source that found the same object; of several sources each may bring one."""
        return sorted(
            self.names[one]
            for one in self.by_candidate.get(candidate, ())
            if one != but and self.sources[one] == self.sources.get(but, self.sources[one])
        )

    def rivals(self, keys: KeyedLookups, but: int) -> list[tuple[str, str]]:
        """(name, value) of other newcomers of the same source that look for the same."""
        return sorted({(self.names[one], value) for one, value in self._same(keys, but) if self.sources[one] == self.sources.get(but)})

    def before(self, keys: KeyedLookups, but: int, sources: Sequence[str]) -> list[str]:
        """Newcomers of these other sources that look for the same."""
        return sorted({self.names[one] for one, _ in self._same(keys, but) if self.sources[one] in sources})

    def _same(self, keys: KeyedLookups, but: int) -> list[tuple[int, str]]:
        return [(one, value) for of_rule in keys for name, value in of_rule for one in self.by_key.get((name, value), ()) if one != but]


@dataclass(kw_only=True, slots=True)
class Matched:
    """What came of matching one object: a candidate to join, or a status with its reason, or neither (nobody was found)."""

    candidate: Candidate | None = None
    words: str = ""
    takes_over: JoinRow | None = None
    """The join of the deleted object whose place this one takes."""
    status: Status | None = None
    code: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ByHand:
    """Pairs and refusals that people decided."""

    pairs: Mapping[tuple[str, str], tuple[str, str, str]]
    """(directory, anchor) -> (other directory, other anchor, reason)."""
    apart: frozenset[tuple[str, str, str, str]]
    ignored: Mapping[tuple[str, str], str]
    pair_keys: tuple[tuple[str, str, str, str], ...] = ()
    """From a pairing file: (source attribute or anchor, value, target attribute or anchor, value)."""

    def partner_of(self, unit: Unit, target: str) -> tuple[str, str, str] | None:
        """(target attribute or `anchor`, value, reason) of the pair that a person made."""
        pair = self.pairs.get((unit.source.directory, unit.source.anchor))
        if pair is not None and pair[0] == target:
            return "anchor", pair[1], pair[2]
        for attribute, value, other, other_value in self.pair_keys:
            own = unit.source.anchor if attribute == "anchor" else unit.source.attributes.get(attribute)
            many = own if isinstance(own, tuple) else (own,)
            if any(one is not None and normalise(one) == normalise(value) for one in many):
                return other, other_value, "the pairing file"
        return None


def by_hand(engagement: Engagement, profile: Profile, decisions: Sequence[DecisionRow]) -> ByHand:
    """What people decided about the objects of a profile. Raises `MetasyncError` where the pairing file cannot be read."""
    pairs: dict[tuple[str, str], tuple[str, str, str]] = {}
    apart: set[tuple[str, str, str, str]] = set()
    ignored: dict[tuple[str, str], str] = {}
    for one in decisions:
        here, there = (one.directory, one.anchor), (one.other_directory or "", one.other_anchor or "")
        if one.decision == "ignore":
            ignored[here] = one.reason
        elif one.decision == "join":
            pairs[here] = (*there, one.reason)
            pairs[there] = (*here, one.reason)
        else:
            apart |= {(*here, *there), (*there, *here)}
    return ByHand(pairs=pairs, apart=frozenset(apart), ignored=ignored, pair_keys=tuple(pairing_file(engagement, profile.target)))


class Matching:
    """Finds the partners of one profile's objects in its target."""

    def __init__(self, program_profile: Profile, target_id: int, target: str, hand: ByHand, allowed: frozenset[str]) -> None:
        self.profile, self.target_id, self.target, self.hand, self.allowed = program_profile, target_id, target, hand, allowed

    def find(self, connection: Connection, keys: Collection[KeyedLookups]) -> dict[tuple[str, str], list[Candidate]]:
        """Every look-up of a portion at once: (name, value) -> live objects."""
        by_name: dict[str, set[str]] = {}
        for of_unit in keys:
            for of_rule in of_unit:
                for name, value in of_rule:
                    by_name.setdefault(name, set()).add(value)
        found: dict[tuple[str, str], list[Candidate]] = {}
        for name, values in by_name.items():
            for value, candidates in matching.look_up(connection, self.target_id, name, values).items():
                found[name, value] = candidates
        return found

    def decide(
        self,
        connection: Connection,
        unit: Unit,
        keys: KeyedLookups,
        found: Mapping[tuple[str, str], list[Candidate]],
        claims: Claims,
    ) -> Matched:
        """Law 2 for one object."""
        pair = self.hand.partner_of(unit, self.target)
        if pair is not None:
            return self._pair(connection, unit, *pair)
        for match, of_rule in zip(unit.program.matches, keys, strict=True):
            candidates = _distinct(found, of_rule)
            leaving = unit.replaced.object_id if unit.replaced is not None else None
            others = [one for one in candidates if one.kind is not self.profile.target_kind and one.id != leaving]
            if others and match.rule.skip_other_kinds:
                words = f"skipped: the {others[0].kind} {others[0].label} has the same {match.words}"
                return Matched(status=Status.SKIPPED, words=words)
            candidates = [one for one in candidates if one.kind is self.profile.target_kind]
            if candidates:
                return self._judge(connection, unit, match.words, candidates, claims)
        rivals = claims.rivals(keys, unit.id)
        if rivals:
            shown = "; ".join(f"{name} ({value})" for name, value in rivals[:5])
            return Matched(
                status=Status.PROBLEM,
                code="ambiguous source",
                words=f"another object without partner has the same key: {shown}. Nobody is created; correct the source, or ignore one",
            )
        first = claims.before(keys, unit.id, self.profile.sources[: self.profile.sources.index(unit.source.directory)])
        if first:
            return Matched(status=Status.WAITING, words=f"{first[0]} has the same key and comes first; it joins what is created for that")
        return Matched()

    def _judge(self, connection: Connection, unit: Unit, words: str, candidates: list[Candidate], claims: Claims) -> Matched:
        here = (unit.source.directory, unit.source.anchor)
        candidates = [one for one in candidates if (*here, self.target, one.anchor) not in self.hand.apart]
        if not candidates:
            return Matched(status=Status.SKIPPED, words=f"its only partner by {words} was taken apart from it by hand")
        shown = ", ".join(f"{source_name(self.target, one.anchor)} ({one.label})" for one in candidates[:5])
        if len(candidates) > 1:
            return Matched(
                status=Status.PROBLEM,
                code="ambiguous match",
                words=f"{len(candidates)} objects have the same {words}: {shown}. Choose with `metasync join`, or correct the values",
            )
        one = candidates[0]
        if self._protected(connection, one):
            return self._privileged(one)
        paired = self.hand.pairs.get((self.target, one.anchor))
        if paired is not None and paired[:2] != here and paired[0] in self.profile.sources:
            words = f"{shown} has the same {words}, and was paired by hand with {source_name(*paired[:2])}"
            return Matched(status=Status.PROBLEM, code="taken", words=words)
        rivals = claims.rivals_for(one.id, unit.id)
        if rivals:
            return Matched(
                status=Status.PROBLEM,
                code="ambiguous source",
                words=f"{shown} has the same {words}, and {', '.join(rivals[:5])} would join it too",
            )
        taken = joins.of_objects(connection, [one.id]).get(one.id)
        if taken is None:
            return Matched(candidate=one, words=words)
        return self._taken(connection, unit, words, one, taken, shown)

    def _protected(self, connection: Connection, one: Candidate) -> bool:
        """Law 3."""
        if not one.privileged:
            return False
        attributes = codec.decode(objects.get(connection, [one.id])[one.id].blob)
        return not is_named(self.allowed, one.anchor, attributes)

    def _privileged(self, one: Candidate) -> Matched:
        return Matched(
            status=Status.PROBLEM,
            code="privileged",
            words=f"{source_name(self.target, one.anchor)} ({one.label}) is privileged and is not matched; name it in `allow "
            f"privileged:` of {self.target} if it shall be",
        )

    def _taken(self, connection: Connection, unit: Unit, words: str, one: Candidate, taken: JoinRow, shown: str) -> Matched:
        """The candidate has an identity. Its place is free where that identity's source was deleted (it came back under a new anchor), or
        is of another directory and the identity has no source of ours."""
        mine = [
            row
            for row in joins.of_identities(connection, [taken.identity_id])[taken.identity_id]
            if row.directory_id == unit.row.directory_id and row.kind == unit.row.kind.value
        ]
        if taken.identity_id == unit.identity_id:
            return Matched(candidate=one, words=words)
        if not mine and unit.identity_id is None:
            return Matched(candidate=one, words=words)
        if mine and mine[0].gone and unit.identity_id is None and self.profile.returning.rejoin:
            return Matched(candidate=one, words=f"{words}, and its former object was deleted", takes_over=mine[0])
        return Matched(
            status=Status.PROBLEM,
            code="taken",
            words=f"{shown} has the same {words}, and is joined to {mine[0].anchor if mine else 'another identity'}",
        )

    def _pair(self, connection: Connection, unit: Unit, attribute: str, value: str, reason: str) -> Matched:
        if attribute == "anchor":
            candidates = matching.by_anchor(connection, self.target_id, value)
        else:
            candidates = matching.look_up(connection, self.target_id, attribute, [normalise(value)]).get(normalise(value), [])
        candidates = [one for one in candidates if one.kind is self.profile.target_kind]
        if len(candidates) != 1:
            words = f"it was paired by hand ({reason}) with {attribute} {value}, and {self.target} has {len(candidates)} such objects"
            return Matched(status=Status.PROBLEM, code="pair", words=words)
        if self._protected(connection, candidates[0]):
            return self._privileged(candidates[0])
        taken = joins.of_objects(connection, [candidates[0].id]).get(candidates[0].id)
        if taken is not None and taken.identity_id != unit.identity_id:
            words = f"it was paired by hand ({reason}) with {candidates[0].label}, which is joined already: `metasync unjoin` that first"
            return Matched(status=Status.PROBLEM, code="pair", words=words)
        return Matched(candidate=candidates[0], words=f"by hand: {reason}")


def _distinct(found: Mapping[tuple[str, str], list[Candidate]], keys: Sequence[tuple[str, str]]) -> list[Candidate]:
    seen: dict[int, Candidate] = {}
    for key in keys:
        for one in found.get(key, ()):
            seen[one.id] = one
    return sorted(seen.values(), key=lambda one: one.anchor)
