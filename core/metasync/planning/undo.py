"""Undo: the way back from what a run wrote, planned through the same gate as everything else (law 12).

A value goes back only where it still is what the run wrote; anything else is a problem that names who changed it since. Once written, what
was restored is held until `release`, so that the next run does not do again what was undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from metasync.blame import blamed
from metasync.contract import Kind, MetasyncError, Operation, Restores
from metasync.planning.freezer import Freezer
from metasync.planning.plan import NewPlan, PlanSummary, frozen, joined_by
from metasync.planning.reversing import Fate, WayBack
from metasync.planning.undone import OfPeople, OfRun, Undone
from metasync.workspace import Workspace


def plan_undo(workspace: Workspace, run_id: int, undone: int) -> list[PlanSummary]:
    """Plan the way back from everything that the run `undone` wrote, one plan per profile. `run_id` is the run that plans it."""
    with workspace.backend.read() as connection:
        every = OfRun(workspace, connection, undone)
        written = every.profiles(connection)
    return _plans(workspace, run_id, every, written)


def plan_undo_for(workspace: Workspace, run_id: int, words: str, since: Mapping[int, datetime]) -> list[PlanSummary]:
    """The same from what was written for some people (identity -> since when), who are called `words`."""
    with workspace.backend.read() as connection:
        every = OfPeople(workspace, connection, words, since)
        written = every.profiles(connection)
    return _plans(workspace, run_id, every, written)


def _plans(workspace: Workspace, run_id: int, undone: Undone, written: Sequence[tuple[str, int]]) -> list[PlanSummary]:
    if undone.in_flight:
        raise MetasyncError(
            f"{undone.words} left {undone.in_flight} changes whose outcome is not known; export its plans again first, then undo it"
        )
    fate = Fate()
    return [
        _plan(workspace, run_id, undone, profile, workspace.directory_name(directory), fate)
        for profile, directory in _in_order(workspace, written)
    ]


def _in_order(workspace: Workspace, written: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
    """Groups behind those who are their members: what becomes of these decides about memberships."""
    profiles = workspace.engagement.profiles
    return sorted(written, key=lambda one: one[0] in profiles and profiles[one[0]].target_kind is Kind.GROUP)


def _plan(workspace: Workspace, run_id: int, undone: Undone, name: str, directory: str, fate: Fate) -> PlanSummary:
    profile = workspace.engagement.profiles.get(name)
    restorable = _restorable(workspace, undone, name, directory)

    def fill(connection: Connection, freezer: Freezer) -> None:
        WayBack(workspace, connection, freezer, undone=undone, profile=name, directory=directory, restorable=restorable, fate=fate).back()

    new = NewPlan(
        profile=name,
        purpose="undo",
        directory=directory,
        configuration=profile.configuration if profile else "",
        limits=profile.limits if profile else {},
        joined=lambda connection: joined_by(workspace, connection, profile) if profile else 0,
        fill=fill,
        undoes=undone.run,
        note="" if undone.run is not None else f"undo of {undone.words}",
    )
    return frozen(workspace, run_id, new)


def _restorable(workspace: Workspace, undone: Undone, profile: str, directory: str) -> Mapping[str, str]:
    """Anchor -> what cannot return with it, of what the run deleted and can be restored. Asked before the plan's transaction."""
    anchors: list[str] = []
    after = (-1, 0)
    directory_id = workspace.directory_ids[directory]
    while True:
        with workspace.backend.read() as connection:
            rows = undone.rows(
                connection, profile=profile, directory_id=directory_id, members=False, after=after, operation=Operation.DELETE
            )
        if not rows:
            break
        after = undone.place(rows[-1])
        anchors += [row.anchor for row in rows if row.anchor]
    if not anchors:
        return {}
    with workspace.connector(directory) as connector:
        with blamed(connector.name):
            return connector.restorable(anchors) if isinstance(connector, Restores) else {}
