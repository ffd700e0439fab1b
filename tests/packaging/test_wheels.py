"""Wheels carry everything: templates, migrations, examples, py.typed; and what is installed from them is verified, not taken on trust."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "script"))

from contents import contents, missing, tracked  # noqa: E402
from environment import local_distributions  # noqa: E402

DISTRIBUTIONS = local_distributions(ROOT)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Path, Path]:
    """Each distribution's wheel, built by stock pip as a user's machine would."""
    built = {}
    for path in DISTRIBUTIONS:
        folder = tmp_path_factory.mktemp("wheels")
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--disable-pip-version-check", "-w", str(folder), str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        (built[path],) = folder.glob("*.whl")
    return built


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda path: path.name)
def test_a_wheel_holds_every_file_of_its_package(distribution: Path, wheels: Mapping[Path, Path]) -> None:
    assert missing(distribution, wheels[distribution]) == []


def test_the_engines_wheel_holds_what_is_not_python(wheels: Mapping[Path, Path]) -> None:
    names = contents(wheels[ROOT])
    assert {
        "metasync/py.typed",
        "metasync/demo/example.yaml",
        "metasync/demo/example-ad.yaml",
        "metasync/demo/example-entra.yaml",
        "metasync/demo/names.txt",
    } <= names
    assert any(name.startswith("metasync/testing/scaffold/templates/") and name.endswith(".tmpl") for name in names)
    assert any(name.startswith("metasync/store/migrations/versions/") for name in names)
    assert any(name.endswith("/LICENSE") for name in names)


def test_no_wheel_holds_tests(wheels: Mapping[Path, Path]) -> None:
    for wheel in wheels.values():
        assert [name for name in contents(wheel) if name.startswith("tests/") or "/tests/" in name] == []


def test_the_look_would_find_a_missing_file(wheels: Mapping[Path, Path]) -> None:
    """A plugin's wheel certainly lacks the engine's files."""
    plugin = next(path for path in DISTRIBUTIONS if path != ROOT)
    assert len(missing(ROOT, wheels[plugin])) >= len(tracked(ROOT))
