"""Writing users: creation, change, deletion, manager, invitation."""

from __future__ import annotations

import re
import secrets
import uuid
from typing import Any

from metasync_entra.lab import security
from metasync_entra.lab.clock import iso
from metasync_entra.lab.messages import Answer, Refused, Request, bad_request
from metasync_entra.lab.options import system
from metasync_entra.lab.permissions import denied, granted, uncovered
from metasync_entra.lab.reading import find_visible, not_found, shown
from metasync_entra.lab.references import read_reference
from metasync_entra.lab.rules import (
    DEFAULT_PROPERTIES,
    FEDERATED,
    INVITATION,
    INVITED_ADDRESS,
    MANAGER,
    NOT_REACHED,
    PASSWORD,
    PROPERTY_TYPE,
    RECYCLE_BIN,
    REFERENCE,
    REQUIRED,
    SECURITY_VALUES,
    follows,
)
from metasync_entra.lab.schema import DEFAULTS
from metasync_entra.lab.state import Conflict, Thing
from metasync_entra.lab.tenant import Tenant
from metasync_entra.lab.values import check
from metasync_entra.lab.views import context, plan, split_select, whole
from metasync_entra.lab.writing import body, conflict, couple_mail, need_all, need_room, refuse_mastered

PASSWORD_PERMISSIONS = ("User-PasswordProfile.ReadWrite.All",)


@follows(DEFAULT_PROPERTIES)
def create_user(tenant: Tenant, request: Request) -> Answer:
    """POST /users."""
    content = dict(body(request))
    _no_bindings(content)
    need_all("user", content)
    if security.PROPERTY in content:
        raise bad_request(SECURITY_VALUES, "Custom security attributes are assigned to a user who is there.")
    fields = check(tenant.directory, "user", content, synchronised=False)
    profile = fields.pop("passwordProfile")
    if not isinstance(profile.get("password"), str) or not profile["password"]:
        message = "The specified password does not comply with password complexity requirements. Please provide a different password."
        raise bad_request(REQUIRED, message, details=[{"target": "passwordProfile", "code": "InvalidValue"}])
    domain = tenant.directory.domains[fields["userPrincipalName"].rpartition("@")[2].casefold()]
    if domain["authenticationType"] == "Federated" and not fields.get("onPremisesImmutableId"):
        message = "Property onPremisesImmutableId is required for a user in a federated domain."
        raise bad_request(FEDERATED, message, details=[{"target": "onPremisesImmutableId", "code": "MissingValue"}])
    couple_mail({}, fields)
    thing = make_user(tenant, {name: value for name, value in fields.items() if value is not None and value != []})
    return _created(tenant, thing)


def make_user(tenant: Tenant, fields: dict[str, Any]) -> Thing:
    """With what the service sets by itself."""
    need_room(tenant)
    now = iso(tenant.clock.now())
    own = {"userType": "Member", "createdDateTime": now, "lastPasswordChangeDateTime": now, "securityIdentifier": security_identifier()}
    try:
        return tenant.directory.create("user", {**own, **fields})
    except Conflict as error:
        raise conflict(error) from None


