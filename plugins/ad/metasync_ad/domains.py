"""Several naming contexts in one directory: child domains by their own controllers, or further contexts of the same ones.

Each is read, followed and written by itself, over a line of its own and with a cursor of its own; to the engine they are one directory.
Which of them an object stands in is asked of each by its anchor. An object that was moved from one into another keeps its anchor.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from metasync.contract import Change, Check, Context, CursorExpired, Entry, Gone, Item, Kind, Operation, Page, ReadRequest
from metasync_ad import dn as names
from metasync_ad import lookup
from metasync_ad.lines import Lines
from metasync_ad.session import Session
from metasync_ad.settings import Settings

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Domain:
    """One naming context."""

    settings: Settings
    lines: Lines

    @property
    def session(self) -> Session:
        """Its first connection."""
        return self.lines.first

    @property
    def base(self) -> str:
        """Its head."""
        return self.settings.base


def split(settings: Settings, context: Context) -> tuple[Domain, ...]:
    """The document's own domain first, then the further ones."""
    found = [replace(settings, further={})]
    for base, servers in settings.further.items():
        if servers:
            own = replace(settings, base=base, servers=servers, domain=None, site=None, certificate_name=None, further={})
        elif settings.domain:
            own = replace(settings, base=base, domain=names.domain(base), further={})
        else:
            own = replace(settings, base=base, further={})
        found.append(own)
    allowed = context.settings.connections
    each = settings.connections if allowed is None else max(1, min(settings.connections, allowed // len(found)))
    return tuple(Domain(one, Lines(one, context, each)) for one in found)


def home(domains: Sequence[Domain], place: str) -> Domain | None:
    """The domain that a place lies in: that of the longest base, for one may lie below another by name."""
    inside = [one for one in domains if names.is_under(place, one.base)]
    return max(inside, key=lambda one: len(names.split(one.base)), default=None)


def places(domains: Sequence[Domain], own: Domain, every: Mapping[Kind, Sequence[str]]) -> Mapping[Kind, tuple[str, ...]]:
    """What of the document's texts about places is a path in this domain."""
    return {
        kind: tuple(text for text in texts if names.valid(text) and text and home(domains, text) is own) for kind, texts in every.items()
    }


def scoped(domains: Sequence[Domain], under: Sequence[str]) -> list[tuple[Domain, tuple[str, ...]]]:
    """The domains to read, each with what of `under` lies in it; nothing named is all of them."""
    shares = [(one, tuple(place for place in under if home(domains, place) is one)) for one in domains]
    return [(one, places) for one, places in shares if places or not under]


# -- reading ------------------------------------------------------------------------------------------------------------------------------

Read = Callable[[Domain, ReadRequest], Iterator[Page]]
Follow = Callable[[Domain, ReadRequest, str], Iterator[Page]]


def read(domains: Sequence[Domain], request: ReadRequest, each: Read, follow: Follow) -> Iterator[Page]:
    """All of them, one after another. What is moved meanwhile from one that is still to be read into one that was read is found by the
    changes of those that were read. A read that was interrupted begins anew."""
    cursors: dict[str, str | None] = {}
    seen: set[str] = set()
    parts = scoped(domains, request.under)
    for domain, under in parts:
        complete = False
        for page in each(domain, replace(request, under=under, resume=None)):
            items = tuple(item for item in page.items if item.anchor is None or item.anchor not in seen)
            seen.update(item.anchor for item in items if item.anchor is not None)
            if page.complete:
                complete, cursors[domain.base] = True, page.cursor
            if items or not page.complete:
                yield Page(items=items)
        if not complete:
            return
    for domain, under in parts[:-1]:
        cursor = cursors[domain.base]
        complete = cursor is None
        for page in follow(domain, replace(request, under=under, resume=None), cursor) if cursor else ():
            complete = page.complete
            if came := tuple(item for item in page.items if isinstance(item, Entry) and item.anchor not in seen):
                seen.update(item.anchor for item in came)
                yield Page(items=came)
        if not complete:
            return
    yield Page(complete=True, cursor=joined(cursors))


def joined(cursors: Mapping[str, str | None]) -> str | None:
    """One cursor of all; none where one of them has none."""
    known = {base: cursor for base, cursor in cursors.items() if cursor is not None}
    return json.dumps({"domains": known}) if len(known) == len(cursors) else None


def follow(domains: Sequence[Domain], request: ReadRequest, cursor: str, each: Follow) -> Iterator[Page]:
    """What changed in each. Who left one may have come into another: that somebody is gone is said last, and of nobody who came."""
    parts = scoped(domains, request.under)
    known = _parted(cursor)
    if known.keys() != {domain.base for domain, _ in parts}:
        raise CursorExpired("the last import read other naming contexts than those of the document")
    following: dict[str, str | None] = {}
    alive: set[str] = set()
    gone: dict[str, Gone] = {}
    for domain, under in parts:
        complete = False
        for page in each(domain, replace(request, under=under, resume=None), known[domain.base]):
            came: list[Item] = []
            for item in page.items:
                if isinstance(item, Gone):
                    gone[item.anchor] = item
                else:
                    came.append(item)
                    alive.update(() if item.anchor is None else (item.anchor,))
            if page.complete:
                complete, following[domain.base] = True, page.cursor
            if came or not page.complete:
                yield Page(items=tuple(came))
        if not complete:
            return
    left = [one for anchor, one in gone.items() if anchor not in alive]
    for at in range(0, len(left), request.page_size):
        yield Page(items=tuple(left[at : at + request.page_size]))
    yield Page(complete=True, cursor=joined(following))


def _parted(cursor: str) -> Mapping[str, str]:
    try:
        known = json.loads(cursor)["domains"]
        return {str(base): str(text) for base, text in known.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise CursorExpired("the last import read one naming context, and there are several now") from None


# -- writing ------------------------------------------------------------------------------------------------------------------------------


def routed(domains: Sequence[Domain], changes: Sequence[Change]) -> Iterator[tuple[Domain, list[Change]]]:
    """Each domain with the changes that are its own, in their order; what stands in none of them goes to the first, which says so."""
    homes = _homes(domains, [one.anchor for one in changes if one.anchor])
    shares: dict[str, list[Change]] = {}
    for change in changes:
        path = change.after.get("path")
        if change.operation is Operation.CREATE and isinstance(path, str):
            found = home(domains, path)
        else:
            found = homes.get((change.anchor or "").lower())
        shares.setdefault((found or domains[0]).base, []).append(change)
    for domain in domains:
        if own := shares.get(domain.base):
            yield domain, own


def _homes(domains: Sequence[Domain], anchors: Collection[str]) -> dict[str, Domain]:
    """Where each stands, also as a deleted object."""
    found: dict[str, Domain] = {}
    for search in (lookup.by_anchor, lookup.deleted):
        for domain in domains:
            left = [anchor for anchor in anchors if anchor.lower() not in found]
            found |= {anchor.lower(): domain for anchor in (search(domain.session, domain.base, left, ()) if left else ())}
    return found


# -- checking -----------------------------------------------------------------------------------------------------------------------------


def merged(checks: Sequence[Check]) -> Check:
    """What was found of all, under the identity of the first."""

    def every(part: Callable[[Check], Sequence[Answer]]) -> tuple[Answer, ...]:
        return tuple(dict.fromkeys(one for check in checks for one in part(check)))

    return replace(
        checks[0],
        granted=every(lambda one: one.granted),
        missing=every(lambda one: one.missing),
        excessive=every(lambda one: one.excessive),
        warnings=every(lambda one: one.warnings),
        rights=every(lambda one: one.rights),
    )
