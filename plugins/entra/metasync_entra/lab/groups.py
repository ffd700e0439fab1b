"""Writing groups: creation, change, deletion."""

from __future__ import annotations

from typing import Any

from metasync_entra.lab.clock import iso
from metasync_entra.lab.messages import Answer, Request, bad_request
from metasync_entra.lab.reading import find_visible, not_found
from metasync_entra.lab.references import read_pack
from metasync_entra.lab.rules import DEFAULT_PROPERTIES, EXCHANGE_ONLY, GROUP_KIND, PROPERTY, RECYCLE_BIN, UPSERT, follows
from metasync_entra.lab.schema import DEFAULTS
from metasync_entra.lab.state import Conflict, Thing
from metasync_entra.lab.tenant import Tenant
from metasync_entra.lab.users import security_identifier
from metasync_entra.lab.values import check
from metasync_entra.lab.views import context, plan, whole
from metasync_entra.lab.writing import body, conflict, exchange_only, need_all, need_room, refuse_mastered

_BINDINGS = ("members@odata.bind", "owners@odata.bind")
READ_ONLY_TEXT = "Cannot Create a mail-enabled security groups and or distribution list."


@follows(DEFAULT_PROPERTIES)
def create_group(tenant: Tenant, request: Request, unique_name: str | None = None) -> Answer:
    """POST /groups."""
    content = body(request)
    need_all("group", content)
    _refuse_kind(content, READ_ONLY_TEXT)
    _refuse_exchange(content, alone=False)
    fields = {
        name: value for name, value in check(tenant.directory, "group", _plain(content), synchronised=False).items() if value is not None
    }
    unified = "Unified" in (fields.get("groupTypes") or ())
    now = iso(tenant.clock.now())
    fields |= {"createdDateTime": now, "renewedDateTime": now, "securityIdentifier": security_identifier()}
    if unified:
        initial = next(one["id"] for one in tenant.directory.domains.values() if one["isDefault"])
        fields["mail"] = f"{fields['mailNickname']}@{initial}"
        fields["proxyAddresses"] = [f"SMTP:{fields['mail']}"]
        fields.setdefault("visibility", "Public")
    if unique_name:
        fields["uniqueName"] = unique_name
    packs = _packs(tenant, None, content)
    need_room(tenant)
    try:
        thing = tenant.directory.create("group", fields)
    except Conflict as error:
        raise conflict(error) from None
    _relate(tenant, thing, packs)
    return _created(tenant, thing)


def update_group(tenant: Tenant, request: Request, key: str) -> Answer:
    """PATCH /groups/{id}: properties, or a pack of members, or what Exchange keeps."""
    thing, _ = find_visible(tenant, "group", key)
    return _update(tenant, request, thing)


@follows(UPSERT)
def upsert_group(tenant: Tenant, request: Request, unique_name: str) -> Answer:
    """PATCH /groups(uniqueName='..')."""
    thing = tenant.directory.group_named(unique_name)
    if thing is not None:
        return _update(tenant, request, thing)
    if "create-if-missing" not in request.headers.get("prefer", ""):
        raise not_found(unique_name)
    return create_group(tenant, request, unique_name)


@follows(RECYCLE_BIN)
def delete_group(tenant: Tenant, request: Request, key: str) -> Answer:
    """DELETE /groups/{id}."""
    thing, _ = find_visible(tenant, "group", key)
    _refuse_kind(thing.fields, "Cannot Delete a mail-enabled security groups and or distribution list.")
    refuse_mastered(tenant, thing, {"deletedDateTime": None})
    tenant.directory.delete(thing)
    return Answer(status=204)


def _update(tenant: Tenant, request: Request, thing: Thing) -> Answer:
    content = body(request)
    refuse_mastered(tenant, thing, {name.removesuffix("@odata.bind"): value for name, value in content.items()})
    _refuse_kind(thing.fields, "Cannot Update a mail-enabled security groups and or distribution list.")
    apart = _refuse_exchange(content, alone=True)
    changes = check(tenant.directory, "group", _plain(content), synchronised=False)
    _refuse_kind({**thing.fields, **changes}, READ_ONLY_TEXT)
    packs = _packs(tenant, thing, content)
    try:
        tenant.directory.update(thing, changes)
    except Conflict as error:
        raise conflict(error) from None
    _relate(tenant, thing, packs)
    return Answer(status=200 if apart else 204)


def _packs(tenant: Tenant, thing: Thing | None, content: dict[str, Any]) -> dict[str, list[Thing]]:
    """The objects of all bindings, before anything is written."""
    names = [name.removesuffix("@odata.bind") for name in _BINDINGS if name in content]
    return {name: read_pack(tenant, name, content[f"{name}@odata.bind"], thing) for name in names}


def _relate(tenant: Tenant, thing: Thing, packs: dict[str, list[Thing]]) -> None:
    for name, targets in packs.items():
        for target in targets:
            tenant.directory.relate(name, thing, target)


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """Without references; other annotations that bind are not known."""
    for name in content:
        if name.endswith("@odata.bind") and name not in _BINDINGS:
            raise bad_request(
                PROPERTY, f"The property '{name.removesuffix('@odata.bind')}' does not exist on type 'microsoft.graph.group'."
            )
    return {name: value for name, value in content.items() if name not in _BINDINGS}


@follows(EXCHANGE_ONLY)
def _refuse_exchange(content: dict[str, Any], *, alone: bool) -> bool:
    """Whether the request is about what Exchange keeps; mixed ones are refused."""
    found = exchange_only(content)
    if found and (not alone or len(found) < len(content)):
        message = f"The properties {', '.join(sorted(found))} cannot be set together with others. Specify them in their own request."
        raise bad_request(EXCHANGE_ONLY, message)
    return bool(found)


def _refuse_kind(fields: dict[str, Any], message: str) -> None:
    if fields.get("mailEnabled") and "Unified" not in (fields.get("groupTypes") or ()):
        raise bad_request(GROUP_KIND, message)
    if not fields.get("mailEnabled") and not fields.get("securityEnabled"):
        raise bad_request(GROUP_KIND, "A group must be mail-enabled, security-enabled or both.")


def _created(tenant: Tenant, thing: Thing) -> Answer:
    head = {"@odata.context": context(tenant.base, "group", None, one=True)}
    headers = {"Location": f"{tenant.graph_url}/v2/{tenant.id}/directoryObjects/{thing.id}/Microsoft.DirectoryServices.Group"}
    return Answer(status=201, content={**head, **whole(thing.fields, plan(DEFAULTS["group"]))}, headers=headers)
