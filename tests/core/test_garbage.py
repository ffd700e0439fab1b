"""The garbage collector stands still while portions are worked, and only then."""

from __future__ import annotations

import gc

import pytest

from metasync import garbage


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
