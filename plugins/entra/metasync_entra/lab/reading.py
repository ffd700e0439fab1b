"""Lists, counts and single reads of users, groups and contacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from metasync_entra.lab import security
from metasync_entra.lab.messages import Answer, Refused, Request
from metasync_entra.lab.options import Expand, Options, next_link, read_expand, read_options, system
from metasync_entra.lab.rules import COUNT, DELTA_OUTSIDE, INDEX, LAG, NOT_FOUND, PAGES, SEARCH, SELECT, SKIP_TOKEN, follows
from metasync_entra.lab.schema import ENTITY_SETS, PROPERTIES
from metasync_entra.lab.state import Thing
from metasync_entra.lab.tenant import Tenant
from metasync_entra.lab.views import context, plan, properties, split_select, whole

_KEPT = 64


@follows(PAGES, LAG, INDEX, COUNT)
def list_objects(tenant: Tenant, request: Request, kind: str) -> Answer:
    """One page of a collection."""
    options = read_options(tenant.directory.schema, kind, request, expands=True)
    chosen = plan(properties(tenant.directory.schema, kind, options.select))
    for property_ in options.select or ():
        _refuse_outside(kind, property_)
    size = options.top or tenant.settings.page
    lag = tenant.settings.lag_index if options.indexed else tenant.settings.lag_list
    after = read_skip(tenant, options.skip, f"list {kind}") if options.skip is not None else None
    things, following = _page(tenant, kind, options, after, size, lag)
    rows = _rows(things, chosen, tenant.clock.now() - lag if lag else None)
    if hidden := security.hidden(request, options.select):
        rows = [row | hidden for row in rows]
    if options.expand:
        for thing, row in zip(things, rows, strict=True):
            row |= expanded(tenant, thing, options.expand)
    path = f"/{ENTITY_SETS[kind]}"
    content: dict[str, Any] = {"@odata.context": context(tenant.base, kind, options.select)}
    if options.count and after is None:
        content["@odata.count"] = _count(tenant, kind, options)
    if following is not None:
        token = tenant.cursors.write({"for": f"list {kind}", "after": following})
        content["@odata.nextLink"] = next_link(tenant.base, path, request.query, token)
    content["value"] = rows
    return Answer(status=200, content=content)


def count_objects(tenant: Tenant, request: Request, kind: str) -> Answer:
    """The number alone, as text."""
    if request.headers.get("consistencylevel", "").casefold() != "eventual":
        raise Refused(COUNT, 400, "Request_BadRequest", "$count is not currently supported.")
    options = read_options(tenant.directory.schema, kind, _counting(request))
    return Answer(status=200, raw=str(_count(tenant, kind, options)).encode(), kind="text/plain")


def get_object(tenant: Tenant, request: Request, kind: str, key: str) -> Answer:
    """One object."""
    thing, fields = find_visible(tenant, kind, key)
    named = system(request.query)
    select = split_select(named.get("select"))
    chosen = plan(properties(tenant.directory.schema, kind, select))
    expand = read_expand(named.get("expand"), allowed=kind == "user")
    content = {"@odata.context": context(tenant.base, kind, select, one=True), **whole(fields, chosen), **security.hidden(request, select)}
    if expand:
        content |= expanded(tenant, thing, expand)
    return Answer(status=200, content=content)


def expanded(tenant: Tenant, thing: Thing, expand: Expand) -> dict[str, Any]:
    """The manager as it stands in its user, or nothing."""
    found = tenant.directory.relations["manager"].targets(thing.id)
    if not found:
        return {}
    manager = tenant.directory.live[found[0]]
    return {"manager": {"@odata.type": f"#microsoft.graph.{manager.kind}", **shown(tenant, manager, expand.select)}}


def shown(tenant: Tenant, thing: Thing, select: Sequence[str] | None) -> dict[str, Any]:
    """An object where objects of several types may stand: of $select it shows what its type has."""
    schema = tenant.directory.schema
    known = None if select is None else [name for name in select if schema.find(thing.kind, name) is not None]
    return whole(thing.fields, plan(properties(schema, thing.kind, known)))


@follows(LAG)
def find_visible(tenant: Tenant, kind: str, key: str) -> tuple[Thing, Any]:
    """(the object, what a read of it sees), by id, or a user also by its name."""
    directory = tenant.directory
    thing = directory.live.get(key.casefold())
    if thing is None and kind == "user" and "@" in key:
        thing = directory.user_named(key)
    if thing is None or thing.kind != kind:
        raise not_found(key)
    lags = tenant.settings.lag_get
    lag = lags[0] if len(lags) == 1 else tenant.random.choice(lags)
    if not lag:
        return thing, thing.fields
    moment = tenant.clock.now() - lag
    if thing.created > moment:
        raise not_found(key)
    return thing, thing.at(moment)


def not_found(key: str) -> Refused:
    """The text that says it of an object and of a reference alike."""
    message = f"Resource '{key}' does not exist or one of its queried reference-property objects are not present."
    return Refused(NOT_FOUND, 404, "Request_ResourceNotFound", message)


def read_skip(tenant: Tenant, token: str, purpose: str) -> Any:
    """Where a list goes on."""
    state = tenant.cursors.read(token)
    if state is None or state.get("for") != purpose:
        raise Refused(SKIP_TOKEN, 400, "Request_BadRequest", "The skip token is not valid.")
    return state["after"]


def _page(tenant: Tenant, kind: str, options: Options, after: Any, size: int, lag: float) -> tuple[list[Thing], Any]:
    """(the objects, where the next page begins or None)."""
    directory = tenant.directory
    if options.order is None and options.search is None and (lag or not (options.filter and options.filter.beginning)):
        # By id: the common case, and a page costs what is on it.
        taken: list[Thing] = []
        test = options.filter.test if options.filter else None
        oldest = tenant.clock.now() - lag if lag else None
        for thing in _after(tenant, kind, options, str(after or "")):
            if oldest is not None:
                if thing.created > oldest:
                    continue
                if test and not test(thing.at(oldest)):
                    continue
            elif test and not test(thing.fields):
                continue
            if len(taken) == size:
                return taken, taken[-1].id
            taken.append(thing)
        return taken, None
    start = int(after or 0)
    ids = _results(tenant, kind, options)
    things = [directory.live[id_] for id_ in ids[start : start + size] if id_ in directory.live]
    return things, start + size if start + size < len(ids) else None


def _after(tenant: Tenant, kind: str, options: Options, after: str) -> Iterator[Thing]:
    directory = tenant.directory
    if options.filter and options.filter.ids is not None:
        named = (directory.live.get(id_) for id_ in options.filter.ids if id_ > after)
        return (thing for thing in named if thing is not None and thing.kind == kind)
    pairs = directory.order[kind].all()
    return (directory.live[pairs[place][1]] for place in range(_place(pairs, after), len(pairs)))


def _place(pairs: Sequence[tuple[str, str]], after: str) -> int:
    """The first place behind a key."""
    low, high = 0, len(pairs)
    while low < high:
        middle = (low + high) // 2
        if pairs[middle][0] <= after:
            low = middle + 1
        else:
            high = middle
    return low


def _results(tenant: Tenant, kind: str, options: Options) -> list[str]:
    """Ids of all results, kept for the pages to come while nothing is written."""
    directory = tenant.directory
    key = (kind, options.filter and options.filter.text, repr(options.search), options.order, directory.journal.last)
    known = tenant.found.get(key)
    if known is None:
        known = [thing.id for thing in _sorted(_searched(tenant, kind, options), options, tenant, kind)]
        if len(tenant.found) >= _KEPT:
            del tenant.found[next(iter(tenant.found))]
        tenant.found[key] = known
    return known


def _searched(tenant: Tenant, kind: str, options: Options) -> Iterator[Thing]:
    directory = tenant.directory
    things: Iterator[Thing] = directory.of_kind(kind)
    if options.filter and options.filter.beginning is not None and kind == "user":
        pairs = directory.names.all()
        beginning = options.filter.beginning
        start = _place(pairs, beginning[:-1] + chr(ord(beginning[-1]) - 1) + "\U0010ffff") if beginning else 0
        found: list[str] = []
        for place in range(start, len(pairs)):
            if pairs[place][0].startswith(beginning):
                found.append(pairs[place][1])
            elif pairs[place][0] > beginning:
                break
        things = (directory.live[id_] for id_ in sorted(found))
    elif options.filter:
        test = options.filter.test
        things = (thing for thing in things if test(thing.fields))
    if options.search:
        for name, _ in options.search:
            if name not in PROPERTIES[kind]:
                raise Refused(SEARCH, 400, "BadRequest", f"Could not find a property named '{name}' on type 'microsoft.graph.{kind}'.")
        terms = options.search
        things = (thing for thing in things if any(_contains(thing, name, words) for name, words in terms))
    return things


def _contains(thing: Thing, name: str, words: str) -> bool:
    value = thing.fields.get(name)
    texts = value if isinstance(value, list) else [value]
    return any(words in text.casefold() for text in texts if isinstance(text, str))


def _sorted(things: Iterator[Thing], options: Options, tenant: Tenant, kind: str) -> Iterator[Thing]:
    if options.order is None:
        return things
    name, descending = options.order
    (property_,) = properties(tenant.directory.schema, kind, [name])
    if property_.many or property_.type == "thing":
        raise Refused(SELECT, 400, "Request_UnsupportedQuery", f"Sorting by '{name}' is not supported.")
    return iter(sorted(things, key=lambda thing: (_sortable(thing.fields.get(property_.name)), thing.id), reverse=descending))


def _sortable(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, ""
    return 1, value.casefold() if isinstance(value, str) else str(value)


def _count(tenant: Tenant, kind: str, options: Options) -> int:
    if options.filter is None and options.search is None:
        return tenant.directory.count(kind)
    return len(_results(tenant, kind, options))


def _counting(request: Request) -> Request:
    """/$count takes the consistency from its header; $count=true goes without saying."""
    return Request(method="GET", path=request.path, query={**request.query, "$count": "true"}, headers=request.headers)


def _rows(things: Sequence[Thing], chosen: Sequence[tuple[str, Any]], moment: float | None) -> list[dict[str, Any]]:
    if moment is None:
        return [whole(thing.fields, chosen) for thing in things]
    return [whole(thing.at(moment), chosen) for thing in things]


def _refuse_outside(kind: str, name: str) -> None:

    property_ = PROPERTIES[kind].get(name)
    if property_ is not None and property_.outside:
        message = f"The property '{name}' is kept outside of the directory and is not read in collections."
        raise Refused(DELTA_OUTSIDE, 501, "NotImplemented", message)
