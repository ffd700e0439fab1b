"""Leaving and returning (law 5): which steps an object takes when the last profile lets go of it, and what is reversed when it comes
back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from metasync.contract import Operation
from metasync.engagement.model import Cause, Leave, LeavingStep, Returning
from metasync.store.rows import LEAVING, RETURNING, PendingOperation, Problem, Severity
from metasync.synchronising.images import Image

TAKEN_BACK = "taken back"
"""In the record of a step: somebody else reversed it. It is neither done again nor, on return, reversed once more."""


@dataclass(kw_only=True, slots=True)
class Steps:
    """What to do now, and when to look again."""

    operations: list[PendingOperation] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    due_at: datetime | None = None
    taken_back: set[str] = field(default_factory=set)
    """Actions of ours that somebody reversed."""


def leave(
    steps: Sequence[LeavingStep],
    cause: Cause,
    image: Image,
    *,
    created: bool,
    since: datetime,
    now: datetime,
    done: Sequence[Mapping[str, Any]],
    places: Sequence[str | None],
) -> Steps:
    """The steps of one cause. `places` holds the evaluated place of each move. A step that we took and somebody took back is not
    repeated."""
    out = Steps()
    taken = {one["action"] for one in done}
    for step, place in zip(steps, places, strict=True):
        if step.action is Leave.KEEP:
            continue
        if since + step.after > now:
            out.due_at = min(out.due_at or since + step.after, since + step.after)
            continue
        if step.action in (Leave.DELETE, Leave.MOVE) and step.only_created and not created:
            if step.action is Leave.DELETE:
                out.problems.append(
                    Problem(
                        code="not ours",
                        text="it was not created by Metasync and is kept; `delete: joined` would delete it too",
                        severity=Severity.NOTICE,
                    )
                )
            continue
        operation = _step(step, cause, image, place)
        if operation is None:
            continue
        if step.action.value in taken:
            out.taken_back.add(step.action.value)
            out.problems.append(
                Problem(
                    code="taken back",
                    text=f"we did {step.action} it when it left, and somebody took that back; it is left alone",
                    severity=Severity.NOTICE,
                )
            )
            continue
        out.operations.append(operation)
    if any(one.operation is Operation.DELETE for one in out.operations):
        out.operations = [one for one in out.operations if one.operation is Operation.DELETE]
    return out


def _step(step: LeavingStep, cause: Cause, image: Image, place: str | None) -> PendingOperation | None:
    rule = LEAVING + cause.value
    if step.action is Leave.DISABLE and image.attributes.get("enabled") is True:
        return PendingOperation(operation=Operation.DISABLE, before={"enabled": True}, after={"enabled": False}, rules={"enabled": rule})
    if step.action is Leave.MOVE and place is not None and image.attributes.get("path") != place:
        before = {"path": image.attributes["path"]} if "path" in image.attributes else {}
        return PendingOperation(operation=Operation.MOVE, before=before, after={"path": place}, rules={"path": rule})
    if step.action is Leave.DELETE:
        before = {name: image.attributes[name] for name in ("name", "path") if name in image.attributes}
        return PendingOperation(operation=Operation.DELETE, before=before, after={}, rules={"": rule})
    return None


def come_back(
    returning: Returning, image: Image, done: Sequence[Mapping[str, Any]], *, may_enable: bool, moved_by_place: bool
) -> list[PendingOperation]:
    """Exactly what we did when it left, reversed. Where `enabled` is mapped, the mapping says whether it shall be enabled."""
    operations: list[PendingOperation] = []
    for one in done:
        if one.get(TAKEN_BACK):
            continue
        if one["action"] == Leave.DISABLE.value and returning.enable and may_enable and image.attributes.get("enabled") is False:
            operations.append(
                PendingOperation(
                    operation=Operation.ENABLE, before={"enabled": False}, after={"enabled": True}, rules={"enabled": RETURNING}
                )
            )
        if one["action"] == Leave.MOVE.value and not moved_by_place:
            path, before = image.attributes.get("path"), one.get("before")
            if before is not None and path is not None and path != before:
                operations.append(
                    PendingOperation(operation=Operation.MOVE, before={"path": path}, after={"path": before}, rules={"path": RETURNING})
                )
    return operations


def disabled_by_us(done: Sequence[Mapping[str, Any]]) -> bool:
    """True while a disable of ours stands recorded."""
    return any(one["action"] == Leave.DISABLE.value and not one.get(TAKEN_BACK) for one in done)


def still_done(done: Sequence[Mapping[str, Any]], image: Image) -> list[Mapping[str, Any]]:
    """The record of who came back, without the steps that are reversed already, by whomever: should he leave again, they are taken anew."""
    reversed_ = {
        Leave.DISABLE.value: image.attributes.get("enabled") is True,
        Leave.MOVE.value: any(one["action"] == Leave.MOVE.value and one.get("before") == image.attributes.get("path") for one in done),
    }
    return [one for one in done if not one.get(TAKEN_BACK) and not reversed_.get(one["action"], False)]
