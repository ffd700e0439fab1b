"""Creating objects. An account has its password from its first moment; a group has a key that makes a second attempt find the first.

Sources: https://learn.microsoft.com/graph/api/user-post-users, .../group-upsert, .../invitation-post
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from metasync.contract import Change, Context, Kind, Outcome, Result, Values
from metasync_entra import calls, errors, naming, security
from metasync_entra.calls import Answer, Call, literal
from metasync_entra.codec import Codec, is_guid, reference
from metasync_entra.domains import Domains
from metasync_entra.errors import Sense
from metasync_entra.lookup import Lookup, Young, unique_name
from metasync_entra.ownership import OWNERS, owner_calls
from metasync_entra.session import Session
from metasync_entra.standing import Standing, body, suits

_WORDS = re.compile(r"[\s,.\-_#]+")
_SETTLE = timedelta(seconds=10)
_TRIES = 12
"""How often what a new object shall be is written, until it is known everywhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """An object that is there, and what is still to be written to it: requests one after the other, each with what it is about."""

    change: Change
    identifier: str
    steps: deque[tuple[str, Call]]
    already: bool

    @property
    def result(self) -> Result:
        """Once nothing is left to be written."""
        return Result(id=self.change.id, outcome=Outcome.APPLIED, anchor=self.identifier, already=self.already)


