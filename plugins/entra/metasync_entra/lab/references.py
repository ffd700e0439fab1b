"""References between objects: members and owners of groups, and the `@odata.id` that all of them are written with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from metasync_entra.lab.messages import Answer, Refused, Request, bad_request
from metasync_entra.lab.options import next_link, read_options, system
from metasync_entra.lab.reading import find_visible, not_found, read_skip
from metasync_entra.lab.rules import (
    FILTER_REFERENCES,
    LAST_OWNER,
    MEMBER_ID,
    MEMBER_MISSING,
    MEMBER_PACK,
    MEMBER_THERE,
    MEMBER_TWICE,
    NOT_REACHED,
    REFERENCE,
    REFERENCE_LAG,
    UNIFIED_MEMBERS,
    follows,
)
from metasync_entra.lab.schema import DEFAULTS, ENTITY_SETS
from metasync_entra.lab.state import Thing
from metasync_entra.lab.tenant import Tenant
from metasync_entra.lab.views import plan, properties, whole
from metasync_entra.lab.writing import body, refuse_mastered

MOST = 20
KINDS_OF: Mapping[str, tuple[str, ...]] = {"members": ("user", "group", "orgContact"), "owners": ("user",)}
_URL = re.compile(r"(https://[^/]+)/(?:v1\.0|beta)/(directoryObjects|users|groups|contacts)(?:/([^/?#]+)|\('([^']+)'\))", re.IGNORECASE)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def read_reference(tenant: Tenant, content: Mapping[str, Any]) -> Thing:
    """The object that a body's @odata.id leads to."""
    return resolve(tenant, content.get("@odata.id"))


@follows(REFERENCE_LAG)
def resolve(tenant: Tenant, url: Any) -> Thing:
    """The object of a reference, by this tenant's own host alone."""
    found = _URL.fullmatch(url) if isinstance(url, str) else None
    if found is None or found[1].casefold() not in (tenant.graph_url.casefold(), "https://graph.microsoft.com"):
        raise bad_request(REFERENCE, "Invalid URL format specified in the @odata.bind or @odata.id annotation.")
    key = found[3] or found[4]
    thing = tenant.directory.live.get(key.casefold())
    if thing is None and found[2].casefold() == "users":
        thing = tenant.directory.user_named(key)
    expected = found[2].casefold()
    if thing is None or (expected != "directoryobjects" and ENTITY_SETS[thing.kind] != expected):
        raise not_found(key)
    if thing.created > tenant.clock.now() - tenant.settings.lag_reference and tenant.settings.lag_reference:
        raise not_found(key)
    return thing


def add_reference(tenant: Tenant, request: Request, key: str, name: str) -> Answer:
    """POST /groups/{id}/members/$ref, and owners."""
    group, _ = find_visible(tenant, "group", key)
    refuse_mastered(tenant, group, {name: None})
    target = read_reference(tenant, body(request))
    _refuse_target(name, group, target)
    if tenant.directory.relations[name].has(group.id, target.id):
        raise _there(name)
    tenant.directory.relate(name, group, target)
    return Answer(status=204)


@follows(MEMBER_PACK)
def read_pack(tenant: Tenant, name: str, urls: Any, group: Thing | None) -> list[Thing]:
    """The objects of members@odata.bind, all of which may be added to the group (None: one that is to be made)."""
    if not isinstance(urls, list):
        raise bad_request(REFERENCE, "Invalid URL format specified in the @odata.bind or @odata.id annotation.")
    if len(urls) > MOST:
        message = f"The number of references in '{name}@odata.bind' exceeds the limit of {MOST}."
        raise bad_request(MEMBER_PACK, message)
    targets = [resolve(tenant, url) for url in urls]
    for target in targets:
        _refuse_target(name, group, target)
    if len({target.id for target in targets}) < len(targets):
        message = f"A reference to an object of the modified property '{name}' can only be present once as an add/remove change."
        raise bad_request(MEMBER_TWICE, message)
    if group is not None and any(tenant.directory.relations[name].has(group.id, target.id) for target in targets):
        raise _there(name)
    return targets


def remove_reference(tenant: Tenant, request: Request, key: str, name: str, member: str) -> Answer:
    """DELETE /groups/{id}/members/{id}/$ref, and owners."""
    group, _ = find_visible(tenant, "group", key)
    refuse_mastered(tenant, group, {name: None})
    if not _GUID.fullmatch(member):
        raise bad_request(MEMBER_ID, f"Invalid object identifier '{member}'.")
    member = member.casefold()
    target = tenant.directory.live.get(member)
    if target is None:
        raise not_found(member)
    if not tenant.directory.relations[name].has(group.id, member):
        message = f"One or more removed object references do not exist for the following modified properties: '{name}'."
        raise Refused(MEMBER_MISSING, 404, "Request_ResourceNotFound", message)
    if name == "owners" and tenant.directory.relations[name].count(group.id) == 1:
        raise bad_request(LAST_OWNER, "The group must have at least one owner, hence this owner cannot be removed.")
    tenant.directory.unrelate(name, "group", group.id, target.kind, member)
    return Answer(status=204)


