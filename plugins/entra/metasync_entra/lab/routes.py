"""Every path of Graph that is served: what it needs, what it costs, who answers it. The OpenAPI description is made of this table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from metasync_entra.lab import deleted, groups, objects, reading, references, users
from metasync_entra.lab.delta import delta
from metasync_entra.lab.messages import Answer, Refused, Request
from metasync_entra.lab.permissions import basic_only, denied
from metasync_entra.lab.rules import METHOD, NOT_REACHED, SEGMENT, follows
from metasync_entra.lab.schema import COLLECTIONS
from metasync_entra.lab.tenant import Tenant
from metasync_entra.lab.views import split_select
from metasync_entra.lab.writing import refuse_contact

Handler = Callable[..., Answer]
_KNOWN_ELSEWHERE = frozenset(
    (
        "me applications servicePrincipals devices directoryRoles administrativeUnits subscribedSkus auditLogs reports policies identity"
        " sites drives teams"
    ).split()
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One operation."""

    method: str
    path: str
    """With {name} for one segment."""
    needs: str
    handler: Handler
    cost: int = 1
    says: str = ""
    pattern: re.Pattern[str] = field(repr=False)

    @property
    def writes(self) -> bool:
        """Whether it counts as a write."""
        return self.method != "GET" and not self.path.endswith("getByIds")


def _route(method: str, path: str, needs: str, handler: Handler, *, cost: int = 1, says: str = "") -> Route:
    pattern = re.escape(path).replace(r"\{", "{").replace(r"\}", "}")
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+?)", pattern)
    return Route(method=method, path=path, needs=needs, handler=handler, cost=cost, says=says, pattern=re.compile(pattern, re.IGNORECASE))


def _collection(plural: str, kind: str, cost: int) -> Iterator[Route]:
    read = f"read {plural}"
    yield _route(
        "GET", f"/{plural}", f"{read} basic" if kind == "user" else read, partial(_list, kind=kind), cost=cost, says=f"List {plural}."
    )
    yield _route("GET", f"/{plural}/$count", read, partial(reading.count_objects, kind=kind), says=f"Count {plural}.")
    yield _route("GET", f"/{plural}/delta", read, partial(delta, kind=kind), says=f"Changes of {plural}.")
    yield _route(
        "GET", f"/{plural}/{{key}}", f"{read} basic" if kind == "user" else read, partial(_get, kind=kind), says=f"One of the {plural}."
    )
    yield _route(
        "GET", f"/{plural}/{{key}}/memberOf", "read members", partial(references.list_groups_of, kind=kind), cost=2, says="Its groups."
    )
    path, needs = f"/{plural}/{{key}}/onPremisesSyncBehavior", f"source of authority of {plural}"
    yield _route("GET", path, needs, partial(objects.get_authority, kind=kind), says="Who masters it.")
    yield _route("PATCH", path, needs, partial(objects.set_authority, kind=kind), says="Move its source of authority.")


def _list(tenant: Tenant, request: Request, kind: str) -> Answer:
    _refuse_beyond_basic(request, kind)
    return reading.list_objects(tenant, request, kind)


def _get(tenant: Tenant, request: Request, key: str, kind: str) -> Answer:
    _refuse_beyond_basic(request, kind)
    return reading.get_object(tenant, request, kind, key)


def _refuse_beyond_basic(request: Request, kind: str) -> None:
    if kind == "user" and basic_only(request, split_select(request.query.get("$select"))):
        raise denied()


def _contact(tenant: Tenant, request: Request, key: str = "") -> Answer:
    raise refuse_contact()


def _named(tenant: Tenant, request: Request, name: str) -> Answer:
    return groups.upsert_group(tenant, request, name.replace("''", "'"))


def _get_named(tenant: Tenant, request: Request, name: str) -> Answer:
    thing = tenant.directory.group_named(name.replace("''", "'"))
    if thing is None:
        raise reading.not_found(name)
    return reading.get_object(tenant, request, "group", thing.id)


def _references(name: str) -> Iterator[Route]:
    path = f"/groups/{{key}}/{name}"
    yield _route("GET", path, "read members", partial(references.list_references, name=name), cost=3, says=f"The {name} of a group.")
    for kind in ("user", "group", "orgContact"):
        handler = partial(references.list_references, name=name, only=kind)
        yield _route("GET", f"{path}/microsoft.graph.{kind}", "read members", handler, cost=3, says=f"The {name} of one type.")
    listing = partial(references.list_references, name=name, ids_alone=True)
    yield _route("GET", f"{path}/$ref", "read members", listing, cost=3, says=f"References to the {name}.")
    yield _route("POST", f"{path}/$ref", f"write {name}", partial(references.add_reference, name=name), says=f"Add one of the {name}.")
    removing = partial(references.remove_reference, name=name)
    yield _route("DELETE", f"{path}/{{member}}/$ref", f"write {name}", removing, says=f"Remove one of the {name}.")


