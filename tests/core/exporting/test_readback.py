"""What a read-back means: written, to be written, or not to be written any more."""

from __future__ import annotations

from typing import Any

import pytest

from metasync.contract import Change, Found, Kind, Operation, Presence, Reference
from metasync.exporting.readback import Verdict, decide


def change(operation: Operation, **values: Any) -> Change:
    fixed: dict[str, Any] = {"id": "1", "kind": Kind.USER, "anchor": None if operation is Operation.CREATE else "a", "label": "anna"}
    return Change(operation=operation, **{**fixed, **values})


def present(**attributes: Any) -> Found:
    return Found(id="1", presence=Presence.PRESENT, anchor="a", attributes=attributes)


ABSENT = Found(id="1", presence=Presence.ABSENT)
UPDATE = change(Operation.UPDATE, before={"title": "old"}, after={"title": "new", "mail": "a@x"})
ANNA = Reference(value="m")


@pytest.mark.parametrize(
    ("asked", "found", "verdict"),
    [
        (change(Operation.CREATE, after={"name": "anna"}), ABSENT, Verdict.WRITE),
        (change(Operation.CREATE, after={"name": "anna"}), present(name="anna"), Verdict.WRITTEN),
        (change(Operation.CREATE, after={"name": "anna", "title": "x"}), present(name="anna"), Verdict.OUTDATED),
        (change(Operation.CREATE, after={"name": "anna"}, mark="m"), present(name="anna"), Verdict.OUTDATED),
        (UPDATE, present(title="new", mail="a@x"), Verdict.WRITTEN),
        (UPDATE, present(title="old"), Verdict.WRITE),
        (UPDATE, present(title="third"), Verdict.OUTDATED),
        (UPDATE, ABSENT, Verdict.OUTDATED),
        (change(Operation.DELETE), ABSENT, Verdict.WRITTEN),
        (change(Operation.DELETE), present(), Verdict.WRITE),
        (change(Operation.RESTORE), present(), Verdict.WRITTEN),
        (change(Operation.RESTORE), ABSENT, Verdict.WRITE),
        (change(Operation.MEMBER_ADD, member=ANNA), present(members=(ANNA,)), Verdict.WRITTEN),
        (change(Operation.MEMBER_ADD, member=ANNA), present(), Verdict.WRITE),
        (change(Operation.MEMBER_REMOVE, member=ANNA), present(members=(ANNA,)), Verdict.WRITE),
        (change(Operation.MEMBER_REMOVE, member=ANNA), present(), Verdict.WRITTEN),
        (UPDATE, Found(id="1", presence=Presence.UNKNOWN), Verdict.WAIT),
    ],
)
def test_the_verdict_follows_from_what_was_found(asked: Change, found: Found, verdict: Verdict) -> None:
    assert decide(asked, found, {}, absence_counts=True).verdict is verdict


def test_only_what_is_not_there_yet_is_written() -> None:
    left = decide(UPDATE, present(title="new"), {}, absence_counts=True).change
    assert (left.before, left.after) == ({}, {"mail": "a@x"})


def test_within_the_lag_an_absence_means_nothing() -> None:
    asked = change(Operation.CREATE, after={"name": "anna"})
    assert decide(asked, ABSENT, {}, absence_counts=False).verdict is Verdict.WAIT
