"""The sites: a CSV file, a directory in memory that is followed by deltas, a target that counts and accepts duplicates, a Samba domain."""

from __future__ import annotations

import csv
import random
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from system.product import Answer

from metasync.contract import Kind, Reference
from metasync.testing.counting import Counts
from metasync.testing.memory import MemoryDirectory
from metasync.testing.values import from_json, to_json

from .forks import Stable
from .site import PROFILE, RUN, FileHR, Person, Site

if TYPE_CHECKING:
    from lab.samba import Samba


class CsvSite(FileHR):
    """The target is a CSV file, which is replaced whole at every write."""

    name = "csv"
    document = f"""
engagement: chaos
plugins: {{standard: ">=0.1", csv: ">=0.1"}}
directories:
  hr: {{connector: csv, options: {{path: hr.csv, anchor: id}}}}
  staff: {{connector: csv, mark: origin, options: {{path: staff.csv, anchor: id, create: [id, number, name, mail, manager, origin]}}}}
profiles:
  people:{PROFILE}
    match: [{{source: id, target: number}}]
    map: {{id: '"s" + source.id', number: source.id, name: source.name, mail: source.mail, manager: source.manager}}
"""

    @property
    def staff(self) -> Path:
        """The file that Metasync writes."""
        return self.folder / "staff.csv"

    def listed(self) -> list[Person]:
        if not self.staff.exists():
            return []
        with self.staff.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [{**row, "manager": row["manager"].removeprefix("s"), "mark": row["origin"]} for row in rows]

    def drift(self, dice: random.Random) -> bool:
        lines = self.staff.read_text(encoding="utf-8").splitlines(keepends=True) if self.staff.exists() else []
        if len(lines) < 2:
            return False
        at = dice.randrange(1, len(lines))
        lines[at] = lines[at].replace("@example.com", "@elsewhere.example")
        self.staff.write_text("".join(lines), encoding="utf-8")
        return True


class CountingSite(FileHR):
    """The target takes every create as often as it is told, and counts."""

    name = "counting"
    document = f"""
engagement: chaos
plugins: {{standard: ">=0.1", csv: ">=0.1", doubles: ">=0.1"}}
directories:
  hr: {{connector: csv, options: {{path: hr.csv, anchor: id}}}}
  staff: {{connector: counting, options: {{file: staff.counts}}}}
profiles:
  people:{PROFILE}
    match: [{{source: id, target: name}}]
    place: '"here"'
    map: {{name: source.id, title: source.name, mail: source.mail, manager: source.manager}}
"""

    @property
    def counts(self) -> Counts:
        """What the target was told."""
        return Counts(self.folder / "staff.counts")

    def _objects(self) -> dict[str, dict[str, Any]]:
        with sqlite3.connect(self.counts.file, timeout=30) as connection:
            there = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            rows = connection.execute("SELECT anchor, data FROM object").fetchall() if there else []
        connection.close()
        return {anchor: from_json(data) for anchor, data in rows}

    def listed(self) -> list[Person]:
        objects = self._objects()
        return [
            {
                "number": str(one["name"]),
                "name": str(one.get("title", "")),
                "mail": str(one.get("mail", "")),
                "manager": str(objects.get(one["manager"].value, {}).get("name", "nobody")) if "manager" in one else "",
                "mark": anchor,
            }
            for anchor, one in objects.items()
        ]

    def drift(self, dice: random.Random) -> bool:
        objects = self._objects()
        if not objects:
            return False
        anchor = dice.choice(sorted(objects))
        data = to_json({**objects[anchor], "mail": "somebody@elsewhere.example"})
        with sqlite3.connect(self.counts.file, timeout=30) as connection:
            connection.execute("UPDATE object SET data = ? WHERE anchor = ?", (data, anchor))
        connection.close()
        return True

    def wrong_besides(self) -> list[str]:
        return [f"duplicated (I2): the change {tag} was applied {count} times" for tag, count in self.counts.repeated().items()]


STAFF = "OU=Staff,DC=memory,DC=test"


