"""What numbers say of an account or group: userAccountControl and groupType (MS-ADTS 2.2.16, 2.2.12), and who is privileged."""

from __future__ import annotations

ACCOUNT_DISABLED = 0x2
NORMAL_ACCOUNT = 0x200
INTERDOMAIN_TRUST = 0x800
PASSWORD_NOT_REQUIRED = 0x20
SMARTCARD_REQUIRED = 0x40000

FLAGS = {
    "accountDisabled": 0x2,
    "homeDirectoryRequired": 0x8,
    "passwordNotRequired": PASSWORD_NOT_REQUIRED,
    "passwordCannotChange": 0x40,
    "reversibleEncryption": 0x80,
    "normalAccount": 0x200,
    "passwordNeverExpires": 0x10000,
    "smartcardRequired": SMARTCARD_REQUIRED,
    "trustedForDelegation": 0x80000,
    "notDelegated": 0x100000,
    "useDesKeyOnly": 0x200000,
    "preauthNotRequired": 0x400000,
    "trustedToAuthenticateForDelegation": 0x1000000,
}
"""Readable boolean attributes, each a bit of userAccountControl."""

SECURITY_ENABLED = 0x80000000
SCOPES = {"Global": 0x2, "DomainLocal": 0x4, "Universal": 0x8}
CATEGORIES = ("Security", "Distribution")

PRIVILEGED_RIDS = frozenset({498, 500, 501, 502, 503, 512, 516, 517, 518, 519, 520, 521, 522, 525, 526, 527, 553, 571, 572})
"""Administrator, Guest, krbtgt; the groups of administrators, controllers, certificate publishers, RAS servers and password replication."""
PROTECTED_GROUPS = (512, 516, 518, 519, 521, 526, 527)
PROTECTED_BUILTIN = (544, 548, 549, 550, 551, 552)
"""The groups whose members AdminSDHolder protects, also those in groups within them (MS-ADTS 3.1.1.6.1.2): of the domain, and built in."""
ADMINISTRATORS = {512: "Domain Admins", 518: "Schema Admins", 519: "Enterprise Admins"}
BUILTIN = "S-1-5-32-"
BUILTIN_ADMINISTRATORS = "S-1-5-32-544"


def may_lack_password(control: int, last_set: int | None, signed_in: bool) -> bool:
    """True where nothing shows that an account ever had a password, and the domain would let it be enabled all the same, open to everybody:
    its policy does not hold for whom no password is required of. pwdLastSet alone proves nothing: "must change" makes it 0, too. Where a
    smart card is required the domain makes a password of its own; and whoever has signed in was enabled before."""
    return bool(control & PASSWORD_NOT_REQUIRED) and not control & SMARTCARD_REQUIRED and not last_set and not signed_in


def group_scope(group_type: int) -> str | None:
    """Global, DomainLocal or Universal."""
    return next((name for name, bit in SCOPES.items() if group_type & bit), None)


def group_category(group_type: int) -> str:
    """Security or Distribution."""
    return "Security" if group_type & SECURITY_ENABLED else "Distribution"


def group_type(scope: str = "Global", category: str = "Security") -> int:
    """The signed 32-bit number. Raises `ValueError` naming what is allowed."""
    if scope not in SCOPES:
        raise ValueError(f"groupScope {scope!r} is none of {', '.join(SCOPES)}")
    if category not in CATEGORIES:
        raise ValueError(f"groupCategory {category!r} is none of {', '.join(CATEGORIES)}")
    return SCOPES[scope] - (SECURITY_ENABLED if category == "Security" else 0)


def with_scope(number: int, scope: str) -> int:
    """The same type of group with another scope."""
    return (number & ~sum(SCOPES.values())) | SCOPES[scope]


def with_category(number: int, category: str) -> int:
    """The same type of group with another category: the sign."""
    return (number & ~SECURITY_ENABLED) - (SECURITY_ENABLED if category == "Security" else 0)


def rid(sid: str) -> int:
    """The last number of a SID."""
    return int(sid.rpartition("-")[2])


def is_privileged(sid: str | None, admin_count: int | None, critical: bool) -> bool:
    """True for objects that administer the domain or that it needs to work: nothing that a synchronisation may touch unasked."""
    if critical or admin_count == 1:
        return True
    if sid is None:
        return False
    return sid.startswith(BUILTIN) or (sid.startswith("S-1-5-21-") and rid(sid) in PRIVILEGED_RIDS)
