"""The made-up company that everything is measured on: the same at every run, whatever part of it is asked for first.

An object has about 25 attributes (700 bytes as JSON) and, on average, 2.5 references; one in twenty is a group. An object is a function
of its number and its edition, so that nothing has to be kept in memory, and an edit is a higher edition.
"""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta

from metasync.contract import Entry, Kind, Reference, Values

BASE = "DC=contoso,DC=test"
GROUP_EVERY = 20
MEMBERS = 31
"""Of one group: with a manager per person they make 2.5 references per object."""
REPORTS = 12
"""People per manager."""

_GIVEN = "Ann Ben Clara David Eva Felix Greta Hugo Ida Jonas Käthe Leon Marie Nils Olga Paul Rosa Simon Thea Uwe".split()
_FAMILY = (
    "Lee Müller Smith Weber Rossi Novak Silva Dubois Jensen Kowalski Nagy Costa Berg Lind Moreau Fischer Haas Vogel Klein Roth".split()
)
_TITLES = "Engineer Analyst Manager Clerk Director Assistant Architect Consultant Nurse Buyer".split()
_DEPARTMENTS = "Sales Legal Finance Research Production Logistics Marketing Support Personnel Purchasing".split()
_CITIES = "Berlin Wien Zürich Oslo Paris Milano Porto Praha Gdansk Malmö".split()
_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)


def is_group(number: int) -> bool:
    """Is the object of this number a group?"""
    return number % GROUP_EVERY == GROUP_EVERY - 1


def anchor(number: int, seed: int = 0) -> str:
    """A GUID: anchors arrive in no order, as a directory's do."""
    return str(uuid.UUID(int=random.Random(seed << 40 | number).getrandbits(128)))


def entry(number: int, size: int, *, edition: int = 0, seed: int = 0) -> Entry:
    """One object of a company of this size."""
    if is_group(number):
        return Entry(anchor=anchor(number, seed), kind=Kind.GROUP, attributes=_group(number, size, edition, seed))
    return Entry(anchor=anchor(number, seed), kind=Kind.USER, attributes=_person(number, edition, seed))


def kept(number: int, size: int, *, edition: int = 0, seed: int = 1) -> Entry:
    """What the documents' mappings make of an object in their target: worked out here by hand, so that an engine that does not agree finds
    something to do."""
    if is_group(number):
        values = {
            name: value for name, value in _group(number, size, edition, seed).items() if name not in ("whenCreated", "proxyAddresses")
        }
        return Entry(anchor=anchor(number, seed), kind=Kind.GROUP, attributes={**values, "path": "OU=Groups,DC=fabrikam,DC=test"})
    one = _person(number, edition, seed)
    given = {name: one[name] for name in KEPT}
    made = {
        "path": "OU=Staff,DC=fabrikam,DC=test",
        "displayName": f"{one['displayName']} ({one['company']})",
        "mail": str(one["mail"]).lower(),
        "userPrincipalName": str(one["userPrincipalName"]).lower(),
        "company": "Fabrikam",
        "employeeNumber": str(one["employeeNumber"]).removeprefix("E"),
        "description": f"{one['street']}, {one['city']}, {one['room']}, {one['costCentre']}",
        "city": "Management" if str(one["title"]).startswith(("Director", "Manager")) else "Staff",
        "room": str(one["proxyAddresses"][1]),  # type: ignore[index]  # the second address
    }
    return Entry(anchor=anchor(number, seed), kind=Kind.USER, attributes={**given, **made})


KEPT = (
    "cn givenName sn sAMAccountName title department telephoneNumber otherTelephone targetAddress legacyExchangeDN employeeID badge hidden "
    "manager enabled proxyAddresses accountExpires"
).split()
"""What the documents take over as it is."""


def crowd(members: int, seed: int = 0) -> Entry:
    """One group that has the first so many people as its members."""
    attributes = _group_values(members, 0)
    attributes["members"] = tuple(Reference(value=anchor(one, seed)) for one in range(members))
    return Entry(anchor=anchor(members, seed), kind=Kind.GROUP, attributes=attributes)


def row(number: int, edition: int = 0) -> list[str]:
    """One person as a row of 25 cells."""
    values = _person(number, edition, 0)
    cells = [f"E{number:08}"]
    for name in COLUMNS[1:]:
        value = values.get(name, "")
        if name == "manager":
            value = f"E{_chief(number):08}"
        cells.append(str(value).lower() if isinstance(value, bool) else str(value))
    return cells


COLUMNS = (
    "employeeNumber cn displayName givenName sn mail userPrincipalName sAMAccountName title department company telephoneNumber "
    "otherTelephone targetAddress legacyExchangeDN employeeID badge hidden enabled manager description city street room costCentre"
).split()


def _chief(number: int) -> int:
    chief = number // REPORTS
    return chief - 1 if is_group(chief) else chief


def _person(number: int, edition: int, seed: int) -> dict[str, Values]:
    given, family = _GIVEN[number % 20], _FAMILY[number // 20 % 20]
    login = f"{given[:1]}{family}{number}".casefold()
    mail = f"{login}@contoso.test"
    city = _CITIES[number // 7 % 10]
    return {
        "cn": f"{family} {given} {number}",
        "path": f"OU={_DEPARTMENTS[number % 10]},{BASE}",
        "displayName": f"{family}, {given}",
        "givenName": given,
        "sn": family,
        "mail": mail,
        "proxyAddresses": (f"SMTP:{mail}", f"smtp:{given}.{family}.{number}@mail.contoso.test".casefold()),
        "userPrincipalName": mail,
        "sAMAccountName": f"u{number:08}",
        "title": _TITLES[number // 3 % 10] + (f" {edition}" if edition else ""),
        "department": _DEPARTMENTS[number % 10],
        "company": "Contoso International Holding",
        "telephoneNumber": f"+49 30 {number:07}",
        "otherTelephone": (f"+49 170 {number:07}",),
        "targetAddress": f"SMTP:{login}@contoso.onmicrosoft.test",
        "legacyExchangeDN": f"/o=Contoso/ou=Exchange/cn=Recipients/cn={login}",
        "employeeID": f"{number:08}",
        "employeeNumber": f"E{number:08}",
        "badge": 100_000 + number,
        "hidden": number % 50 == 0,
        "enabled": number % 33 != 0,
        "description": f"{city}, room {number % 900 + 100}",
        "whenCreated": _EPOCH + timedelta(minutes=number),
        "accountExpires": _EPOCH + timedelta(days=9000 + number % 700),
        "manager": Reference(value=anchor(_chief(number), seed)),
        "city": city,
        "street": f"{number % 400} Long Street",
        "room": str(number % 900 + 100),
        "costCentre": f"{4000 + number % 300}",
    }


def _group_values(number: int, edition: int) -> dict[str, Values]:
    return {
        "cn": f"Group {number}",
        "path": f"OU=Groups,{BASE}",
        "displayName": f"Group {number}",
        "mail": f"group{number}@contoso.test",
        "proxyAddresses": (f"SMTP:group{number}@contoso.test",),
        "sAMAccountName": f"g{number:08}",
        "description": f"Everybody of team {number}, edition {edition}",
        "whenCreated": _EPOCH + timedelta(minutes=number),
    }


def _group(number: int, size: int, edition: int, seed: int) -> dict[str, Values]:
    found = {(number * 7 + step * 13) % size for step in range(MEMBERS)}
    members = tuple(Reference(value=anchor(one, seed)) for one in sorted(found) if not is_group(one))
    values = _group_values(number, edition)
    if members:
        values["members"] = members
    return values
