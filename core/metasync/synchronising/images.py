"""The objects of one identity as the synchroniser sees them: imported, then overlaid with what was written and is not confirmed yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metasync.contract import Kind, Operation, Reference
from metasync.store.rows import State


def source_name(directory: str, anchor: str) -> str:
    """How an object is named across stores: `hr/1001`."""
    return f"{directory}/{anchor}"


@dataclass(kw_only=True, slots=True)
class Image:
    """One object. `attributes` holds references only where an expression reads them."""

    object_id: int | None
    """None while it was created and not imported yet."""
    directory: str
    anchor: str
    kind: Kind
    label: str
    state: State = State.LIVE
    attributes: dict[str, Any] = field(default_factory=dict)
    digest: bytes = b""
    marked: bool = False
    """It carries our mark, or our ledger says that we created it."""
    privileged: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A change that was written, or may have been, and that no import has shown yet."""

    operation: Operation
    after: Mapping[str, Any]


def overlay(image: Image, written: Sequence[Written]) -> None:
    """Show the image as it will be imported next. Members are not overlaid here: they are compared as rows."""
    for change in written:
        if change.operation is Operation.DELETE:
            image.state = State.GONE
            continue
        if change.operation in (Operation.MEMBER_ADD, Operation.MEMBER_REMOVE):
            continue
        if change.operation in (Operation.CREATE, Operation.RESTORE):
            image.state = State.LIVE
        for attribute, value in change.after.items():
            if value is None:
                image.attributes.pop(attribute, None)
            else:
                image.attributes[attribute] = value


def is_reference(value: Any) -> bool:
    """True for a reference or several."""
    return isinstance(value, Reference) or (isinstance(value, tuple) and bool(value) and isinstance(value[0], Reference))
