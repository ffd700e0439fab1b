"""The demo, whole: into a directory kept as CSV, and into a lab tenant of Entra ID. Into a domain it is run by hand: script/demo --ad."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metasync_entra.lab import Lab
from metasync_entra.lab.remote import process

from .product import PROGRAM, Product

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """An empty tenant in a process of its own, as the script starts it."""
    with process(tmp_path / "tenant", users=0, groups=0) as running:
        yield running


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """As it is typed."""
    command = [*PROGRAM, "demo", str(folder), *options]
    return subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, timeout=600)


def test_the_demo_shows_the_whole_job(tmp_path: Path) -> None:
    done = demo(tmp_path / "demo", "--people", "100")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "What to type next:" in done.stdout


def test_the_demo_into_a_lab_tenant_shows_the_whole_job_and_leaves_the_first_day(lab: Lab, tmp_path: Path) -> None:
    done = demo(tmp_path / "demo", "--entra-lab", str(lab.folder / "facts.json"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "a tenant to keep in step with it" in done.stdout and "What to type next:" in done.stdout
    people = [there(lab, one) for one in lab.control.ids("user")]
    teams = {one["fields"]["displayName"]: one for one in (there(lab, each) for each in lab.control.ids("group"))}
    assert all(one["fields"]["employeeId"].startswith("E") for one in people)
    assert len({one["fields"]["userPrincipalName"] for one in people}) == len(people) > 300
    assert "First aid" in teams and len(teams["First aid"]["members"]) == 12
    assert lab.control.stats()["deleted"] == 3, "the three who joined on the second day were taken back"
    bosses = {tuple(one["manager"]) for one in people if "manager" in one}
    assert 1 < len(bosses) < 12


def there(lab: Lab, anchor: str) -> dict[str, Any]:
    found = lab.control.read(anchor)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not hold what"),
        ("{}", "does not hold what"),
        ('{"login_url": 1}', "does not hold what"),
        (None, "on this machine, and touches no other"),
    ],
)
def test_only_a_lab_tenant_on_this_machine_is_taken(lab: Lab, tmp_path: Path, text: str | None, words: str) -> None:
    facts = tmp_path / "facts.json"
    elsewhere = json.dumps({**json.loads((lab.folder / "facts.json").read_text()), "graph_url": "https://graph.microsoft.com"})
    facts.write_text(elsewhere if text is None else text, encoding="utf-8")
    answer = Product(tmp_path / "work").ask("demo", str(tmp_path / "demo"), "--entra-lab", str(facts))
    assert answer.code != 0 and words in " ".join(answer.err.split()), answer
    assert not (tmp_path / "demo").exists()
    facts.unlink()
    answer = Product(tmp_path / "work").ask("demo", str(tmp_path / "demo"), "--entra-lab", str(facts))
    assert answer.code != 0 and "No such file" in answer.err, answer


def test_a_demo_has_one_target(tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text("{}", encoding="utf-8")
    domain = ("--ad-server", "127.0.0.1", "--ad-base", "DC=x", "--ad-bind", "x", "--ad-ca-file", "x")
    answer = Product(tmp_path / "work").ask("demo", str(tmp_path / "demo"), *domain, "--entra-lab", str(facts))
    assert answer.code == 2 and "one target" in answer.err, answer
    done = subprocess.run([sys.executable, "script/demo", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "--entra" in done.stdout
