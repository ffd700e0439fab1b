"""A program that brings a database to the newest schema, and is killed at the NTH statement of it: `upgrading.py URL MIGRATIONS [NTH]`.

MIGRATIONS is a folder as `metasync/store/migrations` is: that one, or a copy with revisions that there are not yet. It prints how many
statements there were.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

from sqlalchemy import Connection, Engine, event

from metasync.store import migrations, open_store


def take(folder: Path) -> None:
    """Use these revisions instead of the engine's."""
    names = sorted(re.findall(r"^revision = \"(\d+)\"", "\n".join(one.read_text() for one in folder.glob("versions/r*.py")), re.MULTILINE))
    migrations.__file__ = str(folder / "__init__.py")
    migrations.REVISIONS, migrations.HEAD = tuple(names), names[-1]


def main(url: str, folder: str, nth: str = "0") -> None:
    """Upgrade."""
    take(Path(folder))
    count, inside = 0, False
    upgrade = migrations.upgrade

    def counted(connection: Connection) -> None:
        nonlocal inside
        inside = True
        upgrade(connection)
        inside = False

    migrations.upgrade = counted

    @event.listens_for(Engine, "before_cursor_execute")
    def before(*_: object) -> None:
        nonlocal count
        if inside:
            count += 1
            if count == int(nth):
                os.kill(os.getpid(), signal.SIGKILL)

    open_store(url, create=True, upgrade=True).close()
    print(count)


if __name__ == "__main__":
    main(*sys.argv[1:])
