"""Delta queries: the initial round, the rounds after it, and every way in which the service asks for a new one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from metasync_entra.lab.filtering import read_filter
from metasync_entra.lab.journal import Entry
from metasync_entra.lab.messages import Answer, Refused, Request
from metasync_entra.lab.options import system
from metasync_entra.lab.rules import (
    DELTA_EXPIRED,
    DELTA_FILTER,
    DELTA_LATEST,
    DELTA_MEMBERS,
    DELTA_MINIMAL,
    DELTA_OPTIONS,
    DELTA_OUTSIDE,
    DELTA_PAGE,
    DELTA_REMOVED,
    DELTA_RESYNC,
    DELTA_ROUND,
    DELTA_SELECT,
    DELTA_SHAPE,
    DELTA_TOKEN,
    follows,
)
from metasync_entra.lab.schema import DEFAULTS, ENTITY_SETS, PROPERTIES, Property
from metasync_entra.lab.state import DAY, Thing
from metasync_entra.lab.tenant import Tenant
from metasync_entra.lab.views import context, ever_set, navigation, properties, split_select

MOST_IDS = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What a token carries."""

    kind: str
    phase: str
    """`initial` while the directory is enumerated, `changes` while the journal is read, `delta` between rounds."""
    start: int
    """The number in the journal from which the next round reads."""
    place: int = 0
    """In the journal, within this round."""
    object: str = ""
    """The last one, within an initial round."""
    member: list[str] = field(default_factory=list[str])
    """[navigation property, id]: how far the references of `object` were told. Empty: all of them."""
    select: list[str] | None = None
    ids: list[str] | None = None
    epoch: int = 0
    issued: float = 0.0
    minimal: bool = False


@follows(DELTA_ROUND, DELTA_LATEST, DELTA_PAGE)
def delta(tenant: Tenant, request: Request, kind: str) -> Answer:
    """One page of a round."""
    named = system(request.query)
    token = named.get("skiptoken", named.get("deltatoken"))
    minimal = "return=minimal" in request.headers.get("prefer", "").replace(" ", "").casefold()
    if not token:
        state = _begin(tenant, kind, named)
    elif token == "latest" and "deltatoken" in named:  # noqa: S105
        state = replace(_begin(tenant, kind, named), phase="delta")
        return _page(tenant, state, [], state, minimal)
    else:
        state = _resume(tenant, kind, token)
    if state.phase == "initial":
        rows, following = _enumerate(tenant, state)
    else:
        rows, following = _changes(tenant, state, minimal)
    return _page(tenant, state, rows, following, minimal)


def _page(tenant: Tenant, state: State, rows: list[dict[str, Any]], following: State, minimal: bool) -> Answer:
    stored = {"for": "delta", **{name: getattr(following, name) for name in State.__slots__}, "issued": tenant.clock.now()}
    done = following.phase == "delta"
    named = "$deltatoken" if done else "$skiptoken"
    link = f"{tenant.base}/{ENTITY_SETS[state.kind]}/delta?{named}={tenant.cursors.write(stored)}"
    content = {
        "@odata.context": context(tenant.base, state.kind, state.select),
        "@odata.deltaLink" if done else "@odata.nextLink": link,
        "value": rows,
    }
    headers = {"Preference-Applied": "return=minimal"} if minimal else {}
    return Answer(status=200, content=content, headers=headers)


# --- the request ------------------------------------------------------------------------------------------------------------------------


def _begin(tenant: Tenant, kind: str, named: Mapping[str, str]) -> State:
    for option in ("expand", "orderby", "search"):
        if option in named:
            raise Refused(DELTA_OPTIONS, 400, "Request_UnsupportedQuery", f"${option} is not supported in a delta query.")
    select = split_select(named.get("select"))
    _, others = navigation(kind, select)
    for name in others or ():
        property_ = PROPERTIES[kind].get(name)
        if property_ is not None and property_.outside:
            message = f"The property '{name}' is kept outside of the directory and is not tracked."
            raise Refused(DELTA_OUTSIDE, 501, "NotImplemented", message)
    properties(tenant.directory.schema, kind, others)
    start = _visible(tenant)
    ids = _ids(tenant, kind, named["filter"]) if named.get("filter") else None
    return State(kind=kind, phase="initial", start=start, select=select, ids=ids, epoch=tenant.directory.epoch)


