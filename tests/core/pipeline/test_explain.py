"""What `explain` says is what is there and what will be: of who leaves, of what an undo holds, of numbered names and of members."""

from __future__ import annotations

from collections.abc import Callable

from metasync.contract import Kind
from metasync.explain import explain
from metasync.naming import find_object
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, STAFF, anchor, person, profile

MakeEngine = Callable[..., Engine]
MAPPED = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "enabled": "source.enabled"}
LEAVING = {"deleted": ["disable", {"delete": "created", "after": "90 days"}]}
SCOPE = {"where": 'source.title != "External"'}


def told(engine: Engine, anchor: str, attribute: str | None = None) -> tuple[str, list[str]]:
    """(status, `topic: words` of each line)."""
    (one,) = explain(engine.workspace, find_object(engine.workspace, f"hr/{anchor}").id, attribute)
    return one.status, [f"{line.topic}: {line.words}" for line in one.lines]


def test_of_a_leaver_the_steps_are_told_and_no_values(make: MakeEngine, hr: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    engine = make(profile(map=MAPPED, leaving=LEAVING))
    engine.cycle()
    hr.delete(source)
    engine.import_()
    assert "leaving: the next plan begins with the steps of `deleted`, unless another profile holds on to it" in told(engine, source)[1]
    engine.cycle()
    status, lines = told(engine, source)
    assert status.startswith("leaving: it was deleted in hr; written by run ")
    assert "in step" not in status
    assert not any("shall be" in line for line in lines)
    done, due = [line for line in lines if line.startswith("leaving: ")][1:]
    assert done.startswith("leaving: disable: done by run ")
    assert done.endswith("; reversed when it returns")
    assert due.startswith("leaving: delete: due on ")
    assert due in told(engine, source, "enabled")[1]
    engine.later(days=91)
    engine.cycle()
    assert any("its object in ad is gone: deleted by run " in line for line in told(engine, source)[1])


def test_of_who_is_out_of_scope_no_values_are_told(make: MakeEngine, hr: MemoryDirectory) -> None:
    source = person(hr, "Anna", title="Clerk")
    engine = make(profile(scope=SCOPE))
    engine.cycle()
    hr.change(source, title="External")
    engine.cycle()
    lines = told(engine, source)[1]
    assert not any("shall be" in line for line in lines)
    assert "leaving: its object in ad is kept as it is, by `leaving: {out of scope: keep}`" in lines
    lines = told(engine, source, "title")[1]
    assert "title: no mapping decides about it while the object is not inside" in lines
    assert 'title: ad has "Clerk"' in lines


def test_what_an_undo_holds_is_told_with_the_undo_and_how_it_is_released(make: MakeEngine, hr: MemoryDirectory) -> None:
    source, leaver = person(hr, "Anna", title="Clerk"), person(hr, "Bert")
    engine = make(profile(map={**MAPPED, "title": "source.title"}, leaving=LEAVING))
    engine.cycle()
    hr.change(source, title="Chief")
    hr.delete(leaver)
    number = engine.run(approve=True).run
    engine.undo(number)
    engine.approve()
    undo = engine.export().run
    engine.cycle()
    status, lines = told(engine, source)
    assert status == "in step: in scope; an undo holds title"
    release = f"`metasync release --object hr/{source}` lets it go, `metasync release --run {undo}` everything of that undo"
    assert f"held: title: run {undo} took back what run {number} wrote; {release}" in lines
    assert any(line.endswith('that makes "Chief", and an undo holds it as it is') for line in lines)
    status, lines = told(engine, leaver)
    assert status == "leaving: it was deleted in hr; an undo holds enabled"
    assert "leaving: disable: not done before the undo's hold is released" in lines
    assert any(line.startswith(f"held: enabled: run {undo} took back what run {number} wrote") for line in lines)


def test_a_numbered_name_is_told_as_it_was_given_out(make: MakeEngine, hr: MemoryDirectory) -> None:
    both = [person(hr, "Maria", "one@x.test"), person(hr, "Maria", "two@x.test")]
    engine = make(profile(map={"cn": {"from": "source.displayName", "unique": ["{value}", "{value} ({n})"]}, "mail": "source.mail"}))
    engine.cycle()
    (numbered,) = [one for one in both if 'name: ad has "Maria (2)"' in told(engine, one, "cn")[1]]
    lines = told(engine, numbered, "cn")[1]
    assert lines[0].endswith('`unique:` gave it "Maria (2)", so it shall be that')
    assert "name: Maria (2) is reserved for it, made of Maria" in lines
    hr.change(numbered, displayName="Marietta")
    engine.cycle()
    lines = told(engine, numbered, "cn")[1]
    assert lines[0].endswith('`unique:` gave it "Marietta", so it shall be that')
    assert "name: Marietta is reserved for it, made of Marietta" in lines


def test_a_numbered_address_among_several_is_told_as_it_was_given_out(make: MakeEngine, hr: MemoryDirectory) -> None:
    both = [person(hr, "Maria", mail, proxyAddresses=("smtp:m@x.test", f"smtp:{mail}")) for mail in ("one@x.test", "two@x.test")]
    addresses = {"from": "source.proxyAddresses", "unique": ["{value}", "{local}{n}@{domain}"]}
    engine = make(profile(map={"cn": "source.mail", "mail": "source.mail", "proxyAddresses": addresses}))
    engine.cycle()
    said = [told(engine, one, "proxyAddresses")[1][0] for one in both]
    assert sum('so it shall be ["smtp:m2@x.test", ' in words for words in said) == 1
    assert sum('so it shall be ["smtp:m@x.test", ' in words for words in said) == 1


def test_the_history_of_a_group_says_who_was_added_and_who_was_removed(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    member = person(hr, "Anna")
    group = hr.add(Kind.GROUP, name="Everybody", path=BASE)
    hr.join(group, member)
    engine = make(STAFF)
    engine.cycle()
    hr.leave(group, member)
    engine.cycle()
    number, partner = find_object(engine.workspace, f"hr/{group}").id, anchor(ad, "Anna")
    for attribute in (None, "members"):
        past = [line.words for line in explain(engine.workspace, number, attribute)[0].lines if line.topic == "history"]
        assert past[0].endswith(f"member remove is confirmed (removed {partner})")
        assert past[1].endswith(f"member add is confirmed (added hr/{member})")
