"""What was changed after the installation is never imported."""

from __future__ import annotations

import importlib
import marshal
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metasync.host import Host, State
from metasync.host.info import PluginInfo

Install = Callable[..., Path]


def state(site: Path) -> PluginInfo:
    (info,) = Host.load({"probe": ""}, None, False, search=[str(site)]).plugins
    return info


def test_one_changed_byte_is_seen_and_nothing_is_imported(site: Path, install: Install) -> None:
    package = install("probe")
    source = package / "__init__.py"
    source.write_text(source.read_text().replace("upper", "lower"))
    info = state(site)
    assert info.state is State.MODIFIED
    assert "metasync_probe/__init__.py is not the file of the wheel" in info.reason
    assert "metasync_probe" not in sys.modules


def test_the_digest_tells_what_lies_there_instead_of_the_wheels_files(site: Path, install: Install) -> None:
    source = install("probe") / "__init__.py"
    clean, text = state(site).digest, source.read_text()
    found = {clean}
    for change in (lambda: source.write_text(text + "# a"), lambda: source.write_text(text + "# b"), source.unlink):
        change()
        assert state(site).state is State.MODIFIED
        found.add(state(site).digest)
    source.write_text(text)
    (source.parent / "added.py").write_text("x = 1")
    found.add(state(site).digest)
    assert len(found) == 5
    assert all(len(one) == 64 for one in found)
    (source.parent / "added.py").unlink()
    assert state(site).digest == clean


def test_without_record_nothing_vouches_for_the_files(site: Path, install: Install) -> None:
    install("probe", record=False)
    assert state(site).state is State.REFUSED


def test_a_file_that_was_added_is_seen(site: Path, install: Install) -> None:
    package = install("probe")
    (package / "deeper").mkdir()
    (package / "deeper" / "extra.py").write_text("x = 1")
    info = state(site)
    assert info.state is State.MODIFIED
    assert "metasync_probe/deeper/extra.py was added" in info.reason


def test_a_file_that_is_gone_is_seen(site: Path, install: Install) -> None:
    package = install("probe", files={"metasync_probe/other.py": "x = 1"})
    (package / "other.py").unlink()
    info = state(site)
    assert info.state is State.MODIFIED
    assert "metasync_probe/other.py is gone" in info.reason


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("evil.pth", "runs at every start"),
        ("sitecustomize.py", "runs at every start"),
        ("metasync/extra.py", "not its own"),
        ("json.py", "not its own"),
        ("metasync_probe/hidden.pyc", "bytecode without its source"),
        ("open_folder/module.py", "no __init__.py"),
    ],
)
def test_what_a_plugin_must_not_bring_is_refused(site: Path, install: Install, path: str, said: str) -> None:
    install("probe", files={path: "x = 1"})
    info = state(site)
    assert info.state is State.REFUSED
    assert said in info.reason


def test_a_record_without_a_hash_is_refused(site: Path, install: Install) -> None:
    install("probe")
    record = site / "metasync_probe-0.1.dist-info" / "RECORD"
    record.write_text("\n".join(line.split(",")[0] + ",," for line in record.read_text().splitlines()))
    assert state(site).state is State.REFUSED


def test_a_weak_hash_is_refused(site: Path, install: Install) -> None:
    install("probe")
    record = site / "metasync_probe-0.1.dist-info" / "RECORD"
    record.write_text(record.read_text().replace("sha256=", "md5="))
    assert state(site).state is State.REFUSED


def test_a_link_out_of_the_distribution_is_refused(site: Path, install: Install, tmp_path: Path) -> None:
    package = install("probe", files={"metasync_probe/other.py": "x = 1"})
    (tmp_path / "elsewhere.py").write_text("x = 1")
    (package / "other.py").unlink()
    (package / "other.py").symlink_to(tmp_path / "elsewhere.py")
    assert state(site).state is State.REFUSED


def test_an_entry_point_outside_of_the_distribution_is_refused(site: Path, install: Install) -> None:
    install("probe", entry="os:system")
    info = state(site)
    assert info.state is State.REFUSED
    assert "not part of the distribution" in info.reason


def test_the_digest_does_not_depend_on_what_an_installer_adds(site: Path, install: Install) -> None:
    install("probe")
    before = state(site).digest
    folder = site / "metasync_probe-0.1.dist-info"
    (folder / "RECORD").write_text(
        "".join(line + "\n" for line in (folder / "RECORD").read_text().splitlines() if "INSTALLER" not in line and ".pyc" not in line)
    )
    assert state(site).digest == before


def tamper_bytecode(source: Path) -> None:
    """Bytecode that Python takes for the source's, and that does something else."""
    stat = source.stat()
    code = compile("raise SystemExit('tampered bytecode ran')", str(source), "exec")
    cached = Path(importlib.util.cache_from_source(str(source)))
    cached.parent.mkdir(exist_ok=True)
    cached.write_bytes(
        importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(stat.st_mtime), stat.st_size & 0xFFFFFFFF) + marshal.dumps(code)
    )


def test_tampered_bytecode_is_never_run(site: Path, install: Install) -> None:
    package = install("probe", files={"metasync_probe/later.py": "value = 1"})
    tamper_bytecode(package / "__init__.py")
    tamper_bytecode(package / "later.py")
    assert state(site).state is State.VERIFIED
    assert importlib.import_module("metasync_probe.later").value == 1


def test_a_source_that_changes_between_verification_and_import_is_not_run(site: Path, install: Install) -> None:
    package = install("probe", files={"metasync_probe/later.py": "value = 1"})
    assert state(site).state is State.VERIFIED
    (package / "later.py").write_text("value = 2")
    with pytest.raises(ImportError, match="changed since it was verified"):
        importlib.import_module("metasync_probe.later")


def test_a_module_of_the_same_name_from_elsewhere_is_not_taken_for_the_plugin(
    site: Path, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("probe")
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "metasync_probe.py").write_text("x = 1")
    monkeypatch.syspath_prepend(str(tmp_path / "shadow"))
    importlib.import_module("metasync_probe")
    info = state(site)
    assert info.state is State.MODIFIED
    assert "imported from elsewhere" in info.reason


def test_a_shadow_on_the_path_is_passed_by(site: Path, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("probe")
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "metasync_probe.py").write_text("raise SystemExit('shadow ran')")
    monkeypatch.syspath_prepend(str(tmp_path / "shadow"))
    assert state(site).state is State.VERIFIED


def test_a_plugin_imported_before_is_taken_where_its_bytecode_is_that_of_its_source(
    site: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("probe")
    monkeypatch.syspath_prepend(str(site))
    importlib.import_module("metasync_probe")
    assert state(site).state is State.VERIFIED


def test_a_plugin_imported_before_from_other_bytecode_is_modified(site: Path, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    package = install("probe")
    monkeypatch.syspath_prepend(str(site))
    importlib.import_module("metasync_probe")
    tamper_bytecode(package / "__init__.py")
    info = state(site)
    assert info.state is State.MODIFIED
    assert "bytecode" in info.reason
