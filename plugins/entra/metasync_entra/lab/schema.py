"""The properties of users, groups and contacts: type, length, who may write them, which are answered unasked (source: csdl)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

KINDS: tuple[str, ...] = ("user", "group", "orgContact")
COLLECTIONS: Mapping[str, str] = {"users": "user", "groups": "group", "contacts": "orgContact"}
ENTITY_SETS: Mapping[str, str] = {"user": "users", "group": "groups", "orgContact": "contacts"}
NAVIGATION: Mapping[str, tuple[str, ...]] = {"user": ("manager",), "group": ("members", "owners"), "orgContact": ()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Property:
    """One property."""

    name: str
    type: Literal["text", "flag", "time", "number", "thing"] = "text"
    many: bool = False
    longest: int = 0
    """0: no limit is known."""
    writable: Literal["always", "never", "cloud"] = "always"
    """`cloud`: while the object is not synchronised from on premises."""
    default: bool = False
    """Answered without $select."""
    exchange: bool = False
    outside: bool = False
    """Kept outside of the directory: not in collections, not tracked."""

    @property
    def empty(self) -> list[Any] | None:
        """What stands for a value that was never set, outside of delta."""
        return [] if self.many else None


def _make(text: str, **common: Any) -> Iterable[Property]:
    """`name` or `name:longest`, with [] for collections."""
    for word in text.split():
        name, _, longest = word.partition(":")
        yield Property(name=name.removesuffix("[]"), many=name.endswith("[]"), longest=int(longest or 0), **common)


_SYNCHRONISED = "onPremisesDomainName onPremisesSamAccountName onPremisesSecurityIdentifier"

_USER = [
    *_make("id", writable="never", default=True),
    *_make("businessPhones[]", writable="cloud", default=True),
    *_make(
        "displayName:256 givenName:64 jobTitle:128 mail officeLocation:128 preferredLanguage surname:64 userPrincipalName:113", default=True
    ),
    *_make("mobilePhone:64", writable="cloud", default=True),
    *_make("accountEnabled showInAddressList isResourceAccount", type="flag"),
    *_make("ageGroup city:128 companyName:64 consentProvidedForMinor country:128 department:64 employeeId:16 employeeType"),
    *_make("faxNumber mailNickname:64"),
    *_make("otherMails[] passwordPolicies postalCode:40 preferredDataLocation state:128 streetAddress:1024 usageLocation userType"),
    *_make("onPremisesImmutableId", writable="cloud"),
    *_make("onPremisesExtensionAttributes", type="thing", writable="cloud"),
    *_make("passwordProfile employeeOrgData authorizationInfo customSecurityAttributes identities[]", type="thing"),
    *_make("employeeHireDate employeeLeaveDateTime", type="time"),
    *_make(
        "proxyAddresses[] imAddresses[] creationType externalUserState legalAgeGroupClassification securityIdentifier", writable="never"
    ),
    *_make(f"{_SYNCHRONISED} onPremisesDistinguishedName onPremisesUserPrincipalName", writable="never"),
    *_make("assignedLicenses[] assignedPlans[] provisionedPlans[] licenseAssignmentStates[]", type="thing", writable="never"),
    *_make("onPremisesProvisioningErrors[] serviceProvisioningErrors[] signInActivity", type="thing", writable="never"),
    *_make("isManagementRestricted onPremisesSyncEnabled", type="flag", writable="never"),
    *_make("createdDateTime deletedDateTime externalUserStateChangeDateTime lastPasswordChangeDateTime", type="time", writable="never"),
    *_make("onPremisesLastSyncDateTime signInSessionsValidFromDateTime", type="time", writable="never"),
    *_make("aboutMe mySite preferredName skills[] interests[] pastProjects[] responsibilities[] schools[]", outside=True),
    *_make("birthday hireDate", type="time", outside=True),
]
_GROUP = [
    *_make("id mail", writable="never", default=True),
    *_make("classification description:1024 displayName:256 mailNickname:64 membershipRule membershipRuleProcessingState", default=True),
    *_make("groupTypes[] preferredDataLocation preferredLanguage theme visibility resourceBehaviorOptions[]", default=True),
    *_make("creationOptions[] resourceProvisioningOptions[]", default=True),
    *_make("mailEnabled securityEnabled isAssignableToRole", type="flag", default=True),
    *_make(f"proxyAddresses[] securityIdentifier uniqueName onPremisesNetBiosName {_SYNCHRONISED}", writable="never", default=True),
    *_make(
        "createdDateTime deletedDateTime expirationDateTime renewedDateTime onPremisesLastSyncDateTime",
        type="time",
        writable="never",
        default=True,
    ),
    *_make("onPremisesSyncEnabled", type="flag", writable="never", default=True),
    *_make("onPremisesProvisioningErrors[] serviceProvisioningErrors[]", type="thing", writable="never", default=True),
    *_make("assignedLabels[]", type="thing"),
    *_make("assignedLicenses[] licenseProcessingState", type="thing", writable="never"),
    *_make("hasMembersWithLicenseErrors isArchived isManagementRestricted", type="flag", writable="never"),
    *_make(
        "allowExternalSenders autoSubscribeNewMembers hideFromAddressLists hideFromOutlookClients", type="flag", exchange=True, outside=True
    ),
    *_make("isSubscribedByMail", type="flag", exchange=True, outside=True),
    *_make("unseenCount", type="number", exchange=True, outside=True),
]
_CONTACT = [
    *_make(
        "id companyName department displayName givenName jobTitle mail mailNickname surname proxyAddresses[]",
        writable="never",
        default=True,
    ),
    *_make("addresses[] phones[] onPremisesProvisioningErrors[] serviceProvisioningErrors[]", type="thing", writable="never", default=True),
    *_make("deletedDateTime onPremisesLastSyncDateTime", type="time", writable="never", default=True),
    *_make("onPremisesSyncEnabled", type="flag", writable="never", default=True),
]

PROPERTIES: Mapping[str, Mapping[str, Property]] = {
    kind: {one.name: one for one in table} for kind, table in (("user", _USER), ("group", _GROUP), ("orgContact", _CONTACT))
}
DEFAULTS: Mapping[str, tuple[Property, ...]] = {
    kind: tuple(one for one in table.values() if one.default) for kind, table in PROPERTIES.items()
}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "user": ("accountEnabled", "displayName", "mailNickname", "passwordProfile", "userPrincipalName"),
    "group": ("displayName", "mailEnabled", "mailNickname", "securityEnabled"),
}
NOT_CLEARED = frozenset({"accountEnabled", "displayName", "mailNickname", "userPrincipalName", "mailEnabled", "securityEnabled"})
EXTENSION_ATTRIBUTES = tuple(f"extensionAttribute{number}" for number in range(1, 16))
SYNCHRONISED_ALLOWS: Mapping[str, frozenset[str]] = {
    # What the cloud keeps of a user that is mastered on premises.
    "user": frozenset({"usageLocation", "preferredDataLocation", "passwordPolicies", "customSecurityAttributes", "otherMails"}),
    "group": frozenset[str](),
}


class Schema:
    """The properties of one tenant: the published ones, and the directory extensions that it defined."""

    def __init__(self) -> None:
        self.extensions: dict[str, dict[str, Property]] = {kind: {} for kind in KINDS}
        self.security: dict[tuple[str, str], tuple[str, bool]] = {}
        """Set and name of a custom security attribute -> its type (String, Integer, Boolean), and whether it has several values."""

    def find(self, kind: str, name: str) -> Property | None:
        """The property, or None."""
        return PROPERTIES[kind].get(name) or self.extensions[kind].get(name)

    def define(self, name: str, kinds: Iterable[str], type_: str, *, many: bool = False) -> None:
        """Add a directory extension."""
        types: Mapping[str, Literal["text", "flag", "time", "number"]] = {
            "Boolean": "flag",
            "DateTime": "time",
            "Integer": "number",
            "LargeInteger": "number",
            "Binary": "text",
            "String": "text",
        }
        for kind in kinds:
            self.extensions[kind][name] = Property(name=name, type=types[type_], many=many)
