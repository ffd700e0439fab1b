"""Windows is a promised platform: nothing on the path of the engine, the plugins or the command line needs POSIX.

Two looks: the sources are read for unguarded uses, and every module of the engine is imported where those modules do not exist.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import metasync

ROOT = Path(__file__).resolve().parents[2]
ENGINE = Path(metasync.__file__).parent
MODULES = frozenset(("_posixsubprocess crypt curses fcntl grp nis posix pty pwd readline resource spwd syslog termios tty ").split())
NAMES = {
    "os": frozenset(
        (
            "fchmod fchown chown fork forkpty geteuid getegid getgid getgroups getpgid getuid killpg mkfifo nice openpty "
            "setegid seteuid setgid setpgid setsid setuid sysconf uname wait3 wait4 waitpid WNOHANG O_NOFOLLOW O_DIRECTORY "
            "O_CLOEXEC "
        ).split()
    ),
    "signal": frozenset(
        ("SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 alarm pause setitimer sigwait ").split()
    ),
    "time": frozenset({"tzset"}),
}
GUARDS = ("sys.platform", "os.name", "hasattr(", "platform.system")


def sources() -> list[Path]:
    folders = [ENGINE, *sorted(path.parent for path in ROOT.glob("plugins/*/metasync_*/__init__.py"))]
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))]


def guarded(test: ast.expr) -> bool:
    return any(guard in ast.unparse(test) for guard in GUARDS)


def unguarded(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that a check of the platform stands before, or that an ImportError is expected of."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (ast.If, ast.IfExp)) and guarded(child.test):
            continue
        if isinstance(child, ast.BoolOp) and guarded(child):
            continue
        yield child
        yield from unguarded(child)


def posix_only(path: Path) -> list[str]:
    found = []
    for node in unguarded(ast.parse(path.read_text(encoding="utf-8"))):
        imported: list[str] = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported = [node.module]
            found += [f"{path}:{node.lineno}: {node.module}.{one.name}" for one in node.names if one.name in NAMES.get(node.module, ())]
        found += [f"{path}:{node.lineno}: {name}" for name in imported if name.partition(".")[0] in MODULES]  # type: ignore[attr-defined]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in NAMES.get(node.value.id, ()):
            found.append(f"{path}:{node.lineno}: {node.value.id}.{node.attr}")
    return found


def test_no_source_uses_what_only_posix_has() -> None:
    assert [line for path in sources() for line in posix_only(path)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import fcntl",
        "from pwd import getpwuid",
        "import os\nos.fork()",
        "import os\ndef f():\n    return os.getuid()",
        "import signal\nsignal.signal(signal.SIGKILL, None)",
        "from os import setsid",
    ],
)
def test_the_look_finds_each_way_of_needing_posix(tmp_path: Path, text: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(text, encoding="utf-8")
    assert posix_only(path)


@pytest.mark.parametrize(
    "text",
    [
        "import os, sys\nif sys.platform != 'win32':\n    os.getuid()",
        "import os\nname = os.getuid() if hasattr(os, 'getuid') else 0",
        "import os\nos.chmod('a', 0o600)",
        "import os\nif os.name == 'posix':\n    import fcntl",
    ],
)
def test_the_look_lets_pass_what_is_guarded_by_platform(tmp_path: Path, text: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(text, encoding="utf-8")
    assert posix_only(path) == []


WITHOUT_POSIX = """
import importlib, pkgutil, sys

BLOCKED, PACKAGE = set(sys.argv[2].split()), sys.argv[1]

class NoPosix:
    '''Those modules do not exist for our own code; the standard library of this platform may need them itself.'''

    def find_spec(self, name, path=None, target=None):
        if name in BLOCKED:
            frame = sys._getframe(1)
            while frame.f_globals.get("__name__", "").startswith("importlib"):
                frame = frame.f_back
            if frame.f_globals.get("__name__", "").partition(".")[0].startswith("metasync"):
                raise ModuleNotFoundError(f"No module named {name!r} on this platform", name=name)
        return None

for name in BLOCKED:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, NoPosix())
package = importlib.import_module(PACKAGE)
number = 1
for module in pkgutil.walk_packages(package.__path__, PACKAGE + "."):
    if ".migrations." in module.name or ".templates" in module.name:
        continue  # Alembic runs those by itself
    importlib.import_module(module.name)
    number += 1
print(number)
"""


def import_without_posix(package: str) -> subprocess.CompletedProcess[str]:
    """Import every module of a package where the modules that only POSIX has do not exist for it."""
    command = [sys.executable, "-c", WITHOUT_POSIX, package, " ".join(sorted(MODULES))]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_module_of_the_engine_can_be_imported_without_posix() -> None:
    done = import_without_posix("metasync")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
