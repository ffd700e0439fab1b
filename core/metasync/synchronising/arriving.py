"""What newcomers leave behind, by the driver's own bulk insert: identities, joins, what is pending, awaited and reserved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import starmap
from typing import Any

from sqlalchemy import Connection

from metasync.contract import Operation
from metasync.store import codec, dirty, joins, newcomers, pending, reservations, states, waits
from metasync.store.rows import Status
from metasync.synchronising.computed import desired
from metasync.synchronising.diff import creation_rules
from metasync.synchronising.program import Program
from metasync.synchronising.rivals import Newcomer, Partner
from metasync.synchronising.scope import Verdict
from metasync.synchronising.setting import Setting
from metasync.synchronising.working import to_be_created
from metasync.synchronising.writing import Writing

CREATE = Operation.CREATE.value
EMPTY = codec.encode({})
TO_BE_COMPARED = "in scope; to be compared with its partner"
"""How it stands with somebody who was joined, until that is done in the same pass."""


class Arriving:
    """Writes the newcomers of one profile."""

    def __init__(self, at: Setting, writing: Writing) -> None:
        self.at, self.writing = at, writing
        self.backend = at.workspace.backend
        self._rules: dict[tuple[str, ...], bytes] = {}

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

    def join(self, connection: Connection, pairs: Sequence[tuple[Newcomer, Partner]]) -> None:
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

    def create(self, connection: Connection, coming: Sequence[Newcomer]) -> None:
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

    def leave_out(self, connection: Connection, outside: Sequence[tuple[newcomers.Row, Verdict]]) -> None:
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

    def _operations(self, one: Newcomer) -> bytes:
        """What is pending for somebody who is to be created."""
        assert one.after is not None  # else it would have gone the careful way
        rules = self._rules_of(self.at.programs[one.row.directory_id], one.after)
        return codec.join_frames([codec.Frame(CREATE, EMPTY, codec.encode(one.after), rules)])

    def _rules_of(self, program: Program, after: Mapping[str, Any]) -> bytes:
        """As they are stored: the same for all that begin with the same attributes."""
        names = tuple(after)
        rules = self._rules.get(names)
        if rules is None:
            rules = self._rules[names] = codec.encode_rules(creation_rules(program, after))
        return rules

    @cached_property
    def _alone(self) -> bool:
        """Whoever may refer to one of them is looked at in this pass anyway."""
        profiles = self.at.engagement.profiles.values()
        here, target = self.at.source_names, self.at.profile.target
        return {one.name for one in profiles if one.target == target or not here.isdisjoint(one.sources)} <= self.at.whole


def _left_out(row: newcomers.Row, verdict: Verdict) -> states.SyncState:
    return states.SyncState(object_id=row.id, digest=row.digest, status=Status.OUT_OF_SCOPE.value, reason=verdict.words)
