"""People, groups and contacts for a tenant that is to begin with some. The same seed makes the same tenant."""

from __future__ import annotations

import random
import uuid
from typing import Any

from metasync_entra.lab.clock import iso
from metasync_entra.lab.state import Directory, Thing

_GIVEN = (
    "Ada Alan Barbara Claude Dana Donald Edsger Frances Grace Hedy Ivan Joan Karen Ken Leslie Margaret Olga Radia Sophie Tim Vera".split()
)
_SURNAME = "Allen Berners Curie Dijkstra Euler Franklin Gauss Hopper Jensen Knuth Lamport Meyer Noether Perlman Ritchie Turing".split()
_DEPARTMENT = "Finance Research Sales Support Legal Production Logistics".split()
_CITY = ("Berlin", "Lyon", "Porto", "Graz", "Turin", "Gdańsk", "Malmö")


def seed(
    directory: Directory, *, users: int, groups: int, contacts: int, members: int, owners: int, managers: bool, unified: int, number: int
) -> dict[str, list[str]]:
    """Make them; the ids by collection. `members` is for each group, at random; the first `unified` groups are Microsoft 365 groups."""
    chance = random.Random(number)  # noqa: S311  people of a lab
    base = directory.count("user")
    people = [directory.create("user", _user(directory, base + place, chance), _id(chance)) for place in range(users)]
    base = directory.count("group")
    made = [directory.create("group", _group(directory, base + place, place < unified, chance), _id(chance)) for place in range(groups)]
    base = directory.count("orgContact")
    outside = [directory.create("orgContact", _contact(base + place), _id(chance)) for place in range(contacts)]
    for group in made:
        for person in chance.sample(people, min(members, len(people))):
            directory.relate("members", group, person)
        for person in chance.sample(people, min(owners, len(people))):
            directory.relate("owners", group, person)
    if managers:
        _chain(directory, people)
    return {"users": _ids(people), "groups": _ids(made), "contacts": _ids(outside)}


def _chain(directory: Directory, people: list[Thing]) -> None:
    """Each has one of the tenth before as manager."""
    for place, person in enumerate(people):
        if place:
            directory.relate("manager", person, people[(place - 1) // 10])


def _ids(things: list[Thing]) -> list[str]:
    return [one.id for one in things]


def _id(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _user(directory: Directory, place: int, chance: random.Random) -> dict[str, Any]:
    given, surname = _GIVEN[place % len(_GIVEN)], _SURNAME[(place // len(_GIVEN)) % len(_SURNAME)]
    name = f"{given}.{surname}{place}".lower()
    domain = next(one["id"] for one in directory.domains.values() if one["isDefault"])
    address = f"{name}@{domain}"
    now = iso(directory.clock.now())
    return {
        "accountEnabled": place % 50 != 49,
        "userPrincipalName": address,
        "mail": address,
        "mailNickname": name,
        "proxyAddresses": [f"SMTP:{address}"],
        "displayName": f"{given} {surname} {place}",
        "givenName": given,
        "surname": surname,
        "employeeId": str(100_000 + place),
        "department": _DEPARTMENT[place % len(_DEPARTMENT)],
        "jobTitle": "Engineer" if place % 3 else "Manager",
        "city": _CITY[place % len(_CITY)],
        "usageLocation": "DE",
        "userType": "Member",
        "createdDateTime": now,
        "securityIdentifier": "S-1-12-1-" + "-".join(str(chance.getrandbits(32)) for _ in range(4)),
    }


def _group(directory: Directory, place: int, unified: bool, chance: random.Random) -> dict[str, Any]:
    nickname = f"group{place}"
    now = iso(directory.clock.now())
    fields: dict[str, Any] = {
        "displayName": f"Group {place}",
        "description": f"People of group {place}",
        "mailNickname": nickname,
        "mailEnabled": unified,
        "securityEnabled": not unified,
        "groupTypes": ["Unified"] if unified else [],
        "createdDateTime": now,
        "renewedDateTime": now,
        "securityIdentifier": "S-1-12-1-" + "-".join(str(chance.getrandbits(32)) for _ in range(4)),
    }
    if unified:
        domain = next(one["id"] for one in directory.domains.values() if one["isDefault"])
        fields |= {"mail": f"{nickname}@{domain}", "proxyAddresses": [f"SMTP:{nickname}@{domain}"], "visibility": "Public"}
    return fields


def _contact(place: int) -> dict[str, Any]:
    address = f"contact{place}@partner.example"
    return {
        "displayName": f"Contact {place}",
        "givenName": "Contact",
        "surname": str(place),
        "mail": address,
        "mailNickname": f"contact{place}",
        "proxyAddresses": [f"SMTP:{address}"],
        "companyName": "Partner",
    }
