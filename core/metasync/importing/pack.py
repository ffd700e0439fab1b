"""Items of a page, ready to be compared and stored. Nothing here needs the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from metasync.contract import Entry, Gone, Item, Kind, Patch, Reject, Values
from metasync.importing.request import Request
from metasync.store import codec
from metasync.store.normalise import LONGEST, short, storable


class Packed(NamedTuple):
    """An entry, ready to be compared and stored. `plain` has no references."""

    anchor: str
    kind: Kind
    plain: Mapping[str, Values | None]
    blob: bytes
    digest: bytes
    references: Sequence[tuple[str, str, str]]


@dataclass(slots=True)
class Batch:
    """Items about different objects."""

    entries: list[Packed] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    unlinked: list[str] = field(default_factory=list)
    """Those of `gone` that nothing refers to any more."""
    rejects: list[Reject] = field(default_factory=list)


def batches(items: Sequence[Item], request: Request, link_keys: set[str], *, first: bool) -> list[Batch]:
    """What cannot be stored becomes a reject, and no object is in one batch twice. `first`: a first load finds repeated anchors at its end.

    The names by which references are made are added to `link_keys`.
    """
    if first or len({item.anchor for item in items}) == len(items):
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


def _batch(items: Iterable[Item], request: Request, link_keys: set[str]) -> Batch:
    batch = Batch()
    entries, kinds = batch.entries, request.kinds
    for item in items:
        if isinstance(item, Entry):
            packed = _pack(item, kinds, link_keys)
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


def _pack(entry: Entry, kinds: Collection[Kind], link_keys: set[str]) -> Packed | Reject:
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
    return tuple.__new__(Packed, (anchor, kind, plain, blob, digest, links))


def _anchor_reject(anchor: str) -> Reject | None:
    """Why an object cannot be known by this anchor; None: it can."""
    if not anchor or storable(anchor) != anchor:
        return Reject(where=storable(anchor) or "an entry", reason="its anchor is empty or is no text; correct it in the directory")
    if len(anchor) > LONGEST:
        reason = f"its anchor has {len(anchor):,} characters, and none may have more than {LONGEST}; make another attribute the anchor"
        return Reject(where=short(anchor), anchor=anchor, reason=reason)
    return None
