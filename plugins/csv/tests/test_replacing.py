"""A target is replaced whole, once per call, before any result; and two writers never mix."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metasync.contract import Kind, Operation, Outcome, RightMissing, Unavailable
from metasync_csv import connector as connector_module
from metasync_csv import replace as replace_module

from .harness import Changes, connect, put, read, rows, write

PEOPLE = "id,title\n1,a\n2,b\n"
POSIX = os.name == "posix"


@pytest.fixture
def change() -> Changes:
    return Changes()


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix == ".tmp"]


def test_no_result_is_given_before_the_file_is_replaced_and_it_is_replaced_once(
    tmp_path: Path, change: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "people.csv", "id,title\n" + "".join(f"{number},a\n" for number in range(100)))
    inode = path.stat().st_ino
    replaced: list[str] = []
    real = connector_module.put
    monkeypatch.setattr(connector_module, "put", lambda staged, path: (replaced.append(path), real(staged, path))[1])
    results = connect(path).write([change(Operation.UPDATE, str(number), {"title": "b"}, {"title": "a"}) for number in range(100)])
    assert path.stat().st_ino == inode, "nothing happens before the first result is asked for"
    first = next(results)
    assert first.outcome is Outcome.APPLIED and read(connect(path), "title")["0"] == {"title": "b"}
    assert {title for _, title in rows(path)[1:]} == {"b"}, "with the first result all changes of the call are in the file"
    assert len(list(results)) == 99 and replaced == [str(path.resolve())]


def test_a_refused_call_replaces_nothing(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    inode = path.stat().st_ino
    write(connect(path), change(Operation.UPDATE, "1", {"title": "x"}, {"title": "other"}))
    assert path.stat().st_ino == inode and write(connect(path)) == []


@pytest.mark.skipif(not POSIX, reason="Windows has no mode bits")
def test_the_file_keeps_its_mode_and_a_new_one_is_its_owners_alone(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    path.chmod(0o640)
    write(connect(path), change(Operation.DELETE, "1"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    new = tmp_path / "new.csv"
    write(connect(new, create=["id"]), change(Operation.CREATE, after={"id": "1"}))
    assert stat.S_IMODE(new.stat().st_mode) == 0o600


def test_a_link_stays_a_link(tmp_path: Path, change: Changes) -> None:
    (tmp_path / "real").mkdir()
    path = put(tmp_path / "real" / "people.csv", PEOPLE)
    link = tmp_path / "people.csv"
    link.symlink_to(path)
    write(connect(link), change(Operation.DELETE, "1"))
    assert link.is_symlink() and path.read_text() == "id,title\n2,b\n"


@pytest.mark.parametrize("step", ["stage", "put"])
def test_a_disk_that_is_full_or_a_refused_replacement_changes_nothing_and_is_tried_again(
    tmp_path: Path, change: Changes, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    connector = connect(path)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    changes = [
        change(Operation.UPDATE, "1", {"title": "x"}, {"title": "a"}),
        change(Operation.UPDATE, "2", {"title": "x"}, {"title": "other"}),
        change(Operation.UPDATE, "2", {"title": "b"}, {"title": "other"}),
    ]
    with monkeypatch.context() as patched:
        if step == "stage":
            patched.setattr(replace_module.os, "fsync", fail)
        else:
            patched.setattr(connector_module, "put", fail)
        results = write(connector, *changes)
    # the second is a conflict whatever the disk says; the third is certain only with the file that it was seen in
    assert [result.outcome for result in results] == [Outcome.RETRY, Outcome.CONFLICT, Outcome.RETRY]
    assert "No space left on device" in results[0].detail and "nothing was changed" in results[0].detail
    assert path.read_text() == PEOPLE and leftovers(tmp_path) == []
    assert write(connector, changes[0])[0].outcome is Outcome.APPLIED, "what failed is not taken for written"
    assert path.read_text() == "id,title\n1,x\n2,b\n"


@pytest.mark.skipif(not POSIX, reason="only POSIX systems let a folder be written to the disk")
def test_a_replacement_that_may_not_survive_a_power_cut_is_unknown(
    tmp_path: Path, change: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)

    def fail(_: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(connector_module, "settle", fail)
    (result,) = write(connect(path), change(Operation.DELETE, "1"))
    assert result.outcome is Outcome.UNKNOWN and result.detail


def test_somebody_elses_write_in_the_last_moment_wins_and_ours_is_tried_again(
    tmp_path: Path, change: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    real = connector_module.stage

    def stage_and_be_overtaken(target: str, write_to: Any) -> tuple[str, bytes]:
        staged = real(target, write_to)
        put(path, PEOPLE + "3,theirs\n")
        return staged

    connector = connect(path)
    with monkeypatch.context() as patched:
        patched.setattr(connector_module, "stage", stage_and_be_overtaken)
        (result,) = write(connector, change(Operation.DELETE, "1"))
    assert result.outcome is Outcome.RETRY and "changed by somebody else" in result.detail
    assert path.read_text() == PEOPLE + "3,theirs\n" and leftovers(tmp_path) == []
    assert write(connector, change(Operation.DELETE, "1"))[0].outcome is Outcome.APPLIED
    assert path.read_text() == "id,title\n2,b\n3,theirs\n"


def test_what_somebody_else_changed_between_two_calls_is_seen(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    connector = connect(path)
    write(connector, change(Operation.UPDATE, "1", {"title": "x"}, {"title": "a"}))
    before = path.stat()
    path.write_text(path.read_text().replace("x", "y"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (result,) = write(connector, change(Operation.UPDATE, "1", {"title": "z"}, {"title": "x"}))
    assert result.outcome is Outcome.CONFLICT, "same size and time, other bytes"


def test_threads_that_write_the_same_file_lose_nothing(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,title\n0,x\n")
    failures: list[object] = []

    def work(name: str) -> None:
        connector, change = connect(path), Changes()
        for number in range(10):
            (result,) = write(connector, change(Operation.CREATE, after={"id": f"{name}{number}"}))
            if result.outcome is not Outcome.APPLIED:
                failures.append(result)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and len(rows(path)) == 42


WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from metasync.contract import Change, Kind, Operation
    from metasync.testing.context import TestContext
    from metasync_csv.connector import CsvConnector
    from metasync_csv.options import CsvOptions
    path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    connector = CsvConnector(CsvOptions().load({"path": path, "anchor": "id"}), TestContext())
    for number in range(count):
        anchor = f"{name}{number}"
        change = Change(id=anchor, operation=Operation.CREATE, kind=Kind.USER, anchor=None, label=anchor, after={"id": anchor})
        for result in connector.write([change]):
            print(result.id, result.outcome.value, flush=True)
""")


