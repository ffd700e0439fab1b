"""Which application permissions a call needs. From the published table (permissions.json); the least first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from metasync_entra.lab.messages import Refused, Request
from metasync_entra.lab.rules import PERMISSION

_READ = ("Directory.Read.All", "Directory.ReadWrite.All")
_WRITE = ("Directory.ReadWrite.All",)
_USER_NARROW: Mapping[str, Collection[str]] = {
    "User.EnableDisableAccount.All": {"accountEnabled"},
    "User-PasswordProfile.ReadWrite.All": {"passwordProfile"},
    "User-Phone.ReadWrite.All": {"businessPhones", "mobilePhone"},
    "User-Mail.ReadWrite.All": {"mail", "otherMails"},
    "CustomSecAttributeAssignment.ReadWrite.All": {"customSecurityAttributes"},
}
NEEDS: Mapping[str, Sequence[str]] = {
    "read users": ("User.Read.All", "User.ReadWrite.All", *_READ),
    "read users basic": ("User.ReadBasic.All", "User.Read.All", "User.ReadWrite.All", *_READ),
    "write users": ("User.ReadWrite.All", *_WRITE),
    "change users": ("User.ReadWrite.All", *_WRITE, *_USER_NARROW),
    "delete users": ("User.DeleteRestore.All", "User.ReadWrite.All", *_WRITE),
    "read groups": (
        "Group.ReadBasic.All",
        "GroupMember.Read.All",
        "Group.Read.All",
        "Group.ReadWrite.All",
        "GroupMember.ReadWrite.All",
        *_READ,
    ),
    "read members": (
        "GroupMember.ReadBasic.All",
        "GroupMember.Read.All",
        "Group.Read.All",
        "Group.ReadWrite.All",
        "GroupMember.ReadWrite.All",
        *_READ,
    ),
    "create groups": ("Group.Create", "Group.ReadWrite.All", *_WRITE),
    "write groups": ("Group.ReadWrite.All", *_WRITE),
    "write members": ("GroupMember.ReadWrite.All", "Group.ReadWrite.All", *_WRITE),
    "write owners": ("Group.ReadWrite.All", *_WRITE),
    "read contacts": ("OrgContact.Read.All", *_READ),
    "invite": ("User.Invite.All", "User.ReadWrite.All", *_WRITE),
    "read objects": ("User.Read.All", "User.ReadWrite.All", "Group.Read.All", "Group.ReadWrite.All", "GroupMember.Read.All", *_READ),
    "delete objects": ("User.DeleteRestore.All", "User.ReadWrite.All", "Group.ReadWrite.All", *_WRITE),
    "read organization": ("Organization.Read.All", "Organization.ReadWrite.All", *_READ),
    "read domains": ("Domain.Read.All", "Domain.ReadWrite.All", *_READ),
    "read extensions": ("Application.Read.All", "Application.ReadWrite.OwnedBy", "Application.ReadWrite.All", *_READ),
    "define extensions": ("Application.ReadWrite.OwnedBy", "Application.ReadWrite.All"),
    "source of authority of users": ("User-OnPremisesSyncBehavior.ReadWrite.All",),
    "source of authority of groups": ("Group-OnPremisesSyncBehavior.ReadWrite.All",),
    "source of authority of contacts": ("Contacts-OnPremisesSyncBehavior.ReadWrite.All",),
    "read security attributes": ("CustomSecAttributeAssignment.Read.All", "CustomSecAttributeAssignment.ReadWrite.All"),
    "assign security attributes": ("CustomSecAttributeAssignment.ReadWrite.All",),
    "nothing": (),
}
EVERYTHING = (
    "User.ReadWrite.All",
    "User-PasswordProfile.ReadWrite.All",
    "Group.ReadWrite.All",
    "OrgContact.Read.All",
    "User.Invite.All",
    "CustomSecAttributeAssignment.ReadWrite.All",
    "Organization.Read.All",
    "Domain.Read.All",
    "Application.ReadWrite.OwnedBy",
    "User-OnPremisesSyncBehavior.ReadWrite.All",
    "Group-OnPremisesSyncBehavior.ReadWrite.All",
    "Contacts-OnPremisesSyncBehavior.ReadWrite.All",
    "Exchange.ManageAsApp",
)
"""What the lab's app is granted unless a test says otherwise."""

_BASIC = frozenset({"id", "displayName", "givenName", "mail", "surname", "userPrincipalName", "userType"})


def granted(request: Request, any_of: Collection[str]) -> bool:
    """Whether the app holds one of these."""
    return not set(any_of).isdisjoint(request.claims.get("roles", ()))


def gate(request: Request, needs: str) -> None:
    """Refuse a call that the app was not granted."""
    wanted = NEEDS[needs]
    if wanted and not granted(request, wanted):
        raise denied()


def denied() -> Refused:
    """As Graph says it: without the permission's name."""
    return Refused(PERMISSION, 403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def uncovered(request: Request, names: Collection[str]) -> bool:
    """Whether a change of these properties of a user needs more than the app's narrower permissions."""
    if granted(request, NEEDS["write users"]):
        return False
    roles = request.claims.get("roles", ())
    covered = {name for role in roles for name in _USER_NARROW.get(role, ())}
    return not set(names) <= covered


def basic_only(request: Request, select: Collection[str] | None) -> bool:
    """Whether a read asks for more than the basic profile with the permission for that alone."""
    return not granted(request, NEEDS["read users"]) and not (select is not None and set(select) <= _BASIC)
