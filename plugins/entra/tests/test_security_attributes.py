"""Custom security attributes: by name, by a permission of their own, in the forms that Microsoft publishes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from metasync.contract import Entry, Kind, Operation, Outcome, Reference, RightMissing
from metasync_entra.lab import Lab
from metasync_entra.lab.permissions import EVERYTHING

from .conftest import Connect, Directory

OPTION = {
    "Engineering/Date": "string",
    "Engineering/Project": "strings",
    "Engineering/Vendors": "integer",
    "Finance/Centres": "integers",
    "Finance/Cleared": "boolean",
}
VALUES: dict[str, Any] = {
    "security_Engineering_Date": "2030-10-01",
    "security_Engineering_Project": ("Baker", "Cascade"),
    "security_Engineering_Vendors": 4,
    "security_Finance_Centres": (1001, 1003),
    "security_Finance_Cleared": True,
}
READ = "CustomSecAttributeAssignment.Read.All"
WRITE = "CustomSecAttributeAssignment.ReadWrite.All"
OTHERS = [role for role in EVERYTHING if role != WRITE]


@pytest.fixture
def secured(connect: Connect, lab: Lab) -> Directory:
    """A tenant that has defined them, and a document that names them."""
    types = {"string": "String", "integer": "Integer", "boolean": "Boolean"}
    for name, kind in OPTION.items():
        of_set, _, own = name.partition("/")
        lab.control.security_attribute(of_set, own, type=types[kind.removesuffix("s")], many=kind.endswith("s"))
    return Directory(connect(**{"security attributes": OPTION}), lab)


def held(lab: Lab, anchor: str) -> Any:
    there = lab.control.read(anchor)
    assert there is not None
    return there["fields"].get("customSecurityAttributes")


@pytest.mark.parametrize("kind", [Kind.USER, Kind.GUEST])
def test_who_is_created_has_them_and_a_read_shows_them(secured: Directory, lab: Lab, kind: Kind) -> None:
    anchor = secured.make("ann", kind, **VALUES)
    assert held(lab, anchor)["Finance"] == {
        "@odata.type": "#microsoft.graph.customSecurityAttributeValue",
        "Centres@odata.type": "#Collection(Int32)",
        "Centres": [1001, 1003],
        "Cleared": True,
    }
    assert dict(secured.read("users", *VALUES)[anchor].attributes) == VALUES


@pytest.mark.parametrize("kind", [Kind.USER, Kind.GUEST])
def test_who_is_found_again_on_a_retry_gets_what_is_missing(secured: Directory, lab: Lab, kind: Kind) -> None:
    """The first attempt ended behind the create, before what is assigned to those who are there."""
    (boss, other) = lab.control.seed(users=2)["users"]
    create = secured.create("ann", kind, manager=Reference(value=boss), **VALUES)
    bare = replace(create, after={name: value for name, value in create.after.items() if name not in {*VALUES, "manager"}})
    (made,) = secured.write(bare)
    assert made.anchor is not None and held(lab, made.anchor) is None
    (again,) = secured.write(replace(create, retried=True))
    assert (again.outcome, again.anchor, again.already) == (Outcome.APPLIED, made.anchor, False), again.detail
    there = secured.read("users", "manager", *VALUES)[made.anchor]
    assert dict(there.attributes) == {**VALUES, "manager": Reference(value=boss)}
    bosses = {"before": {"manager": Reference(value=boss)}, "after": {"manager": Reference(value=other)}}
    secured.write(secured.change(Operation.UPDATE, made.anchor, kind=kind, **bosses))
    (third,) = secured.write(replace(create, retried=True))
    assert (third.outcome, third.already) == (Outcome.APPLIED, True), third.detail
    assert secured.read("users", "manager")[made.anchor].attributes == {"manager": Reference(value=other)}


def test_one_changes_and_another_goes_and_the_rest_stays(secured: Directory, lab: Lab) -> None:
    anchor = secured.make("ann", **VALUES)
    date, project, vendors = "security_Engineering_Date", "security_Engineering_Project", "security_Engineering_Vendors"
    update = secured.change(
        Operation.UPDATE, anchor, before={date: VALUES[date], "jobTitle": None}, after={date: "2031-01-01", "jobTitle": "Head"}
    )
    clear = secured.change(Operation.CLEAR, anchor, before={project: VALUES[project], vendors: 4}, after={project: None, vendors: None})
    assert [result.outcome for result in secured.write(update, clear)] == [Outcome.APPLIED] * 2
    there = lab.control.read(anchor)
    assert there is not None and there["fields"]["jobTitle"] == "Head"
    assert held(lab, anchor)["Engineering"] == {"@odata.type": "#microsoft.graph.customSecurityAttributeValue", "Date": "2031-01-01"}
    assert held(lab, anchor)["Finance"]["Cleared"] is True


def test_what_changed_since_it_was_planned_is_not_overwritten(secured: Directory, lab: Lab) -> None:
    anchor = secured.make("ann", **VALUES)
    name = "security_Engineering_Vendors"
    (result,) = secured.write(secured.change(Operation.UPDATE, anchor, before={name: 3}, after={name: 5}))
    assert result.outcome is Outcome.CONFLICT and name in result.detail
    assert held(lab, anchor)["Engineering"]["Vendors"] == 4


def test_without_the_permission_a_read_ends_in_words(secured: Directory, lab: Lab) -> None:
    lab.control.grant(OTHERS)
    with pytest.raises(RightMissing, match="consent"):
        secured.pages("users", *VALUES)


def test_the_permission_to_read_does_not_write(secured: Directory, lab: Lab) -> None:
    anchor = secured.make("ann")
    lab.control.grant([*OTHERS, READ])
    secured.connector.close()  # the next token has what was granted
    name = "security_Engineering_Vendors"
    (result,) = secured.write(secured.change(Operation.UPDATE, anchor, after={name: 5}))
    assert result.outcome is Outcome.REJECTED and "permission" in result.detail
    assert secured.read("users", name)[anchor].attributes == {}


def test_the_rights_are_told_where_they_are_used_and_too_much_elsewhere(secured: Directory, connect: Connect, lab: Lab) -> None:
    check = secured.connector.check()
    assert {right.right.split()[0]: right.granted for right in check.rights}.items() >= {READ: True, WRITE: True}.items()
    assert not any("CustomSec" in one for one in check.excessive)
    lab.control.grant(OTHERS)
    without = connect(**{"security attributes": OPTION}).check()
    assert {right.right.split()[0]: right.granted for right in without.rights}.items() >= {READ: False, WRITE: False}.items()
    lab.control.grant(EVERYTHING)
    plain = connect().check()
    assert not any("CustomSec" in right.right for right in plain.rights)
    assert any(WRITE in one for one in plain.excessive)


def test_who_is_restored_without_the_permission_to_assign_them_gets_the_rest(secured: Directory, lab: Lab) -> None:
    anchor = secured.make("ann", **VALUES)
    lab.control.delete(anchor)
    lab.control.grant([*OTHERS, READ])
    secured.connector.close()
    after = {"jobTitle": "Head", "security_Engineering_Vendors": 5}
    (result,) = secured.write(secured.change(Operation.RESTORE, anchor, after=after))
    assert result.outcome is Outcome.UNKNOWN and "permission" in result.detail
    there = lab.control.read(anchor)
    assert there is not None and there["fields"]["jobTitle"] == "Head"


@pytest.mark.parametrize(("lag", "whole"), [(30.0, True), (3600.0, False)])
def test_they_wait_until_new_ones_are_known_everywhere(secured: Directory, lab: Lab, lag: float, whole: bool) -> None:
    """All of one call together; in the end it is said what is missing."""
    lab.control.set(lag_get=lag)
    results = secured.write(*(secured.create(f"ann{number}", **VALUES) for number in range(5)))
    assert {result.outcome for result in results} == {Outcome.APPLIED if whole else Outcome.UNKNOWN}, results[0].detail
    assert all(bool(held(lab, str(result.anchor))) is whole for result in results)
    waits = secured.connector.context.waits  # type: ignore[attr-defined]
    assert len(waits) <= 12 and "everywhere" in waits[-1][1]


def test_whoever_is_mastered_on_premises_has_them_from_the_cloud(secured: Directory, lab: Lab) -> None:
    """Entra Connect does not know them; https://learn.microsoft.com/graph/custom-security-attributes-examples."""
    anchor = secured.make("ann", **VALUES)
    lab.control.change(anchor, {"onPremisesSyncEnabled": True})
    name = "security_Engineering_Vendors"
    update = secured.change(Operation.UPDATE, anchor, before={name: 4}, after={name: 5})
    both = secured.change(Operation.UPDATE, anchor, before={name: 4}, after={name: 5, "jobTitle": "Head"})
    assert [one.change for one in secured.connector.review([update, both])] == [both.id]
    refused, result = secured.write(both, update)
    assert refused.outcome is Outcome.REJECTED
    assert result.outcome is Outcome.APPLIED, result.detail
    assert held(lab, anchor)["Engineering"]["Vendors"] == 5


