"""What a wheel must hold: every file of the package that git knows. Shared by script/wheel and the test of the wheels."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path


def tracked(distribution: Path) -> set[str]:
    """The package's files in git, as a wheel names them."""
    sources = distribution / "core" if (distribution / "core").is_dir() else distribution
    done = subprocess.run(["git", "ls-files", "."], cwd=sources, check=True, capture_output=True, text=True)
    return {name for name in done.stdout.splitlines() if name.startswith("metasync") and "/" in name and (sources / name).exists()}


def contents(wheel: Path) -> set[str]:
    """The files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def missing(distribution: Path, wheel: Path) -> list[str]:
    """What the wheel lacks, in words."""
    names = contents(wheel)
    lacks = sorted(tracked(distribution) - names)
    if not any(name.endswith("/LICENSE") for name in names) and (distribution / "LICENSE").exists():
        lacks.append("LICENSE")
    return [f"{wheel.name} lacks {name}" for name in lacks]
