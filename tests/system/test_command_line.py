"""From an empty folder to an undone run, as a user types it, with CSV files alone; then each exit code.

The way through is typed into programs of their own; what follows is done in this process, which is quicker and prints the same.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .product import Answer, Product

JSON_EVERYWHERE = ("check", "test", "objects", "problems", "runs", "doctor", "plan", "import")


@pytest.fixture
def product(tmp_path: Path) -> Product:
    """A folder with the example that `init` writes."""
    made = Product(tmp_path / "work")
    expect(0, made.ask("init", str(made.folder)))
    return made


def expect(code: int, answer: Answer) -> Answer:
    """It ended so, and its words are for a person who may be looking at a pipe."""
    assert answer.code == code, answer
    for text in (answer.out, answer.err):
        assert "\x1b" not in text, f"no colour codes where there is no terminal: {answer}"
        assert "Traceback" not in text, answer
    if "--json" in answer.command:
        json.loads(answer.out)
    return answer


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV file."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def edit(path: Path, change: Callable[[list[dict[str, str]]], None]) -> None:
    """Change a CSV file as HR does."""
    found = rows(path)
    change(found)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(found)


def approved(product: Product) -> list[str]:
    """Look at every open plan, and approve it; the numbers."""
    waiting = expect(0, product.ask("runs", "--json")).json["open plans"]
    numbers = [str(one["id"]) for one in waiting]
    for number in numbers:
        expect(0, product.ask("show", number))
        expect(0, product.ask("approve", number, "--reason", "looks right"))
    return numbers


def test_from_init_to_undo(product: Product) -> None:
    people, directory = product.folder / "hr" / "people.csv", product.folder / "directory.csv"
    expect(0, product.shell("check"))
    expect(0, product.shell("load"))
    expect(0, product.shell("test"))
    expect(3, product.shell("run"))  # nobody has approved anything yet
    before = rows(directory)
    expect(0, product.shell("export", *approved(product)))
    first = rows(directory)
    assert len(first) > len(before)
    expect(0, product.shell("run"))  # the second plan is empty

    def second_day(found: list[dict[str, str]]) -> None:
        found[1]["title"] = "Chief of everything"
        found.pop()

    edit(people, second_day)
    assert expect(3, product.shell("run", "--json")).json["state"] == "waiting"
    exported = expect(0, product.shell("export", *approved(product), "--json")).json
    assert set(exported["written"]) == {"confirmed"}
    assert "Chief of everything" in directory.read_text(encoding="utf-8")
    explained = expect(0, product.shell("explain", f"hr/{rows(people)[1]['id']}", "title"))
    assert "Chief of everything" in explained.out and "source.title" in explained.out
    undone = expect(0, product.shell("undo", str(exported["run"]), "--json")).json
    assert undone["problems"] == []
    expect(0, product.shell("export", *approved(product)))
    assert sorted(map(str, rows(directory))) == sorted(map(str, first)), "attribute by attribute"
    held = expect(0, product.shell("plan", "--json")).json
    assert [one["changes"] for one in held["plans"]] == [[] for _ in held["plans"]]
    expect(0, product.shell("audit", "verify"))
    for command in JSON_EVERYWHERE:
        expect(0, product.ask(command, "--json"))
    assert [path.name for path in product.folder.glob("*.log")] == [], "nothing went wrong inside"


def test_exit_code_1_some_objects_failed(product: Product) -> None:
    """A value that a spreadsheet would take for a formula is refused; everybody else is written."""
    edit(product.folder / "hr" / "people.csv", lambda found: found[1].update(title="=HYPERLINK(1)"))
    expect(0, product.ask("load"))
    expect(3, product.ask("run"))
    done = expect(1, product.ask("export", *approved(product), "--json")).json["written"]
    assert done["rejected"] >= 1 and done["confirmed"] > 1
    assert "formula" in expect(0, product.ask("problems")).out


@pytest.mark.parametrize(
    "command",
    [["plam"], ["plan", "nobody"], ["show", "77"], ["approve", "77", "--reason", "x"], ["import", "nowhere"], ["undo", "77"], ["export"]],
)
def test_exit_code_2_bad_usage(product: Product, command: list[str]) -> None:
    expect(0, product.ask("load"))
    answer = expect(2, product.ask(*command))
    assert answer.err, "and says what is wrong"


def test_exit_code_2_a_document_with_errors_is_told_by_line_key_and_what_is_allowed(product: Product) -> None:
    text = product.document.read_text(encoding="utf-8").replace("approval: always", "approval: sometimes")
    product.document.write_text(text, encoding="utf-8")
    line = 1 + text[: text.index("approval: sometimes")].count("\n")
    for command in ("check", "load"):
        answer = expect(2, product.ask(command))
        assert f"metasync.yaml:{line}" in answer.err and "approval" in answer.err and "first" in answer.err, answer


def test_exit_code_2_a_document_that_differs_from_what_is_loaded(product: Product) -> None:
    expect(0, product.ask("load"))
    product.document.write_text(product.document.read_text(encoding="utf-8").replace("create: {count: 1000}", "create: {count: 999}"))
    answer = expect(2, product.ask("plan"))
    assert "load it first" in answer.err.lower(), answer


def test_exit_code_3_a_limit_stops_a_run_that_would_be_approved(product: Product) -> None:
    text = product.document.read_text(encoding="utf-8").replace("create: {count: 1000}", "create: {count: 3}")
    product.document.write_text(text, encoding="utf-8")
    expect(0, product.ask("load"))
    before = rows(product.folder / "directory.csv")
    answer = expect(3, product.ask("run", "staff", "--approve", "--reason", "all of it"))
    assert "limit" in answer.out + answer.err
    assert rows(product.folder / "directory.csv") == before
    [plan] = expect(0, product.ask("runs", "--json")).json["open plans"]
    expect(3, product.ask("approve", str(plan["id"]), "--reason", "all of it"))
    expect(0, product.ask("approve", str(plan["id"]), "--reason", "all of it", "--beyond", "create"))
    expect(0, product.ask("export", str(plan["id"])))


def test_exit_code_4_a_directory_is_unavailable(product: Product) -> None:
    expect(0, product.ask("load"))
    (product.folder / "hr" / "people.csv").unlink()
    answer = expect(4, product.ask("run", "--json"))
    assert "people.csv" in answer.err or "people.csv" in answer.out
    expect(4, product.ask("import", "hr"))


def test_an_emptied_file_is_held_and_nobody_leaves(product: Product) -> None:
    """I4: an import is complete, or it deletes nothing."""
    expect(0, product.ask("load"))
    expect(0, product.ask("run", "--approve", "--reason", "first"))
    people = product.folder / "hr" / "people.csv"
    header = people.read_text(encoding="utf-8").splitlines()[0]
    people.write_text(header + "\n", encoding="utf-8")
    before = rows(product.folder / "directory.csv")
    answer = expect(4, product.ask("run", "--approve", "--reason", "second"))
    assert "people.csv" in answer.out + answer.err
    assert rows(product.folder / "directory.csv") == before


def test_every_verb_teaches_with_examples(product: Product) -> None:
    answer = expect(0, product.ask("--help"))
    listed: Any = [line.split()[0] for line in answer.out.splitlines() if line.startswith("  ") and line.strip()]
    for verb in ("import", "plan", "approve", "export", "undo", "explain", "problems"):
        assert verb in listed
        assert f"$ metasync {verb}" in expect(0, product.ask(verb, "--help")).out
