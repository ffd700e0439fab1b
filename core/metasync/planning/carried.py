"""Moves that follow from a container's own rename or move: whoever is inside goes along, without a change of his own.

The path of everybody inside is another one as soon as the container has moved, so each of them would stand in the plan with a move, and a
large unit that is renamed would pass the limit of moves. Such a move is left out while the container's change is pending; where that is
never written, nobody moves, and where somebody shall go elsewhere, that is a move as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from metasync import dn
from metasync.contract import Kind, Operation
from metasync.engagement.model import Profile
from metasync.planning.freezer import Draft
from metasync.store import freezing
from metasync.store import pending as pending_rows
from metasync.store.rows import LEAVING, RETURNING
from metasync.synchronising.places import container_path
from metasync.workspace import Workspace

SPECIAL = frozenset(',;+"\\<>=')
"""What a relative name escapes (RFC 4514, 2.4)."""


class Carried:
    """Where the containers of one directory will be."""

    def __init__(self, changes: Mapping[str, tuple[str | None, str | None]]) -> None:
        """`changes`: distinguished name of a container -> (its new name, the new path of its parent), None where that stays."""
        self._changes = {dn.folded(path): change for path, change in changes.items()}
        self.count = 0
        """How many moves were left out."""

    def __bool__(self) -> bool:
        return bool(self._changes)

    def without(self, drafts: Sequence[Draft]) -> list[Draft]:
        """What is left to do for one object."""
        left = [one for one in drafts if not self._follows(one)]
        self.count += len(drafts) - len(left)
        return left

    def _follows(self, draft: Draft) -> bool:
        old, new = draft.before.get("path"), draft.after.get("path")
        if draft.operation is not Operation.MOVE or draft.stage is not None or not isinstance(old, str) or not isinstance(new, str):
            return False
        if any(words.startswith((LEAVING, RETURNING)) for words in draft.rules.values()):
            return False
        then = self._then(dn.split(old))
        return then is not None and dn.folded(then) == dn.folded(new)

    def _then(self, parts: Sequence[str]) -> str | None:
        """What a container will be called; None where it stays as it is."""
        for depth in range(len(parts)):
            change = self._changes.get(dn.folded(",".join(parts[depth:])))
            if change is None:
                continue
            name, path = change
            kind, _, _ = parts[depth].partition("=")
            leaf = parts[depth] if name is None else f"{kind}={_escaped(name)}"
            above = parts[depth + 1 :]
            parent = path if path is not None else self._then(above) or ",".join(above)
            return ",".join([*parts[:depth], leaf, *([parent] if parent else [])])
        return None


def carried(workspace: Workspace, connection: Connection, profile: Profile) -> Carried:
    """What is pending of the containers of a profile's target, under whatever profile that may write it."""
    found: dict[str, tuple[str | None, str | None]] = {}
    for other in workspace.engagement.profiles.values():
        if other.target != profile.target or other.target_kind is not Kind.CONTAINER or other.staging:
            continue
        for page in freezing.pending_objects(workspace.backend, connection, workspace.engagement_id, other.name, creates=False):
            images = freezing.images(connection, [row.target_id for row in page if row.target_id is not None])
            for row in page:
                path = container_path(images.get(row.target_id or 0, {}))
                after: dict[str, object] = {}
                for one in pending_rows.restored(row.operations, row.reference_operations):
                    if one.operation in (Operation.RENAME, Operation.MOVE):
                        after |= one.after
                name, place = after.get("name"), after.get("path")
                if path is not None and (name is not None or place is not None):
                    found[path] = (str(name) if name is not None else None, str(place) if place is not None else None)
    return Carried(found)


def _escaped(name: str) -> str:
    return "".join(f"\\{letter}" if letter in SPECIAL else letter for letter in name)
