"""Law 1: unknown is not empty. And law 7: what Metasync created is known, and is never a source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from metasync.contract import Kind, Operation
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory, WriteFault
from metasync.testing.staff import BASE, DOCUMENT, PEOPLE, STAFF, anchor, person, profile, shown, values

MakeEngine = Callable[..., Engine]
NAMES = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail"}


def error(engine: Engine) -> str:
    assert engine.last is not None
    return "; ".join(one.error or "" for one in engine.last.imports)


def left_out(engine: Engine) -> str:
    assert engine.last is not None
    return "; ".join(engine.last.left_out.values())


@pytest.mark.parametrize("broken", ["cut", "incomplete"])
def test_nothing_is_created_without_a_complete_import_of_the_target(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, broken: str
) -> None:
    person(hr, "Anna", "anna@x.test")
    ad.add(Kind.USER, name="Anna", path=PEOPLE, displayName="Anna", mail="anna@x.test", title="Boss")
    engine = make(profile())
    if broken == "cut":
        ad.faults.cut_after_pages = 0
    else:
        ad.faults.incomplete_after_pages = 0
    assert engine.cycle() == {}
    assert "never imported completely" in left_out(engine)
    assert shown(engine.cycle()) == [("clear", "Anna")], "the next import finds her"


def test_a_cut_import_deletes_nobody(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    for name in ("Anna", "Berta", "Clara"):
        person(hr, name)
    engine = make(profile(leaving={"deleted": "delete", "out of scope": "delete"}))
    engine.cycle()
    hr.faults.cut_after_pages = 0
    engine.import_("hr", full=True)
    assert "broke" in error(engine)
    assert engine.plan() == {}
    hr.faults.incomplete_after_pages = 0
    engine.import_("hr", full=True)
    assert engine.plan() == {}
    assert len(ad.anchors(Kind.USER)) == 3


def test_an_emptied_source_is_held(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    everybody = [person(hr, name) for name in ("Anna", "Berta", "Clara")]
    engine = make(profile(leaving={"deleted": "delete"}))
    engine.cycle()
    for one in everybody:
        hr.delete(one)
    engine.import_("hr", full=True)
    assert "shows no object" in error(engine)
    assert engine.plan() == {}


def test_an_attribute_newly_mapped_forces_a_full_import(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """Nothing is cleared by an attribute that was not imported under this revision."""
    person(hr, "Anna", "anna@x.test", department="Sales")
    ad.add(Kind.USER, name="Anna", path=PEOPLE, displayName="Anna", mail="anna@x.test", department="Sales")
    engine = make(profile(map=NAMES))
    engine.cycle()
    engine.load(DOCUMENT.format(profiles=profile(map={**NAMES, "department": "source.department"})))
    assert engine.plan() == {}
    assert "department" in left_out(engine), "it is not planned before it is imported"
    engine.import_()
    assert engine.last is not None and all(one.full for one in engine.last.imports)
    assert engine.plan() == {}
    assert values(ad, "Anna")["department"] == "Sales"


def test_a_directory_is_pinned_to_its_identity(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(profile(leaving={"deleted": "delete"}))
    engine.cycle()
    hr.identity = "another"
    engine.import_()
    assert "another" in error(engine) and "hr" in error(engine)
    assert engine.plan() == {}
    assert values(ad, "Anna")


@pytest.mark.parametrize("side", ["hr", "ad"])
def test_what_cannot_be_reached_stops_nothing_but_itself(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, side: str) -> None:
    person(hr, "Anna")
    engine = make(profile(leaving={"deleted": "delete"}))
    engine.cycle()
    before = [ad.get(one) for one in ad.anchors()]
    directory = {"hr": hr, "ad": ad}[side]
    directory.faults.unavailable = "maintenance"
    engine.import_()
    assert "maintenance" in error(engine)
    assert engine.plan() == {}
    directory.faults.clear()
    assert engine.cycle() == {}
    assert [ad.get(one) for one in ad.anchors()] == before


def test_whoever_the_target_lost_behind_our_back_is_planned_anew_and_shown(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    person(hr, "Anna")
    engine = make(profile())
    engine.cycle()
    ad.delete(anchor(ad, "Anna"))
    assert shown(engine.cycle()) == [("create", "Anna")]
    assert engine.plan() == {}


# --- law 7 -----------------------------------------------------------------------------------------------------------------------------

BOTH = """
engagement: both
plugins: {standard: ">=0"}
directories:
  hr: {connector: memory, options: {store: hr}, mark: adminDescription}
  ad: {connector: memory, options: {store: ad}, mark: adminDescription}