def update_user(tenant: Tenant, request: Request, key: str) -> Answer:
    """PATCH /users/{id or name}."""
    thing, _ = find_visible(tenant, "user", key)
    content = body(request)
    _no_bindings(content)
    refuse_mastered(tenant, thing, content)
    security.gate(request, content)
    if uncovered(request, {name for name in content if "@" not in name}):
        raise denied()
    if "passwordProfile" in content and not granted(request, PASSWORD_PERMISSIONS):
        raise Refused(PASSWORD, 403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    changes = check(tenant.directory, "user", content, synchronised=False)
    if changes.pop("passwordProfile", None) is not None:
        changes["lastPasswordChangeDateTime"] = iso(tenant.clock.now())
    if security.PROPERTY in content:
        changes[security.PROPERTY] = security.assigned(
            tenant.directory.schema, thing.fields.get(security.PROPERTY), content[security.PROPERTY]
        )
    inner = changes.get("onPremisesExtensionAttributes")
    if inner is not None:
        changes["onPremisesExtensionAttributes"] = {**(thing.fields.get("onPremisesExtensionAttributes") or {}), **inner}
    couple_mail(thing.fields, changes)
    try:
        tenant.directory.update(thing, changes)
    except Conflict as error:
        raise conflict(error) from None
    return Answer(status=204)


@follows(RECYCLE_BIN)
def delete_user(tenant: Tenant, request: Request, key: str) -> Answer:
    """DELETE /users/{id or name}."""
    thing, _ = find_visible(tenant, "user", key)
    refuse_mastered(tenant, thing, {"deletedDateTime": None})
    tenant.directory.delete(thing)
    return Answer(status=204)


# --- manager ----------------------------------------------------------------------------------------------------------------------------


@follows(MANAGER)
def get_manager(tenant: Tenant, request: Request, key: str) -> Answer:
    """GET /users/{id}/manager."""
    thing, _ = find_visible(tenant, "user", key)
    found = tenant.directory.relations["manager"].targets(thing.id)
    if not found:
        raise not_found("manager")
    manager = tenant.directory.live[found[0]]
    select = split_select(system(request.query).get("select"))
    head = {"@odata.context": f"{tenant.base}/$metadata#directoryObjects/$entity", "@odata.type": f"#microsoft.graph.{manager.kind}"}
    return Answer(status=200, content={**head, **shown(tenant, manager, select)})


def set_manager(tenant: Tenant, request: Request, key: str) -> Answer:
    """PUT /users/{id}/manager/$ref."""
    thing, _ = find_visible(tenant, "user", key)
    refuse_mastered(tenant, thing, {"manager": None})
    manager = read_reference(tenant, body(request))
    if manager.kind not in ("user", "orgContact"):
        raise bad_request(MANAGER, "A manager must be a user or an organizational contact.")
    if manager is thing:
        raise bad_request(REFERENCE, "A user cannot be the manager of itself.")
    relation = tenant.directory.relations["manager"]
    if not relation.has(thing.id, manager.id):
        for old in list(relation.targets(thing.id)):
            tenant.directory.unrelate("manager", "user", thing.id, tenant.directory.live[old].kind, old)
        tenant.directory.relate("manager", thing, manager)
    return Answer(status=204)


def remove_manager(tenant: Tenant, request: Request, key: str) -> Answer:
    """DELETE /users/{id}/manager/$ref."""
    thing, _ = find_visible(tenant, "user", key)
    refuse_mastered(tenant, thing, {"manager": None})
    found = list(tenant.directory.relations["manager"].targets(thing.id))
    if not found:
        raise not_found("manager")
    tenant.directory.unrelate("manager", "user", thing.id, tenant.directory.live[found[0]].kind, found[0])
    return Answer(status=204)


# --- guests -----------------------------------------------------------------------------------------------------------------------------


@follows(INVITATION)
def invite(tenant: Tenant, request: Request) -> Answer:
    """POST /invitations."""
    content = body(request)
    address = content.get("invitedUserEmailAddress")
    if not isinstance(address, str) or address.count("@") != 1 or not all(address.split("@")):
        raise bad_request(INVITATION, "A value is required for property 'invitedUserEmailAddress' of resource 'Invitation'.")
    if re.search(r"""[~!#$%^&*()+=\[\]{}\\|/;:"<>?,\s]""", address) or re.search(r"^[.-]|[.-]@", address):
        raise bad_request(INVITED_ADDRESS, "Invalid value specified for property 'invitedUserEmailAddress' of resource 'Invitation'.")
    if not isinstance(content.get("inviteRedirectUrl"), str):
        raise bad_request(INVITATION, "A value is required for property 'inviteRedirectUrl' of resource 'Invitation'.")
    name = content.get("invitedUserDisplayName")
    if name is not None and not isinstance(name, str):
        raise bad_request(
            PROPERTY_TYPE, "Cannot convert the literal of property 'invitedUserDisplayName' to the expected type 'Edm.String'."
        )
    initial = next(one["id"] for one in tenant.directory.domains.values() if one["isInitial"])
    now = iso(tenant.clock.now())
    external = address.replace("@", "_")
    fields = {
        "userPrincipalName": f"{external}#EXT#@{initial}",
        "displayName": name or address.split("@")[0],
        "mail": address,
        "mailNickname": f"{external}#EXT#"[:64],
        "accountEnabled": True,
        "userType": content.get("invitedUserType") or "Guest",
        "creationType": "Invitation",
        "externalUserState": "PendingAcceptance",
        "externalUserStateChangeDateTime": now,
        "otherMails": [address],
    }
    couple_mail({}, fields)
    thing = make_user(tenant, fields)
    invitation = {
        "@odata.context": f"{tenant.base}/$metadata#invitations/$entity",
        "id": str(uuid.uuid4()),
        "inviteRedeemUrl": f"{tenant.login_url}/redeem?rd={secrets.token_urlsafe(8)}",
        "invitedUserDisplayName": name,
        "invitedUserType": fields["userType"],
        "invitedUserEmailAddress": address,
        "sendInvitationMessage": bool(content.get("sendInvitationMessage", False)),
        "resetRedemption": False,
        "inviteRedirectUrl": content["inviteRedirectUrl"],
        "status": "PendingAcceptance",
        "invitedUserMessageInfo": {
            "messageLanguage": None,
            "customizedMessageBody": None,
            "ccRecipients": [{"emailAddress": {"name": None, "address": None}}],
        },
        "invitedUser": {"id": thing.id},
    }
    return Answer(status=201, content=invitation)


def security_identifier() -> str:
    """Like S-1-12-1-...: four numbers."""
    return "S-1-12-1-" + "-".join(str(secrets.randbits(32)) for _ in range(4))


def _created(tenant: Tenant, thing: Thing) -> Answer:
    head = {"@odata.context": context(tenant.base, "user", None, one=True)}
    headers = {"Location": f"{tenant.graph_url}/v2/{tenant.id}/directoryObjects/{thing.id}/Microsoft.DirectoryServices.User"}
    return Answer(status=201, content={**head, **whole(thing.fields, plan(DEFAULTS["user"]))}, headers=headers)


def _no_bindings(content: dict[str, Any]) -> None:
    """manager@odata.bind is not known here: whether the service takes it is to be checked live."""
    if any(name.endswith("@odata.bind") for name in content):
        raise Refused(NOT_REACHED, 501, "NotImplemented", "The lab tenant does not know @odata.bind on users.")
