"""Who may import whom, and where SQL may stand: the rules that reach into the plugins. `.importlinter` holds those inside the engine."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import metasync

ROOT = Path(__file__).resolve().parents[2]
ENGINE = Path(metasync.__file__).parent
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/metasync_*/__init__.py"))
ALLOWED_TO_PLUGINS = ("metasync.contract", "metasync.testing")


def imports(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, module, name) of every import, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, node.module, alias.name) for alias in node.names)


def modules(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*.py"))


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in packages)


def test_a_plugin_imports_the_contract_and_the_testing_kit_alone() -> None:
    wrong = [
        f"{path}:{line}: {module}"
        for plugin in PLUGINS
        for path in modules(plugin)
        for line, module, name in imports(path)
        if within(module, ("metasync",)) and not within(f"{module}.{name}", ALLOWED_TO_PLUGINS)
    ]
    assert wrong == []


def test_plugins_do_not_import_each_other() -> None:
    for plugin in PLUGINS:
        others = tuple(one.name for one in PLUGINS if one != plugin)
        assert [path for path in modules(plugin) for _, module, _ in imports(path) if within(module, others)] == []


def test_the_engine_imports_no_plugin_no_flask_and_no_celery() -> None:
    wrong = ("celery", "flask", "ldap3", *(one.name for one in PLUGINS))
    assert [f"{path}:{line}" for path in modules(ENGINE) for line, module, _ in imports(path) if within(module, wrong)] == []


def test_sql_stands_in_the_store_alone() -> None:
    """Elsewhere a connection, a table or the database's error may be named, to be handed on. The testing kit looks from outside."""
    wrong = []
    for path in modules(ENGINE):
        if path.relative_to(ENGINE).parts[0] in ("store", "testing"):
            continue
        for line, module, name in imports(path):
            if within(module, ("sqlalchemy", "sqlite3", "alembic")) and module != "sqlalchemy.exc" and name != "Connection":
                wrong.append(f"{path}:{line}: {module}.{name}")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "connection":
                wrong.append(f"{path}:{node.lineno}: connection.{node.attr}")
    assert wrong == []


def test_the_command_line_calls_the_service_alone() -> None:
    allowed = ("metasync.cli", "metasync.contract", "metasync.service", "metasync.words")
    wrong = [
        f"{path}:{line}: {module}.{name}"
        for path in modules(ENGINE / "cli")
        for line, module, name in imports(path)
        if within(module, ("metasync",)) and not within(f"{module}.{name}", allowed) and name != "__version__"
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", [ENGINE, *PLUGINS], ids=lambda one: one.name)
def test_every_package_is_typed_and_every_module_says_what_lives_there(folder: Path) -> None:
    assert (folder / "py.typed").exists()
    silent = [str(path) for path in modules(folder) if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert silent == []
