"""A thousand edits of the audit log, by chance: each is found, and named by its row (I6)."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, text

from metasync.store import Backend, audit, home, open_store
from metasync.store import tables as t

ROWS, EDITS = 60, 1000
Edit = Callable[[Connection, random.Random], int]


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    """A log of sixty rows, and a database that no longer refuses to change them."""
    made = open_store(str(tmp_path / "metasync.db"))
    with made.write() as connection:
        connection.execute(insert(t.engagement).values(id=1, name="e", created=made.now(connection)))
        for number in range(ROWS):
            audit.append(connection, 1, "anna", "approve", f"plan {number}", {"hash": f"{number:064x}", "reason": "good"})
        for verb in ("update", "delete"):
            connection.execute(text(f"DROP TRIGGER audit_no_{verb}"))
    return made


def edited(connection: Connection, dice: random.Random) -> int:
    """One sign of one cell."""
    seq, column = dice.randint(1, ROWS), dice.choice(["actor", "action", "subject", "detail", "at", "previous", "hash"])
    value = str(connection.execute(text(f"SELECT {column} FROM audit WHERE seq = {seq}")).scalar())
    places = [at for at, sign in enumerate(value) if sign.isdigit()] or [0]
    at = dice.choice(places)
    other = str((int(value[at]) + 1) % 10) if value[at].isdigit() else "x"
    if column == "at":
        at, other = 3, str((int(value[3]) + 1) % 10)  # the year, so that it stays a time
    connection.execute(text(f"UPDATE audit SET {column} = :value WHERE seq = {seq}"), {"value": value[:at] + other + value[at + 1 :]})
    return seq


def deleted(connection: Connection, dice: random.Random) -> int:
    """A row that is not the last one."""
    seq = dice.randint(1, ROWS - 1)
    connection.execute(text(f"DELETE FROM audit WHERE seq = {seq}"))
    return seq + 1


def exchanged(connection: Connection, dice: random.Random) -> int:
    """Two rows."""
    one, other = sorted(dice.sample(range(1, ROWS + 1), 2))
    for before, after in ((one, -1), (other, one), (-1, other)):
        connection.execute(text(f"UPDATE audit SET seq = {after} WHERE seq = {before}"))
    return one


@pytest.mark.parametrize("edit", [edited, deleted, exchanged], ids=lambda one: one.__name__)
def test_every_one_of_a_thousand_edits_is_found_at_its_row(backend: Backend, edit: Edit) -> None:
    dice = random.Random(43)
    missed = []
    for number in range(EDITS // 3 + 1):
        with pytest.raises(ZeroDivisionError), backend.write() as connection:
            seq = edit(connection, dice)
            found = {one.seq for one in audit.verify(connection)}
            if seq not in found:
                missed.append((number, seq, found))
            raise ZeroDivisionError  # undoes it
    assert missed == []
    with backend.read() as connection:
        assert audit.verify(connection) == []


def test_rows_cut_off_at_the_end_are_found_by_the_last_hash_that_was_kept_elsewhere(backend: Backend) -> None:
    """Which is what lies beside the document: nothing is exported from such a database."""
    with backend.read() as connection:
        kept = home.last_row(connection)
        assert kept is not None and home.holds(connection, kept)
    with backend.write() as connection:
        connection.execute(text(f"DELETE FROM audit WHERE seq > {ROWS - 3}"))
        assert audit.verify(connection) == []
        assert not home.holds(connection, kept)
