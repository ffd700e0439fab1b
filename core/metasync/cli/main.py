"""The console script, and the border where every error becomes words and an exit code. A person never sees a traceback."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence

import click

from metasync import service
from metasync.cli import demo, job, keeping, looking, setup, waves, working  # noqa: F401  each registers its verbs with the group
from metasync.cli.crash import no_core_file, write_crash
from metasync.cli.group import metasync
from metasync.cli.session import COMMON, ENVIRONMENT, Exit, Session, code_of
from metasync.contract import MetasyncError


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Do one command; its exit code."""
    no_core_file()
    session = Session()
    for name in COMMON:
        given = os.environ.get(ENVIRONMENT.get(name, ""), "")
        if given:
            setattr(session, name, type(getattr(session, name))(given))
    try:
        metasync.main(args=None if arguments is None else list(arguments), prog_name="metasync", standalone_mode=False, obj=session)
        return int(session.code)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort:
        session.out.say("interrupted", "warning")
        return int(Exit.INTERRUPTED)
    except click.ClickException as error:
        error.show(sys.stderr)
        return int(Exit.USAGE)
    except MetasyncError as error:
        code = code_of(error)
        session.out.json({"error": str(error), "exit": int(code)})
        session.out.say(f"{'' if isinstance(error, service.DocumentError) else 'metasync: '}{error}", "error")
        return int(code)
    except KeyboardInterrupt:
        session.out.say("interrupted; what was written is in the ledger, and the next run goes on from there", "warning")
        return int(Exit.INTERRUPTED)
    except SystemExit as error:
        # How click and rich end where nobody reads standard output any more; a plugin's wish to end the program is no success.
        return _quiet_end() if _raised_by(error).startswith(("click.", "rich.")) else _internal(session, error)
    except BrokenPipeError:
        return _quiet_end()
    except OSError as error:
        return _quiet_end() if error.errno == errno.EPIPE else _internal(session, error)
    except Exception as error:
        return _internal(session, error)


def _raised_by(error: BaseException) -> str:
    """The module that raised it."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", ""))


def _internal(session: Session, error: BaseException) -> int:
    where = write_crash(session.settings, error)
    session.out.json({"error": f"internal error: {type(error).__name__}", "exit": int(Exit.INTERNAL), "log": str(where)})
    session.out.say(f"metasync: internal error ({type(error).__name__}). This should not happen; the details are in {where}", "error")
    return int(Exit.INTERNAL)


def _quiet_end() -> int:
    """Whoever read our output had enough of it (`metasync objects | head`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(Exit.DONE)
