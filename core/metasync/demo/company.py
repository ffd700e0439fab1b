"""A small company: several hundred people with managers, teams, people of one name, externals, leavers.

The same number gives the same company. `Company` is what its HR department writes down; `second_day` is what happens until tomorrow:
joiners, leavers, two marriages, moves, a cleared title.
"""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

DEPARTMENTS: Mapping[str, Sequence[str]] = {
    "Engineering": ("Engineer", "Senior engineer", "Test engineer"),
    "Sales": ("Account manager", "Sales assistant"),
    "Finance": ("Accountant", "Controller"),
    "Operations": ("Planner", "Dispatcher", "Technician"),
    "People": ("HR partner", "Recruiter"),
    "Legal": ("Counsel",),
}
EXTERNAL = "External"
EXTERNAL_SHARE, LEFT_SHARE, NAMESAKE_SHARE = 25, 60, 40
"""One in so many."""
PEOPLE_COLUMNS = ("id", "displayName", "givenName", "sn", "title", "department", "manager", "status")
TEAM_COLUMNS = ("id", "name", "description", "members")


@dataclass(frozen=True, kw_only=True)
class Person:
    """A row of the HR file."""

    id: str
    givenName: str
    sn: str
    title: str
    department: str
    manager: str = ""
    status: str = "active"

    @property
    def displayName(self) -> str:
        """As people call them."""
        return f"{self.givenName} {self.sn}"


@dataclass(frozen=True, kw_only=True)
class Team:
    """A row of the file of teams."""

    id: str
    name: str
    description: str
    members: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Company:
    """What HR knows. Immutable: a new day is a new company."""

    people: Mapping[str, Person]
    teams: Mapping[str, Team]
    existing: tuple[Mapping[str, str], ...] = field(default=())
    """Accounts that the directory has from before: {employeeNumber, givenName, sn, title, userName}."""

    def external(self) -> Person:
        """Somebody whom no profile is about."""
        return next(one for one in self.people.values() if one.department == EXTERNAL)

    def namesake(self) -> Person:
        """Somebody who is not the first of that name, and so got another user name."""
        seen: set[tuple[str, str]] = set()
        for one in self.people.values():
            if one.department == EXTERNAL or one.status != "active":
                continue
            if (one.givenName, one.sn) in seen:
                return one
            seen.add((one.givenName, one.sn))
        return next(iter(self.people.values()))


def company(people: int = 400, seed: int = 1) -> Company:
    """A company of this size."""
    chance = random.Random(seed)  # noqa: S311  names for a demo, not secrets
    given_names, family_names = _names()
    hired: dict[str, Person] = {}
    heads: dict[str, str] = {}
    for number in range(people):
        key = f"E{1001 + number}"
        department = EXTERNAL if number % EXTERNAL_SHARE == EXTERNAL_SHARE - 1 else chance.choice(list(DEPARTMENTS))
        given, family = chance.choice(given_names), chance.choice(family_names)
        if number % NAMESAKE_SHARE == 13:
            given, family = "Maria", "Garcia"  # people of one name: there is at least one in every company
        titles = DEPARTMENTS.get(department, ("Contractor",))
        manager = heads.get(department, "E1001")
        title = chance.choice(titles)
        if number == 0:
            title, manager, department = "Managing director", "", "Operations"
        elif department != EXTERNAL and department not in heads:
            heads[department], title, manager = key, f"Head of {department}", "E1001"
        status = "left" if number % LEFT_SHARE == LEFT_SHARE - 1 else "active"
        hired[key] = Person(id=key, givenName=given, sn=family, title=title, department=department, manager=manager, status=status)
    return Company(people=hired, teams=_teams(hired, chance), existing=_existing(hired, chance))


def second_day(before: Company, seed: int = 2) -> Company:
    """What HR knows tomorrow."""
    chance = random.Random(seed)  # noqa: S311  names for a demo, not secrets
    people = dict(before.people)
    staff = [key for key, one in people.items() if _ordinary(one)]
    _, family_names = _names()
    chosen = chance.sample(staff, min(10, len(staff)))
    for key in chosen[:2]:
        people[key] = replace(people[key], sn=chance.choice(family_names))  # married
    for key in chosen[2:4]:
        department = chance.choice([one for one in DEPARTMENTS if one != people[key].department])
        people[key] = replace(people[key], department=department, title=DEPARTMENTS[department][0])
    for key in chosen[4:6]:
        people[key] = replace(people[key], status="left")
    for key in chosen[6:8]:
        del people[key]
    for key in chosen[8:9]:
        people[key] = replace(people[key], title="")
    last = max(int(key[1:]) for key in people)
    for number, (given, family) in enumerate((("Maria", "Garcia"), ("Ren", "Tanaka"), ("Siân", "O'Brien")), last + 1):
        key = f"E{number}"
        people[key] = Person(id=key, givenName=given, sn=family, title="Engineer", department="Engineering", manager="E1001")
    gone = set(before.people) - set(people)
    teams = {key: replace(team, members=tuple(one for one in team.members if one not in gone)) for key, team in before.teams.items()}
    first = next(iter(teams))
    teams[first] = replace(teams[first], members=(*teams[first].members, f"E{last + 1}"))
    return replace(before, people=people, teams=teams)


def write(of: Company, folder: Path) -> list[Path]:
    """The HR department's files; what was written. Each is replaced as a whole, so that no reader finds half a file."""
    people = [[getattr(one, name) for name in PEOPLE_COLUMNS] for one in of.people.values()]
    teams = [[one.id, one.name, one.description, "|".join(one.members)] for one in of.teams.values()]
    return [
        write_csv(folder / "people.csv", PEOPLE_COLUMNS, people),
        write_csv(folder / "teams.csv", TEAM_COLUMNS, teams),
    ]


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Path:
    """A CSV file, replaced as a whole; readable by its owner only, since it is about people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    os.replace(part, path)
    return path


def _ordinary(one: Person) -> bool:
    """Neither external nor leaving, and nobody's boss."""
    return one.department != EXTERNAL and one.status == "active" and not one.title.startswith(("Head", "Managing"))


def _names() -> tuple[list[str], list[str]]:
    """(given names, family names)."""
    text = files("metasync.demo").joinpath("names.txt").read_text(encoding="utf-8")
    given, family = text.partition("\n")[2].split("\n\n")
    return given.split(), family.split()


def _teams(people: Mapping[str, Person], chance: random.Random) -> dict[str, Team]:
    teams = {}
    for number, department in enumerate(DEPARTMENTS, 1):
        members = tuple(key for key, one in people.items() if one.department == department)
        name = f"All {department}"
        teams[f"T{number:02}"] = Team(id=f"T{number:02}", name=name, description=f"Everybody in {department}", members=members)
    staff = [key for key, one in people.items() if one.department != EXTERNAL]
    for number, name in enumerate(("First aid", "Works council", "Summer party", "Project Borealis"), len(teams) + 1):
        members = tuple(sorted(chance.sample(staff, min(12, len(staff)))))
        teams[f"T{number:02}"] = Team(id=f"T{number:02}", name=name, description=f"Members of {name}", members=members)
    return teams


def _existing(people: Mapping[str, Person], chance: random.Random) -> tuple[Mapping[str, str], ...]:
    """One in twelve has an account from before, some with an old title."""
    found = []
    for key, one in people.items():
        if one.department == EXTERNAL or one.status != "active" or chance.random() > 1 / 12:
            continue
        title = "Trainee" if chance.random() < 0.5 else one.title
        found.append({"employeeNumber": key, "givenName": one.givenName, "sn": one.sn, "title": title, "userName": f"u{key[1:]}"})
    return tuple(found)