def test_processes_that_write_the_same_file_lose_nothing(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,title\n0,x\n")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, "20"], stdout=subprocess.PIPE, text=True) for name in "ab"]
    said = [writer.communicate(timeout=120)[0].splitlines() for writer in writers]
    assert [len(lines) for lines in said] == [20, 20] and all(line.endswith(" applied") for lines in said for line in lines)
    assert len(rows(path)) == 42


@pytest.mark.parametrize("after", [1, 3, 7])
def test_a_killed_writer_leaves_a_whole_file_with_everything_that_it_answered_for(tmp_path: Path, after: int) -> None:
    """I1 and I2: what was answered is there once; the file is never torn; nothing that the dead left is in the way."""
    path = put(tmp_path / "people.csv", "id,title\n0,x\n")
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path), "a", "100000"], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        answered = [writer.stdout.readline().split()[0] for _ in range(after)]
        writer.send_signal(signal.SIGKILL if POSIX else signal.SIGTERM)
    present = list(read(connect(path)))
    assert set(answered) <= set(present) and len(present) == len(set(present))
    put(tmp_path / ".metasync-people.csv.stale.tmp", "half a fi")
    assert write(connect(path), Changes()(Operation.CREATE, after={"id": "next"}))[0].outcome is Outcome.APPLIED
    assert leftovers(tmp_path) == [], "what killed writers left is swept away"


