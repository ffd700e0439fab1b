"""What a document names and no directory has is never taken for empty: law 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import DOCUMENT, person, profile, shown

MakeEngine = Callable[..., Engine]
MAPPED = {"cn": "source.displayName", "displayName": "source.displayName", "employeeID": "source.employeeID"}
MATCH = [{"source": "employeeID", "target": "employeeID"}]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"map": {**MAPPED, "titel": "source.title"}}, "map.titel: ad has no attribute titel of a user; did you mean `title`?"),
        ({"map": {**MAPPED, "title": "source.titel"}}, "map.title: hr has no attribute titel of a user; did you mean `title`?"),
        ({"map": {**MAPPED, "title": "hr.titel"}}, "map.title: hr has no attribute titel of a user; did you mean `title`?"),
        ({"map": {**MAPPED, "title": "target.titel != null ? target.title : source.title"}}, "map.title: ad has no attribute titel"),
        ({"map": {**MAPPED, "title": {"from": "source.title", "when": "source.depratment == 'x'"}}}, "map.title.when: hr has no"),
        ({"scope": {"where": "source.departement != 'External'"}}, "scope.where: hr has no attribute departement of a user"),
        ({"match": [{"source": "employeID", "target": "employeeID"}]}, "match[0]: hr has no attribute employeID of a user"),
        ({"match": [*MATCH, {"source": "mail", "target": "proxyAddress"}]}, "match[1]: ad has no attribute proxyAddress of a user"),
        ({"match": [{"source": "lower(source.mial)", "target": "mail"}]}, "match[0]: hr has no attribute mial of a user"),
        ({"place": {"expression": "'OU=' + source.departement"}}, "place: hr has no attribute departement of a user"),
    ],
)
def test_a_profile_that_names_what_its_directories_do_not_have_is_left_out(
    make: MakeEngine, hr: MemoryDirectory, changed: dict[str, Any], words: str
) -> None:
    person(hr, "Anna")
    engine = make(profile(**{"match": MATCH, "map": MAPPED, **changed}))
    engine.import_()
    assert engine.plan() == {}
    assert engine.last is not None
    assert f"profiles.people.{words}" in engine.last.left_out["people"]


def test_a_further_source_is_held_to_its_names_too(make: MakeEngine, hr: MemoryDirectory) -> None:
    person(hr, "Anna")
    merge = {"payroll": {"on": {"emploeeID": "source.employeeID"}}}
    text = DOCUMENT.format(profiles=profile(match=MATCH, merge=merge, map={**MAPPED, "title": "mv.title"}))
    text = text.replace("directories:\n", "directories:\n  payroll: {connector: memory, options: {store: payroll}}\n")
    text = text.replace("profiles:\n", "metaverse: {user: {title: [payroll.titel, hr.title]}}\nprofiles:\n")
    engine = make(document=text, payroll=MemoryDirectory())
    engine.import_()
    assert engine.plan() == {}
    assert engine.last is not None
    assert "profiles.people.merge.payroll.on: payroll has no attribute emploeeID of a user" in engine.last.left_out["people"]
    assert "profiles.people.map.title: payroll has no attribute titel of a user" in engine.last.left_out["people"]


def test_what_every_object_has_may_be_named(make: MakeEngine, hr: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(profile(match=MATCH, map={**MAPPED, "title": "source.anchor", "department": "source.name"}))
    engine.import_()
    assert shown(engine.plan()) == [("create", "Anna")]
