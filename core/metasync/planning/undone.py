"""What an undo takes back: what one run wrote, or what was written for some people since a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from metasync.contract import MetasyncError, Operation
from metasync.planning.freezer import Draft
from metasync.store import ledger, runs
from metasync.store import written as written_rows
from metasync.store.ledger import ChangeRow
from metasync.workspace import Workspace


class Undone(Protocol):
    """What is to be taken back."""

    words: str
    """Such as `run 12`."""
    run: int | None
    """Where it is one run's."""
    in_flight: int
    """Of how many changes the outcome is not known."""

    def profiles(self, connection: Connection) -> Sequence[tuple[str, int]]:
        """(profile, directory) of what was written."""
        ...

    def rows(
        self,
        connection: Connection,
        *,
        profile: str,
        directory_id: int,
        members: bool,
        after: tuple[int, int],
        operation: Operation | None = None,
    ) -> list[ChangeRow]:
        """A page of it behind `after`, in the order of `place`: members only, or all but members."""
        ...

    def place(self, row: ChangeRow) -> tuple[int, int]:
        """Where a change stands in that order: (source object, id). All that was written to one object has the same first number."""
        ...

    def covers(self, row: ChangeRow) -> bool:
        """Is this change part of it?"""
        ...


class OfRun:
    """Everything that one run wrote."""

    def __init__(self, workspace: Workspace, connection: Connection, run: int) -> None:
        """Raises `MetasyncError` where there is no such run."""
        if runs.get(connection, workspace.engagement_id, run) is None:
            raise MetasyncError(f"there is no run {run}; see `metasync runs`")
        self.words, self._engagement_id = f"run {run}", workspace.engagement_id
        self.run: int | None = run
        self._number = run
        self.in_flight = ledger.count_of_run(connection, workspace.engagement_id, run).get("in_flight", 0)

    def profiles(self, connection: Connection) -> Sequence[tuple[str, int]]:
        return written_rows.profiles_of_run(connection, self._engagement_id, self._number)

    def rows(
        self,
        connection: Connection,
        *,
        profile: str,
        directory_id: int,
        members: bool,
        after: tuple[int, int],
        operation: Operation | None = None,
    ) -> list[ChangeRow]:
        return written_rows.written_by(
            connection,
            self._engagement_id,
            self._number,
            profile=profile,
            directory_id=directory_id,
            members=members,
            after=after,
            operation=operation,
        )

    def place(self, row: ChangeRow) -> tuple[int, int]:
        return row.object_id, row.id

    def covers(self, row: ChangeRow) -> bool:
        return row.run_id == self._number


class OfPeople:
    """What was written for these people, by whatever run, each since his own time; what undos wrote is not taken back again."""

    def __init__(self, workspace: Workspace, connection: Connection, words: str, since: Mapping[int, datetime]) -> None:
        """`since`: identity -> from when on."""
        self.words = words
        self.run: int | None = None
        names = {number: name for name, number in workspace.directory_ids.items()}
        found = written_rows.for_people(connection, workspace.engagement_id, since, names)
        self.in_flight = sum(one.state == "in_flight" for one in found)
        # Whoever was made anew in the source meanwhile has two source objects, and one object that both were written for.
        first: dict[tuple[str, int], int] = {}
        for one in found:
            if not one.members:
                known = first.setdefault((one.profile, one.identity_id), one.object_id)
                first[one.profile, one.identity_id] = min(known, one.object_id)
        self._places = {one.id: (one.object_id if one.members else first[one.profile, one.identity_id], one.id) for one in found}
        self._pages: dict[tuple[str, int, bool], list[tuple[int, int]]] = {}
        for one in sorted(found, key=lambda one: self._places[one.id]):
            self._pages.setdefault((one.profile, one.directory_id, one.members), []).append(self._places[one.id])

    def profiles(self, connection: Connection) -> Sequence[tuple[str, int]]:
        return sorted({(profile, directory_id) for profile, directory_id, _ in self._pages})

    def rows(
        self,
        connection: Connection,
        *,
        profile: str,
        directory_id: int,
        members: bool,
        after: tuple[int, int],
        operation: Operation | None = None,
    ) -> list[ChangeRow]:
        every = self._pages.get((profile, directory_id, members), [])
        while True:
            begin = bisect_right(every, after)
            page = every[begin : begin + ledger.PORTION]
            known = ledger.by_ids(connection, [number for _, number in page])
            rows = [known[number] for _, number in page if operation in (None, known[number].operation)]
            if rows or not page:
                return rows
            after = page[-1]

    def place(self, row: ChangeRow) -> tuple[int, int]:
        return self._places[row.id]

    def covers(self, row: ChangeRow) -> bool:
        return row.id in self._places


def in_one_step(drafts: Sequence[Draft]) -> list[Draft]:
    """What several runs wrote one after the other, the newest first, goes back at once: each attribute from what it is now to what it was
    at first."""
    touched = [name for draft in drafts for name in draft.after]
    if len(touched) == len(set(touched)):
        return list(drafts)
    now: dict[str, Any] = {}
    first: dict[str, Draft] = {}
    for draft in drafts:
        for name in draft.after:
            now.setdefault(name, draft.before.get(name))
            first[name] = draft
    made: dict[tuple[Operation, int], Draft] = {}
    for name, draft in first.items():
        was, value = now[name], draft.after[name]
        if was == value:
            continue
        operation = _towards(draft.operation, value)
        # Only what stands together stays together: several attributes of an update.
        plain = operation in (Operation.UPDATE, Operation.CLEAR)
        key = (operation, 0 if plain else id(draft))
        known = made.get(key) or Draft(operation=operation)
        made[key] = replace(
            known,
            before={**known.before, name: was} if was is not None else known.before,
            after={**known.after, name: value},
            rules={**known.rules, name: draft.rules[name]},
            undoes=tuple(sorted({*known.undoes, *(number for one in drafts if name in one.after for number in one.undoes)})),
        )
    return list(made.values())


def _towards(operation: Operation, value: Any) -> Operation:
    """The operation that brings an attribute to this value."""
    if operation in (Operation.UPDATE, Operation.CLEAR):
        return Operation.CLEAR if value is None else Operation.UPDATE
    if operation in (Operation.ENABLE, Operation.DISABLE):
        return Operation.ENABLE if value else Operation.DISABLE
    return operation
