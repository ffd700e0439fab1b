"""The HR department of a company whose people are called as people are: umlauts, commas, quotes, a leading #, emoji, and many of one name.

The same number gives the same company.
"""

from __future__ import annotations

import csv
import os
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

GIVEN = (
    "Anna", "Björn", "Chloé", "Đorđe", "Elif", "Fatima", "George", "Hélène", "Ivan", "Jürgen", "Karin", "Łukasz", "Mia", "Noël", "Olga",
    "Peter", "Quirin", "Renée", "Siân", "Tõnis", "Uğur", "Věra", "Wim", "Xenia", "Yusuf", "Zoë",
)  # fmt: skip
FAMILY = (
    "Ærø", "Baker", "Çelik", "Dubois", "Eriksson", "Fischer", "García", "Huber", "Ivanov", "Jensen", "Köhler", "Larsen", "Müller", "Nguyen",
    "O'Brien", "Pérez", "Quandt", "Rossi", "Şahin", "Tóth", "Ullmann", "Věk", "Weiß", "Xu", "Yıldız", "Ziółkowska",  # noqa: RUF001  a Turkish name
)  # fmt: skip
UNUSUAL = (
    "Lee, Ann (née Smith)", '"Bo" O\'Hara', "#1 Helpdesk", "Zoë 🦄 Vogel", "Plus + Minus = Zero", "Back\\slash", "<b>Bold</b>; Drop",
    "שרה כהן", "李 小龍", "Ng", "Very" + " long" * 20, "e\u0301 combined", "*)(uid=*", "=cmd()", "A/B Slash", "Ends with dot.",
)  # fmt: skip
"""As one in so many people is shown: what a distinguished name must escape, a filter must not read, and a table must not be bent by."""
NAMESAKE = ("Maria", "Garcia")
TITLES = ("Engineer", "Clerk", "Planner", "Accountant", "Technician")
SITES = ("Basel", "Zürich")
EMPLOYED, LEFT = "active", "left"


@dataclass(kw_only=True)
class Person:
    """A row of people.csv."""

    id: str
    displayName: str
    givenName: str
    sn: str
    title: str
    site: str
    phone: str
    manager: str = ""
    status: str = EMPLOYED


@dataclass(kw_only=True)
class Team:
    """A row of teams.csv."""

    id: str
    name: str
    description: str
    members: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Partner:
    """A row of partners.csv: somebody of another company."""

    id: str
    name: str
    mail: str
    company: str


@dataclass(kw_only=True)
class Company:
    """What HR knows. Edit it, then `write`."""

    people: dict[str, Person]
    teams: dict[str, Team]
    partners: dict[str, Partner]
    picked: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, size: int, seed: int = 4) -> Company:
        """A company of so many people."""
        chance = random.Random(seed)
        people: dict[str, Person] = {}
        for number in range(size):
            given, family = chance.choice(GIVEN), chance.choice(FAMILY)
            if number % 40 == 7:
                given, family = NAMESAKE
            shown = f"{given} {family}"
            if number % 25 == 11:
                shown = UNUSUAL[number // 25 % len(UNUSUAL)]
            key = f"E{10001 + number}"
            people[key] = Person(
                id=key,
                displayName=shown,
                givenName=given,
                sn=family,
                title="Manager" if number % 20 == 0 else chance.choice(TITLES),
                site=chance.choice(SITES),
                phone=f"+41 44 {number:06d}",
                manager="" if number == 0 else f"E{10001 + number // 20 * 20}" if number % 20 else "E10001",
                status=LEFT if number % 100 == 99 else EMPLOYED,
            )
        every = list(people)
        teams = {
            f"T{number:02d}": Team(id=f"T{number:02d}", name=name, description=f"All of {name}", members=sorted(chance.sample(every, part)))
            for number, (name, part) in enumerate(
                [
                    ("Everybody", size),
                    ("Team A, B & C", size // 4),
                    ('"Quoted" Team', size // 10),
                    ("#Leading", size // 10),
                    ("Café ☕ Crew", min(12, size)),
                    ("Temporary Task Force", min(9, size)),
                    ("Works Council", min(5, size)),
                ]
            )
        }
        partners = {
            f"P{number}": Partner(id=f"P{number}", name=name, mail=f"partner{number}@law.example", company="Law & Partners")
            for number, name in enumerate(["Counsel, Chief", "Ünal Partner", "Paul Partner", "Petra Partner"])
        }
        return cls(people=people, teams=teams, partners=partners)

    def write(self, folder: Path) -> None:
        """The three files, each replaced as a whole."""
        _write(folder / "people.csv", Person, self.people.values())
        _write(folder / "teams.csv", Team, self.teams.values())
        _write(folder / "partners.csv", Partner, self.partners.values())

    # --- who is good for an edit ---

    def pick(self) -> Person:
        """The next person whom no edit was about yet: employed, nobody's manager, and of a name that nobody else has: the name alone tells
        whom a plan is about."""
        called = Counter(one.displayName.casefold() for one in self.people.values())
        managers = {one.manager for one in self.people.values()}
        for one in self.people.values():
            plain = one.displayName == f"{one.givenName} {one.sn}" and called[one.displayName.casefold()] == 1
            if plain and one.status == EMPLOYED and one.id not in managers | self.picked:
                self.picked.add(one.id)
                return one
        raise AssertionError("the company is too small for so many edits")

    def teams_of(self, person: Person) -> list[Team]:
        """Where he or she is a member."""
        return [team for team in self.teams.values() if person.id in team.members]

    def hire(self, **known: Any) -> Person:
        """Somebody new."""
        key = f"E{max(int(one[1:]) for one in self.people) + 1}"
        plain = {"givenName": "Nora", "sn": "New", "title": "Trainee", "site": "Basel", "phone": "", "manager": "E10001", **known}
        plain.setdefault("displayName", f"{plain['givenName']} {plain['sn']}")
        self.people[key] = Person(id=key, **plain)
        return self.people[key]

    def dismiss(self, person: Person) -> Person:
        """Out of the file, and out of every team."""
        for team in self.teams.values():
            team.members = [one for one in team.members if one != person.id]
        return self.people.pop(person.id)


def _write(path: Path, what: type[Any], rows: Iterable[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([one.name for one in fields(what)])
        writer.writerows([_cells(astuple(row)) for row in rows])
    os.replace(part, path)


def _cells(values: Sequence[Any]) -> list[str]:
    return ["|".join(one) if isinstance(one, list) else str(one) for one in values]
