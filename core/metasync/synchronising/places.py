"""Where the containers are that the document names. A path is resolved once and pinned by the container's anchor: renaming the container
moves nobody out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from metasync.contract import MetasyncError
from metasync.dn import folded
from metasync.store import codec, objects, pins
from metasync.store.rows import State
from metasync.synchronising.program import Places

if TYPE_CHECKING:
    from metasync.engagement.model import Profile
    from metasync.workspace import Workspace


def resolve_places(connection: Connection, workspace: Workspace, profile: Profile, source: str, *, pin: bool = True) -> Places:
    """`scope: under:` and the source side of `place: mirror:`, as the containers are called now. Raises `MetasyncError` where a pinned
    container is gone: that is never taken for "everybody left"."""
    mirror = profile.place.mirror if profile.place else {}
    paths = [*profile.scope.under, *mirror]
    if not paths:
        return Places()
    directory_id = workspace.directory_ids[source]
    by_anchor: dict[str, tuple[State, str]] = {}
    by_path: dict[str, str] = {}
    for row in objects.containers(connection, directory_id):
        path = container_path(codec.decode(row.blob))
        if path is not None:
            by_anchor[row.anchor] = (row.state, path)
            if row.state is not State.GONE:
                by_path[folded(path)] = row.anchor
    pinned_paths = pins.of_profile(connection, workspace.engagement_id, profile.name)
    now: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        pinned = pinned_paths.get(path)
        if pinned is not None and pinned[0] == directory_id:
            state, present = by_anchor.get(pinned[1], (State.GONE, path))
            if state is State.GONE:
                raise MetasyncError(
                    f"the container {path} of {source} is gone; {profile.name} is not synchronised, so that nobody leaves by it. "
                    "Name its successor in the document, or restore it"
                )
            now[path] = present
            continue
        now[path] = path
        anchor = by_path.get(folded(path))
        if pin and anchor is not None and pinned is None:
            pins.add(connection, workspace.engagement_id, profile.name, path, directory_id, anchor)
    return Places(under=tuple(now[path] for path in profile.scope.under), mirror={now[path]: place for path, place in mirror.items()})


def container_path(attributes: Mapping[str, Any]) -> str | None:
    """What the objects inside a container call it in their `path`, or None if the directory does not say."""
    path = attributes.get("dn")
    return path if isinstance(path, str) else None
