"""Whatever goes wrong, a person reads words and gets an exit code, never a traceback; and no secret reaches a log."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from metasync import faults, service
from metasync.engagement.secrets import Secrets

from .conftest import Shell


def test_without_a_document_the_error_names_the_file(shell: Shell) -> None:
    (shell.folder / "metasync.yaml").unlink()
    assert "metasync.yaml" in shell("run", code=2).err


def test_a_document_that_was_never_loaded_says_to_load_it(shell: Shell) -> None:
    assert "metasync load" in shell("run", code=2).err or "metasync init" in shell("run", code=2).err


def test_a_document_that_differs_from_what_was_loaded_says_load_it_first(loaded: Shell) -> None:
    text = (loaded.folder / "metasync.yaml").read_text(encoding="utf-8")
    loaded.write(text.replace("title: source.title", "title: source.mail"))
    assert "Load it first: `metasync load metasync.yaml`" in loaded("run", code=2).err
    assert "revision 2" in loaded("load").out
    loaded("run", code=3)


def test_a_comment_makes_no_new_revision(loaded: Shell) -> None:
    text = (loaded.folder / "metasync.yaml").read_text(encoding="utf-8")
    loaded.write(f"# a word\n{text}")
    loaded("objects")
    assert "nothing changed" in loaded("load").out


def test_a_document_of_the_same_name_from_elsewhere_is_told(loaded: Shell) -> None:
    """Two customers' documents of one name in one database would take each other's place without a word."""
    (loaded.folder / "other").mkdir()
    text = (loaded.folder / "metasync.yaml").read_text(encoding="utf-8")
    (loaded.folder / "other/metasync.yaml").write_text(text, encoding="utf-8")
    database = f"sqlite:///{loaded.folder / 'metasync.db'}"
    said = loaded("load", str(loaded.folder / "other/metasync.yaml"), "--database", database)
    assert f"was loaded from {loaded.folder / 'metasync.yaml'} before" in said.err
    assert "was loaded from" not in loaded("load", str(loaded.folder / "other/metasync.yaml"), "--database", database).err


def test_a_wrong_document_names_file_line_key_and_what_is_allowed(shell: Shell) -> None:
    text = (shell.folder / "metasync.yaml").read_text(encoding="utf-8")
    shell.write(text.replace("    target: ad\n", "    target: add\n", 1))
    done = shell("check", code=2)
    assert "metasync.yaml:" in done.err
    assert "profiles.people.target" in done.err
    assert "`ad`" in done.err
    problems = shell("check", "--json", code=2).json["problems"]
    assert problems[0]["line"] > 1
    assert problems[0]["allowed"]


def test_an_unknown_verb_or_option_is_bad_usage(shell: Shell) -> None:
    assert "No such command" in shell("fly", code=2).err
    assert "No such option" in shell("run", "--fly", code=2).err


def test_an_unexpected_error_ends_with_5_and_a_log_that_only_its_owner_reads(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "correct-horse-battery"
    assert Secrets.of({"bind": secret}).get("bind") == secret

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError(f"while signing in with {secret}")

    monkeypatch.setattr(service, "runs", broken)
    done = loaded("runs", code=5)
    assert "Traceback" not in done.out + done.err
    assert secret not in done.out + done.err
    (log,) = loaded.folder.glob("metasync-error-*.log")
    assert str(log) in done.err
    text = log.read_text(encoding="utf-8")
    assert "ZeroDivisionError" in text
    assert "(secret)" in text
    assert secret not in text
    if sys.platform != "win32":
        assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_plugin_that_wishes_to_end_the_program_is_no_success(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is that nobody looks after it."""
    from metasync import service

    monkeypatch.setattr(service, "runs", lambda *_, **__: sys.exit(0), raising=True)
    done = loaded("runs", code=5)
    assert "internal error (SystemExit)" in done.err


def test_an_error_is_json_too_where_json_was_asked_for(loaded: Shell) -> None:
    assert loaded("show", "99", "--json", code=2).json["exit"] == 2


def test_a_disk_that_is_full_in_the_middle_of_a_run_is_no_mistake_in_the_document(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(faults.VARIABLE, "plan.freeze.before_commit:enospc")
    done = loaded("run", code=4)
    assert "is full; what was not committed is undone. Make room, then run again" in done.err


def test_a_broken_plugin_is_named_with_what_to_do(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from metasync.host import Host

    monkeypatch.setattr(Host, "load", lambda *_, **__: Host.of(object(), None))
    done = loaded("run", code=None)
    assert done.code in (2, 5)
    assert "Traceback" not in done.err


def test_no_colour_means_no_codes_also_on_a_terminal(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = loaded("runs")
    assert "\x1b" not in done.out


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-c", "from metasync.cli import main; main(['--help'])"]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="a process of Windows is not ended by a signal")
def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_word() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED_SLOWLY], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


LOADED_SLOWLY = """
import os, runpy, signal, sys

class Meanwhile:
    def find_spec(self, name, *_):
        if name == "metasync.service":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Meanwhile())
runpy.run_module("metasync", run_name="__main__")
"""


def test_init_refuses_to_overwrite(tmp_path: Path, shell: Shell) -> None:
    before = (shell.folder / "metasync.yaml").read_text(encoding="utf-8")
    assert "nothing was written" in shell("init", code=2).err
    assert (shell.folder / "metasync.yaml").read_text(encoding="utf-8") == before


def test_secrets_are_read_from_standard_input_listed_by_name_and_never_shown(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METASYNC_KEY", raising=False)
    monkeypatch.delenv("METASYNC_KEY_FILE", raising=False)
    secret = "correct-horse-battery"
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{secret}\n"))
    said = [loaded("secrets", "set", "bind"), loaded("secrets", "list"), loaded("secrets", "rotate"), loaded("secrets", "list", "--json")]
    assert said[-1].json == [{"name": "bind", "needed_by": [], "where": "the encrypted store"}]
    assert all(secret not in one.out + one.err for one in said)
    kept = b"".join(path.read_bytes() for path in loaded.folder.iterdir() if path.is_file())
    assert secret.encode() not in kept


def test_an_empty_secret_is_refused(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    assert "nothing was changed" in loaded("secrets", "set", "bind", code=2).err


def test_a_damaged_audit_log_is_found(in_step: Shell) -> None:
    assert "holds" in in_step("audit", "verify").out
    with sqlite3.connect(in_step.folder / "metasync.db") as connection:
        # Whoever can write to the file can also take this guard away: the chain must show it all the same.
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 2")
    connection.close()
    assert "row 2 was edited" in in_step("audit", "verify", code=1).out


def test_state_files_are_readable_by_their_owner_only(in_step: Shell) -> None:
    if sys.platform != "win32":
        for path in in_step.folder.glob("metasync.db*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
