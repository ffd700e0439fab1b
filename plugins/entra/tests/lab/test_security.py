"""Custom security attributes: the published forms, what was defined, and permissions of their own."""

from __future__ import annotations

from typing import Any

import pytest

from metasync_entra.lab import Lab, rules
from metasync_entra.lab.permissions import EVERYTHING
from metasync_entra.lab.rules import Rule

SET = {"@odata.type": "#Microsoft.DirectoryServices.CustomSecurityAttributeValue"}
SHOWN = "#microsoft.graph.customSecurityAttributeValue"
WRITE = "CustomSecAttributeAssignment.ReadWrite.All"


@pytest.fixture
def ada(lab: Lab, graph: Any) -> str:
    lab.control.security_attribute("Engineering", "Date")
    lab.control.security_attribute("Engineering", "Vendors", type="Integer")
    lab.control.security_attribute("Engineering", "Project", many=True)
    return str(graph.user())


def assign(graph: Any, user: str, **values: Any) -> Any:
    return graph.call("PATCH", f"/users/{user}", json={"customSecurityAttributes": {"Engineering": values}})


def shown(graph: Any, user: str) -> Any:
    return graph.get(f"/users/{user}", select="customSecurityAttributes").json()["customSecurityAttributes"]


def test_values_are_assigned_changed_and_removed_each_by_itself(graph: Any, ada: str) -> None:
    assert shown(graph, ada) is None
    several = {"Project@odata.type": "#Collection(String)", "Project": ["Baker", "Cascade"]}
    assert assign(graph, ada, **SET, Date="2022-10-01", **several).status_code == 204
    assert assign(graph, ada, **SET, **{"Vendors@odata.type": "#Int32", "Vendors": 4}, Date=None).status_code == 204
    assert shown(graph, ada) == {"Engineering": {"@odata.type": SHOWN, **several, "Vendors@odata.type": "#Int32", "Vendors": 4}}
    assert assign(graph, ada, **SET, Project=[], Vendors=None).status_code == 204
    assert shown(graph, ada) is None


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"Date": "x"}, rules.SECURITY_VALUES),
        ({**SET, "Vendors": 4}, rules.SECURITY_VALUES),
        ({**SET, "Project": ["x"]}, rules.SECURITY_VALUES),
        ({**SET, "Nothing": "x"}, rules.SECURITY_DEFINED),
        ({**SET, "Date": 4}, rules.SECURITY_DEFINED),
        ({**SET, "Project@odata.type": "#Collection(String)", "Project": "x"}, rules.SECURITY_DEFINED),
    ],
)
def test_other_forms_are_refused(graph: Any, refused: Any, ada: str, values: dict[str, Any], rule: Rule) -> None:
    refused(assign(graph, ada, **values), rule, 400)
    assert shown(graph, ada) is None


def test_nobody_is_created_with_them(graph: Any, refused: Any, ada: str) -> None:
    body = {**refused.new_user(), "customSecurityAttributes": {"Engineering": {**SET, "Date": "x"}}}
    refused(graph.call("POST", "/users", json=body), rules.SECURITY_VALUES, 400)


@pytest.mark.parametrize(
    ("role", "reads", "writes"), [("", False, 403), ("CustomSecAttributeAssignment.Read.All", True, 403), (WRITE, True, 204)]
)
def test_they_take_permissions_of_their_own(lab: Lab, graph: Any, refused: Any, ada: str, role: str, reads: bool, writes: int) -> None:
    """Who may not read them is shown none, and no refusal."""
    assign(graph, ada, **SET, Date="2022-10-01")
    lab.control.grant([*(one for one in EVERYTHING if one != WRITE), role])
    graph.sign_in()
    for path in (f"/users/{ada}", "/users"):
        answer = graph.get(path, select="id,customSecurityAttributes").json()
        (row,) = [one for one in answer.get("value", [answer]) if one["id"] == ada]
        assert row["customSecurityAttributes"] == ({"Engineering": {"@odata.type": SHOWN, "Date": "2022-10-01"}} if reads else None), (
            rules.SECURITY_HIDDEN
        )
    answer = assign(graph, ada, **SET, Date="2022-10-01")
    assert answer.status_code == writes
    if writes == 403:
        refused(answer, rules.SECURITY_PERMISSION, 403)


def test_the_permission_to_assign_them_changes_nothing_else(lab: Lab, graph: Any, refused: Any, ada: str) -> None:
    lab.control.grant(["User.Read.All", WRITE])
    graph.sign_in()
    assert assign(graph, ada, **SET, Date="2022-10-01").status_code == 204
    refused(graph.call("PATCH", f"/users/{ada}", json={"givenName": "x"}), rules.PERMISSION, 403)