class Creator:
    """Creates users, guests and groups."""

    def __init__(self, session: Session, codec: Codec, context: Context, lookup: Lookup, domains: Domains, young: Young) -> None:
        self.session, self.codec, self.context = session, codec, context
        self.lookup, self.domains, self.young = lookup, domains, young

    def create(self, changes: Sequence[Change]) -> Iterator[Result]:
        """One result each. Raises `Unavailable`: then it is not known whether the others were made."""
        asked: list[Call] = []
        guests: list[Change] = []
        made: list[Made] = []
        for change in changes:
            try:
                suits(self.codec, change)
                call = None if change.kind is Kind.GUEST else self._request(change)
            except ValueError as error:
                yield errors.failed(change, error)
                continue
            if change.retried and (found := self.ours(change)):
                made.append(found)
            elif call is None:
                guests.append(change)
            else:
                asked.append(call)
        for answer in self.session.batched(asked):
            yield from self._sorted(self._made(answer.call.tag, answer), made)
        for change in guests:
            yield from self._sorted(self._invite(change), made)
        yield from self._complete(made)

    @staticmethod
    def _sorted(one: Result | Made, made: list[Made]) -> Iterator[Result]:
        """A result; what is not whole yet is kept."""
        if isinstance(one, Result):
            yield one
        elif one.steps:
            made.append(one)
        else:
            yield one.result

    # -- users and groups ----------------------------------------------------------------------------------------------------------------

    def check(self, change: Change) -> None:
        """Raises `ValueError` with what is missing, or must not be so, of what shall be made."""
        if change.kind is Kind.USER:
            self._named(change)
        elif change.kind is Kind.GROUP:
            self._group(change)
        elif change.kind is Kind.GUEST:
            _address(change)
        else:
            self._request(change)

    def _request(self, change: Change) -> Call:
        """Raises `ValueError`."""
        if change.kind is Kind.USER:
            return calls.write("POST", "/users", self._user(change), repeatable=False, tag=change)
        if change.kind is Kind.GROUP:
            path = f"/groups(uniqueName={literal(unique_name(change))})"
            return calls.write("PATCH", path, self._group(change), tag=change, headers={"Prefer": "create-if-missing"})
        raise ValueError(f"Graph cannot create a {change.kind.value}; guests can stand for contacts")

    def _named(self, change: Change) -> str:
        """The sign-in name of a new user. Raises `ValueError`."""
        name, shown = change.after.get("userPrincipalName"), change.after.get("displayName")
        if not isinstance(name, str) or not isinstance(shown, str):
            raise ValueError("a new user needs userPrincipalName and displayName; add them to the mapping")
        self.domains.check_name(name, None, change.after.get("onPremisesImmutableId"))
        return name

    def _user(self, change: Change) -> dict[str, Any]:
        name = self._named(change)
        made = body(self.codec, Kind.USER, self._given(change))
        made.setdefault("mailNickname", naming.nickname(name.partition("@")[0]))
        made.setdefault("accountEnabled", False)
        made["passwordProfile"] = {
            "password": self.context.new_password(avoid=forbidden_words(change.after)),
            "forceChangePasswordNextSignIn": self.context.settings.must_change,
        }
        return made

    def _group(self, change: Change) -> dict[str, Any]:
        shown = change.after.get("displayName")
        if not isinstance(shown, str):
            raise ValueError("a new group needs displayName; add it to the mapping")
        made = body(self.codec, Kind.GROUP, self._given(change))
        unified = "Unified" in (made.get("groupTypes") or ())
        made.setdefault("groupTypes", [])
        made.setdefault("mailEnabled", unified)
        made.setdefault("securityEnabled", not unified)
        made.setdefault("mailNickname", naming.address(shown, change.tag) if unified else f"{naming.nickname(shown)[:50]}-{change.tag[:8]}")
        if made["mailEnabled"] and not unified:
            raise ValueError(
                "Graph makes no distribution list and no mail-enabled security group, Exchange does; leave it out of the scope"
            )
        return made

    def _given(self, change: Change) -> dict[str, Values | None]:
        """What is written with the create, the mark among it."""
        given = {
            name: value for name, value in change.after.items() if value is not None and name != "manager" and not self._later(change, name)
        }
        mark = self.context.settings.mark
        if mark and change.mark and mark in self.codec.tables[change.kind]:
            given[mark] = change.mark
        return dict(given)

    def _later(self, change: Change, name: str) -> bool:
        """Is it assigned only to who is there?"""
        return self.codec.known(change.kind, name).select == security.SELECT

    def _made(self, change: Change, answer: Answer) -> Result | Made:
        if answer.trouble is None:
            identifier = answer.fields.get("id")
            if isinstance(identifier, str) and is_guid(identifier):
                self.young.add(identifier)
                return self._there(change, identifier, change.after)
            return self.ours(change) or self._unknown(change, "Graph told no identifier")
        if answer.sense in (Sense.TAKEN, Sense.BROKEN, Sense.LOST) and (found := self.ours(change)):
            return found
        if answer.sense in (Sense.BROKEN, Sense.LOST):
            return self._unknown(change, errors.outcome(answer.trouble, "creating it")[1])
        return errors.failed(change, answer.trouble)

    def _there(self, change: Change, identifier: str, lacks: Mapping[str, Values | None], *, found: bool = False) -> Made:
        """The manager is a request of its own, and so are custom security attributes. `lacks`: what it does not have yet."""
        steps: deque[tuple[str, Call]] = deque()
        manager = lacks.get("manager")
        if change.kind is not Kind.GROUP and manager is not None and not isinstance(manager, tuple):
            steps.append(("its manager", manager_call(self.session, identifier, manager)))
        if change.kind is Kind.GROUP:
            steps += [("its owners", call) for call in owner_calls(self.session, identifier, None, lacks.get(OWNERS))]
        later = {name: value for name, value in lacks.items() if value is not None and self._later(change, name)}
        if later:
            call = calls.write("PATCH", f"/users/{identifier}", body(self.codec, change.kind, later))
            steps.append(("its custom security attributes", call))
        return Made(change=change, identifier=identifier, steps=steps, already=found and not steps)

    def _complete(self, made: list[Made]) -> Iterator[Result]:
        """Write what is left, one step of all objects together. Right after a create, Graph may not know the object everywhere yet."""
        tries = 0
        while made:
            yield from (one.result for one in made if not one.steps)
            going = [one for one in made if one.steps]
            made, waiting = [], False
            for answer in self.session.batched([replace(one.steps[0][1], tag=one) for one in going]):
                one: Made = answer.call.tag
                if answer.trouble is None or answer.sense is Sense.ALREADY:
                    one.steps.popleft()
                    made.append(one)
                elif answer.sense is Sense.MISSING and one.identifier in self.young and tries < _TRIES - 1:
                    made.append(one)
                    waiting = True
                else:
                    why = errors.outcome(answer.trouble, one.steps[0][0])[1]
                    detail = f"{one.change.label} was created, but not whole: {why}"
                    yield Result(id=one.change.id, outcome=Outcome.UNKNOWN, anchor=one.identifier, detail=detail)
            if waiting:
                tries += 1
                self.session.pace.until(self.session.pace.now() + _SETTLE, "the tenant does not know new objects everywhere yet")

    def _unknown(self, change: Change, why: str) -> Result:
        return Result(
            id=change.id, outcome=Outcome.UNKNOWN, detail=f"creating {change.label}: {why}; it is looked for before it is tried again"
        )

    def ours(self, change: Change) -> Made | None:
        """The object that an earlier attempt of this change made: by key or mark; without either, by its name with all values equal. What
        that attempt did not get to is still to be written; what somebody has given it since stays."""
        mark = self.context.settings.mark
        for raw in self.lookup.by_name(change.kind, change, list(change.after), mark):
            if self.is_ours(change, raw):
                there = Standing(self.codec, change.kind, raw, change.after)
                lacks = {name: value for name, value in change.after.items() if self._lacks(there, name, value)}
                return self._there(change, there.identifier, lacks, found=True)
        return None

    @staticmethod
    def _lacks(there: Standing, name: str, value: Values | None) -> bool:
        empty = there.same(name, None)
        return value is not None and not there.same(name, value) and (empty or name == OWNERS)

    def is_ours(self, change: Change, raw: Mapping[str, Any]) -> bool:
        """Was it made by this change?"""
        if change.kind is Kind.GROUP:
            return True  # found by the key that only this change uses
        mark = self.context.settings.mark
        if mark and change.mark and mark in self.codec.tables[change.kind]:
            return self.codec.decode(change.kind, raw, [mark]).get(self.codec.known(change.kind, mark).name) == change.mark
        there = Standing(self.codec, change.kind, raw, change.after)
        apart = {name for name in change.after if name == "manager" or self._later(change, name)}
        return all(there.same(name, value) for name, value in change.after.items() if name not in apart)

    # -- guests --------------------------------------------------------------------------------------------------------------------------

    def _invite(self, change: Change) -> Result | Made:
        try:
            address = _address(change)
        except ValueError as error:
            return errors.failed(change, error)
        for raw in self.lookup.by_name(Kind.GUEST, change, list(change.after), self.context.settings.mark):
            if not self.is_ours(change, raw):
                detail = f"{change.label}: {address} is somebody in the tenant already; match them, or invite another address"
                return Result(id=change.id, outcome=Outcome.CONFLICT, detail=detail)
        invitation = {
            "invitedUserEmailAddress": address,
            "inviteRedirectUrl": self.session.settings.invitation_address,
            "sendInvitationMessage": self.session.settings.send_invitations,
        }
        shown = change.after.get("displayName")
        if isinstance(shown, str):
            invitation["invitedUserDisplayName"] = shown
        answer = next(self.session.batched([calls.write("POST", "/invitations", invitation, repeatable=False, tag=change)]))
        if answer.trouble is not None:
            return self._made(change, answer)
        invited = answer.fields.get("invitedUser")
        identifier = invited.get("id") if isinstance(invited, Mapping) else None
        if not isinstance(identifier, str) or not is_guid(identifier):
            return self._unknown(change, "Graph told no identifier")
        self.young.add(identifier)
        return self._furnish(change, identifier)

    def _furnish(self, change: Change, identifier: str) -> Result | Made:
        """What an invitation does not hold. Right after it, Graph may not know the guest yet."""
        given = {name: value for name, value in self._given(change).items() if name not in ("mail",)}
        call = calls.write("PATCH", f"/users/{identifier}", body(self.codec, Kind.GUEST, given))
        for attempt in range(_TRIES if given else 0):
            answer = next(self.session.batched([call]))
            if answer.trouble is None:
                break
            if answer.sense is not Sense.MISSING or attempt == _TRIES - 1:
                why = errors.outcome(answer.trouble, "its attributes")[1]
                return Result(
                    id=change.id,
                    outcome=Outcome.UNKNOWN,
                    anchor=identifier,
                    detail=f"{change.label} was invited, but not made whole: {why}",
                )
            self.session.pace.until(
                self.session.pace.now() + _SETTLE, f"the tenant does not know the new guest {change.label} everywhere yet"
            )
        return self._there(change, identifier, change.after)


def _address(change: Change) -> str:
    """Who is invited. Raises `ValueError`."""
    address = change.after.get("mail")
    if not isinstance(address, str):
        raise ValueError("a new guest needs mail, the address that is invited; add it to the mapping")
    naming.check_invited(address)
    return address


def manager_call(session: Session, identifier: str, manager: Values | None, tag: Any = None) -> Call:
    """Give somebody a manager, or none. Raises `ValueError`."""
    path = f"/users/{identifier}/manager/$ref"
    if manager is None:
        return calls.write("DELETE", path, tag=tag)
    if isinstance(manager, tuple):
        raise ValueError("manager takes one value")
    link = f"{session.settings.cloud.graph}{calls.VERSION}/users/{reference(manager)}"
    return calls.write("PUT", path, {"@odata.id": link}, tag=tag)


def forbidden_words(after: Mapping[str, Values | None]) -> list[str]:
    """The parts of a person's names that a password may not hold."""
    found: list[str] = []
    for name in ("userPrincipalName", "mailNickname", "displayName", "givenName", "surname", "mail"):
        given = after.get(name)
        if isinstance(given, str):
            found += [given, *_WORDS.split(given.partition("@")[0])]
    return [word for word in dict.fromkeys(found) if len(word) >= 3]
