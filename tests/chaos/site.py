"""A small company at which things go wrong: HR's list of people, and a target that Metasync keeps in step with it.

What every site has is here; what its directories are is in `sites`, and what must hold there is in `judge`.
"""

from __future__ import annotations

import base64
import csv
import os
import random
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from system.product import Answer, Failed

from metasync.faults import VARIABLE
from metasync.store import Backend, open_store

from . import doubles
from .forks import Program, Stable

CANARY = "canary-3f9a77c1-of-a-secret"
RUN = ("run", "--approve", "--reason", "a test")
Person = dict[str, str]
"""id, name, mail, and the manager's id or nothing."""
PROFILE = """
    kind: user
    source: hr
    target: staff
    leaving: {deleted: {delete: created}}
    limits: {create: {count: 100000}, update: {count: 100000}, delete: {count: 100000}, clear: {count: 100000}}"""


class Site(ABC):
    """One folder. `url`: of its database; a file in the folder where it is empty."""

    name: ClassVar[str]
    document: ClassVar[str]
    secrets: ClassVar[tuple[str, ...]] = ("spare",)
    """Names of secrets that lie in the encrypted store; the first one is the canary."""

    def __init__(self, folder: Path, stable: Stable, url: str = "") -> None:
        self.folder, self.stable, self.url = folder, stable, url
        folder.mkdir(parents=True, exist_ok=True)
        self.people: dict[str, Person] = {}
        """Who is in HR's list."""
        self.leaks: list[str] = []
        """Commands that printed a secret."""
        self.answers: list[Answer] = []
        self.not_ours: set[str] = set()
        """Who is in the target by a run that a restored database does not know of: where marks do not tell, he is kept when he leaves."""
        self.variables: dict[str, str] = {}
        """Further ones of the environment of every command."""
        self.approved_before: set[str] = set()
        """Tags of changes whose approval went with a database that gave way to an older state."""

    # --- commands ------------------------------------------------------------------------------------------------------------------------

    def start(self, *command: str, fault: str = "", double: str = "", typed: str = "", limits: Mapping[str, int] | None = None) -> Program:
        """Begin a command as a process of its own, with this fault armed, in the product or in a double."""
        given = {VARIABLE: fault, doubles.VARIABLE: double, "METASYNC_DATABASE": self.url}
        if self.url:
            given["METASYNC_KEY_FILE"] = str(self.key_file)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("METASYNC_")},
            **{name: value for name, value in given.items() if value},
            "METASYNC_DEVELOPMENT": "1",
            "METASYNC_ENGAGEMENT": str(self.written),
            "PYTHONUTF8": "1",
            **self.variables,
        }
        return self.stable.start(command, cwd=self.folder, environment=environment, typed=typed, limits=limits)

    def ask(self, *command: str, fault: str = "", double: str = "", typed: str = "", limits: Mapping[str, int] | None = None) -> Answer:
        """Do a command."""
        with self.start(*command, fault=fault, double=double, typed=typed, limits=limits) as program:
            return self.heard(program)

    def heard(self, program: Program) -> Answer:
        """The answer of a command that was begun."""
        answer: Answer = program.answer()
        if any(canary in answer.out + answer.err for canary in self.canaries()):
            self.leaks.append(" ".join(answer.command))
        self.answers = [*self.answers[-20:], answer]
        return answer

    def __call__(self, *command: str, code: int | Collection[int] = 0) -> Any:
        """Do a command with `--json`; its result. Raises `Failed` where it does not end with `code`, or one of them."""
        answer = self.ask(*command, "--json")
        if answer.code not in ([code] if isinstance(code, int) else code):
            raise Failed(f"exit code {code} was expected\n{answer}")
        return answer.json

    # --- its life ------------------------------------------------------------------------------------------------------------------------

    @property
    def written(self) -> Path:
        """The document."""
        return self.folder / "metasync.yaml"

    @property
    def key_file(self) -> Path:
        """The key of the encrypted store, where the database is on a server; a database in a file has one of its own beside it."""
        return self.folder / "site.key"

    def begin(self, people: int = 0) -> None:
        """A document, a secret, and the first people; nothing is imported."""
        if self.url:
            self.key_file.touch(mode=0o600)
            self.key_file.write_text(base64.b64encode(os.urandom(32)).decode(), encoding="ascii")
        self.write_document()
        for number in range(1, people + 1):
            self.hire(number, manager="1" if number > 1 else "")
        self.save()
        self("load")
        for name, word in zip(self.secrets, self.canaries(), strict=True):
            answer = self.ask("secrets", "set", name, typed=f"{word}\n")
            if answer.code != 0:
                raise Failed(str(answer))

    def write_document(self) -> None:
        """Write the document."""
        self.written.write_text(self.document, encoding="utf-8")

    def canaries(self) -> tuple[str, ...]:
        """What must stand in no file and in no output."""
        return (CANARY,)

    def close(self) -> None:
        """Give back what is not in the folder."""
        self.answers.clear()

    @contextmanager
    def database(self) -> Any:
        """The database, to look into."""
        backend: Backend = open_store(self.url or f"sqlite:///{self.folder / 'metasync.db'}", create=False)
        try:
            with backend.read() as connection:
                yield connection
        finally:
            backend.close()

    # --- HR ------------------------------------------------------------------------------------------------------------------------------

    def hire(self, number: int, manager: str = "") -> None:
        """One more person."""
        key = str(number)
        self.people[key] = {"id": key, "name": f"Person {key}", "mail": f"p{key}@example.com", "manager": manager}

    def leave(self, key: str) -> None:
        """One person less; nobody has them as a manager any more."""
        del self.people[key]
        for person in self.people.values():
            if person["manager"] == key:
                person["manager"] = ""

    @abstractmethod
    def save(self) -> None:
        """Let HR's list say what `people` says."""

    @abstractmethod
    def cut(self, dice: random.Random) -> Answer:
        """Do a run whose import of HR's list breaks off; the list is whole again afterwards."""

    # --- the target ----------------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def listed(self) -> list[Person]:
        """Who is in the target: number, name, mail, manager (their number) and mark, each as text."""

    @abstractmethod
    def drift(self, dice: random.Random) -> bool:
        """Somebody edits one mail address of the target behind our back; False where there is nobody."""

    def wrong_besides(self) -> list[str]:
        """What does not hold that other sites do not have."""
        return []


class FileHR(Site):
    """HR's list is a CSV file."""

    @property
    def hr(self) -> Path:
        """The file."""
        return self.folder / "hr.csv"

    def save(self) -> None:
        with self.hr.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["id", "name", "mail", "manager"])
            writer.writeheader()
            writer.writerows(self.people.values())

    def cut(self, dice: random.Random) -> Answer:
        whole = self.hr.read_bytes()
        lines = whole.splitlines(keepends=True)
        at = dice.randrange(1, len(lines))
        self.hr.write_bytes(b"".join(lines[:at]) + lines[at].partition(b",")[0])
        try:
            return self.ask(*RUN)
        finally:
            self.hr.write_bytes(whole)
