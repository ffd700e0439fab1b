"""The many that have a partner and are in step with it: found to be so in bulk.

Where neither what the mappings yield nor the partner has changed since the object was found to be in step, nothing is written at all.
Whatever differs, or needs a decision, goes the careful way of `working`. A test holds the two ways equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

from sqlalchemy import Connection

from metasync import garbage
from metasync.contract import Kind
from metasync.engagement.model import Action, Cause, Leave, Origin, Strength
from metasync.expressions import CLEAR
from metasync.store import codec, dirty, holders, pairs, problems, reservations, waits
from metasync.store.normalise import differ
from metasync.store.waves import Book
from metasync.synchronising import diff
from metasync.synchronising.computed import computed, desired
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.images import Image
from metasync.synchronising.program import NOTHING, Program
from metasync.synchronising.references import TOLD
from metasync.synchronising.scope import DISABLED, INSIDE, in_scope
from metasync.synchronising.setting import Setting
from metasync.synchronising.unique import UniqueValues, each_of, expanded

BULK = 2000
"""Pairs per transaction."""
ENABLED_DIFFERS = "enabled differs"

Key = tuple[str, str]
"""(name in the index, normalised value)."""


class Stand(NamedTuple):
    """A value of one pair that stands only once."""

    key: Key
    attribute: str
    base: str
    current: str
    pattern: str
    """The first that the document gives: what it was given may differ from what it was made of."""
    limit: int | None
    several: bool = False
    """One of several values, which the document does not number."""


class Pair(NamedTuple):
    """One whose values have to be compared."""

    row: pairs.Row
    program: Program
    values: dict[str, Any]
    computed: bytes
    words: str
    """Why it is in scope."""
    left: str | None
    """How it left all the same."""

    @property
    def in_step(self) -> bool:
        """Are both what they were when they were last found to be in step?"""
        row = self.row
        same = bool(row.in_step) and row.known_computed == self.computed
        return same and row.reason == self.words and row.left_cause == self.left


class Pairs:
    """Looks at the pairs of one profile."""

    def __init__(self, at: Setting) -> None:
        self.at = at
        self.backend = at.workspace.backend

    def possible(self) -> bool:
        """Does everything depend on the two objects alone, and is nothing held or on its way?"""
        profile, at = self.at.profile, self.at
        if not at.alone or profile.merge or profile.action is Action.CREATE_ONLY or at.loader.reference_attributes:
            return False
        if any(root not in ("source", "wave", program.source) for program in at.programs.values() for root in program.roots):
            return False
        with self.backend.read() as connection:
            if not self.backend.any(connection, "SELECT 1 FROM sync_state WHERE profile = ?", profile.name):
                return False
            return not holders.under_way(self.backend, connection, at.engagement_id, profile.name, at.target_id)

    def run(self, ids: Sequence[int]) -> list[int]:
        """Look at them; those that are left, in the order given. They are looked at in the order in which they were imported: so their
        rows lie."""
        done: set[int] = set()
        order = sorted(ids)
        for start in range(0, len(order), BULK):
            self.at.workspace.check_stop()
            with garbage.paused(), self.backend.write("synchronise.unit") as connection:
                done.update(self._portion(connection, order[start : start + BULK]))
            self.at.workspace.report(min(start + BULK, len(order)), len(order), f"synchronise {self.at.profile.name}")
        return [one for one in ids if one not in done]

    def pass_over(self, ids: Sequence[int]) -> None:
        """Look at them beside others who look at other objects. What is written is of these objects alone, and what stands only once is
        borne by one of them already; so nobody's order counts."""
        order, backend = sorted(ids), self.backend.beside_others()
        for start in range(0, len(order), BULK):
            self.at.workspace.check_stop()
            with garbage.paused(), backend.write("synchronise.unit") as connection:
                self._portion(connection, order[start : start + BULK])
            self.at.workspace.report(min(start + BULK, len(order)), len(order), f"compare {self.at.profile.name}")

    def _portion(self, connection: Connection, ids: list[int]) -> list[int]:
        """Those of them that are done."""
        at, name = self.at, self.at.profile.name
        kinds = (at.profile.source_kind.value, at.target_id, at.profile.target_kind.value)
        native = at.profile.scope.origin is Origin.NATIVE
        found = pairs.rows(self.backend, connection, name, ids, *kinds, native=native)
        # What a value of `enabled` or a reference gives rise to is told by the digests, or by the references, which are looked at apart.
        told = (ENABLED_DIFFERS, *TOLD) if at.refers else (ENABLED_DIFFERS,)
        wrong = problems.of_objects(self.backend, connection, at.engagement_id, name, ids, but=told)
        book = at.loader.waves(connection)
        same: list[pairs.Row] = []
        compare: list[Pair] = []
        for row in found:
            pair = self._look(row, book)
            if pair is None:
                continue
            # What is wrong with somebody may have to do with more than the two digests say.
            if pair.in_step and row.id not in wrong:
                same.append(row)
            else:
                compare.append(pair)
        settled = self._settle(connection, compare)
        done = [*(row.id for row in same), *settled]
        changed = [(row.changed, row.id) for row in same if row.changed is not None]
        pairs.set_digests(self.backend, connection, name, changed)
        if at.refers:
            whole = dirty.clean_telling(self.backend, connection, name, done, at.now)
            dirty.await_references(self.backend, connection, at.engagement_id, name, {*settled, *whole, *(one for _, one in changed)})
        else:
            dirty.clean(self.backend, connection, name, done, at.now)
        at.outcome.looked_at += len(done)
        return done

    def _look(self, row: pairs.Row, book: Book) -> Pair | None:
        """What the mappings yield; None where that takes more care."""
        at, program = self.at, self.at.programs.get(row.directory_id)
        if program is None or (program.source, row.anchor) in at.hand.ignored:
            return None
        attributes = codec.decode(row.blob)
        environment: Mapping[str, Mapping[str, Any]] = {
            program.source: attributes,
            "source": attributes,
            "target": NOTHING,
            "wave": book.of(row.identity_id, row.id),
            "mv": NOTHING,
        }
        try:
            verdict = in_scope(program, attributes, environment)
            # Whoever is disabled in the source has left as far as his profile says so; where it says nothing, he is simply in step.
            if verdict is INSIDE:
                left = None
            elif verdict is DISABLED and all(step.action is Leave.KEEP for step in at.profile.leaving.get(Cause.DISABLED, ())):
                left = Cause.DISABLED.value if at.profile.leaving.get(Cause.DISABLED) else None
            else:
                return None
            if row.left_cause not in (None, left):
                return None
            values, place = diff.wanted(program, environment, exists=True)
        except ObjectError:
            return None
        digest = computed(values, place, program.kept)
        return Pair(row, program, values, digest, verdict.words, left) if digest is not None else None

    def _settle(self, connection: Connection, compare: Sequence[Pair]) -> list[int]:
        """Those of these pairs that are in step all the same."""
        if not compare:
            return []
        at, backend = self.at, self.backend
        asked = [one.row.id for one in compare]
        known = pairs.known(backend, connection, at.profile.name, asked, at.target_id, at.profile.target_kind.value)
        blobs = pairs.images(backend, connection, [one.target_id for one in known.values()])
        stands: dict[int, list[Stand]] = {}
        presents: dict[int, dict[str, Any]] = {}
        sought: dict[str, list[str]] = {}
        for one in compare:
            present = presents[one.row.id] = codec.decode(blobs[known[one.row.id].target_id])
            found = stands[one.row.id] = list(_stands(one, present))
            for stand in found:
                sought.setdefault(stand.key[0], []).append(stand.key[1])
        bearers = pairs.bearers(backend, connection, at.target_id, sought)
        kept = pairs.kept(backend, connection, at.target_id, [one.row.identity_id for one in compare], but=at.other_kinds)
        given = {
            attribute: [stand.key[1] for some in stands.values() for stand in some if stand.attribute == attribute]
            for attribute in {stand.attribute for some in stands.values() for stand in some}
        }
        held = reservations.held(backend, connection, at.target_id, given)
        rows = []
        new: list[tuple[str, str, str, str, int, str]] = []
        for one in compare:
            present = presents[one.row.id]
            own, target = stands[one.row.id], known[one.row.id]
            number = target.target_id
            if _gives_up(one, own, kept) or not all(_stays(one, stand, bearers.get(stand.key), number, kept, held) for stand in own):
                continue
            image = Image(object_id=target.target_id, directory=at.profile.target, anchor="", kind=Kind.USER, label="", attributes=present)
            try:
                # The value of `enabled` that both sides had when they last agreed.
                agreed = None if target.enabled is None else bool(target.enabled)
                difference = diff.difference(one.program, one.values, image, agreed=agreed)
            except ObjectError:
                continue
            if difference.operations or difference.problems:
                continue
            row = one.row
            since = target.left_since if one.left == row.left_cause else at.now
            stood = (row.id, target.digest, target.target_digest, one.computed, one.words, difference.agreed, desired(one.values))
            rows.append((*stood, one.left, since if one.left is not None else None))
            # What it bears and was never given by us is its own from now on.
            new += [
                (stand.attribute, stand.key[1], value, stand.base, row.identity_id, at.profile.name)
                for stand, value in ((stand, stand.base if stand.several else one.values[stand.attribute]) for stand in own)
                if not _kept(one, stand, kept)
            ]
        reservations.add(backend, connection, at.engagement_id, at.target_id, new)
        settled = [row[0] for row in rows]
        awaited = waits.of_objects(connection, at.profile.name, settled)
        pairs.settle(backend, connection, at.engagement_id, at.profile.name, at.run_id, rows)
        if awaited:
            # Whoever no longer waits for a key may have been in somebody's way.
            rivals = waits.on_keys(connection, set().union(*awaited.values()), but=settled)
            dirty.mark(backend, connection, at.engagement_id, [(name, one, dirty.WHOLE) for name, one in rivals])
        return settled