def test_a_read_of_them_leaves_no_place_to_follow_from(secured: Directory, lab: Lab) -> None:
    """Nobody says whether a delta tells of them, so that the next import reads everything."""
    secured.make("ann", **VALUES)
    assert secured.pages("users", "displayName", *VALUES)[-1].cursor is None
    assert secured.pages("users", "displayName")[-1].cursor is not None


def test_a_permission_that_is_lost_while_it_is_read_clears_nothing(secured: Directory, lab: Lab) -> None:
    """Graph shows null to whoever may not read them: an import that took that for an answer would write everybody's anew."""
    for number in range(6):
        secured.make(f"ann{number}", **VALUES)
    pages = secured.connector.read(secured.request("users", list(VALUES), page_size=2))
    shown = list(next(pages).items)
    lab.control.grant(OTHERS)
    secured.connector.session.tokens.close()
    with pytest.raises(RightMissing, match="all would look cleared"):
        for page in pages:
            shown += page.items
    assert all(isinstance(one, Entry) and one.attributes == VALUES for one in shown)


def test_those_of_many_new_ones_go_in_few_requests(secured: Directory, lab: Lab) -> None:
    lab.control.clear_stats()
    results = secured.write(*(secured.create(f"ann{number}", **VALUES) for number in range(40)))
    assert {result.outcome for result in results} == {Outcome.APPLIED}
    assert lab.control.stats()["calls"]["POST /$batch"] == 4
    assert all(held(lab, str(result.anchor)) for result in results)
