"""Distributions for the tests of the host: installed by hand into a folder that no other test sees, as pip would."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from metasync.host import sources

SIMPLE = """
from metasync.contract import Rewrite, hookimpl

@hookimpl
def metasync_register_rewrites():
    return [Rewrite(name="{name}_word", function=str.upper, help="h", example=("a", "b"))]
"""


def install_plugin(
    site: Path,
    name: str = "probe",
    *,
    version: str = "0.1",
    source: str | None = None,
    files: Mapping[str, str] | None = None,
    entry: str = "",
    record: bool = True,
    editable: bool = False,
) -> Path:
    """Install the plugin `name` (distribution metasync-NAME, package metasync_NAME); the package's folder."""
    package = f"metasync_{name}"
    info = f"{package}-{version}.dist-info"
    content = {
        f"{package}/__init__.py": SIMPLE.format(name=name) if source is None else source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: metasync-{name}\nVersion: {version}\n",
        f"{info}/entry_points.txt": f"[metasync]\n{name} = {entry or package}\n",
        f"{info}/INSTALLER": "pip\n",
        **(files or {}),
    }
    if editable:
        content[f"{info}/direct_url.json"] = json.dumps({"url": "file:///src", "dir_info": {"editable": True}})
    for path, text in content.items():
        target = site / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    if record:
        write_record(site, info, content)
    return site / package


def write_record(site: Path, info: str, content: Mapping[str, str]) -> None:
    """RECORD as pip writes it, with a line of bytecode that has no hash."""
    lines = [f"{path},sha256={_hash(site / path)},{len(text)}" for path, text in content.items()]
    lines += [f"{info}/RECORD,,", f"{next(iter(content)).rpartition('/')[0]}/__pycache__/__init__.cpython-311.pyc,,"]
    (site / info / "RECORD").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _hash(path: Path) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """An empty place for installed distributions; what was imported from it is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("metasync_"):
            del sys.modules[name]
    sources._finder.packages.clear()


@pytest.fixture
def install(site: Path) -> Callable[..., Path]:
    """`install(NAME, ...)` puts a plugin into `site`; see `install_plugin`."""

    def into_site(name: str = "probe", **details: object) -> Path:
        return install_plugin(site, name, **details)  # type: ignore[arg-type]

    return into_site
