"""Putting members into groups and taking them out: never the list, twenty in one request, and five such requests in one batch.

Sources: https://learn.microsoft.com/graph/api/group-post-members, https://learn.microsoft.com/graph/api/group-delete-members
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from metasync.contract import Change, Operation, Outcome, Result
from metasync_entra import calls, errors
from metasync_entra.calls import VERSION, Answer, Call
from metasync_entra.codec import reference
from metasync_entra.errors import Sense
from metasync_entra.lookup import Lookup, Young
from metasync_entra.session import Session

PACK = 20
"""Members of one PATCH; it is all or nothing."""
PACKS = 5
"""Such requests in one batch: more were answered with Service Unavailable in practice."""
_SPLIT = frozenset({Sense.ALREADY, Sense.MISSING, Sense.REFUSED, Sense.TAKEN, Sense.FORBIDDEN})


class Membership:
    """Members of any groups, together."""

    def __init__(self, session: Session, lookup: Lookup, young: Young) -> None:
        self.session, self.lookup, self.young = session, lookup, young

    def write(self, changes: Iterable[Change]) -> Iterator[Result]:
        """One result each. What is there already, or gone already, is done."""
        adds: dict[str, list[Change]] = {}
        removes: list[Change] = []
        for change in changes:
            try:
                if change.member is None:
                    raise ValueError("the change names no member")
                reference(change.member)
            except ValueError as error:
                yield errors.failed(change, error)
                continue
            if change.operation is Operation.MEMBER_REMOVE:
                removes.append(change)
            else:
                adds.setdefault(str(change.anchor), []).append(change)
        yield from self._add(adds)
        yield from self._remove(removes)

    def _add(self, adds: dict[str, list[Change]]) -> Iterator[Result]:
        packs = [of_group[start : start + PACK] for of_group in adds.values() for start in range(0, len(of_group), PACK)]
        singles: list[Change] = []
        for answer in self.session.batched([self._pack(pack) for pack in packs], size=PACKS):
            pack: list[Change] = answer.call.tag
            if answer.trouble is None:
                yield from (_applied(change) for change in pack)
            elif len(pack) > 1 and answer.sense in _SPLIT:
                singles += pack
            else:
                yield from (self._added(change, answer) for change in pack)
        for answer in self.session.batched([self._single(change) for change in singles]):
            yield self._added(answer.call.tag, answer)

    def _pack(self, pack: list[Change]) -> Call:
        body = {"members@odata.bind": [self._link(change) for change in pack]}
        return calls.write("PATCH", f"/groups/{pack[0].anchor}", body, tag=pack)

    def _single(self, change: Change) -> Call:
        """Repeatable, for who is there already is answered as such."""
        return calls.write("POST", f"/groups/{change.anchor}/members/$ref", {"@odata.id": self._link(change)}, tag=change)

    def _link(self, change: Change) -> str:
        assert change.member is not None  # checked by write
        return f"{self.session.settings.cloud.graph}{VERSION}/directoryObjects/{change.member.value}"

    def _added(self, change: Change, answer: Answer) -> Result:
        if answer.trouble is None:
            return _applied(change)
        if answer.sense is Sense.ALREADY:
            return _applied(change, already=True)
        assert change.member is not None
        if answer.sense is Sense.MISSING:
            if self.young.perhaps(change, change.anchor, change.member.value) and not self.lookup.deleted([change.member.value]):
                return too_young(change)
            detail = f"{change.label}: the member {change.member.value} or the group does not exist any more; import again"
            return Result(id=change.id, outcome=Outcome.CONFLICT, detail=detail)
        return errors.failed(change, answer.trouble)

    def _remove(self, removes: list[Change]) -> Iterator[Result]:
        asked = [
            calls.write("DELETE", f"/groups/{change.anchor}/members/{change.member.value}/$ref", tag=change)
            for change in removes
            if change.member is not None
        ]
        for answer in self.session.batched(asked):
            change: Change = answer.call.tag
            if answer.trouble is None or answer.sense is Sense.MISSING:
                yield _applied(change, already=answer.trouble is not None)
            else:
                yield errors.failed(change, answer.trouble)


def _applied(change: Change, *, already: bool = False) -> Result:
    return Result(id=change.id, outcome=Outcome.APPLIED, anchor=change.anchor, already=already)


def too_young(change: Change) -> Result:
    """Graph does not show everywhere what was made a moment ago: that is no refusal."""
    return Result(
        id=change.id,
        outcome=Outcome.RETRY,
        retry_after=timedelta(seconds=20),
        detail=f"{change.label}: what was made a moment ago is not known everywhere in the tenant yet; it is tried again",
    )
