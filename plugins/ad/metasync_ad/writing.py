"""Applying changes: what is there is read first and compared with `before`; changes of one object that fit together become one request.

A request is all or nothing. When one that carried several changes is refused, each is tried by itself: one bad value stops no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from metasync.contract import Change, Context, ImportIncomplete, Operation, Outcome, Result, Values
from metasync_ad import accounts, errors, groups, lookup, protected
from metasync_ad import dn as names
from metasync_ad.attributes import IDENTITY, PROTECTION, Codec, check_length, privileged, same, standard
from metasync_ad.creating import Creator, Made, check_name
from metasync_ad.errors import Refused
from metasync_ad.membership import MEMBERS, Membership
from metasync_ad.ranges import complete_ranges
from metasync_ad.restoring import Restorer
from metasync_ad.schema import DirectorySchema, Syntax
from metasync_ad.session import ADD, DELETE, REPLACE, Modification, RawEntry, Session
from metasync_ad.settings import Settings

VALUES = frozenset({Operation.UPDATE, Operation.CLEAR, Operation.SIGN_IN})
PLACES = frozenset({Operation.RENAME, Operation.MOVE})
SWITCHES = frozenset({Operation.ENABLE, Operation.DISABLE})
AT_ONCE = 20
"""Creates that are read back together: so many have no result yet where the line breaks, and are read back by their marks."""
STATE = ("userAccountControl", "pwdLastSet", "lastLogonTimestamp")
"""What is known of an account's state before it is switched."""
_ROUNDS = (VALUES, PLACES, SWITCHES, MEMBERS)


