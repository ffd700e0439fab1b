"""The tour: which commands `metasync demo` runs, in which order, and what it says before each.

Who runs and prints them is the command line's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from metasync.contract import MetasyncError
from metasync.demo import company as making
from metasync.demo import example
from metasync.demo.example import Domain, LabTenant, Target

PEOPLE = 400


class TourFailed(MetasyncError):
    """The demo did not go as it must; this is a fault of Metasync, please report it."""


@dataclass(kw_only=True)
class Stage:
    """What the tour needs of whoever shows it."""

    say: Callable[[str], None]
    """A heading, or a sentence before a command."""
    run: Callable[[Sequence[str]], int]
    """Show a command, do it, show what it prints; its exit code."""
    plans: Callable[[str], list[int]]
    """The numbers of the open plans: `planned` or `approved`."""
    changes: Callable[[], int]
    """How many changes the newest plans hold."""
    last_export: Callable[[], int]
    """The number of the last run that exported."""


@dataclass(kw_only=True)
class Tour:
    """The demo in one folder."""

    folder: Path
    stage: Stage
    people: int = PEOPLE
    domain: Domain | None = None
    entra_lab: Path | None = None
    """What a lab tenant of Entra ID printed: into this tenant. Raises `NoLabTenant` where the file holds something else."""
    target: Target | None = field(init=False)
    day: making.Company = field(init=False)

    def __post_init__(self) -> None:
        self.target = LabTenant.of(self.entra_lab) if self.entra_lab else self.domain

    def prepare(self) -> None:
        """Write the document and the files."""
        self.day = making.company(self.people)
        for path in example.write(self.folder, self.people, self.target):
            self.stage.say(f"  wrote {path}")

    def show(self) -> None:
        """All of it, in order. Raises `TourFailed` where a command does not end as it must."""
        target = self.target.word if self.target else "directory"
        self._do("Load the engagement document: from now on it is revision 1, and every change remembers it.", ["load"])
        self._do("Connect to both directories. Which rights do we have, and what can they hold?", ["test"])
        self._do("Run the job. It reads both, works out what to change, and stops: nobody has approved anything yet.", ["run"], code=3)
        self._look_and_export("people and teams of the first day")
        self._empty("Plan again. What was exported is there, so that the plan is empty.")

        self.stage.say("A day passes: three people join, two marry, some move or leave, one title is cleared.")
        self.day = making.second_day(self.day)
        making.write(self.day, self.folder / "hr")
        self._do("Run again. The plan shows just that.", ["run"], code=3)
        self._look_and_export("the changes of the second day", show=["--all"])
        self._empty("And the next plan is empty again.")
        exported = self.stage.last_export()

        namesake, external = self.day.namesake(), self.day.external()
        name = self.target.name_attribute if self.target else "userName"
        self._do(
            f"Why does {namesake.givenName} {namesake.sn} ({namesake.id}) have this user name? Somebody else is called the same.",
            ["explain", f"hr/{namesake.id}", name],
        )
        self._do(
            f"And why is {external.givenName} {external.sn} ({external.id}) not in the {target} at all?", ["explain", f"hr/{external.id}"]
        )

        self._do("Was the second day a mistake? Plan the way back: it is a plan like any other.", ["undo", str(exported)])
        self._look_and_export("the way back", show=["--all"])
        self._do("What was undone is held, so that the next run does not redo it: this plan is empty until `metasync release`.", ["plan"])
        self._nothing_planned()
        self._do("Who decided what? Every decision is in the audit log, and the log holds.", ["audit", "verify"])

    def _look_and_export(self, what: str, show: Sequence[str] = ()) -> None:
        for number in self.stage.plans("planned"):
            self._do(f"Look at plan {number} before anything is written.", ["show", str(number), *show])
        for number in self.stage.plans("planned"):
            self._do(f"Approve plan {number}: in exactly this form.", ["approve", str(number), "--reason", f"demo: {what}"])
        approved = [str(number) for number in self.stage.plans("approved")]
        if not approved:
            raise TourFailed(f"there was nothing to export of {what}; please report this")
        late = self.target.late if self.target else ""
        self._do(f"Export, and confirm by importing the target again.{late}", ["export", *approved])

    def _empty(self, words: str) -> None:
        self._do(words, ["run"])
        self._nothing_planned()

    def _nothing_planned(self) -> None:
        if self.stage.changes():
            raise TourFailed(f"a plan that must be empty holds {self.stage.changes()} changes; please report this")

    def _do(self, words: str, command: Sequence[str], code: int = 0) -> None:
        self.stage.say(words)
        got = self.stage.run(command)
        if got != code:
            raise TourFailed(f"`metasync {' '.join(command)}` ended with exit code {got} instead of {code}; please report this")
