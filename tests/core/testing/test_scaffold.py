"""A plugin that the scaffold writes works at once, and is written nowhere that it could do harm."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from metasync.testing.scaffold import SORTS, ScaffoldError, write_connector, write_plugin


def run_tests(folder: Path) -> str:
    """The plugin's own tests, in a process of their own as an author runs them."""
    arguments = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_connector_passes_the_suite_at_once(tmp_path: Path) -> None:
    written = write_connector("pay-roll", tmp_path / "metasync-pay-roll")
    expected = {"setup.cfg", "pyproject.toml", "README.md", "quality.yaml", "test_conformance.py", "connector.py"}
    assert expected <= {path.name for path in written}
    said = run_tests(tmp_path / "metasync-pay-roll")
    assert int((re.search(r"(\d+) passed", said) or ["", "0"])[1]) > 150
    assert "skipped" not in said


@pytest.mark.parametrize("sort", [sort for sort in SORTS if sort != "connector"])
def test_the_other_sorts_pass_their_tests(tmp_path: Path, sort: str) -> None:
    write_plugin(sort, "shop", tmp_path / "new")
    assert "skipped" not in run_tests(tmp_path / "new")


@pytest.mark.parametrize("sort", SORTS)
def test_nothing_is_left_of_the_template(tmp_path: Path, sort: str) -> None:
    for path in write_plugin(sort, "pay-roll", tmp_path):
        text = path.read_text(encoding="utf-8")
        assert "$" not in text, f"{path.name} holds a placeholder"
        assert b"\r" not in path.read_bytes()
        if path.suffix == ".py":
            compile(text, str(path), "exec")
    setup = configparser.ConfigParser()
    setup.read(tmp_path / "setup.cfg", encoding="utf-8")
    assert setup["metadata"]["name"] == "metasync-pay-roll"
    assert setup["options.entry_points"]["metasync"].strip() == "pay-roll = metasync_pay_roll.plugin"


def test_every_template_is_used() -> None:
    import metasync.testing.scaffold as scaffold

    folder = Path(scaffold.__file__).parent / "templates"
    used = {name for templates in SORTS.values() for name in templates} | set(scaffold._COMMON)
    assert {path.name.removesuffix(".tmpl") for path in folder.iterdir()} == used


@pytest.mark.parametrize("name", ["", "Payroll", "1st", "pay roll", "pay_roll", "../out", "pay--roll", "x" * 41, "metasync/x", "-x", "x-"])
def test_a_name_that_cannot_be_a_package_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScaffoldError, match="cannot be a plugin's name"):
        write_connector(name, tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_shipped_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match="Metasync itself"):
        write_connector("csv", tmp_path / "new")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ScaffoldError, match="not empty"):
        write_connector("payroll", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_unknown_sort_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match="there are connector"):
        write_plugin("toaster", "payroll", tmp_path / "new")
