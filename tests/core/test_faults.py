"""The fault points: how they are armed, what they do, and that every place in the source is in the list, and the other way round."""

from __future__ import annotations

import errno
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import metasync
from metasync import faults as fault
from metasync.cli.main import run
from metasync.store import Backend, errors, open_store
from metasync.store.tables import engagement

ENGINE = Path(metasync.__file__).parent


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """Whatever a test arms is gone behind it."""
    yield
    fault.arm("")


@pytest.fixture
def backend(database: str) -> Iterator[Backend]:
    opened = open_store(database)
    yield opened
    opened.close()


def add(backend: Backend, name: str) -> None:
    with backend.write("revision.load") as connection:
        connection.execute(engagement.insert().values(name=name, created=backend.now(connection)))


def names(backend: Backend) -> list[str]:
    with backend.read() as connection:
        return list(connection.execute(engagement.select().order_by(engagement.c.id).with_only_columns(engagement.c.name)).scalars())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("export.nowhere:kill9", "no point 'export.nowhere'"),
        ("export.before_find", "no action"),
        ("export.before_find:explode", "no action"),
        ("export.before_find:raise=3", "no action"),
        ("export.before_find:raise:0", "number"),
        ("export.before_find:raise:first", "number"),
        ("export.before_find:stall=long", "number"),
        ("export.before_find:stall=-1", "number"),
        ("export.before_find:stall=inf", "number"),
        ("export.before_find:raise:1:2", "number"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words_and_arms_nothing(text: str, says: str) -> None:
    fault.arm("export.after_find:raise")
    with pytest.raises(fault.BadFault, match=says):
        fault.arm(f"run.end.after_commit:raise,{text}")
    with pytest.raises(fault.Injected):
        fault.point("export.after_find")


def test_the_command_line_ends_with_2_where_a_fault_cannot_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METASYNC_DEVELOPMENT", "1")
    assert run(["init", str(tmp_path)]) == 0
    monkeypatch.setenv(fault.VARIABLE, "export.nowhere:kill9")
    assert run(["--engagement", str(tmp_path / "metasync.yaml"), "load"]) == 2
    assert "there is no point 'export.nowhere'" in capsys.readouterr().err


def test_several_faults_each_fire_once_and_at_their_time() -> None:
    fault.arm("export.before_find:raise:2, export.after_find:enospc")
    fault.point("export.before_find")
    with pytest.raises(fault.Injected):
        fault.point("export.before_find")
    fault.point("export.before_find")
    with pytest.raises(OSError, match=r"\[Errno") as full:
        fault.point("export.after_find")
    assert full.value.errno == errno.ENOSPC
    fault.point("export.after_find")


def test_a_stall_takes_the_seconds_that_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(fault.time, "sleep", slept.append)
    fault.arm("export.before_find:stall=1.5,export.before_find:stall:2")
    fault.point("export.before_find")
    fault.point("export.before_find")
    assert slept == [1.5, fault.STALL]


def test_kill9_leaves_the_process_no_time_for_anything() -> None:
    program = (
        "from metasync import faults as fault\n"
        "fault.arm('export.before_find:kill9')\n"
        "try:\n fault.point('export.before_find')\nfinally:\n print('still here')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode in (-getattr(signal, "SIGKILL", 0), signal.SIGTERM)
    assert done.stdout == ""


def test_a_point_that_is_not_in_the_list_is_a_mistake_of_ours_once_points_are_armed() -> None:
    fault.point("export.nowhere")
    with fault.counted(), pytest.raises(LookupError, match=r"export\.nowhere"):
        fault.point("export.nowhere")


def test_what_is_armed_goes_on_counting_when_the_environment_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fault.VARIABLE, "export.before_find:raise:2")
    fault.arm_from_environment()
    fault.point("export.before_find")
    fault.arm_from_environment()
    with pytest.raises(fault.Injected):
        fault.point("export.before_find")


def test_before_a_commit_nothing_stays_and_behind_it_everything_does(backend: Backend) -> None:
    fault.arm("revision.load.before_commit:raise:1,revision.load.after_commit:raise:1")
    with pytest.raises(fault.Injected):
        add(backend, "never")
    with pytest.raises(fault.Injected):
        add(backend, "kept")
    add(backend, "then")
    assert names(backend) == ["kept", "then"]


def test_a_full_disk_is_told_in_the_words_of_the_store_and_undoes_the_transaction(backend: Backend) -> None:
    fault.arm("revision.load.before_commit:enospc")
    with pytest.raises(errors.StoreError, match="is full; what was not committed is undone"):
        add(backend, "never")
    assert names(backend) == []


def test_every_place_in_the_source_is_in_the_list_and_the_other_way_round() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in ENGINE.rglob("*.py") if path.name != "faults.py")
    called = set(re.findall(r'fault\.point\("([^"]+)"', source))
    named = set(re.findall(r'\.write\("([a-z_]+\.[a-z_]+)"', source)) | set(re.findall(r'else "(plan\.freeze)"', source))
    named |= set(re.findall(r'transaction = "([a-z_]+\.[a-z_]+)"', source))
    assert called == set(fault.STEPS)
    assert named == set(fault.TRANSACTIONS)