class Refusal(Exception):
    """Why a change is not even tried."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome


def refused(change: Change, refusal: Refusal) -> Result:
    """Its result."""
    later = errors.PAUSE if refusal.outcome is Outcome.RETRY else None
    return Result(id=change.id, outcome=refusal.outcome, detail=str(refusal), retry_after=later)


class Standing:
    """One object during a call: as it was read, and what was written since."""

    def __init__(self, entry: RawEntry, attributes: dict[str, Values], *, protected: bool = False) -> None:
        self.entry = entry
        self.dn = entry.dn
        """Where it was when it was read: for messages, and to compare with. Its containers may be renamed meanwhile."""
        self.address = f"<GUID={entry.guid}>"
        """What requests name, renames excepted: whoever has its name by now is not meant (MS-ADTS 3.1.1.3.1.2.4)."""
        self.attributes = attributes
        self.control = entry.number("useraccountcontrol")
        self.privileged = protected or privileged(entry)
        last, signed_in = entry.number("pwdlastset"), "lastlogontimestamp" in entry.attributes
        self.may_lack_password = self.control is not None and accounts.may_lack_password(self.control, last, signed_in)
        self.group_type: int | None = None
        """As it was written last."""
        self._written: set[str] = set()

    def further(self, name: str) -> Sequence[bytes]:
        """Values of an attribute that were there and count for nothing, until it was written."""
        return () if name.lower() in self._written else self.entry.attributes.get(name.lower(), ())

    def take(self, after: Mapping[str, Values | None]) -> None:
        """Remember what was written."""
        for name, value in after.items():
            self._written.add(name.lower())
            if value is None:
                self.attributes.pop(standard(name), None)
            else:
                self.attributes[standard(name)] = value


class Writer:
    """One call of `write`."""

    def __init__(self, session: Session, codec: Codec, settings: Settings, context: Context) -> None:
        self.session, self.codec, self.context = session, codec, context
        self.base = settings.base
        self.schema: DirectorySchema = codec.schema
        self.creator = Creator(session, codec, context, settings.base)
        self.restorer = Restorer(session, codec, context, settings.base)
        self.members = Membership(session)

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        """Exactly one result each. Raises `Unavailable`: results already given stand."""
        standing = self._standing(changes)
        order: dict[str, list[Change]] = {}
        for change in changes:
            order.setdefault(change.anchor or f"create {change.id}", []).append(change)
        made: list[Made] = []
        for key, of_object in order.items():
            for together in runs(of_object):
                first = together[0]
                if made and (first.operation is not Operation.CREATE or len(made) == AT_ONCE):
                    yield from self.creator.anchors(made)
                    made = []
                if first.operation is Operation.CREATE:
                    result = self.creator.create(first)
                    if isinstance(result, Made):
                        made.append(result)
                    else:
                        yield result
                elif first.operation is Operation.RESTORE:
                    yield self.restorer.restore(first)
                else:
                    yield from self._apply(standing, key, together)
        yield from self.creator.anchors(made)

    def _standing(self, changes: Sequence[Change]) -> dict[str, Standing | Refusal]:
        """What the directory holds now, of all objects that these changes concern; or why that cannot be told of one."""
        asked: dict[str, set[str]] = {}
        for change in changes:
            if change.anchor is not None and change.operation not in (Operation.CREATE, Operation.RESTORE):
                named = {standard(name) for name in (*change.before, *change.after)}
                if change.operation in MEMBERS:
                    named.discard("members")  # of a large group; the request itself says whether it was there
                asked.setdefault(change.anchor.lower(), set()).update(named)
        wanted = set().union(*asked.values()) if asked else set()
        wire = [*IDENTITY, *PROTECTION, *STATE, *self.codec.wire(sorted(wanted))]
        protected_ones = protected.among(self.session, self.base, asked)
        found: dict[str, Standing | Refusal] = {}
        for anchor, entry in lookup.by_anchor(self.session, self.base, asked, dict.fromkeys(wire)).items():
            try:
                decoded = self.codec.decode(complete_ranges(self.session, entry), asked[anchor])
                found[anchor] = Standing(entry, decoded, protected=anchor in protected_ones)
            except (ValueError, ImportIncomplete) as error:  # of one object, and so no matter of the others
                outcome = Outcome.RETRY if isinstance(error, ImportIncomplete) else Outcome.REJECTED
                found[anchor] = Refusal(outcome, f"{entry.dn} cannot be compared with the plan: {error}")
        return found

    # -- one object --------------------------------------------------------------------------------------------------------------------

    def _apply(self, standing: dict[str, Standing | Refusal], key: str, changes: Sequence[Change]) -> Iterator[Result]:
        anchor = key.lower()
        one = standing.get(anchor)
        if isinstance(one, Refusal):
            yield from (refused(change, one) for change in changes)
            return
        ready: list[Change] = []
        for change in changes:
            try:
                if one is None:
                    yield self._missing(change)
                elif self._already(one, change):
                    yield Result(id=change.id, outcome=Outcome.APPLIED, anchor=change.anchor, already=True)
                else:
                    ready.append(change)
            except Refusal as refusal:
                yield refused(change, refusal)
        if one is None or not ready:
            return
        operation = ready[0].operation
        if operation in VALUES:
            yield from self._together(one, ready, self._write_values)
        elif operation in PLACES:
            yield from self._together(one, ready, self._write_place)
        elif operation in MEMBERS:
            yield from self.members.write(one.address, one.entry, ready)
        elif operation in SWITCHES:
            yield from self._together(one, ready, self._write_switch)
        elif operation is Operation.DELETE:
            for result in self._together(one, ready, self._delete):
                if result.outcome is Outcome.APPLIED:
                    standing.pop(anchor, None)
                yield result
        else:
            for change in ready:
                yield Result(
                    id=change.id, outcome=Outcome.REJECTED, detail=f"{change.label}: this connector has no operation {operation.value}"
                )

    def _missing(self, change: Change) -> Result:
        if change.operation is Operation.DELETE or change.operation is Operation.MEMBER_REMOVE:
            return Result(id=change.id, outcome=Outcome.APPLIED, anchor=change.anchor, already=True)
        return Result(
            id=change.id,
            outcome=Outcome.CONFLICT,
            detail=f"{change.label} does not exist any more in {self.context.directory}, or the account may not see it; import again",
        )

    def _already(self, one: Standing, change: Change) -> bool:
        """True if there is nothing left to do. Raises `Refusal` for what must not be written."""
        if one.privileged and not self._allowed(one, change):
            raise Refusal(
                Outcome.REJECTED,
                f"{change.label} is privileged (adminCount, member of an administrative group, well-known account or critical system "
                "object) and is left alone; name it in `allow privileged:` if it is meant",
            )
        if change.operation in MEMBERS:
            return False
        if change.operation is not Operation.DELETE and all(self._same(one, name, value) for name, value in change.after.items()):
            return True
        drifted = [
            name
            for name in {**change.before, **change.after}
            if self._compared(name) and not self._same(one, name, change.before.get(name))
        ]
        if drifted:
            raise Refusal(
                Outcome.CONFLICT,
                f"{change.label}: {', '.join(sorted(drifted))} changed since it was planned; import again and look at the new plan",
            )
        if change.operation is Operation.ENABLE and one.may_lack_password:
            raise Refusal(
                Outcome.REJECTED,
                f"{change.label} may have no password, and could be used without one: none is required of it (userAccountControl 0x20), "
                "and nobody ever signed in with it. Give it a password, or require one, then it is enabled",
            )
        return False

    def _allowed(self, one: Standing, change: Change) -> bool:
        """Named in the document, by anchor or by name."""
        return any(
            named.lower() == (change.anchor or "").lower() or same("dn", named, one.dn) for named in self.context.settings.allow_privileged
        )

    def _compared(self, name: str) -> bool:
        """Values that the directory itself changes, such as the last sign-in, are no precondition."""
        if standard(name) in ("name", "path", "enabled"):
            return True
        try:
            self.codec.attribute(name)
        except ValueError:
            return False
        return True

    def _same(self, one: Standing, name: str, value: Values | None) -> bool:
        return same(standard(name), one.attributes.get(standard(name)), value)

    def _together(
        self, one: Standing, changes: Sequence[Change], request: Callable[[Standing, Sequence[Change]], None]
    ) -> Iterator[Result]:
        """One request for all; refused, one for each."""
        try:
            request(one, changes)
        except Refusal as refusal:
            yield from (refused(change, refusal) for change in changes)
            return
        except (Refused, ValueError) as error:
            if len(changes) > 1 and not errors.is_later(error):
                for change in changes:
                    yield from self._together(one, [change], request)
                return
            yield from (errors.failed(change, error) for change in changes)
            return
        for change in changes:
            one.take(change.after)
            yield Result(id=change.id, outcome=Outcome.APPLIED, anchor=change.anchor)

    # -- requests ----------------------------------------------------------------------------------------------------------------------

    def _write_values(self, one: Standing, changes: Sequence[Change]) -> None:
        wanted: dict[str, list[Modification]] = {}
        of_group = {name: value for change in changes for name, value in change.after.items() if name in groups.NAMES}
        if of_group:
            self._write_group(one, of_group)
        for change in changes:
            for name, value in change.after.items():
                if name in of_group:
                    continue
                check_length(change.kind, name, value)
                if not self._same(one, name, value):
                    wanted[self.codec.attribute(name).name] = self._modification(one, name, value)
        if wanted:
            self.session.modify(one.address, wanted)

    def _write_group(self, one: Standing, after: Mapping[str, Values | None]) -> None:
        """Step by step, each only where the type still is what the last one left."""
        present = one.entry.number("grouptype") if one.group_type is None else one.group_type
        if present is None:
            raise ValueError("it has no groupType that may be read, so neither its scope nor its category can be changed")
        for number in groups.steps(present, after):
            self.session.modify(one.address, {"groupType": [(DELETE, [str(present).encode()]), (ADD, [str(number).encode()])]})
            one.group_type = present = number

    def _modification(self, one: Standing, name: str, value: Values | None) -> list[Modification]:
        """Text is written as "delete the old, add the new", which the directory refuses where the old value has changed meanwhile."""
        attribute = self.codec.attribute(name)
        old = one.attributes.get(standard(name))
        if attribute.name.lower() == "accountexpires" and value is None:
            return [(REPLACE, [b"0"])]
        if attribute.syntax is not Syntax.TEXT and not attribute.multi:
            return [(REPLACE, [] if value is None else list(self.codec.encode(name, value)))]
        before = [] if old is None else self.codec.encode(name, old)
        if not attribute.multi:  # `description` may hold more than the one that counts; what is left would come up again
            before = list(dict.fromkeys([*before, *one.further(attribute.name)]))
        after = [] if value is None else self.codec.encode(name, value)
        gone = [held for held in before if held not in after]
        come = [held for held in after if held not in before]
        steps: list[Modification] = []
        if gone:
            steps.append((DELETE, list(gone)))
        if come:
            steps.append((ADD, list(come)))
        return steps

    def _write_place(self, one: Standing, changes: Sequence[Change]) -> None:
        """A rename and a move of one object are one request."""
        kind, name = names.leaf(one.dn)
        superior: str | None = None
        for change in changes:
            given, path = change.after.get("name"), change.after.get("path")
            if isinstance(given, str) and given:
                check_name(given)
                name = given
            if isinstance(path, str) and path and not same("path", path, names.parent(one.dn)):
                if not names.valid(path):
                    raise ValueError(f"{path!r} is not a distinguished name; correct `place:`")
                superior = path
        relative = names.relative(kind, name)
        # Samba answers a rename of <GUID=...> with noSuchObject (32), so that its name is asked for as late as can be.
        there = lookup.by_dn(self.session, one.address, ())
        dn = there.dn if there is not None else one.dn
        if names.leaf(dn) != names.leaf(one.dn):
            raise Refusal(Outcome.CONFLICT, f"{one.dn} was renamed to {names.leaf(dn)[1]} meanwhile; import again and look at the new plan")
        self.session.rename(dn, relative, superior)
        one.dn = f"{relative},{superior or names.parent(dn)}"

    def _write_switch(self, one: Standing, changes: Sequence[Change]) -> None:
        """Only the one bit of userAccountControl, and only if all others are as they were read."""
        if one.control is None:
            raise ValueError("it has no userAccountControl that may be read, so it can be neither enabled nor disabled")
        wanted = one.control
        for change in changes:
            enable = change.operation is Operation.ENABLE
            wanted = wanted & ~accounts.ACCOUNT_DISABLED if enable else wanted | accounts.ACCOUNT_DISABLED
        if wanted != one.control:
            self.session.modify(one.address, {"userAccountControl": [(DELETE, [str(one.control).encode()]), (ADD, [str(wanted).encode()])]})
            one.control = wanted

    def _delete(self, one: Standing, changes: Sequence[Change]) -> None:
        try:
            self.session.delete(one.address)
        except Refused as refused:
            if refused.code == 68:  # Samba's answer, where Windows says what (53, 0x2149) stands for
                raise Refused(53, "unwillingToPerform", f"{0x2149:08X}: it is a primary group") from None
            if refused.code != 32:
                raise


def runs(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Neighbouring changes of one object that one request can hold: of one sort, and no attribute or member twice."""
    together: list[Change] = []
    sort: frozenset[Operation] = frozenset()
    names_used: set[object] = set()
    for change in changes:
        own = next((one for one in _ROUNDS if change.operation in one), frozenset({change.operation}))
        used: set[object] = {change.member} if change.operation in MEMBERS else set(change.after)
        if together and (own != sort or names_used & used or own not in _ROUNDS):
            yield together
            together, names_used = [], set()
        together.append(change)
        sort = own
        names_used |= used
    if together:
        yield together
