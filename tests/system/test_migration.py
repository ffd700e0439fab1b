"""A forest moves into another one in three waves, while people on both sides go on with their work.

METASYNC_MIGRATION_PEOPLE, _GROUPS and _CONTACTS say how many there are; `script/migration` runs it with 5,000 people.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .migration import WAVES, Migration, migration, restored

if TYPE_CHECKING:
    from lab.samba import Samba

pytestmark = pytest.mark.xdist_group("migration")
PEOPLE = int(os.environ.get("METASYNC_MIGRATION_PEOPLE", "200"))
GROUPS = int(os.environ.get("METASYNC_MIGRATION_GROUPS", str(PEOPLE * 3 // 20)))
CONTACTS = int(os.environ.get("METASYNC_MIGRATION_CONTACTS", str(PEOPLE // 10)))


@pytest.fixture
def moves(two_sambas: tuple[Samba, Samba], tmp_path: Path) -> Iterator[Migration]:
    """Both forests, and a document that was accepted."""
    with migration(two_sambas, tmp_path / "work", people=PEOPLE, groups=GROUPS, contacts=CONTACTS) as made:
        made.load()
        yield made


def test_three_waves_with_edits_between_them_and_one_taken_back(moves: Migration) -> None:
    edits = max(2, PEOPLE // 100)
    moves.run("address books, groups and partners")
    print(moves.check())
    for wave in WAVES:
        moves.edit_fabrikam(edits)
        moves.edit_contoso(edits)
        if wave == "second":
            moves.reparent("Sales", "Basel", "Leeds")
        moves.run(f"edits before the {wave} wave", twice=wave == "second")
        moves.check()
        before = moves.fabrikam.dump()
        contoso = moves.contoso.dump()
        moves.move(wave)
        print(moves.check())
        assert moves.contoso.dump() == contoso, "nothing is written where people come from"
        if wave == "second":
            moves.undo(wave)
            assert restored(before, moves.fabrikam.dump(), moves.fabrikam.dn("Leavers")) == moves.given_up(before)
            moves.check()
            moves.product("release", "--all")
            moves.move(wave)
            print(moves.check())
        if wave == "third":
            # Taken back although people left, came back and changed their names since.
            moves.edit_contoso(edits)
            moves.run("edits within the third wave")
            moves.check()
            # The contacts of those who left come back with all that they had, and go.
            moves.undo(wave, allowed={"update", "rename", "member remove", "delete"})
            moves.check()
            moves.product("release", "--all")
            moves.move(wave)
            print(moves.check())
        moves.cut_over(wave)
        print(moves.check())
    taken = {f"{name} taken" for name in ("sAMAccountName", "userPrincipalName", "displayName", "mail", "proxyAddresses")}
    assert moves.happened.keys() >= taken | {"left", "left after he had moved", "returned after he had moved"}, moves.happened
    for what, seconds, counted in moves.times:
        print(f"{what:60} {seconds:8.1f} s  {dict(counted)}")
