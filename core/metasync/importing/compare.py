"""Stores a page: compares digests, has what is new or changed written and nothing else, and marks who must look again.

One page is one transaction, so that an import that is cut off has stored whole pages together with all that follows from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from sqlalchemy import Connection

from metasync.contract import Item, Kind, Patch, Reference, Reject, Values, Versioned
from metasync.importing import references
from metasync.importing.marks import Marks, Touched
from metasync.importing.pack import Batch, Packed, batches, stored_version, worked_out
from metasync.importing.request import Request
from metasync.importing.seen import Seen
from metasync.importing.write import Changed, Writer
from metasync.store import codec, match_keys, objects, problems
from metasync.store import links as link_rows
from metasync.store.backend import Backend
from metasync.store.normalise import storable
from metasync.store.objects import Known
from metasync.store.rows import LinkRow, Problem, Severity, State

KEPT_PROBLEMS = 10_000
"""How many problems an outcome lists; all of them are in the database."""


class Comparison:
    """One import of one directory. Not shared between threads."""

    def __init__(
        self,
        *,
        backend: Backend,
        engagement_id: int,
        directory: str,
        directory_id: int,
        request: Request,
        generation: int,
        run_id: int | None,
        marks: Marks,
        known_problems: problems.Known,
        earlier: Seen,
        full: bool,
        first: bool,
    ) -> None:
        self._backend = backend
        self._engagement_id = engagement_id
        self._directory = directory
        self._directory_id = directory_id
        self._request = request
        self._run_id = run_id
        self._marks = marks
        self._known_problems = known_problems
        self._anchors_with_problems = {anchor for anchor, _, _ in known_problems}
        self._full = full
        self.first = first
        """The directory is empty: there is nothing to compare with, and no index of anchors to look it up by."""
        self.seen = Seen()
        self.earlier = earlier
        """What an interrupted import had seen before it was resumed; the connector may show it again."""
        self.link_keys = set(request.link_keys)
        self.counts: Counter[str] = Counter()
        self.problems: list[Problem] = []
        self.rejected_unnamed = 0
        """Rejects that do not say which object they are about: whatever is not seen may be one of them."""
        self.unknown_patched = 0
        """Deltas of objects that are not known: only a full import can bring them."""
        self._writer = Writer(
            backend=backend,
            engagement_id=engagement_id,
            directory_id=directory_id,
            request=request,
            generation=generation,
            run_id=run_id,
            marks=marks,
            first=first,
            link_keys=self.link_keys,
            seen=self.seen,
            counts=self.counts,
        )

    def prepare(self, items: Sequence[Item]) -> list[Batch]:
        """All that needs no database."""
        return batches(items, self._request, self.link_keys, first=self.first)

    def store(self, connection: Connection, batch: Batch) -> None:
        """Write what a batch changes, in the caller's transaction."""
        touched = Touched()
        known: dict[str, Known] = {}
        if batch.items:
            known = self._known(connection, (item.anchor for item in batch.items))
            batch = self._worked_out(batch.items, known)
        self._settle_problems(connection, batch)
        if not known and not (self.first and not (batch.patches or batch.gone)):
            named = [one.anchor for one in batch.entries] + [one.anchor for one in batch.patches] + batch.gone
            known = self._known(connection, (*named, *(one.anchor for one in batch.rejects)))
        new, stale = self._sort(connection, batch.entries, known, touched)
        changed = list(self._compare_links(connection, stale))
        changed += self._patch(connection, batch.patches, known)
        self._tombstone(connection, [known[anchor] for anchor in batch.gone if anchor in known], touched)
        for reject in batch.rejects:
            self._reject(connection, reject, known)
        if new or changed:
            self._writer.write(connection, new, changed, touched)
        self._marks.write(connection, touched)
        if batch.unlinked:
            gone = {known[anchor].id: anchor for anchor in batch.unlinked if anchor in known}
            if patches := references.released(connection, self._directory_id, gone, self._request.kinds):
                self.store(connection, Batch(patches=patches))

    def problem(self, connection: Connection, *rows: Problem) -> None:
        """Add problems of this import."""
        problems.add(connection, self._engagement_id, problems.IMPORT, self._directory, self._run_id, rows, self._known_problems)
        self._anchors_with_problems.update(row.anchor for row in rows)
        self.problems += rows[: max(0, KEPT_PROBLEMS - len(self.problems))]

    def set_state(self, connection: Connection, rows: Mapping[int, Kind], state: State) -> None:
        """Objects that were not seen are gone or unread."""
        touched = Touched(whole=dict(rows))
        objects.set_state(self._backend, connection, rows, state, self._run_id)
        self.counts[state.value] += len(rows)
        for keys in match_keys.of_objects(connection, rows).values():
            touched.keys |= keys
        self._touch_holders(connection, rows, touched)
        self._marks.write(connection, touched)
        if state is State.GONE:
            self._marks.went(connection, rows)

    # What became of each item

    def _known(self, connection: Connection, anchors: Iterable[str | None]) -> dict[str, Known]:
        """Who is known by these anchors. By what cannot be stored nobody is, and the database is not asked for it."""
        named = [one for one in anchors if one and (one.isprintable() or storable(one) == one)]
        return objects.known(self._backend, connection, self._directory_id, named)

    def _worked_out(self, items: Sequence[Item], known: Mapping[str, Known]) -> Batch:
        """Those items alone of which the version that is known is not this one."""
        rest: list[Item] = []
        unchanged: list[str] = []
        full, see, basis = self._full, self.seen.add, self._request.basis
        for item in items:
            if isinstance(item, Versioned) and basis is not None:
                row = known.get(item.anchor)
                if row is not None and row.version == stored_version(basis, item.version) and row.state == "live" and row.kind == item.kind:
                    # As `_sort` counts it: what a read of everything shows twice counts once.
                    if see(row.id) or not full:
                        unchanged.append(item.anchor)
                    continue
            rest.append(item)
        self.counts["unchanged"] += len(unchanged)
        batch = worked_out(rest, self._request, self.link_keys)
        batch.unchanged = unchanged
        return batch

    def _sort(
        self, connection: Connection, entries: Sequence[Packed], known: Mapping[str, Known], touched: Touched
    ) -> tuple[list[Packed], list[tuple[Known, Packed]]]:
        """The entries that are new, and those that differ from what is known."""
        new: list[Packed] = []
        stale: list[tuple[Known, Packed]] = []
        versions: list[tuple[bytes, int]] = []
        unchanged = 0
        full, see = self._full, self.seen.add
        for entry in entries:
            anchor, kind, _, _, digest, _, version = entry
            row = known.get(anchor)
            if row is None:
                new.append(entry)
                continue
            object_id, _, known_kind, state, known_digest, known_version = row
            if not see(object_id) and full:
                self._repeated(connection, row, entry, touched)
            elif digest == known_digest and state == "live" and kind == known_kind:
                unchanged += 1
                if version is not None and version != known_version:
                    versions.append((version, object_id))
            else:
                stale.append((row, entry))
        self.counts["unchanged"] += unchanged
        objects.set_versions(self._backend, connection, versions)
        return new, stale

    def _repeated(self, connection: Connection, row: Known, entry: Packed, touched: Touched) -> None:
        """A read that shows an object twice: pages may overlap, but two different objects may not have one anchor."""
        if row.digest != entry.digest or row.kind != entry.kind:
            self.problem(connection, repeated(row.id, entry.anchor))
            self.counts["rejected"] += 1
            if row.state != State.UNREAD:
                self.set_state(connection, {row.id: entry.kind}, State.UNREAD)

    def _compare_links(self, connection: Connection, stale: Sequence[tuple[Known, Packed]]) -> Iterator[Changed]:
        """Old and new references of changed objects; of one object at a time, since a group may have 100,000 members."""
        rest = {row.id: (row, entry) for row, entry in stale}
        for object_id, rows in groupby(link_rows.each_of(connection, list(rest)), key=lambda row: row.object_id):
            row, entry = rest.pop(object_id)
            wanted = dict.fromkeys(entry.references)
            removed = [one for one in rows if wanted.pop((one.attribute, one.key, one.value), self) is self]
            yield Changed(known=row, image=entry, added=list(wanted), removed=removed)
        for row, entry in rest.values():
            yield Changed(known=row, image=entry, added=entry.references, removed=())

    def _patch(self, connection: Connection, patches: Sequence[Patch], known: Mapping[str, Known]) -> Iterator[Changed]:
        """Apply deltas to what is stored."""
        rows = objects.get(connection, [known[patch.anchor].id for patch in patches if patch.anchor in known])
        for patch in patches:
            row = known.get(patch.anchor)
            if row is None or row.state == State.GONE or patch.kind not in self._request.kinds:
                if patch.kind in self._request.kinds:
                    self.unknown_patched += 1
                continue
            self.seen.add(row.id)
            try:
                changed = self._apply(connection, row, rows[row.id].blob, patch)
            except (TypeError, ValueError) as error:
                self._reject(
                    connection, Reject(where=patch.anchor, anchor=patch.anchor, reason=f"its delta cannot be stored: {error}"), known
                )
                continue
            if changed is None:
                self.counts["unchanged"] += 1
            else:
                yield changed

    def _apply(self, connection: Connection, row: Known, blob: bytes, patch: Patch) -> Changed | None:
        plain: dict[str, Values | None] = codec.decode(blob)
        old_weight = codec.weight(codec.encode(plain)[1:])
        added: dict[tuple[str, str, str], None] = {}
        removed: list[LinkRow] = []
        scalar = self._request.scalar[patch.kind]
        for name, value in patch.attributes.items():
            rest, links = codec.split({name: value} if value is not None else {})
            plain.pop(name, None)
            plain.update(rest)
            if not links and name in scalar:
                continue
            wanted = dict.fromkeys(links)
            for there, target in link_rows.by_value(connection, row.id, name).items():
                if wanted.pop((name, *there), self) is self:
                    removed.append(_link_row(row.id, name, there, target))
            added.update(wanted)
        for name, values in patch.removed.items():
            gone = link_rows.by_value(connection, row.id, name, _references(name, values))
            removed += [
                LinkRow(object_id=row.id, attribute=name, key=key, value=value, target_id=target) for (key, value), target in gone.items()
            ]
        for name, values in patch.added.items():
            new = _references(name, values)
            known = link_rows.by_value(connection, row.id, name, new)
            added.update(dict.fromkeys((name, *one) for one in new if one not in known))
        self.link_keys.update(key for _, key, _ in added)
        encoded = codec.encode(plain)
        digest = codec.combine(
            int.from_bytes(row.digest, "big") - old_weight + codec.weight(encoded[1:]),
            (codec.reference_weight(*one) for one in added),
            (codec.reference_weight(one.attribute, one.key, one.value) for one in removed),
        )
        if digest == row.digest and row.kind == patch.kind:
            return None
        image = Packed(anchor=patch.anchor, kind=patch.kind, plain=plain, blob=encoded, digest=digest, references=(), version=None)
        # What was unread stays so: its other attributes may have changed meanwhile.
        return Changed(known=row, image=image, added=list(added), removed=removed, state=State(row.state))

    def _tombstone(self, connection: Connection, rows: Sequence[Known], touched: Touched) -> None:
        gone = {row.id: Kind(row.kind) for row in rows if row.state != State.GONE}
        if gone:
            self.set_state(connection, gone, State.GONE)

    def _reject(self, connection: Connection, reject: Reject, known: Mapping[str, Known]) -> None:
        self.counts["rejected"] += 1
        row = known.get(reject.anchor) if reject.anchor else None
        if row is not None:
            # As it was: neither changed, nor taken for gone.
            self.seen.add(row.id)
        elif reject.anchor is None:
            self.rejected_unnamed += 1
        where = storable(reject.where)
        text = f"{where}: {storable(reject.reason)}" if where else storable(reject.reason)
        anchor = storable(reject.anchor) if reject.anchor else where
        self.problem(connection, Problem(code="rejected", text=text, object_id=row.id if row else 0, anchor=anchor))

    def _settle_problems(self, connection: Connection, batch: Batch) -> None:
        """What is read again has the problems that this read finds. A full import settles all older ones at its end."""
        if self._full or not self._anchors_with_problems:
            return
        named = {one.anchor for one in batch.entries} | {one.anchor for one in batch.patches} | set(batch.gone) | set(batch.unchanged)
        named |= {storable(one.anchor or one.where) for one in batch.rejects}
        if settled := named & self._anchors_with_problems:
            problems.clear_anchors(connection, self._engagement_id, problems.IMPORT, self._directory, settled)

    def _touch_holders(self, connection: Connection, ids: Iterable[int], touched: Touched) -> None:
        for holder, attribute, target, directory_id, kind in link_rows.holders(connection, list(ids)):
            if directory_id == self._directory_id:
                touched.reference(holder, Kind(kind), attribute, target)


def repeated(object_id: int, anchor: str) -> Problem:
    """Two objects with one anchor: neither is believed until the directory shows one."""
    return Problem(
        code="duplicate anchor",
        text=f"{anchor}: the directory showed two different objects with this anchor in one import; neither is used. "
        "Correct the anchor in the directory, or import again if the object was just being changed",
        severity=Severity.ERROR,
        object_id=object_id,
        anchor=anchor,
    )


def _link_row(object_id: int, attribute: str, reference: tuple[str, str], target_id: int | None) -> LinkRow:
    key, value = reference
    return LinkRow(object_id=object_id, attribute=attribute, key=key, value=value, target_id=target_id)


def _references(name: str, values: Iterable[Reference]) -> list[tuple[str, str]]:
    return [codec.stored_reference(name, one)[1:] for one in values]
