"""Bringing back what lies in the bin, for 30 days (https://learn.microsoft.com/graph/api/directory-deleteditems-restore)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from metasync.contract import Allow, Change, Outcome, Result, Values
from metasync_entra import calls, errors, security
from metasync_entra.codec import Codec, is_guid
from metasync_entra.domains import Domains
from metasync_entra.lookup import Lookup
from metasync_entra.session import Session
from metasync_entra.standing import Standing, body
from metasync_entra.streams import stream_of

LOST = "Microsoft does not say whether memberships, owners and managers return; the next plan shows what is missing"


class Restorer:
    """Restores objects."""

    def __init__(self, session: Session, codec: Codec, lookup: Lookup, domains: Domains) -> None:
        self.session, self.codec, self.lookup, self.domains = session, codec, lookup, domains

    def restorable(self, anchors: Collection[str]) -> Mapping[str, str]:
        """Per anchor what may not return; absent: it does not lie in the bin."""
        return dict.fromkeys(self.lookup.deleted(anchors), LOST)

    def restore(self, change: Change) -> Result:
        """One result. Raises `Unavailable`."""
        anchor = (change.anchor or "").lower()
        if not is_guid(anchor):
            return self._refuse(change, "it has no identifier of this tenant")
        there = self.lookup.of({anchor: (change.kind, change.after)})
        if anchor in there:
            return self._whole(change, anchor, already=True) if change.retried else _applied(change, anchor, already=True)
        if anchor not in self.lookup.deleted([anchor]):
            return self._refuse(change, "it does not lie in the tenant's bin any more; create it anew")
        call = calls.write("POST", f"/directory/deletedItems/{anchor}/restore", {}, repeatable=False)
        answer = next(self.session.batched([call]))
        if answer.trouble is not None:
            return errors.failed(change, answer.trouble)
        return self._whole(change, anchor)

    def _whole(self, change: Change, anchor: str, *, already: bool = False) -> Result:
        """Write what did not come back as it was."""
        wanted = {name: value for name, value in change.after.items() if self._writable(change, name)}
        raw = self.lookup.of({anchor: (change.kind, wanted)}).get(anchor)
        if raw is not None:
            there = Standing(self.codec, change.kind, raw, wanted)
            wanted = {name: value for name, value in wanted.items() if not there.same(name, value)}
        try:
            written = body(self.codec, change.kind, wanted)
        except ValueError as error:
            return self._not_whole(change, anchor, str(error))
        for part in security.apart(written):
            answer = next(self.session.batched([calls.write("PATCH", f"/{stream_of(change.kind)}/{anchor}", part)]))
            if answer.trouble is not None:
                return self._not_whole(change, anchor, errors.outcome(answer.trouble, "its attributes")[1])
        return _applied(change, anchor, already=already)

    def _writable(self, change: Change, name: str) -> bool:
        """What may be written, references aside, which the next plan writes."""
        try:
            known = self.codec.known(change.kind, name)
        except ValueError:
            return False
        value: Values | None = change.after[name]
        return known.select is not None and (Allow.CLEAR if value is None else Allow.UPDATE) in known.schema.allow

    def _not_whole(self, change: Change, anchor: str, why: str) -> Result:
        return Result(id=change.id, outcome=Outcome.UNKNOWN, anchor=anchor, detail=f"{change.label} is back, but not whole: {why}")

    def _refuse(self, change: Change, why: str) -> Result:
        return Result(id=change.id, outcome=Outcome.REJECTED, detail=f"restoring {change.label}: {why}")


def _applied(change: Change, anchor: str, *, already: bool = False) -> Result:
    return Result(id=change.id, outcome=Outcome.APPLIED, anchor=anchor, already=already)
