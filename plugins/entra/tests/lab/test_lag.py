"""Eventual consistency: what reads see, and when."""

from __future__ import annotations

from typing import Any

import pytest

from metasync_entra.lab import Lab, rules


@pytest.fixture
def still(lab: Lab) -> Lab:
    lab.control.clock(freeze=True)
    return lab


def test_a_new_object_is_404_until_its_time(still: Lab, graph: Any, refused: Any) -> None:
    still.control.set(lag_get=30.0)
    id_ = graph.user()
    refused(graph.get(f"/users/{id_}"), rules.NOT_FOUND, 404)
    refused(graph.call("PATCH", f"/users/{id_}", json={"givenName": "x"}), rules.NOT_FOUND, 404)
    still.control.clock(advance=30)
    assert graph.get(f"/users/{id_}").status_code == 200, rules.LAG


def test_a_changed_object_is_stale_until_its_time(still: Lab, graph: Any) -> None:
    id_ = graph.user(givenName="old")
    still.control.clock(advance=100)
    still.control.set(lag_get=30.0)
    graph.call("PATCH", f"/users/{id_}", json={"givenName": "new"})
    assert graph.get(f"/users/{id_}").json()["givenName"] == "old"
    still.control.clock(advance=31)
    assert graph.get(f"/users/{id_}").json()["givenName"] == "new"


def test_replicas_differ(still: Lab, graph: Any) -> None:
    still.control.set(lag_get=[0.0, 60.0])
    id_ = graph.user()
    assert {graph.get(f"/users/{id_}").status_code for _ in range(40)} == {200, 404}


def test_each_kind_of_read_lags_for_itself(still: Lab, graph: Any, refused: Any) -> None:
    group = graph.group()
    still.control.clock(advance=1_000)
    still.control.set(lag_list=10.0, lag_index=20.0, lag_reference=30.0, lag_delta=40.0)
    _, link = graph.round("/users/delta", select="displayName")
    id_ = graph.user()
    eventual = {"ConsistencyLevel": "eventual"}

    def seen() -> list[bool]:
        listed = bool(graph.rows("/users"))
        indexed = bool(graph.rows("/users", eventual, filter="displayName ne 'x'", count="true"))
        answer = graph.call("POST", f"/groups/{group}/members/$ref", json=graph.ref(id_))
        changed = bool(graph.round(link)[0])
        return [graph.get(f"/users/{id_}").status_code == 200, listed, indexed, answer.status_code != 404, changed]

    assert seen() == [True, False, False, False, False]
    for number, expected in enumerate(
        ([True, True, False, False, False], [True, True, True, False, False], [True] * 4 + [False], [True] * 5)
    ):
        still.control.clock(advance=10)
        assert seen() == expected, (number, rules.INDEX, rules.REFERENCE_LAG)


def test_delta_may_see_an_object_before_reads_of_it_do(still: Lab, graph: Any, refused: Any) -> None:
    _, link = graph.round("/users/delta", select="displayName")
    still.control.set(lag_get=60.0)
    id_ = graph.user()
    assert [row["id"] for row in graph.round(link)[0]] == [id_]
    refused(graph.get(f"/users/{id_}"), rules.NOT_FOUND, 404)


def test_a_lagging_initial_round_loses_nothing(still: Lab, graph: Any) -> None:
    still.control.set(lag_delta=30.0)
    first = graph.user("first")
    still.control.clock(advance=20)
    second = graph.user("second")
    still.control.clock(advance=15)
    rows, link = graph.round("/users/delta", select="displayName")
    assert [row["id"] for row in rows] == [first]
    still.control.clock(advance=31)
    assert [row["id"] for row in graph.round(link)[0]] == [second]
