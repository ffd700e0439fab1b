"""What the target of a plan would refuse, as its connector said before the plan was frozen: found again by what a change does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metasync.contract import Objection

Key = tuple[int, str, str | None, str, bytes, bytes]
"""Source object, kind, anchor in the target, operation, before, after."""


def key_of(row: Mapping[str, Any]) -> Key:
    """Of a row that is to be frozen: the same whenever the same is planned."""
    return row["object_id"], row["kind"], row["anchor"], row["operation"], row["before"], row["after"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Objections:
    """All that is objected to in one plan."""

    changes: Mapping[Key, Objection] = field(default_factory=dict)
    objects: frozenset[int] = frozenset()
    """The source objects of these changes."""
    not_created: frozenset[str] = frozenset()
    """Those of them that shall not be created, as `directory/anchor`."""
    unasked: str = ""
    """Why the directory could not be asked, or not to the end."""


NONE = Objections()
