"""Values that stand only once and are in use by objects that no import shows: computers, managed service accounts, whoever lies outside of
`under` or is hidden by `filter`. The engine knows all others by itself, and also who gives a value up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from metasync.contract import Kind
from metasync_ad import dn as names
from metasync_ad import lookup
from metasync_ad.scope import FILTERS, bases, kind_filter
from metasync_ad.session import RawEntry, Session
from metasync_ad.settings import Settings

NAMES = frozenset({"sAMAccountName", "userPrincipalName"})
"""What the domain itself keeps unique. Others may have the `mail` or an address of somebody: a contact shows that of a mailbox."""


def taken(session: Session, settings: Settings, attribute: str, values: Collection[str]) -> frozenset[str]:
    """Those of the values, in the form given. Raises `Refused`, `Unavailable`, and `ValueError` for text that has no UTF-8."""
    every = list(dict.fromkeys(values))
    found: set[str] = set()
    for at in range(0, len(every), lookup.PORTION):
        found |= _of(session, settings, attribute, every[at : at + lookup.PORTION])
    return frozenset(found)


def _of(session: Session, settings: Settings, attribute: str, values: Sequence[str]) -> set[str]:
    query = "".join(lookup.equals(attribute, value) for value in values)
    there = session.search(settings.base, f"(|{query})", ["objectGUID", attribute])
    hidden = _hidden(session, settings, there) if there else []
    if len(values) == 1:
        return set(values) if hidden else set()
    found: set[str] = set()
    for entry in hidden:
        held = {value.casefold() for value in entry.every(attribute.lower())}
        meant = {value for value in values if value.casefold() in held}
        if not meant:  # Windows takes more for equal than case: which value it means, it alone can tell
            return set().union(*(_of(session, settings, attribute, [value]) for value in values))
        found |= meant
    return found


def _hidden(session: Session, settings: Settings, entries: Iterable[RawEntry]) -> list[RawEntry]:
    """Those that an import does not show."""
    places = bases(settings, ())
    inside = [entry for entry in entries if entry.guid is not None]
    ours = kind_filter({*FILTERS, Kind.CONTAINER}, settings)
    shown: set[str | None] = set()
    for portion in lookup.portions(entry.guid or "" for entry in inside):
        shown.update(entry.guid for entry in session.search(settings.base, f"(&(|{lookup.these(portion)}){ours})", ["objectGUID"]))
    return [entry for entry in inside if entry.guid not in shown or not any(names.is_under(entry.dn, place) for place in places)]
