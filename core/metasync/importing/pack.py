"""Items of a page, ready to be compared and stored. Nothing here needs the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import xxhash

from metasync.contract import Entry, Gone, ImportIncomplete, Item, Kind, MetasyncError, Patch, Reject, Values, Versioned
from metasync.importing.request import Request
from metasync.store import codec
from metasync.store.normalise import LONGEST, short, storable
from metasync.words import failure


class Packed(NamedTuple):
    """An entry, ready to be compared and stored. `plain` has no references."""

    anchor: str
    kind: Kind
    plain: Mapping[str, Values | None]
    blob: bytes
    digest: bytes
    references: Sequence[tuple[str, str, str]]
    version: bytes | None
    """As it is stored (`stored_version`)."""


@dataclass(slots=True)
class Batch:
    """Items about different objects."""

    entries: list[Packed] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    unlinked: list[str] = field(default_factory=list)
    """Those of `gone` that nothing refers to any more."""
    rejects: list[Reject] = field(default_factory=list)
    items: Sequence[Item] = ()
    """Instead of all that stands above: items some of which are `Versioned`, to be worked out (`worked_out`) where they must."""
    unchanged: list[str] = field(default_factory=list)
    """Anchors of those that need not be worked out."""


def batches(items: Sequence[Item], request: Request, link_keys: set[str], *, first: bool) -> list[Batch]:
    """What cannot be stored becomes a reject, and no object is in one batch twice. `first`: a first load finds repeated anchors at its end.

    The names by which references are made are added to `link_keys`.
    """
    if first:
        return [worked_out(items, request, link_keys)]
    if len({item.anchor for item in items}) == len(items):
        return [_batch(items, request, link_keys)]
    parts: list[list[Item]] = [[]]
    anchors: set[str | None] = set()
    for item in items:
        if item.anchor is not None and item.anchor in anchors:
            parts.append([])
            anchors.clear()
        anchors.add(item.anchor)
        parts[-1].append(item)
    return [_batch(one, request, link_keys) for one in parts]


def _batch(items: Sequence[Item], request: Request, link_keys: set[str]) -> Batch:
    if any(item.__class__ is Versioned for item in items):
        return Batch(items=items)
    return worked_out(items, request, link_keys)


def worked_out(items: Iterable[Item], request: Request, link_keys: set[str]) -> Batch:
    """The batch of these items, each of which is looked at."""
    batch = Batch()
    entries, kinds, basis = batch.entries, request.kinds, request.basis
    for item in items:
        if isinstance(item, Versioned):
            item = _read(item)
        if isinstance(item, Entry):
            packed = _pack(item, kinds, link_keys, basis)
            if isinstance(packed, Packed):
                entries.append(packed)
            else:
                batch.rejects.append(packed)
        elif isinstance(item, Patch):
            batch.patches.append(item)
        elif isinstance(item, Gone):
            batch.gone.append(item.anchor)
            if item.unlinked:
                batch.unlinked.append(item.anchor)
        else:
            batch.rejects.append(item)
    return batch


def _read(item: Versioned) -> Entry | Reject:
    """What the connector makes of it. Its own mistake breaks the import off, as one in making pages does."""
    try:
        found = item.read()
        if found.anchor != item.anchor and not (isinstance(found, Reject) and found.anchor is None):
            raise ValueError(f"it was announced as {item.anchor} and came as {found.anchor}")
    except MetasyncError:
        raise
    except (Exception, SystemExit) as error:
        text = f"its connector failed at {item.anchor}: {failure(error)}; this is a mistake in the plugin, tell its author"
        raise ImportIncomplete(f"the directory was not read to its end, and nothing was deleted: {text}") from error
    return found


def stored_version(basis: bytes, version: bytes) -> bytes:
    """What a version is stored as: another one as soon as anything is another that values follow from (`Request.basis`)."""
    return xxhash.xxh3_128_digest(basis + version)


def _pack(entry: Entry, kinds: Collection[Kind], link_keys: set[str], basis: bytes | None) -> Packed | Reject:
    anchor, kind = entry.anchor, entry.kind
    if not (anchor.isascii() and anchor.isprintable() and 0 < len(anchor) <= LONGEST) and (reject := _anchor_reject(anchor)) is not None:
        return reject
    if kind not in kinds:
        return Reject(where=anchor, anchor=anchor, reason=f"it is a {kind}, which was not asked for; report this to the connector's author")
    try:
        plain, blob, digest, links = codec.pack(entry.attributes)
    except (TypeError, ValueError) as error:
        return Reject(where=anchor, anchor=anchor, reason=f"one of its values cannot be stored: {error}")
    for _, key, _ in links:
        link_keys.add(key)
    # As `Packed(...)` does it, without the function that each named tuple has for it.
    version = None if entry.version is None or basis is None else stored_version(basis, entry.version)
    return tuple.__new__(Packed, (anchor, kind, plain, blob, digest, links, version))


def _anchor_reject(anchor: str) -> Reject | None:
    """Why an object cannot be known by this anchor; None: it can."""
    if not anchor or storable(anchor) != anchor:
        return Reject(where=storable(anchor) or "an entry", reason="its anchor is empty or is no text; correct it in the directory")
    if len(anchor) > LONGEST:
        reason = f"its anchor has {len(anchor):,} characters, and none may have more than {LONGEST}; make another attribute the anchor"
        return Reject(where=short(anchor), anchor=anchor, reason=reason)
    return None
