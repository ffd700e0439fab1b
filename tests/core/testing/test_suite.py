"""The suite derives its tests from what a connector promises, and says of each other one why it is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from metasync.contract import Change, Check, Connector, Kind, Operation, Options, Outcome, Page, ReadRequest, Result, Schema, Values
from metasync.testing.context import TestContext
from metasync.testing.memory import memory_schema
from metasync.testing.suite import ConnectorSuite, Harness
from metasync.testing.suite.bench import Bench, in_order
from metasync.testing.suite.memory import MemoryHarness


class ReadOnlyConnector(Connector):
    """Promises to read, and no more."""

    name = "read-only"
    title = "Reads nothing much"
    Options = Options

    def check(self) -> Check:
        return Check(identity="one")

    def discover(self) -> Schema:
        return memory_schema()

    def read(self, request: ReadRequest) -> Iterator[Page]:
        yield Page(complete=True)


class ReadOnlyHarness(Harness):
    """Names nothing to write with."""

    connector = ReadOnlyConnector

    def options(self) -> Mapping[str, Any]:
        return {}

    def put(self, kind: Kind, attributes: Mapping[str, Values]) -> str:
        return "nobody"

    def change(self, anchor: str, attributes: Mapping[str, Values | None]) -> None:
        return None

    def delete(self, anchor: str) -> None:
        return None


class ReadOnlySuite(ConnectorSuite):
    """Not collected: its name does not begin with Test."""

    Harness = ReadOnlyHarness


def test_what_is_not_promised_is_left_out_with_a_reason() -> None:
    left_out = ReadOnlySuite.left_out
    assert left_out["test_a_delta_shows_a_rename"] == "ReadOnlyConnector does not implement Follows (follows changes)"
    assert left_out["test_references_resolve"] == "ReadOnlyHarness.reference is None: the directory has nothing of the sort"
    assert left_out["test_a_cut_read_never_says_complete"] == "ReadOnlyHarness does not override cut"
    assert all(getattr(ReadOnlySuite, name) is None for name in left_out)
    assert ReadOnlySuite.test_no_page_is_lost is not None


def test_leaving_out_in_one_suite_takes_nothing_from_another() -> None:
    assert all(getattr(ConnectorSuite, name) is not None for name in ReadOnlySuite.left_out)


def test_what_a_harness_cannot_do_is_a_skip_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match=r"override Harness\.cut"):
        ReadOnlyHarness(tmp_path).cut()


def test_a_harness_that_hides_an_attribute_is_found_out(tmp_path: Path) -> None:
    class Hiding(MemoryHarness):
        multi = None

    bench = Bench(Hiding(tmp_path), TestContext(secrets=Hiding.secrets, settings=Hiding.settings))
    with pytest.raises(AssertionError, match=r"Harness\.multi"):
        ConnectorSuite().test_the_harness_hides_nothing(bench)


@pytest.mark.parametrize("ids", [["a"], ["a", "b", "b"], ["a", "c"], []])
def test_results_that_do_not_fit_the_changes_are_found(ids: list[str]) -> None:
    changes = [Change(id=one, operation=Operation.DELETE, kind=Kind.USER, anchor="x", label="x") for one in ("a", "b")]
    with pytest.raises(AssertionError, match="exactly one result"):
        in_order(changes, [Result(id=one, outcome=Outcome.APPLIED) for one in ids])
