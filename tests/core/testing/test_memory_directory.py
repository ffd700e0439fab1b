"""The memory directory is what tests change behind a connector's back: whole, thread-safe, and there again after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from metasync.contract import (
    CAPABILITIES,
    Change,
    DirectorySettings,
    Kind,
    MetasyncError,
    Operation,
    Outcome,
    Reference,
    SecretMissing,
    SecretReference,
    Unavailable,
    capabilities,
)
from metasync.testing.context import TestContext
from metasync.testing.memory import MemoryConnector, MemoryDirectory, MemoryPlugin, WriteFault, escape, split


def opened(directory: MemoryDirectory, settings: DirectorySettings | None = None) -> MemoryConnector:
    plugin = MemoryPlugin({"it": directory})
    (connector,) = plugin.metasync_register_connectors()
    assert issubclass(connector, MemoryConnector)
    return connector(connector.Options().load({"store": "it"}), TestContext(settings=settings))


def update(anchor: str, text: str, tag: str = "t") -> Change:
    return Change(id=tag, operation=Operation.UPDATE, kind=Kind.USER, anchor=anchor, label=text, after={"title": text}, tag=tag)


def test_it_implements_every_protocol() -> None:
    assert set(capabilities(MemoryConnector)) == set(CAPABILITIES)


def test_what_lies_below_a_container_moves_with_it() -> None:
    directory = MemoryDirectory()
    upper = directory.add(Kind.CONTAINER, name="Upper")
    directory.add(Kind.CONTAINER, name="Other")
    lower = directory.add(Kind.CONTAINER, name="Lo,wer", path="OU=Upper,DC=memory,DC=test")
    anna = directory.add(Kind.USER, name="Anna", path="ou=lo\\,wer, ou=upper, dc=memory, dc=test")
    directory.move(lower, "OU=Other,DC=memory,DC=test")
    assert (directory.get(anna) or {})["dn"] == "CN=Anna,OU=Lo\\,wer,OU=Other,DC=memory,DC=test"
    directory.rename(upper, "Above")
    assert (directory.get(upper) or {})["dn"] == "OU=Above,DC=memory,DC=test"
    with pytest.raises(MetasyncError, match="below itself"):
        directory.move(directory.by_name("Other"), "OU=Lo\\,wer,OU=Other,DC=memory,DC=test")


def test_a_container_that_holds_something_is_not_deleted() -> None:
    directory = MemoryDirectory()
    staff = directory.add(Kind.CONTAINER, name="Staff")
    directory.add(Kind.USER, name="Anna", path="OU=Staff,DC=memory,DC=test")
    with pytest.raises(MetasyncError, match="holds 1 objects"):
        directory.delete(staff)


def test_a_delete_takes_references_away_and_a_restore_brings_them_back() -> None:
    directory = MemoryDirectory()
    boss, worker = directory.add(Kind.USER, name="Boss"), directory.add(Kind.USER, name="Worker")
    directory.change(worker, manager=Reference(value=boss))
    group = directory.add(Kind.GROUP, name="All", members=(Reference(value=boss), Reference(value=worker)))
    directory.delete(boss)
    assert "manager" not in (directory.get(worker) or {})
    assert (directory.get(group) or {})["members"] == (Reference(value=worker),)
    directory.restore(boss)
    assert (directory.get(worker) or {})["manager"] == Reference(value=boss)
    assert set((directory.get(group) or {})["members"]) == {Reference(value=boss), Reference(value=worker)}  # type: ignore[arg-type]
    directory.purge(boss)
    assert not directory.restorable(boss)


def test_a_change_that_fails_changes_nothing() -> None:
    directory = MemoryDirectory()
    directory.add(Kind.USER, name="Anna")
    ben = directory.add(Kind.USER, name="Ben")
    with pytest.raises(MetasyncError, match="exists already"):
        directory.change(ben, name="ANNA", title="New")
    assert (directory.get(ben) or {})["name"] == "Ben"
    assert "title" not in (directory.get(ben) or {})


def test_faults_strike_the_write_that_they_are_armed_for() -> None:
    directory = MemoryDirectory()
    connector = opened(directory)
    anna = directory.add(Kind.USER, name="Anna")
    directory.faults.on_write(2, WriteFault.REFUSED)
    directory.faults.on_write(3, WriteFault.RETRY)
    directory.faults.on_write(4, WriteFault.ANSWER_LOST)
    results = list(connector.write([update(anna, f"Step {n}", str(n)) for n in range(3)]))
    assert [result.outcome for result in results] == [Outcome.APPLIED, Outcome.REJECTED, Outcome.RETRY]
    changed = Change(
        id="x", operation=Operation.UPDATE, kind=Kind.USER, anchor=anna, label="x", before={"title": "Step 0"}, after={"title": "Lost"}
    )
    (lost,) = connector.write([changed])
    assert (lost.outcome, (directory.get(anna) or {})["title"]) == (Outcome.UNKNOWN, "Lost")
    directory.faults.on_write(1, WriteFault.CUT)
    with pytest.raises(Unavailable):
        list(connector.write([Change(id="y", operation=Operation.DELETE, kind=Kind.USER, anchor=anna, label="y")]))
    assert directory.get(anna) is None


def test_who_administers_the_directory_is_written_only_by_name() -> None:
    directory = MemoryDirectory()
    root = directory.add(Kind.USER, name="Root", privileged=True)
    (refused,) = opened(directory).write([update(root, "New")])
    assert refused.outcome is Outcome.REJECTED
    allowed = DirectorySettings(allow_privileged=frozenset({"cn=Root, dc=memory, dc=test"}))
    (written,) = opened(directory, allowed).write([update(root, "New")])
    assert written.outcome is Outcome.APPLIED


def test_many_threads_write_without_losing_anything() -> None:
    directory = MemoryDirectory()
    group = directory.add(Kind.GROUP, name="All")

    def work(which: int) -> None:
        for number in range(25):
            directory.join(group, directory.add(Kind.USER, name=f"User {which} {number}"))

    threads = [threading.Thread(target=work, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(directory.anchors(Kind.USER)) == 100
    assert len((directory.get(group) or {})["members"]) == 100  # type: ignore[arg-type]


def test_two_processes_see_what_the_other_one_wrote(tmp_path: Path) -> None:
    file = tmp_path / "directory.db"
    one, two = MemoryDirectory(file=file), MemoryDirectory(file=file)
    anna = one.add(Kind.USER, name="Anna", badge=7, thumbnailPhoto=b"\0\xff")
    assert one.identity == two.identity
    assert two.get(anna) == one.get(anna)
    two.change(anna, title="New")
    assert (one.get(anna) or {})["title"] == "New"
    one.close()
    two.close()


def test_a_killed_process_leaves_a_whole_directory(tmp_path: Path) -> None:
    file = tmp_path / "directory.db"
    program = f"""
