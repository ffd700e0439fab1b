"""An upgrade of the database that is killed at any of its statements leaves it as it was, and is done when it is asked for again (I1)."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from lab.postgres import Cluster
from sqlalchemy import insert, inspect, text

from metasync.store import errors, migrations, open_store
from metasync.store import tables as t

from .size import WHOLE

PROGRAM = Path(__file__).with_name("upgrading.py")
SHIPPED = Path(migrations.__file__).parent
NEXT = '''
"""A revision that there is not yet: a table, rows in it, a column with a value, and an index."""
import sqlalchemy as sa
from alembic import op

revision = "{number:04d}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("further", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(200)))
    op.execute("INSERT INTO further (id, name) SELECT id, name FROM engagement")
    op.add_column("engagement", sa.Column("further_id", sa.Integer))
    op.execute("UPDATE engagement SET further_id = id")
    op.create_index("engagement_further", "engagement", ["further_id"])
'''


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The migrations of a version to come."""
    folder = tmp_path / "migrations"
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("__pycache__"))
    number = int(migrations.HEAD) + 1
    (folder / f"versions/r{number:04d}_next.py").write_text(NEXT.format(number=number, before=migrations.HEAD), encoding="utf-8")
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., str]:
    """Makes an empty database, or one like another, on either store; its URL."""
    if request.param == "postgresql":
        server: Cluster = request.getfixturevalue("postgres")
        tag = secrets.token_hex(4)

        def on_the_server(name: str, like: str = "") -> str:
            server.psql(f"CREATE DATABASE {name}_{tag}" + (f" TEMPLATE {like}_{tag}" if like else ""))
            return server.url(f"{name}_{tag}")

        return on_the_server

    def in_a_file(name: str, like: str = "") -> str:
        if like:
            shutil.copyfile(tmp_path / f"{like}.db", tmp_path / f"{name}.db")
        return f"sqlite:///{tmp_path / name}.db"

    return in_a_file


def upgraded(url: str, folder: Path, nth: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(PROGRAM), url, str(folder), str(nth)], capture_output=True, text=True)


def statements(url: str, folder: Path) -> int:
    """Of the upgrade that is due there, which is done by that."""
    done = upgraded(url, folder)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def tried(count: int) -> Sequence[int]:
    """The first, second, third, middle and last, or every one."""
    return range(1, count + 1) if WHOLE else sorted({n for n in (1, 2, 3, (count + 1) // 2, count) if n <= count})


def test_a_first_schema_that_was_killed_at_any_statement_is_no_database_yet(make: Callable[..., str]) -> None:
    count = statements(make("counted"), SHIPPED)
    assert count > 30
    for nth in tried(count):
        url = make(f"killed_{nth}")
        assert upgraded(url, SHIPPED, nth).returncode == -signal.SIGKILL
        with pytest.raises(errors.StoreMissing):
            open_store(url, create=False)
        assert statements(url, SHIPPED) == count
        open_store(url, create=False).close()


def test_an_upgrade_that_was_killed_at_any_statement_left_everything_as_it_was(make: Callable[..., str], newer: Path) -> None:
    """Also a later version's: the older one says that it does not know it, and changes nothing."""
    backend = open_store(make("first"))
    with backend.write() as connection:
        connection.execute(insert(t.engagement).values(name="kept", created=backend.now(connection)))
    backend.close()
    count = statements(make("counted", like="first"), newer)
    assert count >= 5
    for nth in range(1, count + 1):
        url = make(f"killed_{nth}", like="first")
        assert upgraded(url, newer, nth).returncode == -signal.SIGKILL
        backend = open_store(url, create=False)
        with backend.read() as connection:
            assert connection.execute(text("SELECT name FROM engagement")).scalars().all() == ["kept"]
            assert not inspect(connection).has_table("further")
        backend.close()
        assert statements(url, newer) == count
        with pytest.raises(errors.NewerSchema, match="newer version"):
            open_store(url, create=False)
