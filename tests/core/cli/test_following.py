"""`runs --follow`: nothing that happened between two looks is left out."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from metasync import service
from metasync.cli import following
from metasync.cli.session import Session
from metasync.runs import run as running

from .conftest import Shell


@pytest.mark.parametrize("as_json", [False, True])
def test_a_run_that_began_and_ended_between_two_looks_is_told_of(as_json: bool, in_step: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def looks(_: Session, workspace: service.Workspace) -> Iterator[service.UnderWay]:
        yield service.under_way(workspace)
        running.run(workspace, [])
        running.run(workspace, [])
        yield service.under_way(workspace)
        yield service.under_way(workspace)

    monkeypatch.setattr(following, "_looks", looks)
    done = in_step("runs", "--follow", *(["--json"] if as_json else []))
    assert "following what is under way" in done.err
    ends = [json.loads(line)["text"] for line in done.out.splitlines()] if as_json else done.out.splitlines()
    told = [one.partition(":")[0].removesuffix(": done") for one in ends if ", run of " in one]
    assert len(told) == 2, f"each run once: {done.out}"
    assert len(set(told)) == 2


class Thrown:
    """Meets Ctrl-C while it is thrown away: whatever is raised there is lost."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_it_wherever_it_meets_it(in_step: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    under_way = service.under_way

    def look(workspace: service.Workspace) -> service.UnderWay:
        looked.append(len(looked))
        assert len(looked) < 3, "it was not heard"
        thrown = Thrown()
        del thrown
        return under_way(workspace)

    monkeypatch.setattr(service, "under_way", look)
    assert in_step("runs", "--follow").code == 0
    assert looked == [0]


def test_ctrl_c_while_the_server_is_waited_for_ends_it_in_good_order(in_step: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(workspace: service.Workspace) -> service.UnderWay:
        signal.raise_signal(signal.SIGINT)
        assert workspace.backend.leaving is not None and workspace.backend.leaving.is_set(), "the server would be waited for"
        raise service.StoreError("the server cannot be reached")

    monkeypatch.setattr(service, "under_way", look)
    assert "cannot be reached" not in in_step("runs", "--follow").err
