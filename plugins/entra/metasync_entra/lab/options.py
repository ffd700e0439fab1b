"""The query options of a list: read, checked, and told apart from those of a single read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from metasync_entra.lab.filtering import Filter, read_filter
from metasync_entra.lab.messages import Refused, Request
from metasync_entra.lab.rules import EXPAND, FILTER_ADVANCED, NOT_REACHED, PAGE_SIZE, QUERY_OPTION, SEARCH, SIGN_IN_ACTIVITY, follows
from metasync_entra.lab.schema import Schema
from metasync_entra.lab.views import split_select

_NAVIGATION = (
    "manager",
    "directReports",
    "members",
    "owners",
    "memberOf",
    "transitiveMembers",
    "transitiveMemberOf",
    "extensions",
    "ownedObjects",
)
_PATH = "/$()'=,@"
SYSTEM = ("select", "filter", "top", "count", "orderby", "search", "skiptoken", "deltatoken", "expand", "format")


@dataclass(frozen=True, kw_only=True, slots=True)
class Expand:
    """What is asked of a manager that comes with its user."""

    select: list[str] | None


@dataclass(kw_only=True, slots=True)
class Options:
    """What a request asks for."""

    select: list[str] | None
    top: int | None
    filter: Filter | None
    search: list[tuple[str, str]] | None
    order: tuple[str, bool] | None
    """(property, descending)."""
    count: bool
    skip: str | None
    eventual: bool
    expand: Expand | None = None

    @property
    def indexed(self) -> bool:
        """The answer comes from the index."""
        return self.search is not None or (self.eventual and (self.count or bool(self.filter and self.filter.advanced)))


def system(query: Mapping[str, str]) -> dict[str, str]:
    """The system query options, by name without `$` in lower case. The `$` may be left out."""
    named = {key.removeprefix("$").casefold(): value for key, value in query.items() if key.startswith("$") or key.casefold() in SYSTEM}
    for name in named:
        if name not in SYSTEM:
            raise Refused(QUERY_OPTION, 400, "BadRequest", f"The query parameter '${name}' is not supported.")
    return named


@follows(SIGN_IN_ACTIVITY)
def read_options(schema: Schema, kind: str, request: Request, *, largest: int = 999, expands: bool = False) -> Options:
    """Read them all, and refuse what cannot go together. `expands`: managers may be asked for with their users."""
    named = system(request.query)
    expand = read_expand(named.get("expand"), allowed=expands and kind == "user")
    eventual = request.headers.get("consistencylevel", "").casefold() == "eventual"
    count = eventual and named.get("count", "").casefold() == "true"
    select = split_select(named.get("select"))
    top = _top(named.get("top"), largest)
    if select and "signInActivity" in select:
        top = min(top or 100, 120)
    filter_ = read_filter(schema, kind, named["filter"], eventual=count) if named.get("filter") else None
    order = _order(named.get("orderby"))
    if order and filter_ and not count:
        raise Refused(FILTER_ADVANCED, 400, "Request_UnsupportedQuery", "Sorting not supported for current query.")
    search = None
    if "search" in named:
        if not eventual:
            message = (
                "Request with $search query parameter only works through MSGraph with a special request header:"
                " 'ConsistencyLevel: eventual'"
            )
            raise Refused(SEARCH, 400, "Request_UnsupportedQuery", message)
        search = _search(named["search"])
    return Options(
        select=select,
        top=top,
        filter=filter_,
        search=search,
        order=order,
        count=count,
        skip=named.get("skiptoken"),
        eventual=eventual,
        expand=expand,
    )


@follows(EXPAND)
def read_expand(text: str | None, *, allowed: bool) -> Expand | None:
    """$expand=manager or manager($select=a,b); anything else is not reached."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*manager(?:\(\$select=([A-Za-z0-9_,\s]+)\))?\s*", text)
    if found is None or not allowed:
        if text.strip().partition("(")[0] in _NAVIGATION:
            raise Refused(NOT_REACHED, 501, "NotImplemented", f"The lab tenant does not know $expand={text} here.")
        raise Refused(EXPAND, 400, "BadRequest", f"Parsing OData Select and Expand failed: '{text}' is no navigation property.")
    return Expand(select=split_select(found[1]))


def next_link(base: str, path: str, query: Mapping[str, str], token: str) -> str:
    """The request's own options, and where it goes on."""
    kept = {key: value for key, value in query.items() if key.removeprefix("$").casefold() != "skiptoken"}
    return rebuilt(base, path, {**kept, "$skiptoken": token})


def rebuilt(base: str, path: str, query: Mapping[str, str]) -> str:
    """A URL again, of its decoded parts."""
    pairs = "&".join(f"{quote(key, safe='$')}={quote(value, safe='$,()/')}" for key, value in query.items())
    return f"{base}{quote(path, safe=_PATH)}" + (f"?{pairs}" if pairs else "")


def _top(text: str | None, largest: int) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= largest:
        message = f"Invalid page size specified: '{text}'. Must be between 1 and {largest} inclusive."
        raise Refused(PAGE_SIZE, 400, "Request_UnsupportedQuery", message)
    return int(text)


def _order(text: str | None) -> tuple[str, bool] | None:
    if not text:
        return None
    name, _, direction = text.partition(" ")
    if direction.strip().casefold() not in ("", "asc", "desc") or "," in text:
        raise Refused(NOT_REACHED, 501, "NotImplemented", "The lab tenant sorts by one property.")
    return name, direction.strip().casefold() == "desc"


def _search(text: str) -> list[tuple[str, str]]:
    """`"property:words"`, several by OR."""
    terms: list[tuple[str, str]] = []
    for part in text.split(" OR "):
        inner = part.strip()
        if len(inner) < 2 or inner[0] != '"' or inner[-1] != '"' or ":" not in inner:
            raise Refused(SEARCH, 400, "BadRequest", f'Syntax error: the search term {part} is not of the form "property:value".')
        name, _, value = inner[1:-1].partition(":")
        terms.append((name, value.casefold()))
    return terms