def test_a_target_that_cannot_be_read_now_ends_the_batch(tmp_path: Path, change: Changes) -> None:
    connector = connect(tmp_path / "people.csv")
    with pytest.raises(Unavailable, match="does not exist"):
        list(connector.write([change(Operation.DELETE, "1")]))
    put(tmp_path / "people.csv", b"id,title\n1,\xff\n")
    with pytest.raises(Unavailable, match="row 2, column 'title': the byte 0xff"):
        list(connector.find([change(Operation.DELETE, "1")]))
    put(tmp_path / "people.csv", 'id,title\n1,"a\n')
    with pytest.raises(Unavailable, match="cannot be read"):
        list(connector.write([change(Operation.DELETE, "1")]))


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("id,title\n1,a\n2", {}, "ends in the middle of a row"),
        ('id,title\n1,a\n2,"b', {}, "a quote is not closed"),
        ("id,title\n1,a\n2,", {}, "end the file with a line break"),
        ("id,title\n1,a\n2,b", {"final_newline": True}, "does not end with a line break"),
        ("id,title\n1,a\n2,b\n", {"trailer": "END"}, "does not end with the trailer"),
        ("id,title\n1,a\nEND,2\n", {"trailer": "END"}, "its trailer says '2'"),
        ("id,title\n", {}, "no row"),
        ("", {"create": ["id", "title"]}, "is empty"),
        ("id,title\n1,a\n2,\xff\n", {"encoding": "ascii"}, "the byte"),
        ("id,title\n1,a\n", {"quiet_for": 3600}, "less than 3600 s ago"),
    ],
)
def test_what_an_import_would_hold_is_not_written_to(
    tmp_path: Path, change: Changes, content: str, options: dict[str, Any], words: str
) -> None:
    """A change would give the last row its line break, and the half-written file would look whole: whoever is missing would be gone."""
    path = put(tmp_path / "people.csv", content)
    connector = connect(path, **options)
    changes = [change(Operation.UPDATE, "1", {"title": "x"}, {"title": "a"}), change(Operation.CREATE, after={"id": "3"})]
    for ask in (connector.write, connector.find):
        with pytest.raises(Unavailable) as raised:
            list(ask(changes))
        assert words in str(raised.value) and "neither written nor read back" in str(raised.value)
    assert path.read_text() == content and leftovers(tmp_path) == []


def test_a_half_written_file_holds_the_changes_of_the_other_files_too(tmp_path: Path, change: Changes) -> None:
    people, groups = put(tmp_path / "people.csv", PEOPLE), put(tmp_path / "groups.csv", "id,members\n9,1\n8")
    connector = connect(files={"user": str(people), "group": str(groups)})
    with pytest.raises(Unavailable, match=r"groups\.csv ends in the middle of a row"):
        list(connector.write([change(Operation.DELETE, "2")]))
    assert people.read_text() == PEOPLE


def test_the_last_row_may_be_deleted_in_one_call_and_another_written_in_the_next(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", "id,title\n1,a\n")
    connector = connect(path)
    assert write(connector, change(Operation.DELETE, "1"))[0].outcome is Outcome.APPLIED
    assert write(connector, change(Operation.CREATE, after={"id": "2"}))[0].outcome is Outcome.APPLIED, "what is empty now we emptied"
    assert path.read_text() == "id,title\n2,\n"


@pytest.mark.parametrize(
    "change_of",
    [
        lambda change: change(Operation.UPDATE, "1", {"title": "x"}, {"title": "a"}),
        lambda change: change(Operation.CLEAR, "1", {"title": None}, {"title": "a"}),
        lambda change: change(Operation.DELETE, "1", before={"title": "a"}),
        lambda change: change(Operation.MEMBER_REMOVE, "1", member="2"),
    ],
)
def test_a_header_that_lost_a_column_of_the_plan_is_not_written_to(tmp_path: Path, change: Changes, change_of: Any) -> None:
    """Also what does not touch that column: it is not the file that the changes were planned on."""
    content = "id,jobtitle,mail\n1,a,\n2,b,\n"
    path = put(tmp_path / "people.csv", content)
    changes = [change(Operation.UPDATE, "2", {"mail": "b@a.test"}), change_of(change)]
    for ask in (connect(path, kind="group").write, connect(path, kind="group").find):
        with pytest.raises(
            Unavailable, match=r"people\.csv has no column '(title|members)' any more, .* planned; the file is neither written"
        ):
            list(ask([replace(one, kind=Kind.GROUP) for one in changes]))
    assert path.read_text() == content


def test_a_header_that_lost_a_column_of_the_options_is_not_written_to(tmp_path: Path, change: Changes) -> None:
    content = "id,title,post\n1,a,\n"
    path = put(tmp_path / "people.csv", content)
    with pytest.raises(Unavailable, match=r"neither written .* has no column 'mail' \(named under `sign-in`\)"):
        list(connect(path, sign_in=["mail"]).write([change(Operation.DELETE, "1")]))
    assert path.read_text() == content


def test_a_folder_that_may_not_be_written_is_a_missing_right(tmp_path: Path, change: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(replace_module.os, "open", refuse)
    with pytest.raises(RightMissing, match="Grant the right"):
        list(connect(path).write([change(Operation.DELETE, "1")]))
    assert path.read_text() == PEOPLE
