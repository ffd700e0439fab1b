"""A working folder, and the command line in it: as a user types it, in this process (quick) or as a program of its own (exact)."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasync.cli.main import run

PROGRAM = (sys.executable, "-c", "from metasync.cli import main; main()")
"""The console script, also where its folder is not on the PATH."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one command printed, and how it ended."""

    command: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The result for programs."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"metasync {' '.join(self.command)}: exit code {self.code}\n{self.out[-4000:]}\n{self.err[-2000:]}"


class Failed(AssertionError):
    """A command did not end as it must."""


class Product:
    """One working folder with its document."""

    def __init__(self, folder: Path, *, secrets: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.secrets = {f"METASYNC_SECRET_{name.upper().replace('-', '_')}": value for name, value in (secrets or {}).items()}
        self.runs: list[int] = []
        """Of every export, in their order."""
        self.answers: list[Answer] = []
        """Of every command that was done in this process."""

    @property
    def document(self) -> Path:
        """The engagement document."""
        return self.folder / "metasync.yaml"

    def load(self, text: str) -> None:
        """Write the document and accept it."""
        self.document.write_text(text, encoding="utf-8")
        self("load")

    # --- commands ------------------------------------------------------------------------------------------------------------------------

    def __call__(self, *command: str, code: int | Collection[int] = 0) -> Any:
        """Do a command with `--json` in this process; its result. Raises `Failed` where it does not end with `code`, or one of them."""
        answer = self.ask(*command, "--json")
        if answer.code not in ([code] if isinstance(code, int) else code):
            raise Failed(f"exit code {code} was expected\n{answer}")
        return answer.json

    def ask(self, *command: str) -> Answer:
        """Do a command in this process."""
        out, err = io.StringIO(), io.StringIO()
        with self._secrets(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(["--engagement", str(self.document), *command])
        self.answers.append(Answer(command=command, code=code, out=out.getvalue(), err=err.getvalue()))
        return self.answers[-1]

    def start(self, *command: str, **more: Any) -> subprocess.Popen[str]:
        """Begin a command as a program of its own."""
        return subprocess.Popen(
            [*PROGRAM, *command],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            **more,
        )

    def shell(self, *command: str) -> Answer:
        """Do a command as a program of its own, in the folder, as a user does."""
        with self.start(*command) as program:
            out, err = program.communicate(timeout=300)
        return Answer(command=command, code=program.returncode, out=out, err=err)

    def environment(self) -> dict[str, str]:
        """For a program of its own."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("METASYNC_")}
        return {**plain, **self.secrets, "METASYNC_DEVELOPMENT": "1", "PYTHONUTF8": "1"}

    @contextlib.contextmanager
    def _secrets(self) -> Iterator[None]:
        given = {**self.secrets, "METASYNC_DEVELOPMENT": "1"}
        before = {name: os.environ.get(name) for name in given}
        os.environ.update(given)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    # --- the job -------------------------------------------------------------------------------------------------------------------------

    def plan(self) -> list[dict[str, Any]]:
        """Import everything, and plan; the plans that have changes."""
        self("import")
        return self.plan_only()

    def plan_only(self) -> list[dict[str, Any]]:
        """Plan from what was imported last; 1 is of single objects that have no place in a plan."""
        return [one for one in self("plan", code=(0, 1))["plans"] if one["changes"]]

    def export(self, plans: Sequence[Mapping[str, Any]], *, beyond: Sequence[str] = ()) -> dict[str, int]:
        """Approve these plans and export them; state -> number of changes."""
        lift = [word for operation in beyond for word in ("--beyond", operation)]
        for one in plans:
            self("approve", str(one["plan"]), "--reason", "a test", *lift)
        done = self("export", *(str(one["plan"]) for one in plans))
        self.runs.append(int(done["run"]))
        return dict(done["written"])

    def undo(self, run_id: int) -> dict[str, Any]:
        """Plan the way back from a run: `plans` and `problems`."""
        found = self("undo", str(run_id))
        found["plans"] = [one for one in found["plans"] if one["changes"]]
        return dict(found)


def changes(plans: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(operation, object) of every change, sorted. A reference that is written after the rest of its object is not counted for itself."""
    return sorted((one["operation"], one["label"]) for plan in plans for one in plan["changes"])


def counts(plans: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Operation -> number, over all plans."""
    found: Counter[str] = Counter()
    for plan in plans:
        found.update(plan["counts"])
    return found
