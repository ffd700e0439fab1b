"""Putting members into groups and taking them out: single values, never the list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from metasync.contract import Change, Operation, Outcome, Result
from metasync_ad import dn as names
from metasync_ad import errors, lookup, primary
from metasync_ad.attributes import encode_reference
from metasync_ad.errors import Refused
from metasync_ad.session import ADD, DELETE, Modification, RawEntry, Session

MEMBERS = frozenset({Operation.MEMBER_ADD, Operation.MEMBER_REMOVE})


class Membership:
    """Members of one group at a time."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def write(self, address: str, group: RawEntry, changes: Sequence[Change]) -> Iterator[Result]:
        """All in one request; refused, one by one, where "already there" and "already gone" count as done."""
        usable: list[Change] = []
        for change in changes:
            try:
                if change.member is None:
                    raise ValueError("the change names no member")
                encode_reference(change.member)
                usable.append(change)
            except ValueError as error:
                yield errors.failed(change, error)
        try:
            if usable:
                self._request(address, usable)
        except Refused as refused:
            if errors.is_later(refused):
                yield from (errors.failed(change, refused) for change in usable)
                return
            for change in usable:
                yield self._one(address, group, change, refused if len(usable) == 1 else None)
            return
        for change in usable:
            yield Result(id=change.id, outcome=Outcome.APPLIED, anchor=change.anchor)

    def _request(self, address: str, changes: Sequence[Change]) -> None:
        steps: list[Modification] = []
        for operation, step in ((Operation.MEMBER_REMOVE, DELETE), (Operation.MEMBER_ADD, ADD)):
            held = [encode_reference(change.member).encode() for change in changes if change.operation is operation and change.member]
            if held:
                steps.append((step, list(dict.fromkeys(held))))
        self.session.modify(address, {"member": steps})

    def _one(self, address: str, group: RawEntry, change: Change, refused: Refused | None) -> Result:
        """One member by itself."""
        if refused is None:
            try:
                self._request(address, [change])
                return Result(id=change.id, outcome=Outcome.APPLIED, anchor=change.anchor)
            except Refused as error:
                refused = error
        if refused.code == errors.NO_RIGHT:  # nor, maybe, the right to see who is there
            return errors.failed(change, refused)
        assert change.member is not None  # checked by write
        member = lookup.by_dn(self.session, encode_reference(change.member), ["primaryGroupID"])
        removing = change.operation is Operation.MEMBER_REMOVE
        by_primary = member is not None and member.number("primarygroupid") == primary.rid(group)
        if member is not None and by_primary and removing:
            return Result(
                id=change.id,
                outcome=Outcome.REJECTED,
                detail=f"{change.label}: it is the primary group of {names.leaf(member.dn)[1]}, who cannot be taken out of it; "
                "give that account another primary group first",
            )
        there = by_primary or (member is not None and lookup.has_member(self.session, group.guid or "", member.dn))
        if there != removing and (removing or member is not None):
            return Result(id=change.id, outcome=Outcome.APPLIED, anchor=change.anchor, already=True)
        if member is None:
            return Result(
                id=change.id,
                outcome=Outcome.CONFLICT,
                detail=f"{change.label}: the member {change.member.value} does not exist any more; import again",
            )
        return errors.result(change.id, refused, f"{change.label}: {change.operation.value} {member.dn}")