profiles:
"""


def once(names: dict[str, str]) -> dict[str, object]:
    return {name: {"from": text, "once": True} for name, text in names.items()}


def both(leaving: str = "delete") -> str:
    there = profile("there", map=once(NAMES), leaving={"deleted": leaving})
    back = profile("back", source="ad", target="hr", map=once(NAMES), place=f'"{BASE}"', leaving={"deleted": leaving})
    return BOTH + there + back


def test_both_directions_make_no_loop(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    native = ad.add(Kind.USER, name="Nora", path=PEOPLE, displayName="Nora", mail="nora@x.test")
    engine = make(document=both())
    assert sorted(shown(engine.cycle())) == [("create", "Anna"), ("create", "Nora")]
    for _ in range(3):
        assert engine.cycle() == {}
    assert "origin: native" in engine.reasons("back")["Anna"][1]
    assert "origin: native" in engine.reasons("there")["Nora"][1]
    hr.delete(source)
    assert shown(engine.cycle()) == [("delete", "Anna")]
    assert engine.cycle() == {}
    ad.delete(native)
    assert shown(engine.cycle()) == [("delete", "Nora")]
    assert engine.cycle() == {}
    assert not hr.anchors(Kind.USER) and not ad.anchors(Kind.USER)


def test_a_copy_deleted_behind_our_back_never_deletes_its_origin(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    engine = make(document=both())
    engine.cycle()
    ad.delete(anchor(ad, "Anna"))
    assert shown(engine.cycle()) == [("create", "Anna")]
    assert hr.get(source) is not None
    assert engine.cycle() == {}


def test_marks_are_known_also_after_the_database_is_lost(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, tmp_path: Path
) -> None:
    person(hr, "Anna")
    ad.add(Kind.USER, name="Nora", path=PEOPLE, displayName="Nora", mail="nora@x.test")
    first = make(document=both())
    first.cycle()
    first.cycle()
    before = ([hr.get(one) for one in hr.anchors()], [ad.get(one) for one in ad.anchors()])
    first.close()
    second = Engine(tmp_path, both(), {"hr": hr, "ad": ad}, url=f"sqlite:///{tmp_path / 'new.db'}")
    assert second.cycle() == {}
    assert second.cycle() == {}
    assert ([hr.get(one) for one in hr.anchors()], [ad.get(one) for one in ad.anchors()]) == before
    assert second.reasons("there")["Anna"][0] == "in step"
    hr.delete(anchor(hr, "Anna"))
    assert shown(second.cycle()) == [("delete", "Anna")], "a copy is ours by its mark"
    second.close()


def test_without_marks_the_ledger_stands_in(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(document=both().replace(", mark: adminDescription", ""))
    assert shown(engine.cycle()) == [("create", "Anna")]
    for _ in range(2):
        assert engine.cycle() == {}
    hr.delete(anchor(hr, "Anna"))
    assert shown(engine.cycle()) == [("delete", "Anna")]


def test_any_origin_may_be_said(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """A chain: what Metasync made in one directory is the source of another."""
    far = MemoryDirectory()
    far.add(Kind.CONTAINER, name="People", path=BASE)
    person(hr, "Anna")
    text = BOTH.replace("profiles:", "  far: {connector: memory, options: {store: far}, mark: adminDescription}\nprofiles:")
    text += profile("there", map=NAMES) + profile("further", source="ad", target="far", map=NAMES, scope={"origin": "any"})
    engine = make(document=text, far=far)
    assert shown(engine.cycle()) == [("create", "Anna")]
    assert shown(engine.cycle()) == [("create", "Anna")]
    assert len(far.anchors(Kind.USER)) == 1
    assert engine.cycle() == {}


def test_an_import_adopts_by_mark_what_a_lost_answer_created(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(profile())
    ad.faults.on_write(1, WriteFault.ANSWER_LOST)
    engine.cycle()
    engine.cycle()
    assert [operation for operation, _ in ad.applied] == [Operation.CREATE.value]
    assert engine.plan() == {}
    assert engine.statuses() == {"in step": 1}


def test_another_directory_under_the_same_name_is_not_written(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(STAFF)
    engine.import_()
    engine.plan()
    engine.approve()
    kept, ad.identity = ad.identity, "another"
    done = engine.export()
    assert f"ad was {kept} when it was first imported, and is another now; nothing was read or written" in done.unwritable["ad"]
    assert ad.anchors(Kind.USER) == []
    ad.identity = kept
    engine.export(list(done.plans) or [1])
    assert len(ad.anchors(Kind.USER)) == 1
    assert engine.problems() == []


def test_an_import_that_fails_is_a_problem_of_its_directory_until_one_goes_well(make: MakeEngine, hr: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(STAFF)
    engine.cycle()
    kept, hr.identity = hr.identity, "another"
    for _ in range(2):
        engine.import_()
        ((area, code, text),) = engine.problems()
        assert (area, code) == ("import", "not imported")
        assert text.startswith(f"hr was {kept} when it was first imported")
    hr.identity = kept
    engine.import_()
    assert engine.problems() == []


def test_nothing_is_planned_from_a_directory_that_is_half_read(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(STAFF)
    engine.cycle()
    person(hr, "Berta")
    hr.faults.cut_after_pages = 0
    engine.import_("hr")
    assert engine.plan() == {}
    assert engine.last is not None
    assert "hr is not imported completely" in engine.last.left_out["people"]
    engine.import_("hr")
    assert shown(engine.plan()) == [("create", "Berta")]