class MemorySite(Site):
    """Both directories are followed by deltas and refuse what a domain would refuse; a team has every second person as its member."""

    name = "memory"
    document = f"""
engagement: chaos
plugins: {{standard: ">=0.1", doubles: ">=0.1"}}
directories:
  hr: {{connector: memory, options: {{file: hr.memory}}}}
  staff: {{connector: memory, mark: adminDescription, options: {{file: staff.memory, password: {{secret: spare}}}}}}
profiles:
  people:{PROFILE}
    match: [{{source: employeeNumber, target: employeeNumber}}]
    place: '"{STAFF}"'
    map:
      cn: source.employeeNumber
      employeeNumber: source.employeeNumber
      displayName: source.displayName
      mail: source.mail
      manager: source.manager
  teams:
    kind: group
    source: hr
    target: staff
    match: [{{source: cn, target: cn}}]
    place: '"{STAFF}"'
    map: {{cn: source.cn, members: source.members}}
    limits: {{member add: {{count: 100000}}, member remove: {{count: 100000}}}}
"""

    def __init__(self, folder: Path, stable: Stable, url: str = "") -> None:
        super().__init__(folder, stable, url)
        self._hr, self._staff = self._opened("hr"), self._opened("staff")
        if not self._staff.anchors():
            self._hr.add(Kind.GROUP, name="team")
            self._staff.add(Kind.CONTAINER, name="Staff")

    def _opened(self, name: str) -> MemoryDirectory:
        return MemoryDirectory(file=self.folder / f"{name}.memory")

    def reopen(self) -> None:
        """The files were replaced by others."""
        self.close()
        self._hr, self._staff = self._opened("hr"), self._opened("staff")

    def close(self) -> None:
        self._hr.close()
        self._staff.close()

    def save(self) -> None:
        anchors = self._by_number(self._hr)
        for key in anchors.keys() - self.people.keys():
            self._hr.delete(anchors.pop(key))
        for key in self.people.keys() - anchors.keys():
            anchors[key] = self._hr.add(Kind.USER, name=f"HR {key}", employeeNumber=key)
        team = self._hr.by_name("team")
        before = {one.value for one in (self._hr.get(team) or {}).get("members", ())}  # type: ignore[union-attr]
        wanted = {anchors[key] for key in self.people if int(key) % 2 == 0}
        for key, person in self.people.items():
            manager = Reference(value=anchors[person["manager"]]) if person["manager"] else None
            shown = self._hr.get(anchors[key]) or {}
            told = {"displayName": person["name"], "mail": person["mail"], "manager": manager}
            if changed := {name: value for name, value in told.items() if shown.get(name) != value}:
                self._hr.change(anchors[key], changed)
        if wanted - before:
            self._hr.join(team, *sorted(wanted - before))
        if before - wanted:
            self._hr.leave(team, *sorted(before - wanted))

    def cut(self, dice: random.Random) -> Answer:
        return self.ask(*RUN, double=f"hr.memory:{dice.choice(['cut', 'incomplete'])}:1")

    def listed(self) -> list[Person]:
        rows = []
        for anchor in self._staff.anchors(Kind.USER):
            one = self._staff.get(anchor) or {}
            rows.append(
                {
                    "number": str(one.get("employeeNumber", "")),
                    "name": str(one.get("displayName", "")),
                    "mail": str(one.get("mail", "")),
                    "manager": self._number(one.get("manager")),
                    "mark": str(one.get("adminDescription", "")),
                }
            )
        return rows

    def drift(self, dice: random.Random) -> bool:
        anchors = self._staff.anchors(Kind.USER)
        if not anchors:
            return False
        self._staff.change(dice.choice(anchors), mail=f"somebody{dice.randrange(10**6)}@elsewhere.example")
        return True

    def wrong_besides(self) -> list[str]:
        teams = self._staff.anchors(Kind.GROUP)
        if len(teams) != 1:
            return [f"lost (I1): there are {len(teams)} teams"]
        team: Mapping[str, Any] = self._staff.get(teams[0]) or {}
        members = {self._number(one) for one in team.get("members", ())}
        wanted = {key for key in self.people if int(key) % 2 == 0}
        return [f"lost (I1): of the team's members {sorted(members ^ wanted)} should not be, or are missing"] if members != wanted else []

    def _number(self, reference: Any) -> str:
        return "" if reference is None else str((self._staff.get(reference.value) or {}).get("employeeNumber", "nobody"))

    @staticmethod
    def _by_number(directory: MemoryDirectory) -> dict[str, str]:
        return {str((directory.get(anchor) or {}).get("employeeNumber")): anchor for anchor in directory.anchors(Kind.USER)}


class SambaSite(FileHR):
    """The target is an OU of a real domain; the canary is the password that the product binds with."""

    name = "samba"
    secrets = ("domain-bind",)

    def __init__(self, folder: Path, stable: Stable, url: str = "", *, samba: Samba) -> None:
        super().__init__(folder, stable, url)
        self.samba = samba
        self.unit = samba.make_unit("chaos")

    def write_document(self) -> None:
        from system.documents import domain

        tag = self.unit.partition(",")[0][-8:]
        self.written.write_text(
            f"""
engagement: chaos
plugins: {{standard: ">=0.1", csv: ">=0.1", ad: ">=0.1"}}
directories:
  hr: {{connector: csv, options: {{path: hr.csv, anchor: id}}}}{domain(self.samba, self.unit, name="staff")}
profiles:
  people:{PROFILE}
    match: [{{source: id, target: employeeNumber}}]
    place: '"{self.unit}"'
    map:
      employeeNumber: source.id
      cn: '"Person " + source.id'
      sAMAccountName: '"{tag}-" + source.id'
      displayName: source.name
      mail: source.mail
      manager: source.manager
""",
            encoding="utf-8",
        )

    def canaries(self) -> tuple[str, ...]:
        return (self.samba.service.password,)

    def close(self) -> None:
        self.samba.remove_tree(self.unit)

    def _entries(self) -> dict[str, dict[str, str]]:
        wanted = ["employeeNumber", "displayName", "mail", "manager", "adminDescription"]
        with self.samba.connect() as connection:
            found = connection.extend.standard.paged_search(self.unit, "(objectClass=user)", attributes=wanted, paged_size=500)
            return {
                one["dn"]: {name: str(value[0] if isinstance(value, list) else value) for name, value in one["attributes"].items()}
                for one in found
                if one["type"] == "searchResEntry"
            }

    def listed(self) -> list[Person]:
        entries = self._entries()
        return [
            {
                "number": one.get("employeeNumber", ""),
                "name": one.get("displayName", ""),
                "mail": one.get("mail", ""),
                "manager": entries.get(one["manager"], {}).get("employeeNumber", "nobody") if "manager" in one else "",
                "mark": one.get("adminDescription", ""),
            }
            for one in entries.values()
        ]

    def drift(self, dice: random.Random) -> bool:
        entries = self._entries()
        if not entries:
            return False
        with self.samba.connect() as connection:
            connection.modify(dice.choice(sorted(entries)), {"mail": [("MODIFY_REPLACE", ["somebody@elsewhere.example"])]})
        return True


SITES: dict[str, type[Site]] = {one.name: one for one in (CsvSite, MemorySite, CountingSite, SambaSite)}