import os, signal
from pathlib import Path
from metasync.contract import Kind
from metasync.testing.memory import MemoryDirectory
directory = MemoryDirectory(file=Path({str(file)!r}))
anna = directory.add(Kind.USER, name="Anna")
directory.add(Kind.GROUP, name="All", members=(anna,))
directory.set_password(anna, "secret of the test", must_change=True)
os.kill(os.getpid(), signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
"""
    process = subprocess.run([sys.executable, "-c", program], check=False)
    assert process.returncode in (-getattr(signal, "SIGKILL", 9), int(signal.SIGTERM))
    directory = MemoryDirectory(file=file)
    anna = directory.by_name("Anna")
    assert (directory.get(directory.by_name("All")) or {})["members"] == (Reference(value=anna),)
    assert directory.verifies(anna, "secret of the test")
    assert b"secret of the test" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    directory.close()


def test_names_are_escaped_and_split() -> None:
    for name in ("a,b", "#1", " outer ", 'quote"', "back\\slash", "plus+", "a=b"):
        assert split(f"OU={escape(name)},DC=test") == (f"OU={escape(name)}", "DC=test")


def test_a_context_keeps_secrets_and_notices_leaks() -> None:
    context = TestContext(secrets={"bind": "hunter2-hunter2"})
    with pytest.raises(SecretMissing):
        context.secret(SecretReference(name="other"))
    secret = context.secret(SecretReference(name="bind"))
    assert not context.leaks("nothing")
    assert context.leaks(f"the password is {secret}")
    context.logger.debug("signing in with %s", context.new_password(avoid=["Anna"]))
    assert context.leaks()
    assert len({context.new_password() for _ in range(50)}) == 50
