"""The picture of a plan in docs/images/plan.svg: what the second day of the demo's company brings, as `metasync show` prints it.

The same company gives the same picture: the time, which would differ, is that of the day on which this was written.
"""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from metasync import service
from metasync.cli.main import run
from metasync.cli.output import Output
from metasync.cli.tables import show_plan
from metasync.demo import company, example

PEOPLE = 400
SHOWN = 9
WIDTH = 100
MADE = "2026-11-23T08:00:00Z"
THEME = TerminalTheme(
    (22, 24, 29),
    (220, 223, 228),
    [(40, 44, 52), (224, 108, 117), (152, 195, 121), (229, 192, 123), (97, 175, 239), (198, 120, 221), (86, 182, 194), (220, 223, 228)],
    [(92, 99, 112), (224, 108, 117), (152, 195, 121), (229, 192, 123), (97, 175, 239), (198, 120, 221), (86, 182, 194), (255, 255, 255)],
)
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono"


class DemoFailed(Exception):
    """A command of the demo did not end as it must."""


class Recorded(Output):
    """Prints into a recording instead of a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.results = Console(
            record=True,
            width=WIDTH,
            file=io.StringIO(),
            force_terminal=True,
            color_system="truecolor",
            legacy_windows=False,
            markup=False,
            highlight=False,
            emoji=False,
        )

    def grid(self, table: Table) -> None:
        self.results.print(table)


def plan_picture(folder: Path) -> str:
    """The picture; the demo is run in `folder`."""
    settings = second_day(folder)
    out = Recorded()
    with service.open_workspace(settings) as workspace:
        plan = next(one for one in service.open_plans(workspace) if one.profile == "staff" and one.state == "planned")
        found = replace(service.show_plan(workspace, plan.id), created=MADE)
        changes = service.changes_of(workspace, found, limit=SHOWN)
        out.results.print(Text.assemble(("$ ", "green"), f"metasync show {plan.id}"))
        show_plan(out, found, changes, lambda: service.matching(workspace, found))
    picture = out.results.export_svg(title="metasync", theme=THEME, unique_id="plan")
    # A picture in a page loads nothing from elsewhere: the fonts that rich names would not be fetched.
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL).replace("Fira Code", FONTS)


def second_day(folder: Path) -> service.Settings:
    """The demo, up to the plan of its second day."""
    example.write(folder, PEOPLE)
    document = folder / service.DOCUMENT_NAME
    do(document, "load")
    do(document, "run", "--approve", "--reason", "the first day")
    company.write(company.second_day(company.company(PEOPLE)), folder / "hr")
    do(document, "run", code=3)
    return service.Settings(engagement=document)


def do(document: Path, *command: str, code: int = 0) -> None:
    """One command, silently. Raises `DemoFailed` with what it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        got = run([*command, "--engagement", str(document)])
    if got != code:
        raise DemoFailed(f"`metasync {' '.join(command)}` ended with {got} instead of {code}:\n{said.getvalue()}")
