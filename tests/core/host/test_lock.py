"""Once metasync.lock exists, every plugin must match it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from metasync.host import LOCK_NAME, Host, LockError, NothingToLock, State, verify_all, write_lock

Install = Callable[..., Path]


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / LOCK_NAME


def load(site: Path, lock: Path, **allow: str) -> Host:
    return Host.load(allow or {"probe": ""}, lock, False, search=[str(site)])


def test_a_locked_plugin_is_pinned(site: Path, install: Install, lock: Path) -> None:
    install("probe")
    assert write_lock(lock, load(site, lock).plugins) == ()
    (info,) = load(site, lock).plugins
    assert info.state is State.PINNED
    content = json.loads(lock.read_text())
    assert content["plugins"]["probe"] == {
        "distribution": "metasync-probe",
        "version": "0.1",
        "digest": info.digest,
        "grants": ["rewrite probe_word"],
    }


def test_a_plugin_that_the_lock_does_not_hold_is_refused(site: Path, install: Install, lock: Path) -> None:
    install("probe")
    write_lock(lock, ())
    (info,) = load(site, lock).plugins
    assert info.state is State.REFUSED
    assert "metasync plugin lock" in info.reason


def test_another_version_than_the_locked_one_is_refused(site: Path, install: Install, lock: Path, tmp_path: Path) -> None:
    install("probe")
    write_lock(lock, load(site, lock).plugins)
    content = json.loads(lock.read_text())
    content["plugins"]["probe"]["version"] = "0.0.9"
    lock.write_text(json.dumps(content))
    (info,) = load(site, lock).plugins
    assert info.state is State.REFUSED
    assert "0.0.9" in info.reason


def test_other_files_under_the_same_version_are_modified(site: Path, install: Install, lock: Path) -> None:
    install("probe")
    write_lock(lock, load(site, lock).plugins)
    locked = load(site, lock).plugins[0].digest
    install("probe", files={"metasync_probe/more.py": "x = 1"})
    (info,) = load(site, lock).plugins
    assert info.state is State.MODIFIED
    assert info.expected == locked != info.digest


def test_a_plugin_that_registers_more_than_it_was_granted_is_refused(site: Path, install: Install, lock: Path) -> None:
    install("probe")
    write_lock(lock, load(site, lock).plugins)
    content = json.loads(lock.read_text())
    content["plugins"]["probe"]["grants"] = []
    lock.write_text(json.dumps(content))
    host = load(site, lock)
    assert host.plugins[0].state is State.REFUSED
    assert "does not grant: rewrite probe_word" in host.plugins[0].reason
    assert not host.rewrites


def test_what_does_not_work_is_not_locked_and_is_named(site: Path, install: Install, lock: Path) -> None:
    install("probe", source="raise RuntimeError")
    install("good")
    left = write_lock(lock, load(site, lock, probe="", good="").plugins)
    assert [info.name for info in left] == ["probe"]
    assert list(json.loads(lock.read_text())["plugins"]) == ["good"]


@pytest.mark.parametrize("before", [None, "what was pinned before"])
def test_where_nothing_can_be_pinned_the_lock_stays_as_it_is_and_the_error_says_what_to_do(
    site: Path, install: Install, lock: Path, before: str | None
) -> None:
    install("probe", editable=True)
    if before:
        lock.write_text(before)
    plugins = verify_all({"probe": ""}, None, True, search=[str(site)])
    with pytest.raises(NothingToLock, match=r"an editable install(.|\n)*pip install metasync-probe"):
        write_lock(lock, plugins)
    assert (lock.read_text() if lock.exists() else None) == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"form": 2, "plugins": {}}', '{"form": 1, "plugins": {"probe": {}}}', "\x00"])
def test_a_damaged_lock_is_an_error_and_never_no_lock(site: Path, install: Install, lock: Path, text: str) -> None:
    install("probe")
    lock.write_text(text)
    with pytest.raises(LockError, match=r"metasync\.lock"):
        load(site, lock)
