"""Shared by the scripts: makes a virtual environment with this repository's distributions. Needs the standard library alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable, Sequence
from pathlib import Path

PLUGIN_FILES = ("setup.cfg", "pyproject.toml")
TOOLS = [
    "aiosmtpd>=1.4.6",
    "azure-identity>=1.25",
    "import-linter>=2.1",
    "msgraph-core>=1.3",
    "mypy>=1.15",
    "openapi-schema-validator>=0.9",
    "pyright>=1.1.400",
    "pytest<9.2",  # from there on pytest-xdist 3.8 keeps no group of tests together
    "pytest-xdist>=3.6",
    "PyYAML>=6.0",
    "ruff>=0.12",
    "schemathesis>=4.0",
    "tox>=4.20",
    "types-ldap3",
    "types-pyasn1",
    "types-requests",
]
"""What tests need besides `tools` adds: the scripts that share .venv-test name the same, or each would install it again for itself."""


def tools() -> list[str]:
    """TOOLS, and the sign-ins of Active Directory that can be built here: Kerberos needs the system's headers."""
    headers = Path(sysconfig.get_paths()["include"], "Python.h")
    builds = headers.exists() and all(shutil.which(program) for program in ("gcc", "krb5-config"))
    return [*TOOLS, "pyspnego[kerberos]>=0.11,<0.13" if builds else "pyspnego>=0.11,<0.13"]


def need_python() -> None:
    """Say in words what is missing, before a newer syntax says it in none."""
    if sys.version_info < (3, 11):  # noqa: UP036  this is where an older Python is told so
        found = sys.version.split()[0]
        sys.exit(f"Metasync needs Python 3.11 or newer; this is {found}. Run the script with a newer one: python3.11 {sys.argv[0]}")


def local_distributions(root: Path) -> list[Path]:
    """The engine, then every plugin."""
    return [root, *sorted(path.parent for path in root.glob("plugins/*/setup.cfg"))]


def make_environment(folder: Path, distributions: Iterable[Path], *, editable: bool, extras: str = "", further: Sequence[str] = ()) -> Path:
    """Have a virtual environment with these distributions installed, in one pip call; the folder of its programs."""
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = programs / ("python.exe" if os.name == "nt" else "python")
    distributions = list(distributions)
    if not python.exists():
        say(f"making {folder.name} ...")
        try:
            venv.create(folder, with_pip=True, clear=True)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"{folder} could not be made ({error}). On Debian: apt-get install python3-venv")
    stamp, state = folder / ".installed", _state(distributions, editable, extras, further)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == state:
        return programs
    say("installing ...")
    wanted: list[str] = []
    for number, path in enumerate(distributions):
        wanted += ["--editable"] if editable else []
        wanted.append(f"{path}{extras}" if number == 0 and extras else str(path))
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    # The same version may hold newer sources: ours are always installed again, what they need is not.
    done = subprocess.run([*command, *wanted, *further])
    if done.returncode == 0 and not editable:
        done = subprocess.run([*command, "--force-reinstall", "--no-deps", *wanted])
    if done.returncode != 0:
        sys.exit("the installation failed; the lines above say why. Is there a network, or an index for pip?")
    stamp.write_text(state, encoding="utf-8")
    return programs


def say(text: str) -> None:
    """To the person, not into a result."""
    print(text, file=sys.stderr, flush=True)


def _state(distributions: Sequence[Path], editable: bool, extras: str, further: Sequence[str]) -> str:
    """What would make the installation another one: packaging, and for a copy every source file."""
    digest = hashlib.sha256(repr((sys.version, editable, extras, sorted(further))).encode())
    for path in distributions:
        files = [path / name for name in PLUGIN_FILES]
        if not editable:
            sources = path / "core" if (path / "core").is_dir() else path
            kept = (
                one for one in sorted(sources.rglob("*")) if one.is_file() and "__pycache__" not in one.parts and "build" not in one.parts
            )
            files += [one for one in kept if ".egg-info" not in str(one)]
        for file in files:
            digest.update(str(file).encode() + (file.read_bytes() if file.exists() else b""))
    return digest.hexdigest()
