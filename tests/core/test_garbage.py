"""The garbage collector stands still while portions are worked, and only then."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from metasync import garbage
from metasync.contract import Stopped
from metasync.workspace import EngineContext


def test_it_goes_on_once_the_last_portion_is_worked_also_after_an_error() -> None:
    assert gc.isenabled()
    with pytest.raises(RuntimeError), garbage.paused():
        with garbage.paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
        raise RuntimeError
    assert gc.isenabled()


def test_whoever_turned_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with garbage.paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_goes_on_while_somebody_waits_and_stands_still_again_afterwards() -> None:
    with garbage.paused():
        with garbage.waiting(), garbage.waiting():
            assert gc.isenabled()
            with garbage.paused():
                assert gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with garbage.waiting():
        with garbage.paused():
            assert gc.isenabled()
        assert gc.isenabled()


def test_nobody_who_waits_turns_on_what_was_turned_off() -> None:
    gc.disable()
    try:
        with garbage.paused(), garbage.waiting():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_connector_that_waits_for_its_turn_lets_it_go_on(bench: Any) -> None:
    seen: list[bool] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            seen.append(gc.isenabled())
            return True

    workspace = replace(bench.workspace, stop=Stop())
    context = EngineContext(workspace=workspace, of=workspace.engagement.directories["fabrikam"])
    with garbage.paused(), pytest.raises(Stopped):
        context.wait(datetime.now(UTC), "a long pause")
    assert seen == [True]