def _all() -> Iterator[Route]:
    yield _route("PATCH", "/groups(uniqueName='{name}')", "write groups", _named, says="Make or change a group by its unique name.")
    yield _route("GET", "/groups(uniqueName='{name}')", "read groups", _get_named, says="A group by its unique name.")
    for plural, kind in COLLECTIONS.items():
        yield from _collection(plural, kind, 2 if kind == "user" else 1)
    yield _route("POST", "/users", "write users", users.create_user, says="Make a user.")
    yield _route("PATCH", "/users/{key}", "change users", users.update_user, says="Change a user.")
    yield _route("DELETE", "/users/{key}", "delete users", users.delete_user, says="Delete a user.")
    yield _route("GET", "/users/{key}/manager", "read users", users.get_manager, says="A user's manager.")
    yield _route("PUT", "/users/{key}/manager/$ref", "write users", users.set_manager, says="Set a user's manager.")
    yield _route("DELETE", "/users/{key}/manager/$ref", "write users", users.remove_manager, says="Take a user's manager away.")
    yield _route("POST", "/groups", "create groups", groups.create_group, says="Make a group.")
    # Members are written by PATCH too, with less than all rights on groups.
    yield _route("PATCH", "/groups/{key}", "write members", groups.update_group, says="Change a group, or add members.")
    yield _route("DELETE", "/groups/{key}", "write groups", groups.delete_group, says="Delete a group.")
    yield from _references("members")
    yield from _references("owners")
    yield _route("POST", "/contacts", "read contacts", _contact, says="Refused: contacts are read-only.")
    yield _route("PATCH", "/contacts/{key}", "read contacts", _contact, says="Refused: contacts are read-only.")
    yield _route("DELETE", "/contacts/{key}", "read contacts", _contact, says="Refused: contacts are read-only.")
    for kind in ("user", "group"):
        path = f"/directory/deletedItems/microsoft.graph.{kind}"
        yield _route("GET", path, f"read {kind}s", partial(deleted.list_deleted, kind=kind), says=f"Deleted {kind}s.")
    yield _route("GET", "/directory/deletedItems/{key}", "read objects", deleted.get_deleted, says="A deleted object.")
    yield _route("POST", "/directory/deletedItems/{key}/restore", "delete objects", deleted.restore, says="Restore an object.")
    yield _route("DELETE", "/directory/deletedItems/{key}", "delete objects", deleted.purge, says="Delete an object for good.")
    yield _route("POST", "/invitations", "invite", users.invite, says="Invite a guest.")
    yield _route("POST", "/directoryObjects/getByIds", "read objects", objects.get_by_ids, cost=3, says="Objects by their ids.")
    yield _route("GET", "/directoryObjects/{key}", "read objects", objects.get_any, says="An object of any type.")
    yield _route("GET", "/organization", "read organization", objects.organization, says="The tenant.")
    yield _route("GET", "/domains", "read domains", objects.domains, says="The tenant's domains.")
    for path in ("/applications/{app}/extensionProperties", "/applications(appId='{app}')/extensionProperties"):
        yield _route("GET", path, "read extensions", objects.list_extensions, says="Directory extensions.")
        yield _route("POST", path, "define extensions", objects.define_extension, says="Define a directory extension.")


ROUTES: Sequence[Route] = tuple(_all())


@follows(NOT_REACHED)
def find(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """(the operation, its parameters) of a path behind the version. Raises the refusals."""
    normal = _normal(path)
    others = False
    for route in ROUTES:
        found = route.pattern.fullmatch(normal)
        if found:
            if route.method == method:
                return route, found.groupdict()
            others = True
    if others:
        raise Refused(METHOD, 405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
    first = re.split(r"[/(]", normal.removeprefix("/"), maxsplit=1)[0]
    if first in _KNOWN_ELSEWHERE or first in {*COLLECTIONS, "directory", "directoryObjects", "organization", "domains"}:
        raise Refused(NOT_REACHED, 501, "NotImplemented", f"The lab tenant does not serve {method} {path}.")
    raise Refused(SEGMENT, 400, "BadRequest", f"Resource not found for the segment '{first}'.")


def _normal(path: str) -> str:
    """/users/microsoft.graph.delta() is /users/delta."""
    path = path.rstrip("/")
    for long in ("/microsoft.graph.delta()", "/microsoft.graph.delta", "/delta()"):
        if path.endswith(long):
            return path.removesuffix(long) + "/delta"
    return path.removesuffix("/microsoft.graph.restore") + "/restore" if path.endswith("/microsoft.graph.restore") else path
