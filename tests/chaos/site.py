"""A small company in two files, HR's and the staff list that Metasync keeps in step with it, and what must hold there at rest."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

from system.product import Answer, Product

from metasync.faults import VARIABLE

CANARY = "canary-3f9a77c1-of-a-secret"
DOCUMENT = """
engagement: chaos
plugins: {standard: ">=0.1", csv: ">=0.1"}
directories:
  hr: {connector: csv, options: {path: hr.csv, anchor: id}}
  staff: {connector: csv, mark: origin, options: {path: staff.csv, anchor: id, create: [id, number, name, mail, manager, origin]}}
profiles:
  people:
    kind: user
    source: hr
    target: staff
    match: [{source: id, target: number}]
    map: {id: '"s" + source.id', number: source.id, name: source.name, mail: source.mail, manager: source.manager}
    leaving: {deleted: {delete: created}}
    limits: {create: {count: 100000}, update: {count: 100000}, delete: {count: 100000}}
"""
RUN = ("run", "--approve", "--reason", "a test")
Person = dict[str, str]


class Site:
    """The folder, its HR file and its staff list."""

    def __init__(self, folder: Path) -> None:
        self.product = Product(folder)
        self.people: dict[str, Person] = {}
        """Who is in HR's file."""

    @property
    def hr(self) -> Path:
        """HR's file."""
        return self.product.folder / "hr.csv"

    @property
    def staff(self) -> Path:
        """The file that Metasync writes."""
        return self.product.folder / "staff.csv"

    def hire(self, number: int, manager: str = "") -> None:
        """One more person."""
        key = str(number)
        self.people[key] = {"id": key, "name": f"Person {key}", "mail": f"p{key}@example.com", "manager": manager}

    def save(self) -> None:
        """Write HR's file."""
        with self.hr.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["id", "name", "mail", "manager"])
            writer.writeheader()
            writer.writerows(self.people.values())

    def listed(self) -> list[Person]:
        """The rows of the staff list."""
        if not self.staff.exists():
            return []
        with self.staff.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def start(self, *command: str, fault: str = "") -> subprocess.Popen[str]:
        """Begin a command as a program of its own, with this fault armed."""
        environment = {**self.product.environment(), **({VARIABLE: fault} if fault else {})}
        program = "import sys; from metasync.cli.main import run; sys.exit(run(sys.argv[1:]))"
        return subprocess.Popen(
            [sys.executable, "-c", program, "--engagement", str(self.product.document), *command],
            cwd=self.product.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def shell(self, *command: str, fault: str = "", typed: str = "") -> Answer:
        """Do a command as a program of its own."""
        with self.start(*command, fault=fault) as program:
            out, err = program.communicate(typed, timeout=120)
        return Answer(command=command, code=program.returncode, out=out, err=err)

    def wrong(self) -> list[str]:
        """What does not hold, by the invariants' names. Only to be asked at rest: after a run with nothing armed."""
        found: list[str] = []
        rows = self.listed()
        numbers = [row["number"] for row in rows]
        expected = {key: self._listed_as(person) for key, person in self.people.items()}
        found += [f"lost (I1): {key} is not in the staff list" for key in sorted(expected.keys() - set(numbers))]
        found += [f"duplicated (I2): {key}" for key in sorted({one for one in numbers if numbers.count(one) > 1})]
        found += [f"not removed (I1): {key}" for key in sorted(set(numbers) - expected.keys())]
        for row in rows:
            shown = {name: row[name] for name in ("id", "name", "mail", "manager")}
            if row["number"] in expected and shown != expected[row["number"]]:
                found.append(f"lost (I1): {row['number']} is {shown}, not {expected[row['number']]}")
        if len({row["origin"] for row in rows}) != len(rows):
            found.append("duplicated (I2): two rows have the same mark")
        checked = self.product.ask("audit", "verify", "--json")
        if checked.code != 0:
            found.append(f"audit (I6): {checked}")
        return found + self.canaries()

    def canaries(self) -> list[str]:
        """Files that hold the secret as it was typed."""
        held = [path for path in self.product.folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
        return [f"canary (I7): {path.name}" for path in held]

    def pending(self) -> list[Any]:
        """What a plan would still change."""
        return self.product.plan()

    @staticmethod
    def _listed_as(person: Person) -> Person:
        manager = f"s{person['manager']}" if person["manager"] else ""
        return {"id": f"s{person['id']}", "name": person["name"], "mail": person["mail"], "manager": manager}
