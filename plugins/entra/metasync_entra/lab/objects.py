"""Beside users, groups and contacts: objects of any kind, the organization, domains, directory extensions, sources of authority."""

from __future__ import annotations

import re
import uuid
from typing import Any

from metasync_entra.lab.messages import Answer, Request, bad_request
from metasync_entra.lab.reading import find_visible, not_found
from metasync_entra.lab.rules import BODY, EXTENSION, SOURCE_OF_AUTHORITY, follows
from metasync_entra.lab.schema import DEFAULTS
from metasync_entra.lab.tenant import Tenant
from metasync_entra.lab.views import plan, whole
from metasync_entra.lab.writing import body

MOST_IDS = 1_000
TYPES = ("Binary", "Boolean", "DateTime", "Integer", "LargeInteger", "String")
TARGETS = {"User": "user", "Group": "group"}


def get_by_ids(tenant: Tenant, request: Request) -> Answer:
    """POST /directoryObjects/getByIds: what is not there is left out."""
    content = body(request)
    ids = content.get("ids")
    types = content.get("types")
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids) or len(ids) > MOST_IDS:
        raise bad_request(BODY, f"The collection 'ids' must hold between 1 and {MOST_IDS} ids.")
    directory = tenant.directory
    moment = tenant.clock.now() - tenant.settings.lag_get[0]
    found = [directory.live[id_.casefold()] for id_ in dict.fromkeys(ids) if id_.casefold() in directory.live]
    rows = [
        {"@odata.type": f"#microsoft.graph.{one.kind}", **whole(one.fields, plan(DEFAULTS[one.kind]))}
        for one in found
        if one.created <= moment and (not types or one.kind in types or "directoryObject" in types)
    ]
    return Answer(status=200, content={"@odata.context": f"{tenant.base}/$metadata#directoryObjects", "value": rows})


def get_any(tenant: Tenant, request: Request, key: str) -> Answer:
    """GET /directoryObjects/{id}."""
    known = tenant.directory.live.get(key.casefold())
    if known is None:
        raise not_found(key)
    thing, fields = find_visible(tenant, known.kind, key)
    head = {"@odata.context": f"{tenant.base}/$metadata#directoryObjects/$entity", "@odata.type": f"#microsoft.graph.{thing.kind}"}
    return Answer(status=200, content={**head, **whole(fields, plan(DEFAULTS[thing.kind]))})


def organization(tenant: Tenant, request: Request) -> Answer:
    """GET /organization: the tenant itself."""
    domains = [
        {
            "capabilities": "Email, OfficeCommunicationsOnline",
            "isDefault": one["isDefault"],
            "isInitial": one["isInitial"],
            "name": one["id"],
            "type": one["authenticationType"],
        }
        for one in tenant.directory.domains.values()
        if one["isVerified"]
    ]
    shown = {
        "id": tenant.id,
        "displayName": "Lab",
        "onPremisesSyncEnabled": None,
        "onPremisesLastSyncDateTime": None,
        "tenantType": "AAD",
        "verifiedDomains": domains,
        "directorySizeQuota": {"used": len(tenant.directory.live) + len(tenant.directory.bin), "total": tenant.settings.quota},
    }
    return Answer(status=200, content={"@odata.context": f"{tenant.base}/$metadata#organization", "value": [shown]})


def domains(tenant: Tenant, request: Request) -> Answer:
    """GET /domains."""
    rows = [
        {**one, "isAdminManaged": True, "isRoot": True, "supportedServices": ["Email", "OfficeCommunicationsOnline"]}
        for one in tenant.directory.domains.values()
    ]
    return Answer(status=200, content={"@odata.context": f"{tenant.base}/$metadata#domains", "value": rows})


@follows(EXTENSION)
def list_extensions(tenant: Tenant, request: Request, app: str) -> Answer:
    """GET /applications/{object id}/extensionProperties, or /applications(appId='..')/..."""
    found = _app(tenant, app)
    rows = [_extension(one) for one in found.extensions]
    return Answer(
        status=200,
        content={"@odata.context": f"{tenant.base}/$metadata#applications('{found.object_id}')/extensionProperties", "value": rows},
    )


def define_extension(tenant: Tenant, request: Request, app: str) -> Answer:
    """POST .../extensionProperties."""
    found = _app(tenant, app)
    content = body(request)
    name, type_, targets = content.get("name"), content.get("dataType"), content.get("targetObjects")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or type_ not in TYPES:
        raise bad_request(EXTENSION, "Invalid name or dataType of an extension property.")
    if not isinstance(targets, list) or not targets or not all(one in TARGETS for one in targets):
        raise bad_request(EXTENSION, "An extension property has targetObjects: User, Group.")
    made = define(tenant, app, name, str(type_), [str(one) for one in targets], many=content.get("isMultiValued") is True)
    head = {"@odata.context": f"{tenant.base}/$metadata#applications('{found.object_id}')/extensionProperties/$entity"}
    return Answer(status=201, content={**head, **_extension(made)})


def define(tenant: Tenant, app: str, name: str, type_: str, targets: list[str], *, many: bool = False) -> dict[str, Any]:
    """Define one, with its whole name."""
    found = _app(tenant, app)
    whole_name = f"extension_{found.client_id.replace('-', '')}_{name}"
    if any(one["name"] == whole_name for one in found.extensions):
        raise bad_request(EXTENSION, "An extension property exists with the name " + whole_name + ".")
    made = {"id": str(uuid.uuid4()), "name": whole_name, "dataType": type_, "targetObjects": targets, "isMultiValued": many}
    found.extensions.append(made)
    tenant.directory.schema.define(whole_name, [TARGETS[one] for one in targets], type_, many=many)
    return made


@follows(SOURCE_OF_AUTHORITY)
def get_authority(tenant: Tenant, request: Request, key: str, kind: str) -> Answer:
    """GET .../onPremisesSyncBehavior."""
    thing, _ = find_visible(tenant, kind, key)
    head = {"@odata.context": f"{tenant.base}/$metadata#{kind}s('{thing.id}')/onPremisesSyncBehavior/$entity"}
    return Answer(status=200, content={**head, "id": thing.id, "isCloudManaged": thing.fields.get("onPremisesSyncEnabled") is not True})


def set_authority(tenant: Tenant, request: Request, key: str, kind: str) -> Answer:
    """PATCH .../onPremisesSyncBehavior {"isCloudManaged": true or false}."""
    thing, _ = find_visible(tenant, kind, key)
    managed = body(request).get("isCloudManaged")
    if not isinstance(managed, bool):
        raise bad_request(BODY, "A value is required for property 'isCloudManaged'.")
    if "onPremisesSyncEnabled" in thing.fields:
        tenant.directory.update(thing, {"onPremisesSyncEnabled": not managed})
    return Answer(status=204)


def _app(tenant: Tenant, key: str) -> Any:
    for app in tenant.apps.values():
        if key.casefold() in (app.object_id, app.client_id):
            return app
    raise not_found(key)


def _extension(made: dict[str, Any]) -> dict[str, Any]:
    return {"deletedDateTime": None, "appDisplayName": "", "isSyncedFromOnPremises": False, **made}