def _gives_up(pair: Pair, own: Sequence[Stand], kept: Mapping[tuple[int, str], Sequence[pairs.Kept]]) -> bool:
    """Is something reserved for the pair that is not wanted any more? Then it becomes free for others. What is wanted of one value is
    looked at by `_stays`."""
    wanted = {(stand.attribute, stand.key[1]) for stand in own if stand.several}
    return any(
        (value is None or value is CLEAR or (isinstance(value, tuple) and mapping.strength is not Strength.ONCE))
        and any(one.released is None and (name, one.value) not in wanted for one in kept.get((pair.row.identity_id, name), ()))
        for name, value, mapping in ((name, pair.values[name], mapping) for name, _, mapping in pair.program.unique)
    )


def _kept(pair: Pair, stand: Stand, kept: Mapping[tuple[int, str], Sequence[pairs.Kept]]) -> Sequence[pairs.Kept]:
    """What is, or was, reserved for the pair of a value; of an attribute with one value, whatever was."""
    known = kept.get((pair.row.identity_id, stand.attribute), ())
    return [one for one in known if one.value == stand.key[1]] if stand.several else known


def _stays(
    pair: Pair,
    stand: Stand,
    bearers: Set[int] | None,
    target_id: int,
    kept: Mapping[tuple[int, str], Sequence[pairs.Kept]],
    held: Mapping[tuple[str, str], int],
) -> bool:
    """Is a unique value the pair's own, borne by nobody else, and reserved for it or for nobody? A numbered one takes its place in
    `values`."""
    if bearers and bearers != {target_id}:
        return False
    known = _kept(pair, stand, kept)
    if not known:
        value = expanded(stand.pattern, stand.base, 2, stand.limit) if stand.pattern else stand.base
        if differ(value, stand.current) or (stand.attribute, stand.key[1]) in held:
            return False
    else:
        mine = [one for one in known if one.released is None]
        if len(mine) != 1 or len(known) != 1 or mine[0].base != stand.base or differ(mine[0].shown, stand.current):
            return False
        value = mine[0].shown if stand.pattern else stand.base
    if not stand.several:
        pair.values[stand.attribute] = value
    return True


def _stands(pair: Pair, present: Mapping[str, Any]) -> Iterator[Stand]:
    """What the pair has that stands only once."""
    for name, known, mapping in pair.program.unique:
        base, current = pair.values[name], present.get(name)
        if isinstance(base, tuple) and mapping.strength is not Strength.ONCE:
            there = each_of(current)
            for folded, one in each_of(base).items():
                # Which of its values was numbered is for the careful way: none of them passes as what it is there.
                has = there.get(folded, "") if not mapping.unique else ""
                yield Stand(UniqueValues.key(known, one, None), name, one, has, "", known.max_length, several=True)
        if not isinstance(base, str) or mapping.strength is Strength.ONCE:
            continue
        text = current if isinstance(current, str) else ""
        place = pair.values.get("path") or present.get("path")
        yield Stand(UniqueValues.key(known, text, place), name, base, text, mapping.unique[0] if mapping.unique else "", known.max_length)
