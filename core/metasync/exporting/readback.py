"""What a read-back means: whether a change whose outcome is unknown was written, must be written, or must not be written any more. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from metasync.contract import AttributeSchema, Change, Found, Operation, Presence, Reference
from metasync.equality import canonical_set, equal


class Verdict(StrEnum):
    """What is to be done."""

    WRITTEN = "written"
    WRITE = "write"
    OUTDATED = "outdated"
    WAIT = "wait"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A verdict; `change` is what remains to be written."""

    verdict: Verdict
    change: Change
    anchor: str | None = None
    detail: str = ""


def decide(change: Change, found: Found, schema: Mapping[str, AttributeSchema], *, absence_counts: bool) -> Decision:
    """`absence_counts`: the directory's lag is over, so that what it does not show is not there."""
    if found.presence is Presence.UNKNOWN:
        return Decision(verdict=Verdict.WAIT, change=change, detail=found.detail or "the directory could not tell whether it was written")
    if found.presence is Presence.ABSENT:
        return _absent(change, absence_counts)
    match change.operation:
        case Operation.CREATE:
            return _created(change, found, schema)
        case Operation.DELETE:
            return Decision(verdict=Verdict.WRITE, change=change, anchor=found.anchor)
        case Operation.RESTORE:
            # Bringing back and making whole are two requests to some directories: the second may be missing.
            whole = all(equal(schema.get(name), value, found.attributes.get(name)) for name, value in change.after.items())
            return Decision(verdict=Verdict.WRITTEN if whole else Verdict.WRITE, change=change, anchor=found.anchor)
        case Operation.MEMBER_ADD | Operation.MEMBER_REMOVE:
            is_member = change.member is not None and _holds(found.attributes.get("members"), change.member)
            done = is_member == (change.operation is Operation.MEMBER_ADD)
            return Decision(verdict=Verdict.WRITTEN if done else Verdict.WRITE, change=change, anchor=found.anchor)
        case _:
            return _updated(change, found, schema)


def _absent(change: Change, absence_counts: bool) -> Decision:
    if change.operation is Operation.DELETE:
        return Decision(verdict=Verdict.WRITTEN, change=change)
    if not absence_counts:
        return Decision(verdict=Verdict.WAIT, change=change, detail="the directory does not show it yet, and may still")
    if change.operation in (Operation.CREATE, Operation.RESTORE):
        return Decision(verdict=Verdict.WRITE, change=change)
    return Decision(verdict=Verdict.OUTDATED, change=change, detail="the object is not there any more")


def _created(change: Change, found: Found, schema: Mapping[str, AttributeSchema]) -> Decision:
    if found.by_mark:
        return Decision(verdict=Verdict.WRITTEN, change=change, anchor=found.anchor)
    if change.mark is not None:
        text = "another object, without our mark, has its name; rename one of them, or join the two by hand"
        return Decision(verdict=Verdict.OUTDATED, change=change, detail=text)
    different = [
        name
        for name, value in change.after.items()
        if name in found.attributes and not equal(schema.get(name), value, found.attributes[name])
    ]
    missing = [name for name, value in change.after.items() if value is not None and name not in found.attributes]
    if different or missing:
        names = ", ".join(sorted(different + missing))
        text = f"another object has its name, and differs from it in {names}; rename one of them, or join the two by hand"
        return Decision(verdict=Verdict.OUTDATED, change=change, detail=text)
    return Decision(verdict=Verdict.WRITTEN, change=change, anchor=found.anchor)


def _updated(change: Change, found: Found, schema: Mapping[str, AttributeSchema]) -> Decision:
    rest = [name for name, value in change.after.items() if not equal(schema.get(name), value, found.attributes.get(name))]
    if not rest:
        return Decision(verdict=Verdict.WRITTEN, change=change, anchor=found.anchor)
    drifted = [name for name in rest if not equal(schema.get(name), change.before.get(name), found.attributes.get(name))]
    if drifted:
        text = f"somebody changed {', '.join(sorted(drifted))} since the plan was made"
        return Decision(verdict=Verdict.OUTDATED, change=change, detail=text)
    # What is there already is neither written nor compared again.
    left = replace(
        change,
        before={name: value for name, value in change.before.items() if name in rest or name not in change.after},
        after={name: change.after[name] for name in rest},
    )
    return Decision(verdict=Verdict.WRITE, change=left, anchor=found.anchor)


def _holds(values: Any, member: Reference) -> bool:
    return canonical_set(None, member) <= canonical_set(None, values)
