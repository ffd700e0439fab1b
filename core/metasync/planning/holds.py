"""Holds: what an undo restored is left alone until somebody releases it."""

from __future__ import annotations

from collections.abc import Collection

from metasync.store import audit, dirty, holds
from metasync.workspace import Workspace


def release(
    workspace: Workspace,
    *,
    profile: str | None = None,
    objects: Collection[int] | None = None,
    run_id: int | None = None,
    attribute: str | None = None,
) -> int:
    """Let the next run act again on what an undo restored; how many holds there were.

    `run_id`: the run that planned or wrote the undo, or the run that it took back.
    """
    with workspace.backend.write(durable=True) as connection:
        found = holds.those(connection, workspace.engagement_id, profile=profile, objects=objects, undo=run_id, attribute=attribute)
        if found:
            holds.release(connection, workspace.engagement_id, profile=profile, objects=objects, undo=run_id, attribute=attribute)
            dirty.mark(workspace.backend, connection, workspace.engagement_id, sorted({(one.profile, one.object_id, 0) for one in found}))
            detail = {"holds": len(found), "profile": profile, "run": run_id, "attribute": attribute}
            audit.append(connection, workspace.engagement_id, workspace.author, "release", profile or "every profile", detail)
    return len(found)
