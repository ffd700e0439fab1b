"""Writes a working plugin of one's own, outside of the repository: sources, packaging, tests that pass at once, a quality file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

from metasync.contract import CONTRACT_VERSION, MetasyncError

_COMMON: Mapping[str, str] = {
    "pyproject.toml": "pyproject.toml",
    "gitignore": ".gitignore",
    "init.py": "{package}/__init__.py",
    "py.typed": "{package}/py.typed",
}

SORTS: Mapping[str, Mapping[str, str]] = {
    "connector": {
        "connector_setup.cfg": "setup.cfg",
        "connector_readme.md": "README.md",
        "connector_quality.yaml": "quality.yaml",
        "connector_plugin.py": "{package}/plugin.py",
        "connector_connector.py": "{package}/connector.py",
        "connector_schema.py": "{package}/schema.py",
        "connector_file.py": "{package}/file.py",
        "connector_test.py": "tests/test_conformance.py",
    },
    "rewrite": {
        "rewrite_setup.cfg": "setup.cfg",
        "rewrite_readme.md": "README.md",
        "rewrite_plugin.py": "{package}/plugin.py",
        "rewrite_test.py": "tests/test_rewrites.py",
    },
    "matcher": {
        "matcher_setup.cfg": "setup.cfg",
        "matcher_readme.md": "README.md",
        "matcher_plugin.py": "{package}/plugin.py",
        "matcher_test.py": "tests/test_matcher.py",
    },
}
"""Per sort of plugin, which template becomes which file."""

_SHIPPED = frozenset(
    {"ad", "celery", "counting", "csv", "email", "entra", "memory", "passwords", "sidhistory", "standard", "testing", "webadmin", "webhook"}
)
"""Names that Metasync itself ships, or will."""


class ScaffoldError(MetasyncError):
    """The plugin cannot be written there under that name; nothing was written."""


def write_plugin(sort: str, name: str, folder: Path) -> list[Path]:
    """Write a distribution `metasync-NAME` into `folder`, which must be empty or not there yet; gives the files. Raises `ScaffoldError`."""
    if sort not in SORTS:
        raise ScaffoldError(f"there is no template for a {sort}; there are {', '.join(SORTS)}")
    if len(name) > 40 or not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ScaffoldError(
            f"{name!r} cannot be a plugin's name; take lower-case letters, digits and single hyphens, a letter first, at most 40 characters"
        )
    if name in _SHIPPED:
        raise ScaffoldError(f"{name} is a plugin of Metasync itself; choose another name")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ScaffoldError(f"{folder} exists and is not empty; choose another folder, nothing is overwritten")
    package = f"metasync_{name.replace('-', '_')}"
    words = {
        "name": name,
        "package": package,
        "word": name.replace("-", "_"),
        "class_name": "".join(part.capitalize() for part in name.split("-")),
        "contract_version": str(CONTRACT_VERSION),
    }
    templates = resources.files("metasync.testing.scaffold") / "templates"
    written = []
    for template, target in {**_COMMON, **SORTS[sort]}.items():
        path = folder / target.format(package=package)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = Template((templates / f"{template}.tmpl").read_text(encoding="utf-8")).substitute(words)
        path.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return sorted(written)


def write_connector(name: str, folder: Path) -> list[Path]:
    """Write a connector over a JSON file, which passes the conformance suite as it is."""
    return write_plugin("connector", name, folder)
