"""Writes the objects of a page that are new or changed, with their keys and references, and says whom that touches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from metasync.contract import Kind
from metasync.importing import references
from metasync.importing.marks import MEMBERS, Marks, Touched
from metasync.importing.pack import Packed
from metasync.importing.request import Request
from metasync.importing.seen import Seen
from metasync.store import codec, match_keys, objects, waits
from metasync.store import links as link_rows
from metasync.store.backend import Backend
from metasync.store.links import Link
from metasync.store.normalise import normalise
from metasync.store.objects import Known
from metasync.store.rows import LinkRow, State
from metasync.store.tables import object_


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A known object and what it is from now on. `added` are its new references, `removed` those that it lost."""

    known: Known
    image: Packed
    added: Sequence[tuple[str, str, str]]
    removed: Sequence[LinkRow]
    state: State = State.LIVE


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """Of one import of one directory, in the caller's transactions."""

    backend: Backend
    engagement_id: int
    directory_id: int
    request: Request
    generation: int
    run_id: int | None
    marks: Marks
    first: bool
    """The directory was empty: there is nobody to be told."""
    link_keys: set[str]
    """The names by which references are made; grows while pages are read."""
    seen: Seen
    counts: Counter[str]

    def write(self, connection: Connection, new: Sequence[Packed], changed: Sequence[Changed], touched: Touched) -> None:
        ids = self.backend.reserve_ids(connection, object_, len(new))
        keys: list[tuple[int, int, str, str]] = []
        lost_keys: list[tuple[int, str, str]] = []
        arrived: dict[str, int] = {}
        self._insert(connection, ids, new, keys)
        arrived.update(zip((entry.anchor for entry in new), ids, strict=True))
        # Before the first synchronisation of a directory that is loaded for the first time there is nobody to be told.
        quiet = self.first and self.marks.idle
        moved: set[tuple[str, str]] = set() if quiet else {(name, value) for _, _, name, value in keys}
        old_keys = match_keys.of_objects(connection, [one.known.id for one in changed]) if changed else {}
        for one in changed:
            now = self.request.match_keys(one.image.kind, one.image.plain).keys()
            before = old_keys.get(one.known.id, set())
            keys += [(self.directory_id, one.known.id, *key) for key in now - before]
            lost_keys += [(one.known.id, *key) for key in before - now]
            other = one.known.state != one.state or one.known.kind != one.image.kind
            moved |= before | now if other else before ^ now
            if one.known.state == State.GONE:
                arrived[one.image.anchor] = one.known.id
        if not quiet:
            touched.keys |= moved | {(waits.ANCHOR, normalise(anchor)) for anchor in arrived}
        self._update(connection, changed)
        match_keys.remove(self.backend, connection, lost_keys)
        match_keys.insert(self.backend, connection, keys)
        self._link(connection, ids, new, changed, touched)
        if not quiet:
            touched.whole.update(zip(ids, (entry.kind for entry in new), strict=True))
        # A target that was empty until we wrote into it has provisional joins at its first load.
        objects.adopt(self.backend, connection, self.directory_id, arrived)
        if not self.first:
            by_reference = [key for key in moved if key[0] in self.link_keys]
            references.reconnect(self.backend, connection, self.directory_id, arrived, by_reference, touched)

    def _insert(self, connection: Connection, ids: Sequence[int], new: Sequence[Packed], keys: list[tuple[int, int, str, str]]) -> None:
        rows = []
        facts, match_keys, directory_id = self.request.facts, self.request.match_keys, self.directory_id
        engagement_id, generation, run_id = self.engagement_id, self.generation, self.run_id
        words = objects.WORDS
        for object_id, (anchor, kind, plain, blob, digest, _, version) in zip(ids, new, strict=True):
            label, mark, privileged = facts(kind, anchor, plain)
            word = words[kind]
            facts_ = (word, anchor, label, "live", digest, blob, generation, mark, privileged, run_id, version)
            rows.append((object_id, engagement_id, directory_id, *facts_))
            keys += [(directory_id, object_id, name, value) for name, value in match_keys(kind, plain)]
        self.seen.wrote(ids)
        self.backend.insert(connection, object_, objects.VERSIONED, rows)
        self.counts["added"] += len(rows)

    def _update(self, connection: Connection, changed: Sequence[Changed]) -> None:
        rows = []
        for one in changed:
            image = one.image
            label, mark, privileged = self.request.facts(image.kind, image.anchor, image.plain)
            rows.append(
                (
                    image.kind.value,
                    label,
                    one.state.value,
                    image.digest,
                    image.blob,
                    self.generation,
                    mark,
                    privileged,
                    self.run_id,
                    image.version,
                    one.known.id,
                )
            )
            self.counts["added" if one.known.state == State.GONE else "changed"] += 1
        self.backend.update(connection, object_, objects.CHANGED, ("id",), rows)

    def _link(
        self, connection: Connection, ids: Sequence[int], new: Sequence[Packed], changed: Sequence[Changed], touched: Touched
    ) -> None:
        """Write references; those that name an object which is there already find it at once."""
        meant: dict[tuple[str, str], int] = {}
        if not self.first:
            named = {(key, value) for entry in new for _, key, value in entry.references}
            named |= {(key, value) for one in changed for _, key, value in one.added}
            meant = references.find(connection, self.directory_id, named)
        directory_id, found = self.directory_id, meant.get
        rows: list[tuple[int, int, str, str, str, int | None]] = [
            (directory_id, object_id, attribute, key, value, found((key, value)) if meant else None)
            for object_id, entry in zip(ids, new, strict=True)
            for attribute, key, value in entry.references
        ]
        lost: list[Link] = []
        for one in changed:
            object_id = one.known.id
            rows += [(directory_id, object_id, attribute, key, value, found((key, value))) for attribute, key, value in one.added]
            lost += [Link(row.object_id, row.attribute, row.key, row.value) for row in one.removed]
            if _only_members(one):
                for _, key, value in one.added:
                    touched.reference(object_id, one.image.kind, MEMBERS, meant.get((key, value)))
                for row in one.removed:
                    touched.reference(object_id, one.image.kind, MEMBERS, row.target_id)
            else:
                touched.whole[object_id] = one.image.kind
                if one.known.kind != one.image.kind:
                    touched.former[object_id] = Kind(one.known.kind)
        link_rows.remove(self.backend, connection, lost)
        link_rows.add(self.backend, connection, rows)


def _only_members(changed: Changed) -> bool:
    """Nothing but members came or went: what the digest counts for everything else is what it was."""
    if changed.known.state != changed.state or changed.known.kind != changed.image.kind:
        return False
    if any(one[0] != MEMBERS for one in changed.added) or any(one.attribute != MEMBERS for one in changed.removed):
        return False
    expected = codec.combine(
        int.from_bytes(changed.known.digest, "big"),
        (codec.reference_weight(*one) for one in changed.added),
        (codec.reference_weight(one.attribute, one.key, one.value) for one in changed.removed),
    )
    return expected == changed.image.digest
