"""Which application permissions each purpose takes, and what the token says that we have.

Source: https://learn.microsoft.com/graph/permissions-reference
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from metasync.contract import Purpose, Right, RightMissing

_EVERYTHING_READ = ("Directory.Read.All", "Directory.ReadWrite.All")


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """One thing to do, the least permission for it, and those that hold it too."""

    purpose: Purpose
    what: str
    least: str
    also: tuple[str, ...] = ()
    optional: str = ""

    def met(self, roles: Collection[str]) -> bool:
        """Is it, or a wider one, granted?"""
        return self.least in roles or any(one in roles for one in self.also)


NEEDS = (
    Need(
        purpose=Purpose.IMPORT, what="read users and guests, and follow their changes", least="User.Read.All",
        also=("User.ReadWrite.All", *_EVERYTHING_READ),
    ),
    Need(
        purpose=Purpose.IMPORT, what="read groups and their members", least="GroupMember.Read.All",
        also=("GroupMember.ReadWrite.All", "Group.Read.All", "Group.ReadWrite.All", *_EVERYTHING_READ),
        optional="groups cannot be read",
    ),
    Need(
        purpose=Purpose.IMPORT, what="read contacts", least="OrgContact.Read.All", also=_EVERYTHING_READ,
        optional="contacts cannot be read",
    ),
    Need(
        purpose=Purpose.IMPORT, what="know the tenant's domains", least="Organization.Read.All",
        also=("Organization.ReadWrite.All", *_EVERYTHING_READ),
        optional="a sign-in name in a domain that is not verified is refused by the tenant, at export",
    ),
    Need(
        purpose=Purpose.EXPORT, what="create, change, delete and restore users", least="User.ReadWrite.All",
        also=("Directory.ReadWrite.All",),
    ),
    Need(
        purpose=Purpose.EXPORT, what="create, change and delete groups", least="Group.ReadWrite.All", also=("Directory.ReadWrite.All",),
        optional="groups cannot be written",
    ),
    Need(
        purpose=Purpose.EXPORT, what="add and remove members", least="GroupMember.ReadWrite.All",
        also=("Group.ReadWrite.All", "Directory.ReadWrite.All"), optional="members cannot be written",
    ),
    Need(
        purpose=Purpose.EXPORT, what="invite guests", least="User.Invite.All", also=("User.ReadWrite.All", "Directory.ReadWrite.All"),
        optional="guests cannot be invited",
    ),
    Need(
        purpose=Purpose.PASSWORDS, what="set passwords of those who are there", least="User-PasswordProfile.ReadWrite.All",
        also=("Directory.AccessAsUser.All",),
    ),
)  # fmt: skip
SECURITY_READ = Need(
    purpose=Purpose.IMPORT, what="read custom security attributes", least="CustomSecAttributeAssignment.Read.All",
    also=("CustomSecAttributeAssignment.ReadWrite.All",),
)  # fmt: skip
SECURITY_NEEDS = (
    SECURITY_READ,
    Need(
        purpose=Purpose.EXPORT, what="assign custom security attributes", least="CustomSecAttributeAssignment.ReadWrite.All",
        optional="custom security attributes cannot be written",
    ),
)  # fmt: skip
"""Where the document names some."""
HARMLESS = frozenset({"User.ReadBasic.All", "GroupMember.ReadBasic.All", "Group.ReadBasic.All", "Domain.Read.All", "Application.Read.All"})


def rights(roles: Collection[str], command: str, *, security: bool = False) -> Iterator[Right]:
    """Each need, and whether it is met. `command`: what grants a permission, with {} for its name; `security`: custom security attributes
    are used."""
    for need in (*NEEDS, *(SECURITY_NEEDS if security else ())):
        granted = need.met(roles)
        yield Right(
            purpose=need.purpose,
            right=f"{need.least} ({need.what})",
            granted=granted,
            optional=need.optional,
            commands=() if granted else (command.format(need.least),),
        )


def need_security(roles: Collection[str], host: str) -> None:
    """Raises `RightMissing` where custom security attributes cannot be read: Graph refuses nothing then, and shows everybody without any
    (https://learn.microsoft.com/graph/custom-security-attributes-examples)."""
    if not SECURITY_READ.met(roles):
        raise RightMissing(
            f"{host}: the application may not {SECURITY_READ.what}, and all would look cleared; grant it {SECURITY_READ.least} in the app "
            "registration, and let an administrator consent; or take `security attributes` out of the document"
        )


def excessive(roles: Collection[str], *, security: bool = False) -> list[str]:
    """Permissions that a synchronisation does not need."""
    least = {need.least for need in (*NEEDS, *(SECURITY_NEEDS if security else ()))} | HARMLESS
    fitting = {"User.ReadWrite.All", "Group.Read.All", "Group.ReadWrite.All"}
    return [f"{role}: a synchronisation does not need it" for role in sorted(roles) if role not in least and role not in fitting]
