"""The attributes of each kind, as Microsoft documents them: type, length, what Graph lets be done with them.

Sources: https://learn.microsoft.com/graph/api/resources/user, .../group, .../orgcontact, and the pages of creating and updating them.
What Graph reads by other requests (members, owners) and what it selects as part of something larger (extensionAttribute1-15) says so here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from metasync.contract import EVERYTHING, READ_ONLY, Allow, AttributeSchema, Equality, Kind, Role, Type, Unique

WRITE = frozenset({Allow.READ, Allow.CREATE, Allow.UPDATE})
"""May be given and changed, never cleared."""
MADE = frozenset({Allow.READ, Allow.CREATE})
"""Fixed once the object is there."""
ON_PREMISES = "onPremisesExtensionAttributes"


@dataclass(frozen=True, slots=True)
class Known:
    """An attribute: what the engine is told, and where Graph has it."""

    schema: AttributeSchema
    select: str | None
    """What `$select` names for it; None: it is read by a request of its own."""
    inside: str | None = None
    """The name inside of the selected property."""
    within: str = ""
    """The name of what it is inside of, where the selected property has two levels."""
    listed: bool = False
    """Graph has a collection where we have one value: the collection never holds more (businessPhones)."""

    @property
    def name(self) -> str:
        """The standard name."""
        return self.schema.alias or self.schema.name


def _text(name: str, length: int | None = None, allow: frozenset[Allow] = EVERYTHING, *, many: bool = False, **more: object) -> Known:
    return Known(AttributeSchema(name=name, max_length=length, allow=allow, multi=many, **more), name)  # type: ignore[arg-type]


def _typed(name: str, kind: Type, allow: frozenset[Allow] = EVERYTHING) -> Known:
    return Known(AttributeSchema(name=name, type=kind, allow=allow), name)


def _references(name: str, allow: frozenset[Allow], *, many: bool) -> Known:
    return Known(AttributeSchema(name=name, type=Type.REFERENCE, multi=many, allow=allow), None)


def _extension_attributes(allow: frozenset[Allow]) -> list[Known]:
    names = [f"extensionAttribute{number}" for number in range(1, 16)]
    help_text = "Writable only where the object is not mastered on premises."
    return [Known(AttributeSchema(name=name, max_length=1024, allow=allow, help=help_text), ON_PREMISES, inside=name) for name in names]


_ANCHOR = Known(AttributeSchema(name="id", alias="anchor", role=Role.ANCHOR, allow=READ_ONLY, help="The object identifier."), "id")
_ENABLED = Known(
    AttributeSchema(name="accountEnabled", alias="enabled", type=Type.BOOLEAN, role=Role.ENABLED, allow=WRITE), "accountEnabled"
)
_MASTERED = "Where it is true, the object is mastered by an Active Directory, and Graph refuses to change most of it."
_SYNCED = Known(AttributeSchema(name="onPremisesSyncEnabled", type=Type.BOOLEAN, allow=READ_ONLY, help=_MASTERED), "onPremisesSyncEnabled")

_PERSON = [
    _text("displayName", 256, WRITE),
    _text("givenName", 64),
    _text("surname", 64),
    _text("jobTitle", 128),
    _text("department", 64),
    _text("companyName", 64),
    _text("officeLocation", 128),
    _text("streetAddress", 1024),
    _text("city", 128),
    _text("state", 128),
    _text("postalCode", 40),
    _text("country", 128),
    _text("mobilePhone", 64),
    Known(
        AttributeSchema(name="businessPhones", max_length=64, help="Graph calls it a collection, and takes one value."),
        "businessPhones",
        listed=True,
    ),
    _text("faxNumber", 64),
    _text("employeeId", 16),
    _text("employeeType"),
    _text("usageLocation", 2, equality=Equality.IGNORE_CASE, help="Two letters (ISO 3166); needed before a licence is given."),
    _text("preferredLanguage"),
    _text("otherMails", 250, many=True, equality=Equality.IGNORE_CASE),
    _typed("showInAddressList", Type.BOOLEAN),
    _typed("employeeHireDate", Type.TIME),
    _references("manager", EVERYTHING, many=False),
    *_extension_attributes(EVERYTHING),
]

_PERSON_READ = [
    _text("proxyAddresses", None, READ_ONLY, many=True, help="Graph does not write it; `mail` of a user changes the primary one."),
    _text("imAddresses", None, READ_ONLY, many=True),
    _text("userType", None, READ_ONLY, help="Member or Guest; it decides whether this is a user or a guest."),
    _text("creationType", None, READ_ONLY),
    _text("externalUserState", None, READ_ONLY),
    _text("securityIdentifier", None, READ_ONLY),
    _text("onPremisesDistinguishedName", None, READ_ONLY),
    _text("onPremisesDomainName", None, READ_ONLY),
    _text("onPremisesSamAccountName", None, READ_ONLY),
    _text("onPremisesSecurityIdentifier", None, READ_ONLY),
    _text("onPremisesUserPrincipalName", None, READ_ONLY),
    _typed("createdDateTime", Type.TIME, READ_ONLY),
    _typed("onPremisesLastSyncDateTime", Type.TIME, READ_ONLY),
    _typed("signInSessionsValidFromDateTime", Type.TIME, READ_ONLY),
    _SYNCED,
]

USER = [
    _ANCHOR,
    _text(
        "userPrincipalName", 113, WRITE, role=Role.SIGN_IN, unique=Unique.DIRECTORY, equality=Equality.IGNORE_CASE,
        help="Its part behind @ must be a verified domain of the tenant.",
    ),
    _text("mail", 113, role=Role.SIGN_IN, unique=Unique.DIRECTORY, equality=Equality.IGNORE_CASE, help="Becomes the main proxy address."),
    _text("mailNickname", 64, WRITE),
    _text("passwordPolicies"),
    _text("onPremisesImmutableId", None, unique=Unique.DIRECTORY, help="The source anchor that Entra Connect joins by."),
    _ENABLED,
    *_PERSON,
    *_PERSON_READ,
]  # fmt: skip

GUEST = [
    _ANCHOR,
    _text(
        "mail", 113, MADE, role=Role.SIGN_IN, unique=Unique.DIRECTORY, equality=Equality.IGNORE_CASE, help="The address that is invited."
    ),
    _text("userPrincipalName", None, READ_ONLY, role=Role.SIGN_IN),
    _text("mailNickname", None, READ_ONLY),
    _ENABLED,
    *_PERSON,
    *_PERSON_READ,
]

GROUP = [
    _ANCHOR,
    _text("displayName", 256, WRITE),
    _text("description", 1024),
    _text("mailNickname", 64, WRITE),
    Known(AttributeSchema(name="mailEnabled", type=Type.BOOLEAN, allow=MADE), "mailEnabled"),
    Known(AttributeSchema(name="securityEnabled", type=Type.BOOLEAN, allow=MADE), "securityEnabled"),
    _text("groupTypes", None, MADE, many=True, help="Unified: a Microsoft 365 group. Without it: a security group."),
    _text("visibility", None, WRITE),
    _text("preferredLanguage", None, READ_ONLY),
    Known(AttributeSchema(name="isAssignableToRole", type=Type.BOOLEAN, allow=MADE), "isAssignableToRole"),
    _references("members", READ_ONLY, many=True),
    Known(
        AttributeSchema(
            name="owners",
            type=Type.REFERENCE,
            multi=True,
            allow=WRITE,
            help="Users. The last one cannot be removed, so it is never cleared.",
        ),
        None,
    ),
    _text("mail", None, READ_ONLY, role=Role.SIGN_IN, help="Graph does not write it; Exchange does."),
    _text("proxyAddresses", None, READ_ONLY, many=True, help="Graph does not write it; Exchange does."),
    _text("uniqueName", None, READ_ONLY, help="Groups that Metasync made are known by it."),
    _text("securityIdentifier", None, READ_ONLY),
    _text("onPremisesDomainName", None, READ_ONLY),
    _text("onPremisesSamAccountName", None, READ_ONLY),
    _text("onPremisesSecurityIdentifier", None, READ_ONLY),
    _typed("createdDateTime", Type.TIME, READ_ONLY),
    _typed("onPremisesLastSyncDateTime", Type.TIME, READ_ONLY),
    _SYNCED,
]

CONTACT = [
    _ANCHOR,
    *(
        _text(name, None, READ_ONLY)
        for name in ("displayName", "givenName", "surname", "jobTitle", "department", "companyName", "mail", "mailNickname")
    ),
    _text("proxyAddresses", None, READ_ONLY, many=True),
    _typed("onPremisesLastSyncDateTime", Type.TIME, READ_ONLY),
    _SYNCED,
]

_EXTENSION_TYPES = {"integer": Type.INTEGER, "boolean": Type.BOOLEAN, "time": Type.TIME, "bytes": Type.BYTES}


def extension(name: str, kind: str, allow: frozenset[Allow] = EVERYTHING) -> Known:
    """A directory extension of the type that the document says (https://learn.microsoft.com/graph/extensibility-overview)."""
    length = 256 if kind in ("string", "strings", "bytes") else None
    return Known(
        AttributeSchema(name=name, type=_EXTENSION_TYPES.get(kind, Type.STRING), multi=kind == "strings", max_length=length, allow=allow),
        name,
    )


def tables(extensions: Mapping[str, str], of_users: Sequence[Known] = ()) -> dict[Kind, dict[str, Known]]:
    """Per kind its attributes by standard name, the document's directory extensions among them. `of_users`: further ones of users alone."""
    further = [extension(name, kind) for name, kind in extensions.items()]
    return {
        Kind.USER: _named([*USER, *further, *of_users]),
        Kind.GUEST: _named([*GUEST, *further, *of_users]),
        Kind.GROUP: _named([*GROUP, *further]),
        Kind.CONTACT: _named(CONTACT),
    }


def _named(known: Iterable[Known]) -> dict[str, Known]:
    return {one.name: one for one in known}
