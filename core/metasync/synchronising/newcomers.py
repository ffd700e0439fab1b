"""The many that have neither partner nor history: worked in bulk, each read and computed once, and written by the driver's own bulk insert.

A newcomer is done here only where nothing is to be decided: no object of the target has one of its keys or unique values, and nobody else
looks for them. What is left over (`refused`) goes the careful way of `working`, like everybody who has a history; both ways leave the same
behind, which a test holds to be so. Profiles for which others decide along (several sources, merges, several profiles for one target) go
the careful way altogether.

Who is in whose way is decided in `rivals`; what they leave behind is written by `arriving`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from metasync import garbage
from metasync.contract import Taken
from metasync.engagement.model import Action, Origin
from metasync.store import codec, joins, newcomers
from metasync.store.rows import State
from metasync.synchronising.arriving import TO_BE_COMPARED, Arriving
from metasync.synchronising.computed import computed
from metasync.synchronising.diff import created, wanted
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.match import KeyedLookups, keyed
from metasync.synchronising.program import NOTHING, Program
from metasync.synchronising.rivals import Claim, Newcomer, Rivals, unique_values
from metasync.synchronising.scope import Verdict, in_scope, judge
from metasync.synchronising.setting import Setting
from metasync.synchronising.units import ranked_values
from metasync.synchronising.writing import Writing

if TYPE_CHECKING:
    from metasync.engagement.model import Ranking

BULK = 2000
"""Newcomers per transaction."""


class Newcomers:
    """Works the newcomers of one profile."""

    def __init__(self, at: Setting, writing: Writing) -> None:
        self.at, self.arriving = at, Arriving(at, writing)
        self.backend = at.workspace.backend

    def possible(self) -> bool:
        """Does nobody else decide along?"""
        at, profile = self.at, self.at.profile
        plain = not profile.merge and not at.hand.pair_keys and not at.loader.reference_attributes
        return at.alone and plain

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
            rivals = Rivals(self.at, self._look, joins.last_identity(connection) + 1)
        for part in self.at.portions(careful):
            with garbage.paused(), self.backend.read() as connection:
                rivals.refuse(connection, self._claims_of(connection, part))
        for start in range(0, len(order), BULK):
            self.at.workspace.check_stop()
            with garbage.paused(), self.backend.write("synchronise.unit") as connection:
                self._portion(connection, order[start : start + BULK], rivals, connector, joined, refused)
            self.at.workspace.report(min(start + BULK, len(order)), len(order), f"synchronise {self.at.profile.name}")
        return joined, refused

    def _portion(
        self, connection: Connection, ids: list[int], rivals: Rivals, connector: Taken | None, joined: set[int], refused: set[int]
    ) -> None:
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
        partners, displaced = rivals.decide(connection, coming, claims, careful, connector)
        refused |= careful
        plain = {number: one for number, one in coming.items() if number not in careful}
        self.arriving.join(connection, [(one, partners[number]) for number, one in plain.items() if number in partners])
        joined |= partners.keys() - careful
        self.arriving.create(connection, [one for number, one in plain.items() if number not in partners])
        self.arriving.leave_out(connection, outside)
        if displaced:
            rivals.forget(displaced)
            newcomers.take_back(self.backend, connection, self.at.engagement_id, self.at.profile.name, sorted(displaced))
            created = displaced - joined
            self.at.outcome.pending -= len(created)
            self.at.outcome.looked_at -= len(created)
            joined -= displaced
            refused |= displaced

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
        claim = Claim(row.id, sought, unique_values(program, values, place))
        if digest is None or here in at.hand.pairs:
            return claim
        return self._newcomer(row, program, rules, claim, values, place, verdict, digest)

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
        after = self._begins_with(program, values, place)
        label = next((after[name] for name in ("displayName", "name", "mail") if after and isinstance(after.get(name), str)), row.label)
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

    def _begins_with(self, program: Program, values: Mapping[str, Any], place: str | None) -> Mapping[str, Any] | None:
        """What a new object would begin with; None where none may be made. Whoever finds a partner needs none."""
        if self.at.profile.action is Action.UPDATE_ONLY:
            return None
        try:
            return created(program, values, place)
        except ObjectError:
            return None

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
                claims.append(Claim(unit.id, sought, unique_values(unit.program, values, place)))
            except ObjectError:
                claims.append(Claim(unit.id, sought, ()))
        return claims

    @cached_property
    def _rankings(self) -> Mapping[str, Ranking]:
        return self.at.engagement.metaverse.get(self.at.profile.source_kind, {})
