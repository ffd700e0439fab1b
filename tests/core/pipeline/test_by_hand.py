"""What people decide by hand acts on everybody whom it concerns: also on those who waited for its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from metasync import decisions
from metasync.contract import Kind
from metasync.naming import find_object
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import DOCUMENT, PEOPLE, person, profile, shown

MakeEngine = Callable[..., Engine]

BY_NUMBER = [{"source": "employeeID", "target": "employeeID"}]
TITLES = {"title": "source.title", "displayName": "source.displayName"}


def native(directory: MemoryDirectory, name: str, **more: object) -> str:
    """Somebody whom others made in the target."""
    return directory.add(Kind.USER, name=name, path=PEOPLE, **{"displayName": name, "enabled": True, **more})  # type: ignore[arg-type]


def test_a_pair_by_anchor_is_made_once_the_partner_appears(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, tmp_path: Path
) -> None:
    partner = native(ad, "Somebody")
    ad.delete(partner)
    (tmp_path / "pairs.csv").write_text(f"source.employeeID,target.anchor\n7,{partner}\n", encoding="utf-8")
    document = DOCUMENT.format(profiles=profile(match=BY_NUMBER, map=TITLES, action="update only"))
    person(hr, "Anna", employeeID="7", title="Chief")
    engine = make(document=document.replace("mark: adminDescription", "mark: adminDescription, joins: {file: pairs.csv}"))
    assert engine.cycle() == {}
    ad.restore(partner)
    assert shown(engine.cycle()) == [("update", "Somebody")]
    assert (ad.get(partner) or {})["title"] == "Chief"


def test_whoever_waited_for_a_partner_gets_it_once_it_is_taken_apart(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    first = person(hr, "Anna", employeeID="7")
    partner = native(ad, "Somebody", employeeID="7")
    engine = make(profile(match=BY_NUMBER, map=TITLES, action="update only"))
    engine.cycle()
    person(hr, "Berta", employeeID="7", title="Chief")
    assert engine.cycle() == {}
    assert engine.reasons("people")["Berta"][0] == "problem"
    source, target = find_object(engine.workspace, f"hr/{first}"), find_object(engine.workspace, f"ad/{partner}")
    decisions.unjoin(engine.workspace, source, target, "it was Berta all the time")
    engine.cycle()
    assert (ad.get(partner) or {})["title"] == "Chief"
    assert engine.plan() == {}


def test_whoever_is_ignored_gives_his_partner_to_whom_it_is_due_and_may_not_have_it_back(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    first = person(hr, "Anna", employeeID="7")
    person(hr, "Berta", employeeID="7")
    engine = make(profile(match=BY_NUMBER, map={**TITLES, "cn": "source.displayName", "employeeID": "source.employeeID"}))
    assert engine.cycle() == {}
    assert {status for status, _ in engine.reasons("people").values()} == {"problem"}
    decisions.ignore(engine.workspace, find_object(engine.workspace, f"hr/{first}"), "a test account")
    assert shown(engine.cycle()) == [("create", "Berta")]
    assert decisions.withdraw(engine.workspace, find_object(engine.workspace, f"hr/{first}"), "no, it is none") == 1
    assert engine.cycle() == {}
    assert engine.reasons("people")["Anna"][0] == "problem"
