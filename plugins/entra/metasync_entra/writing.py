"""Applying changes: what is there is read first and compared with `before`; then many objects are written in few requests.

Graph offers no condition on a write, so that between the comparison and the write a moment remains (docs/connectors/entra.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from metasync.contract import Change, Context, Kind, Operation, Outcome, Reference, Result
from metasync_entra import calls, errors, security
from metasync_entra.calls import Answer, Call
from metasync_entra.codec import Codec
from metasync_entra.creating import Creator, manager_call
from metasync_entra.domains import Domains
from metasync_entra.eligible import misplaced
from metasync_entra.errors import Sense
from metasync_entra.lookup import Lookup, Young
from metasync_entra.membership import Membership, too_young
from metasync_entra.ownership import OWNERS, identifiers, owner_calls
from metasync_entra.restoring import Restorer
from metasync_entra.session import Session
from metasync_entra.standing import MEMBERS, Drifted, Standing, body, runs
from metasync_entra.streams import USERS, stream_of


@dataclass(kw_only=True, slots=True)
class Request:
    """Changes of one object that go together, and the requests that make them, one after the other."""

    standing: Standing
    changes: list[Change]
    steps: list[Call] = field(default_factory=list)
    done: int = 0


class Writer:
    """One call of `write`."""

    def __init__(self, session: Session, codec: Codec, context: Context, domains: Domains, young: Young) -> None:
        self.session, self.codec, self.context, self.domains, self.young = session, codec, context, domains, young
        self.lookup = Lookup(session, codec)
        self.creator = Creator(session, codec, context, self.lookup, domains, young)
        self.restorer = Restorer(session, codec, self.lookup, domains)
        self.membership = Membership(session, self.lookup, young)
        self.ineligible: dict[str, tuple[str, str]] = {}
        """Changes that refer to a group where only a user may stand."""

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        """Exactly one result each. Raises `Unavailable`: results already given stand."""
        standing = self._standing(changes)
        self.ineligible = misplaced(self.lookup, changes, standing)
        of_object: dict[str, list[Change]] = {}
        for change in changes:
            of_object.setdefault((change.anchor or f"create {change.id}").lower(), []).append(change)
        waiting = [runs(of_one) for of_one in of_object.values()]
        while waiting:
            yield from self._round(standing, [of_one.pop(0) for of_one in waiting])
            waiting = [of_one for of_one in waiting if of_one]

    def _standing(self, changes: Sequence[Change]) -> dict[str, Standing]:
        """What the tenant holds now, of all objects that these changes concern."""
        named: dict[str, tuple[Kind, set[str]]] = {}
        for change in changes:
            if change.anchor is not None and change.operation not in (Operation.CREATE, Operation.RESTORE):
                named.setdefault(change.anchor.lower(), (change.kind, set()))[1].update((*change.before, *change.after))
        found = self.lookup.of(named)
        return {anchor: Standing(self.codec, named[anchor][0], raw, named[anchor][1]) for anchor, raw in found.items()}

    def _round(self, standing: Mapping[str, Standing], together: list[list[Change]]) -> Iterator[Result]:
        """One run of each object."""
        created: list[Change] = []
        members: list[Change] = []
        requests: list[Request] = []
        missing: list[Change] = []
        for of_object in together:
            operation = of_object[0].operation
            if operation is Operation.CREATE and of_object[0].id in self.ineligible:
                yield errors.failed(of_object[0], ValueError(self.ineligible[of_object[0].id][1]))
                continue
            if operation is Operation.CREATE:
                created += of_object
                continue
            if operation is Operation.RESTORE:
                yield from map(self.restorer.restore, of_object)
                continue
            one = standing.get((of_object[0].anchor or "").lower())
            if one is None:
                missing += of_object
                continue
            ready: list[Change] = []
            for change in of_object:
                result = self._settled(one, change)
                if result is None:
                    ready.append(change)
                else:
                    yield result
            if not ready:
                continue
            if operation in MEMBERS:
                members += ready
            else:
                requests.append(self._request(one, ready))
        yield from self._missing(missing)
        yield from self.creator.create(created)
        yield from self._send(requests)
        yield from self.membership.write(members)

    # -- before anything is written ------------------------------------------------------------------------------------------------------

    def _settled(self, one: Standing, change: Change) -> Result | None:
        """The result of what needs no request, or must not become one."""
        try:
            if one.is_done(change):
                return Result(id=change.id, outcome=Outcome.APPLIED, anchor=change.anchor, already=True)
            if why := one.forbidden(change):
                raise ValueError(why)
            if change.id in self.ineligible:
                raise ValueError(self.ineligible[change.id][1])
            name, immutable = change.after.get("userPrincipalName"), change.after.get("onPremisesImmutableId")
            if isinstance(name, str):
                self.domains.check_name(name, str(one.raw.get("userPrincipalName") or ""), immutable)
        except Drifted as drifted:
            return Result(id=change.id, outcome=Outcome.CONFLICT, detail=f"{change.label}: {drifted}")
        except ValueError as error:
            return errors.failed(change, error)
        return None

    def _missing(self, changes: Sequence[Change]) -> Iterator[Result]:
        """One answer that something does not exist proves nothing: what is young, also by another process, may not be known everywhere. It
        is gone where it lies in the bin, or where a later attempt does not find it either."""
        old = {change.anchor.lower(): (change.kind, ()) for change in changes if change.anchor and change.anchor not in self.young}
        there = self.lookup.of(old) if old else {}
        binned = self.lookup.deleted(one for one in old if one not in there) if old else {}
        for change in changes:
            anchor = (change.anchor or "").lower()
            leaving = change.operation in (Operation.DELETE, Operation.MEMBER_REMOVE)
            if anchor in there or (anchor not in binned and not (leaving and anchor in old) and self.young.perhaps(change, anchor)):
                yield too_young(change)
            elif leaving:
                yield Result(id=change.id, outcome=Outcome.APPLIED, anchor=change.anchor, already=True)
            else:
                detail = f"{change.label} does not exist any more in {self.context.directory}; import again"
                yield Result(id=change.id, outcome=Outcome.CONFLICT, detail=detail)

    # -- requests ------------------------------------------------------------------------------------------------------------------------

    def _request(self, one: Standing, changes: list[Change]) -> Request:
        request = Request(standing=one, changes=changes)
        path = f"/{stream_of(one.kind)}/{one.identifier}"
        if changes[0].operation is Operation.DELETE:
            request.steps.append(calls.write("DELETE", path, tag=request))
            return request
        after = {name: value for change in changes for name, value in change.after.items() if not one.same(name, value)}
        if "manager" in after and stream_of(one.kind) == USERS:
            request.steps.append(manager_call(self.session, one.identifier, after["manager"], tag=request))
        if OWNERS in after and one.kind is Kind.GROUP:
            request.steps += owner_calls(self.session, one.identifier, one.attributes.get(OWNERS), after[OWNERS], tag=request)
        for written in security.apart(body(self.codec, one.kind, after)):
            request.steps.append(calls.write("PATCH", path, written, tag=request))
        return request

    def _send(self, requests: list[Request]) -> Iterator[Result]:
        """Step by step, each step of all objects together."""
        while requests:
            further: list[Request] = []
            for answer in self.session.batched([one.steps[one.done] for one in requests]):
                request: Request = answer.call.tag
                clears = answer.call.method == "DELETE"
                there = answer.sense is Sense.ALREADY
                if (
                    answer.trouble is None
                    or there
                    or (clears and answer.sense is Sense.MISSING and request.standing.identifier not in self.young)
                ):
                    request.done += 1
                    if request.done < len(request.steps):
                        further.append(request)
                    else:
                        yield from self._applied(request, already=answer.trouble is not None)
                elif len(request.changes) > 1 and not request.done and answer.sense in _SPLIT:
                    further += [self._request(request.standing, [change]) for change in request.changes]
                else:
                    yield from (self._refused(request, change, answer) for change in request.changes)
            requests = further

    def _applied(self, request: Request, *, already: bool) -> Iterator[Result]:
        for change in request.changes:
            request.standing.take(change.after)
            yield Result(id=change.id, outcome=Outcome.APPLIED, anchor=change.anchor, already=already)

    def _refused(self, request: Request, change: Change, answer: Answer) -> Result:
        assert answer.trouble is not None
        if answer.sense is Sense.MISSING:
            manager = change.after.get("manager")
            concerned = [request.standing.identifier, *([manager.value] if isinstance(manager, Reference) else [])]
            concerned += identifiers(change.after.get(OWNERS)).values()
            if self.young.perhaps(change, *concerned) and not self.lookup.deleted(concerned):
                return too_young(change)
        result = errors.failed(change, answer.trouble)
        if request.done and result.outcome is not Outcome.RETRY:
            return Result(id=change.id, outcome=Outcome.UNKNOWN, detail=f"{result.detail}; a part of it was written")
        return result


_SPLIT = frozenset({Sense.REFUSED, Sense.TAKEN, Sense.FORBIDDEN, Sense.MASTERED, Sense.MISSING})
