"""The recycle bin: list, look, restore, delete for good."""

from __future__ import annotations

from typing import Any

from metasync_entra.lab.messages import Answer, Request, bad_request
from metasync_entra.lab.options import next_link, read_options
from metasync_entra.lab.reading import not_found, read_skip
from metasync_entra.lab.rules import MEMBERSHIPS_DROP, RECYCLE_BIN, RESTORE_CONFLICT, follows
from metasync_entra.lab.schema import DEFAULTS
from metasync_entra.lab.state import Conflict, Thing
from metasync_entra.lab.tenant import Tenant
from metasync_entra.lab.values import check
from metasync_entra.lab.views import plan, properties, whole


@follows(RECYCLE_BIN)
def list_deleted(tenant: Tenant, request: Request, kind: str) -> Answer:
    """GET /directory/deletedItems/microsoft.graph.user, or group."""
    options = read_options(tenant.directory.schema, kind, request)
    chosen = plan(properties(tenant.directory.schema, kind, options.select))
    after = str(read_skip(tenant, options.skip, f"bin {kind}")) if options.skip is not None else ""
    test = options.filter.test if options.filter else None
    found = [
        one for _, one in sorted(tenant.directory.bin.items()) if one.kind == kind and one.id > after and (not test or test(one.fields))
    ]
    size = options.top or tenant.settings.page
    extra = () if options.select else (("deletedDateTime", None),)
    content: dict[str, Any] = {"@odata.context": f"{tenant.base}/$metadata#{kind}s"}
    if len(found) > size:
        token = tenant.cursors.write({"for": f"bin {kind}", "after": found[size - 1].id})
        content["@odata.nextLink"] = next_link(tenant.base, f"/directory/deletedItems/microsoft.graph.{kind}", request.query, token)
    return Answer(status=200, content={**content, "value": [whole(one.fields, (*chosen, *extra)) for one in found[:size]]})


def get_deleted(tenant: Tenant, request: Request, key: str) -> Answer:
    """GET /directory/deletedItems/{id}."""
    return Answer(status=200, content=_shown(tenant, _find(tenant, key)))


@follows(MEMBERSHIPS_DROP)
def restore(tenant: Tenant, request: Request, key: str) -> Answer:
    """POST /directory/deletedItems/{id}/restore."""
    thing = _find(tenant, key)
    content = request.content if isinstance(request.content, dict) else {}
    name = content.get("newUserPrincipalName")
    if name is not None:
        check(tenant.directory, "user", {"userPrincipalName": name}, synchronised=False)
    if content.get("autoReconcileProxyConflict") is True:
        _reconcile(tenant, thing)
    try:
        tenant.directory.restore(thing, name=name, memberships=tenant.settings.restore_memberships)
    except Conflict as error:
        message = f"Another object with the same value for property {error.property} already exists."
        raise bad_request(RESTORE_CONFLICT, message, details=[{"target": error.property, "code": "ObjectConflict"}]) from None
    return Answer(status=200, content=_shown(tenant, thing))


def purge(tenant: Tenant, request: Request, key: str) -> Answer:
    """DELETE /directory/deletedItems/{id}."""
    tenant.directory.purge(_find(tenant, key))
    return Answer(status=204)


def _reconcile(tenant: Tenant, thing: Thing) -> None:
    """Drop the addresses that others have by now."""
    kept: list[str] = []
    for address in thing.fields.get("proxyAddresses") or ():
        if not tenant.directory.holder("orgContact", {"proxyAddresses": [address]}):
            kept.append(address)
    thing.fields = {**thing.fields, "proxyAddresses": kept}
    if thing.fields.get("mail") and tenant.directory.holder("orgContact", {"mail": thing.fields["mail"]}):
        thing.fields["mail"] = None


def _find(tenant: Tenant, key: str) -> Thing:
    thing = tenant.directory.bin.get(key.casefold())
    if thing is None:
        raise not_found(key)
    return thing


def _shown(tenant: Tenant, thing: Thing) -> dict[str, Any]:
    head = {"@odata.context": f"{tenant.base}/$metadata#directoryObjects/$entity", "@odata.type": f"#microsoft.graph.{thing.kind}"}
    return {**head, **whole(thing.fields, plan(DEFAULTS[thing.kind]))}
