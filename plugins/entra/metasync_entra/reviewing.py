"""What Graph would refuse, known before anything is written: by the values of a change, the tenant's domains, and who masters the object.

Objects are read many at a time, by their identifiers: `$filter` takes fifteen of them
(https://learn.microsoft.com/graph/filter-query-parameter), and a batch twenty such requests. What is not found there says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from metasync.contract import Change, Kind, Objection, Operation, Reference, Values
from metasync_entra.codec import Codec, is_guid
from metasync_entra.creating import Creator
from metasync_entra.domains import Domains
from metasync_entra.eligible import misplaced
from metasync_entra.lookup import Lookup
from metasync_entra.session import Session
from metasync_entra.standing import MEMBERS, Standing, of_the_cloud, suits
from metasync_entra.streams import GROUPS, stream_of

OTHERWISE = "correct it in the mapping"
NAME = "userPrincipalName"
_LEAVE = frozenset({Operation.RESTORE, Operation.PASSWORD, Operation.SID})
"""Nothing is known of these before."""


class Reviewer:
    """One call of `review`."""

    def __init__(self, session: Session, codec: Codec, domains: Domains, creator: Creator) -> None:
        self.session, self.codec, self.domains, self.creator = session, codec, domains, creator
        self.lookup = Lookup(session, codec)

    def review(self, changes: Sequence[Change]) -> Iterator[Objection]:
        """What would be refused of these. Raises `Unavailable`."""
        asked = [_settled(change) for change in changes if change.operation not in _LEAVE]
        there = self._standing(asked)
        ineligible = misplaced(self.lookup, asked, there)
        for change in asked:
            found = self._wrong(change, there.get((change.anchor or "").lower())) or ineligible.get(change.id)
            if found is not None:
                attribute, words = found
                reason, _, remedy = words.rpartition("; ")
                yield Objection(change=change.id, attribute=attribute, reason=reason or words, remedy=remedy if reason else OTHERWISE)

    def _wrong(self, change: Change, one: Standing | None) -> tuple[str, str] | None:
        """What stands in the way: the attribute that it is about, if any, and the words."""
        if one is not None and (why := one.forbidden(change)):
            return "", why
        for name, value in change.after.items() if change.operation not in MEMBERS else ():
            try:
                suits(self.codec, replace(change, after={name: value}))
            except ValueError as error:
                return name, str(error)
        try:
            if change.operation is Operation.CREATE:
                self.creator.check(change)
            else:
                self._renamed(change, one)
        except ValueError as error:
            return NAME if NAME in change.after else "", str(error)
        return None

    def _renamed(self, change: Change, one: Standing | None) -> None:
        name = change.after.get(NAME)
        before = one.raw.get(NAME) if one is not None else change.before.get(NAME)
        if isinstance(name, str):
            self.domains.check_name(name, str(before or ""), change.after.get("onPremisesImmutableId"))

    # -- what is there -------------------------------------------------------------------------------------------------------------------

    def _standing(self, changes: Sequence[Change]) -> dict[str, Standing]:
        """Identifier -> what decides whether it may be written, of those where that is a question."""
        kinds: dict[str, Kind] = {}
        for change in changes:
            if change.anchor and is_guid(change.anchor) and change.operation is not Operation.CREATE and self._matters(change):
                kinds.setdefault(change.anchor.lower(), change.kind)
        found = self.lookup.several(kinds)
        return {anchor: Standing(self.codec, kinds[anchor], raw, ()) for anchor, raw in found.items() if anchor in kinds}

    def _matters(self, change: Change) -> bool:
        """Does it depend on the object whether it is taken? What the cloud keeps of everybody does not."""
        return stream_of(change.kind) == GROUPS or not of_the_cloud(self.codec, change)


def _settled(change: Change) -> Change:
    """Without references to what is yet to be created: these are known once they are."""
    after = {name: kept for name, value in change.after.items() if (kept := _anchored(value)) is not _NOTHING}
    return replace(change, after=after) if len(after) < len(change.after) else change


_NOTHING: Any = object()


def _anchored(value: Values | None) -> Any:
    several = value if isinstance(value, tuple) else (value,)
    return _NOTHING if any(isinstance(one, Reference) and one.key != "anchor" for one in several) else value