def list_references(tenant: Tenant, request: Request, key: str, name: str, *, only: str | None = None, ids_alone: bool = False) -> Answer:
    """GET /groups/{id}/members and owners; with a cast to one type, or as references alone."""
    group, _ = find_visible(tenant, "group", key)
    _refuse_filter(request)
    options = read_options(tenant.directory.schema, only or "user", request)
    test = options.filter.test if options.filter else None
    purpose = f"{name} {group.id} {only}"
    after = str(read_skip(tenant, options.skip, purpose)) if options.skip is not None else ""
    size = options.top or tenant.settings.page
    relation, directory = tenant.directory.relations[name], tenant.directory
    found: list[str] = []
    place = after
    while len(found) <= size:
        ids = relation.page(group.id, place, size + 1)
        found += [id_ for id_ in ids if _wanted(directory.live[id_], only, test)]
        if len(ids) <= size:
            break
        place = ids[-1]
    things = [directory.live[id_] for id_ in found[:size]]
    rows = (
        [{"@odata.id": f"{tenant.base}/directoryObjects/{one.id}"} for one in things]
        if ids_alone
        else _rows(tenant, things, options.select, only)
    )
    content: dict[str, Any] = {"@odata.context": f"{tenant.base}/$metadata#{'Collection($ref)' if ids_alone else 'directoryObjects'}"}
    if options.count and options.skip is None:
        content["@odata.count"] = sum(1 for id_ in relation.targets(group.id) if _wanted(directory.live[id_], only, test))
    if len(found) > size:
        token = tenant.cursors.write({"for": purpose, "after": found[size - 1]})
        path = f"/groups/{group.id}/{name}" + (f"/microsoft.graph.{only}" if only else "") + ("/$ref" if ids_alone else "")
        content["@odata.nextLink"] = next_link(tenant.base, path, request.query, token)
    return Answer(status=200, content={**content, "value": rows})


@follows(FILTER_REFERENCES)
def _refuse_filter(request: Request) -> None:
    """A filter of references is an advanced query, whatever it says."""
    named = system(request.query)
    eventual = request.headers.get("consistencylevel", "").casefold() == "eventual" and named.get("count", "").casefold() == "true"
    for option in ("search", "orderby"):
        if option in named:
            raise Refused(NOT_REACHED, 501, "NotImplemented", f"The lab tenant does not know ${option} of references.")
    if named.get("filter") and not eventual:
        message = "The specified filter to the reference property query is currently not supported."
        raise Refused(FILTER_REFERENCES, 400, "Request_UnsupportedQuery", message)


def _wanted(thing: Thing, only: str | None, test: Callable[[Mapping[str, Any]], bool] | None) -> bool:
    return (only is None or thing.kind == only) and (test is None or test(thing.fields))


def list_groups_of(tenant: Tenant, request: Request, key: str, kind: str) -> Answer:
    """GET /users/{id}/memberOf, and of groups and contacts."""
    thing, _ = find_visible(tenant, kind, key)
    _refuse_filter(request)
    options = read_options(tenant.directory.schema, "group", request)
    groups = tenant.directory.relations["members"].sources(thing.id)
    purpose = f"memberOf {thing.id}"
    after = str(read_skip(tenant, options.skip, purpose)) if options.skip is not None else ""
    size = options.top or tenant.settings.page
    test = options.filter.test if options.filter else None
    left = [id_ for id_ in groups if id_ > after and _wanted(tenant.directory.live[id_], None, test)]
    rows = _rows(tenant, [tenant.directory.live[id_] for id_ in left[:size]], options.select, None)
    content: dict[str, Any] = {"@odata.context": f"{tenant.base}/$metadata#directoryObjects"}
    if len(left) > size:
        token = tenant.cursors.write({"for": purpose, "after": left[size - 1]})
        content["@odata.nextLink"] = next_link(tenant.base, f"/{ENTITY_SETS[kind]}/{thing.id}/memberOf", request.query, token)
    return Answer(status=200, content={**content, "value": rows})


def _rows(tenant: Tenant, things: list[Thing], select: list[str] | None, only: str | None) -> list[dict[str, Any]]:
    """Each with its type. Of $select an object shows what its type has."""
    schema = tenant.directory.schema
    plans: dict[str, tuple[tuple[str, Any], ...]] = {}
    for kind in {thing.kind for thing in things}:
        if select is None or only:
            plans[kind] = plan(properties(schema, kind, select) if only else DEFAULTS[kind])
        else:
            known = [name for name in select if schema.find(kind, name) is not None]
            plans[kind] = plan(properties(schema, kind, known))
    if only:
        return [whole(thing.fields, plans[thing.kind]) for thing in things]
    return [{"@odata.type": f"#microsoft.graph.{thing.kind}", **whole(thing.fields, plans[thing.kind])} for thing in things]


def _refuse_target(name: str, group: Thing | None, target: Thing) -> None:
    if target.kind not in KINDS_OF[name] or target is group:
        raise bad_request(REFERENCE, f"The reference target '{target.id}' of type '{target.kind}' is invalid for the '{name}' reference.")
    if name == "members" and group is not None and "Unified" in (group.fields.get("groupTypes") or ()) and target.kind != "user":
        raise bad_request(UNIFIED_MEMBERS, f"A {target.kind} cannot be a member of a Microsoft 365 group.")


def _there(name: str) -> Refused:
    message = f"One or more added object references already exist for the following modified properties: '{name}'."
    return bad_request(MEMBER_THERE, message)