def _ids(tenant: Tenant, kind: str, text: str) -> list[str]:
    found = read_filter(tenant.directory.schema, kind, text, eventual=False)
    if found.ids is None:
        raise Refused(DELTA_FILTER, 400, "Request_UnsupportedQuery", "A delta query is filtered by the ids of objects alone.")
    if len(found.ids) > MOST_IDS:
        raise Refused(DELTA_FILTER, 400, "Request_UnsupportedQuery", f"A delta query is filtered by at most {MOST_IDS} objects.")
    return found.ids


def _resume(tenant: Tenant, kind: str, token: str) -> State:
    stored = tenant.cursors.read(token)
    if stored is None or stored.pop("for") != "delta" or stored["kind"] != kind:
        raise Refused(DELTA_TOKEN, 400, "Request_BadRequest", "Badly formed token.")
    state = State(**stored)
    if state.epoch != tenant.directory.epoch:
        headers = {"Location": f"{tenant.base}/{ENTITY_SETS[kind]}/delta?$deltatoken="}
        raise Refused(DELTA_RESYNC, 410, "resyncRequired", "Resync required. Any delta token is no longer valid.", headers=headers)
    if tenant.clock.now() - state.issued > tenant.settings.delta_days * DAY:
        raise expired(tenant.settings.expired_status)
    return state


def expired(status: int) -> Refused:
    """The token is too old."""
    code = "syncStateNotFound" if status == 400 else "SyncStateNotFound"
    return Refused(DELTA_EXPIRED, status, code, "The sync state generation is not found. Please restart the sync with a new request.")


def _visible(tenant: Tenant) -> int:
    """The newest write that delta queries see."""
    lag = tenant.settings.lag_delta
    journal = tenant.directory.journal
    return journal.until(tenant.clock.now() - lag) if lag else journal.last


# --- the initial round ------------------------------------------------------------------------------------------------------------------


def _enumerate(tenant: Tenant, state: State) -> tuple[list[dict[str, Any]], State]:
    """The directory by ids; it ends where the journal is read on from the round's own beginning."""
    named, others = navigation(state.kind, state.select)
    chosen = properties(tenant.directory.schema, state.kind, others)
    moment = tenant.clock.now() - tenant.settings.lag_delta
    cap = tenant.settings.delta_users if state.kind != "group" else tenant.settings.delta_groups
    room = tenant.settings.delta_members
    rows: list[dict[str, Any]] = []
    done = state
    for thing in _from(tenant, state):
        if thing.created > moment:
            continue
        if len(rows) == cap or room <= 0:
            return _replayed(tenant, rows, chosen), done
        row = ever_set(thing.at(moment), chosen)
        place = state.member if thing.id == state.object else []
        told, place = _references(tenant, thing, named, place, room, row)
        room -= told
        rows.append(row)
        done = replace(state, object=thing.id, member=place)
        if place:
            return _replayed(tenant, rows, chosen), done
    return _replayed(tenant, rows, chosen), replace(state, phase="delta", object="", member=[])


def _from(tenant: Tenant, state: State) -> Iterable[Thing]:
    """Objects from where the round stands; the last one again while its references are not all told."""
    directory = tenant.directory
    found: Iterable[Thing]
    if state.ids is not None:
        found = [directory.live[id_] for id_ in state.ids if id_ in directory.live and directory.live[id_].kind == state.kind]
    else:
        pairs = directory.order[state.kind].all()
        low, high = 0, len(pairs)
        while low < high:
            middle = (low + high) // 2
            if pairs[middle][0] < state.object:
                low = middle + 1
            else:
                high = middle
        found = (directory.live[pairs[place][1]] for place in range(low, len(pairs)))
    for thing in found:
        if thing.id > state.object or (thing.id == state.object and state.member):
            yield thing


@follows(DELTA_MEMBERS)
def _references(
    tenant: Tenant, thing: Thing, named: Sequence[str], place: Sequence[str], room: int, row: dict[str, Any]
) -> tuple[int, list[str]]:
    """Put as many references as there is room for into the row; (how many, where to go on or nothing)."""
    told = 0
    directory = tenant.directory
    begin = named.index(place[0]) if place else 0
    for name in named[begin:]:
        after = place[1] if place and name == place[0] else ""
        ids = directory.relations[name].page(thing.id, after, max(room - told, 0) + 1)
        cut = len(ids) > room - told
        shown = ids[: room - told] if cut else ids
        if shown:
            row[f"{name}@delta"] = [_reference(directory.live[id_].kind, id_) for id_ in shown]
        told += len(shown)
        if cut:
            return told, [name, shown[-1] if shown else after]
    return told, []


