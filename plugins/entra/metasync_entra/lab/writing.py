"""What creating and changing users and groups have in common: bodies, uniqueness, quota, who masters an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metasync_entra.lab.messages import Refused, Request, bad_request
from metasync_entra.lab.rules import (
    BODY,
    CONTACT_READ_ONLY,
    IMMUTABLE_ID,
    IMMUTABLE_ID_CLEAR,
    MASTERED,
    QUOTA,
    REQUIRED,
    SMTP,
    UNIQUE,
    follows,
)
from metasync_entra.lab.schema import NOT_CLEARED, PROPERTIES, SYNCHRONISED_ALLOWS
from metasync_entra.lab.schema import REQUIRED as REQUIRED_PROPERTIES
from metasync_entra.lab.state import Conflict, Thing
from metasync_entra.lab.tenant import Tenant

MASTERED_TEXT = (
    "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently undergoing migration."
)


def body(request: Request) -> dict[str, Any]:
    """The body as one JSON object."""
    if not isinstance(request.content, dict):
        raise Refused(
            BODY,
            400,
            "BadRequest",
            "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.",
        )
    content: dict[str, Any] = request.content
    return content


def need_all(kind: str, content: Mapping[str, Any]) -> None:
    """Refuse a creation that lacks something."""
    for name in REQUIRED_PROPERTIES[kind]:
        if content.get(name) is None:
            resource = kind.capitalize()
            message = f"A value is required for property '{name}' of resource '{resource}'."
            raise bad_request(REQUIRED, message, details=[{"target": name, "code": "MissingValue"}])


def need_room(tenant: Tenant) -> None:
    """Refuse what goes beyond the tenant's quota. What can be restored counts in full."""
    if len(tenant.directory.live) + len(tenant.directory.bin) >= tenant.settings.quota:
        message = (
            "The directory object quota limit for the Tenant has been exceeded. Please ask your administrator to increase the quota limit"
            " or delete objects to reduce the used quota."
        )
        raise Refused(QUOTA, 403, "Directory_QuotaExceeded", message)


def conflict(found: Conflict) -> Refused:
    """A unique value is taken."""
    message = f"Another object with the same value for property {found.property} already exists."
    return bad_request(UNIQUE, message, details=[{"target": found.property, "code": "ObjectConflict"}])


def refuse_mastered(tenant: Tenant, thing: Thing, names: Mapping[str, Any]) -> None:
    """Refuse what is decided on premises."""
    if thing.fields.get("onPremisesSyncEnabled") is not True:
        if "onPremisesImmutableId" in names and names["onPremisesImmutableId"] is None and tenant.settings.keep_immutable_id:
            raise bad_request(IMMUTABLE_ID_CLEAR, "Invalid value specified for property 'onPremisesImmutableId' of resource 'User'.")
        return
    allowed = SYNCHRONISED_ALLOWS[thing.kind]
    if any("@" not in name and name not in allowed for name in names):
        raise bad_request(MASTERED, MASTERED_TEXT)


@follows(SMTP, IMMUTABLE_ID)
def couple_mail(before: Mapping[str, Any], changes: dict[str, Any]) -> None:
    """A new mail is the new primary address; the old primary stays as a further one."""
    if "mail" not in changes:
        return
    mail = changes["mail"]
    addresses: list[str] = list(before.get("proxyAddresses") or ())
    if not mail:
        changes["proxyAddresses"] = [one for one in addresses if not one.startswith("SMTP:")]
        return
    others = ["smtp:" + one[5:] if one.startswith("SMTP:") else one for one in addresses]
    changes["proxyAddresses"] = [f"SMTP:{mail}", *(one for one in others if one.casefold() != f"smtp:{mail}".casefold())]


def refuse_contact() -> Refused:
    """Contacts come from Exchange or from on premises."""
    return Refused(CONTACT_READ_ONLY, 405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")


def clears(name: str) -> bool:
    """Whether a property may be cleared."""
    return name not in NOT_CLEARED


def exchange_only(names: Mapping[str, Any]) -> set[str]:
    """The properties of a group among these that Exchange keeps."""
    table = PROPERTIES["group"]
    return {name for name in names if name in table and table[name].exchange}
