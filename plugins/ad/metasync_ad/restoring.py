"""Bringing back deleted objects (MS-ADTS 3.1.1.5.3.7.2, reanimation).

With the recycle bin everything returns. Without it a tombstone returns with objectGUID, SID and account name; the attributes that the
change carries are written again, an account gets a new password, and memberships and the old password are lost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from metasync.contract import Change, Context, Kind, Outcome, Result, Values
from metasync_ad import accounts, errors, lookup, values
from metasync_ad import dn as names
from metasync_ad.attributes import COMPUTED, Codec, same, standard
from metasync_ad.creating import forbidden_words
from metasync_ad.errors import Refused
from metasync_ad.ranges import complete_ranges
from metasync_ad.session import BASE, DELETE, EVERYTHING, REPLACE, SHOW_DELETED, Modification, RawEntry, Session

RECYCLE_BIN = "CN=Recycle Bin Feature,"
LOST = (
    "memberships (its own in groups, and a group's members), references from other objects and the password cannot return; "
    "SID and the attributes that Metasync knows do"
)
_KEPT = ("isRecycled", "lastKnownParent", "msDS-LastKnownRDN", "objectClass", "name", "sAMAccountName", "userAccountControl")


class Restorer:
    """Restores objects."""

    def __init__(self, session: Session, codec: Codec, context: Context, base: str) -> None:
        self.session, self.codec, self.context, self.base = session, codec, context, base

    def recycle_bin(self) -> bool:
        """Whether the forest has its recycle bin on."""
        configuration = self.session.root.text("configurationnamingcontext")
        try:
            found = self.session.search(f"CN=Partitions,{configuration}", EVERYTHING, ["msDS-EnabledFeature"], BASE)
        except Refused:
            return False
        return any(RECYCLE_BIN in feature for entry in found for feature in entry.every("msds-enabledfeature"))

    def restorable(self, anchors: Collection[str]) -> Mapping[str, str]:
        """Per anchor what cannot return; absent: it cannot be restored."""
        found = lookup.deleted(self.session, self.base, anchors, _KEPT)
        lost = "" if self.recycle_bin() else LOST
        return {anchor: lost for anchor, entry in found.items() if entry.one("isrecycled") != b"TRUE" or lost}

    def restore(self, change: Change) -> Result:
        """One result. Raises `Unavailable`."""
        anchor = (change.anchor or "").lower()
        if there := lookup.by_anchor(self.session, self.base, [anchor], ()).get(anchor):
            if change.retried:  # it was brought back, maybe, and not made whole
                return self._made_whole(change, anchor, there.dn, self.recycle_bin(), already=True)
            return Result(id=change.id, outcome=Outcome.APPLIED, anchor=anchor, already=True)
        entry = lookup.deleted(self.session, self.base, [anchor], _KEPT).get(anchor)
        if entry is None:
            return self._refuse(
                change, "its tombstone is gone, or the account may not see deleted objects; create it anew (its SID cannot return)"
            )
        try:
            dn = self._dn(change, entry)
            whole = self.recycle_bin()
            steps: dict[str, list[Modification]] = {"isDeleted": [(DELETE, [])], "distinguishedName": [(REPLACE, [dn.encode()])]}
            self.session.modify(entry.dn, steps, controls=(SHOW_DELETED,))
        except Refused as refused:
            return errors.result(change.id, refused, f"restoring {change.label}")
        except ValueError as error:
            return self._refuse(change, str(error))
        return self._made_whole(change, anchor, dn, whole)

    def _made_whole(self, change: Change, anchor: str, dn: str, whole: bool, *, already: bool = False) -> Result:
        """`whole`: everything came back by itself, the password too."""
        try:
            self._complete(change, anchor, dn, whole)
        except (Refused, ValueError) as error:
            why = errors.outcome(error, "its attributes")[1] if isinstance(error, Refused) else str(error)
            return Result(
                id=change.id, outcome=Outcome.UNKNOWN, anchor=anchor, detail=f"{change.label} is back as {dn}, but not whole: {why}"
            )
        return Result(id=change.id, outcome=Outcome.APPLIED, anchor=anchor, already=already)

    def _refuse(self, change: Change, why: str) -> Result:
        return Result(id=change.id, outcome=Outcome.REJECTED, detail=f"restoring {change.label}: {why}")

    def _dn(self, change: Change, entry: RawEntry) -> str:
        name, path = change.after.get("name"), change.after.get("path")
        kind = names.leaf(entry.dn)[0]
        known = entry.text("msds-lastknownrdn") or (entry.text("name") or "").partition("\nDEL:")[0]
        where = path if isinstance(path, str) and path else names.extended(entry.text("lastknownparent") or "")[2]
        if not where or not names.valid(where):
            raise ValueError("the container where it was is not known; restore that first")
        return f"{names.relative(kind, name if isinstance(name, str) and name else known)},{where}"

    def _complete(self, change: Change, anchor: str, dn: str, whole: bool) -> None:
        """Write what did not come back by itself."""
        wire = self.codec.wire(sorted(change.after))
        entry = lookup.by_anchor(self.session, self.base, [anchor], ["userAccountControl", *wire]).get(anchor)
        if entry is None:
            raise ValueError("it cannot be read back; grant the right to read it")
        present = self.codec.decode(complete_ranges(self.session, entry), change.after)
        steps: dict[str, list[Modification]] = {}
        for name, value in change.after.items():
            if standard(name) not in COMPUTED and not same(standard(name), present.get(standard(name)), value) and self._writable(name):
                steps[self.codec.attribute(name).name] = [(REPLACE, list(self.codec.encode(name, value)) if value is not None else [])]
        if change.kind is Kind.USER:
            steps |= self._account(change.after, entry, whole)
        if steps:
            self.session.modify(dn, steps)

    def _account(self, after: Mapping[str, Values | None], entry: RawEntry, whole: bool) -> dict[str, list[Modification]]:
        steps: dict[str, list[Modification]] = {}
        control = entry.number("useraccountcontrol")
        if not whole:
            password = self.context.new_password(avoid=forbidden_words(after))
            steps["unicodePwd"] = [(REPLACE, [values.unicode_password(password)])]
            if self.context.settings.must_change:
                steps["pwdLastSet"] = [(REPLACE, [b"0"])]
            control = accounts.NORMAL_ACCOUNT if control is None else control & ~0x20
        enabled = after.get("enabled")
        if control is not None and isinstance(enabled, bool):
            wanted = control & ~accounts.ACCOUNT_DISABLED if enabled else control | accounts.ACCOUNT_DISABLED
            if wanted != entry.number("useraccountcontrol"):
                steps["userAccountControl"] = [(REPLACE, [str(wanted).encode()])]
        return steps

    def _writable(self, name: str) -> bool:
        try:
            self.codec.attribute(name)
        except ValueError:
            return False
        return True