def _reference(kind: str, id_: str, *, removed: bool = False) -> dict[str, Any]:
    shown: dict[str, Any] = {"@odata.type": f"#microsoft.graph.{kind}", "id": id_}
    if removed:
        shown["@removed"] = {"reason": "deleted"}
    return shown


# --- the rounds after it ----------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Seen:
    """What the journal says of one object."""

    fields: set[str] = field(default_factory=set[str])
    whole: bool = False
    gone: str | None = None
    references: dict[str, dict[str, tuple[bool, str]]] = field(default_factory=dict[str, dict[str, tuple[bool, str]]])


@follows(DELTA_SELECT, DELTA_REMOVED)
def _changes(tenant: Tenant, state: State, minimal: bool) -> tuple[list[dict[str, Any]], State]:
    """The journal from where the round stands, up to a full page."""
    position, end = (state.start, _visible(tenant)) if state.phase == "delta" else (state.place, state.start)
    named, others = navigation(state.kind, state.select)
    tracked = None if others is None else set(others)
    cap = tenant.settings.delta_users if state.kind != "group" else tenant.settings.delta_groups
    room = tenant.settings.delta_members
    seen: dict[str, _Seen] = {}
    for number, entry in tenant.directory.journal.between(position, end):
        if _concerns(entry, state, named, tracked):
            full = (entry.id not in seen and len(seen) == cap) or room <= 0
            if full:
                break
            room -= _note(seen.setdefault(entry.id, _Seen()), entry)
        position = number
    rows = [_changed(tenant, state, id_, one, minimal) for id_, one in seen.items()]
    if position < end:
        return rows, replace(state, phase="changes", start=end, place=position)
    chosen = properties(tenant.directory.schema, state.kind, others)
    return _replayed(tenant, rows, chosen), replace(state, phase="delta", start=end, place=0)


def _concerns(entry: Entry, state: State, named: Sequence[str], tracked: set[str] | None) -> bool:
    if entry.kind != state.kind or (state.ids is not None and entry.id not in state.ids):
        return False
    if entry.relation is not None:
        return entry.relation[0] in named
    if entry.gone is not None or entry.created or tracked is None:
        return True
    return not tracked.isdisjoint(entry.fields or ())


def _note(seen: _Seen, entry: Entry) -> int:
    """Take one entry in; how many references that were."""
    if entry.relation is not None:
        name, added, kind, id_ = entry.relation
        seen.references.setdefault(name, {})[id_] = (added, kind)
        return 1
    if entry.gone is not None:
        seen.gone = entry.gone
    elif entry.created:
        seen.gone, seen.whole = None, True
    seen.fields |= entry.fields or set()
    return 0


@follows(DELTA_SHAPE, DELTA_MINIMAL)
def _changed(tenant: Tenant, state: State, id_: str, seen: _Seen, minimal: bool) -> dict[str, Any]:
    """The row of one object, as it is now."""
    directory = tenant.directory
    thing = directory.live.get(id_)
    if thing is None:
        return {"id": id_, "@removed": {"reason": "changed" if id_ in directory.bin else "deleted"}}
    _, others = navigation(state.kind, state.select)
    chosen: Sequence[Property] = properties(directory.schema, state.kind, others)
    if others is None:
        # Without $select all is tracked: what changed is shown besides the default properties.
        further = (directory.schema.find(state.kind, name) for name in sorted(seen.fields))
        chosen = [*DEFAULTS[state.kind], *(one for one in further if one is not None and not one.default)]
    row = ever_set(thing.fields, chosen, seen.fields if minimal and not seen.whole else None)
    for name, references in seen.references.items():
        row[f"{name}@delta"] = [_reference(kind, other, removed=not added) for other, (added, kind) in references.items()]
    return row


def _replayed(tenant: Tenant, rows: list[dict[str, Any]], chosen: Sequence[Property]) -> list[dict[str, Any]]:
    """By a setting: some objects twice, first as they were."""
    chance = tenant.settings.replay
    if not chance:
        return rows
    shown: list[dict[str, Any]] = []
    for row in rows:
        thing = tenant.directory.live.get(row["id"])
        if thing is not None and tenant.random.random() < chance:
            before = thing.history[-1][1] if thing.history else thing.fields
            shown.append(ever_set(before, chosen))
        shown.append(row)
    return shown
