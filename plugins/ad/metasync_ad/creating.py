"""Creating one object, in one request: an account has its password from its first moment, and is there whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from metasync.contract import Change, Context, Kind, Outcome, Result, Values
from metasync_ad import accounts, errors, lookup, values
from metasync_ad import dn as names
from metasync_ad.attributes import COMPUTED, Codec, check_length, standard
from metasync_ad.errors import Refused
from metasync_ad.session import Session

CLASSES = {Kind.USER: "user", Kind.GROUP: "group", Kind.CONTACT: "contact", Kind.CONTAINER: "organizationalUnit"}
_WORDS = re.compile(r"[\s,.\-_#]+")
"""What splits a display name into the words that a password may not hold (the complexity rule of Windows)."""


def planned_dn(change: Change) -> str:
    """The name that a create asks for. Raises `ValueError`."""
    name, path = change.after.get("name"), change.after.get("path")
    if not isinstance(name, str) or not name or not isinstance(path, str) or not path:
        raise ValueError("a new object needs `name` and `path`; map cn and give a place")
    check_name(name)
    if not names.valid(path):
        raise ValueError(f"{path!r} is not a distinguished name; correct `place:`")
    return f"{names.relative('OU' if change.kind is Kind.CONTAINER else 'CN', name)},{path}"


def check_name(name: str) -> None:
    """Refuse what marks deleted objects and conflicts in names, or ends a name for Windows. Raises `ValueError`."""
    if "\n" in name or "\0" in name:
        raise ValueError("a name holds no line feed and no NUL; remove them in the mapping of cn")


@dataclass(frozen=True, slots=True)
class Made:
    """An object that the directory said it made."""

    change: Change
    dn: str


class Creator:
    """Creates objects."""

    def __init__(self, session: Session, codec: Codec, context: Context, base: str) -> None:
        self.session, self.codec, self.context, self.base = session, codec, context, base

    def create(self, change: Change) -> Result | Made:
        """What came of it; who was made is still to be read back. Raises `Unavailable`: then it is unknown whether the object was made."""
        try:
            dn = planned_dn(change)
            attributes = self._attributes(change)
        except ValueError as error:
            return Result(id=change.id, outcome=Outcome.REJECTED, detail=f"creating {change.label}: {error}")
        if change.retried and (ours := self.ours(change)):
            return Result(id=change.id, outcome=Outcome.APPLIED, anchor=ours, already=True)
        try:
            self.session.add(dn, attributes)
        except Refused as refused:
            if refused.code == 68 and (ours := self.ours(change)):
                return Result(id=change.id, outcome=Outcome.APPLIED, anchor=ours, already=True)
            if refused.code == 32 and refused.win32 in (None, errors.NO_PLACE) and lookup.by_dn(self.session, names.parent(dn), ()) is None:
                refused.win32 = 0x2030
            return errors.result(change.id, refused, f"creating {change.label}")
        return Made(change, dn)

    def anchors(self, made: Sequence[Made]) -> Iterator[Result]:
        """The results of what was made: the directory does not tell an anchor with the create, so that it is asked for, of all in one
        search. Raises `Unavailable`."""
        these = "".join(lookup.equals("distinguishedName", one.dn) for one in made)
        found = self.session.search(self.base, f"(|{these})", ["objectGUID"]) if made else []
        known = {names.folded(entry.dn): entry.guid for entry in found}
        for one in made:
            anchor = known.get(names.folded(one.dn))
            if anchor is None:
                entry = lookup.by_dn(self.session, one.dn, ())
                anchor = entry.guid if entry is not None else None
            if anchor is None:
                yield Result(
                    id=one.change.id,
                    outcome=Outcome.UNKNOWN,
                    detail=f"{one.change.label} was created, but cannot be read back; grant the right to read it",
                )
            else:
                yield Result(id=one.change.id, outcome=Outcome.APPLIED, anchor=anchor)

    def ours(self, change: Change) -> str | None:
        """The anchor of the object that carries this change's mark."""
        attribute = self.context.settings.mark
        if not attribute or not change.mark:
            return None
        found = lookup.by_value(self.session, self.base, attribute, change.mark, ())
        return found[0].guid if len(found) == 1 else None

    def _attributes(self, change: Change) -> dict[str, list[bytes | str]]:
        """What the add holds. Raises `ValueError`."""
        if change.kind not in CLASSES:
            raise ValueError(f"Active Directory has no {change.kind.value}s")
        made: dict[str, list[bytes | str]] = {"objectClass": [CLASSES[change.kind]]}
        for name, given in change.after.items():
            if given is None or standard(name) in COMPUTED:
                continue
            check_length(change.kind, name, given)
            made[self.codec.attribute(name).name] = list(self.codec.encode(name, given))
        if change.mark and self.context.settings.mark:
            made[self.codec.attribute(self.context.settings.mark).name] = [change.mark.encode()]
        if change.kind is Kind.GROUP:
            made.setdefault("groupType", [str(self._group_type(change.after)).encode()])
        if change.kind is Kind.USER:
            made |= self._account(change.after)
        return made

    def _group_type(self, after: Mapping[str, Values | None]) -> int:
        return accounts.group_type(str(after.get("groupScope") or "Global"), str(after.get("groupCategory") or "Security"))

    def _account(self, after: Mapping[str, Values | None]) -> dict[str, list[bytes | str]]:
        """Password and state. The password is made here and forgotten here."""
        disabled = 0 if after.get("enabled") is True else accounts.ACCOUNT_DISABLED
        made: dict[str, list[bytes | str]] = {
            "userAccountControl": [str(accounts.NORMAL_ACCOUNT | disabled).encode()],
            "unicodePwd": [values.unicode_password(self.context.new_password(avoid=forbidden_words(after)))],
        }
        if self.context.settings.must_change:
            made["pwdLastSet"] = [b"0"]
        return made


def forbidden_words(after: Mapping[str, Values | None]) -> list[str]:
    """The parts of a person's names that a password may not hold."""
    found: list[str] = []
    for name in ("sAMAccountName", "displayName", "name", "givenName", "sn", "userPrincipalName"):
        given = after.get(name)
        if isinstance(given, str):
            found += [given, *_WORDS.split(given.partition("@")[0])]
    return [word for word in dict.fromkeys(found) if len(word) >= 3]
