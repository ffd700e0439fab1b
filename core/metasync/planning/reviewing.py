"""Asking a target what it would refuse of a plan, if its connector can say (`Reviews`), before the plan is frozen.

All that would be frozen is gathered first and asked about afterwards, with neither a transaction nor a view of the database open: a
directory may take its time. What changes in between is not asked about; the export refuses it itself.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

from sqlalchemy import Connection

from metasync import garbage
from metasync.blame import ConnectorFailed, answers
from metasync.contract import AttributeSchema, Change, Kind, MetasyncError, Objection, Reviews, Stopped
from metasync.planning.freezer import Freezer, Subject, as_change
from metasync.planning.objections import NONE, Key, Objections, key_of
from metasync.store import codec, freezing
from metasync.workspace import Workspace

KEPT = ("object_id", "source", "kind", "anchor", "label", "operation", "before", "after", "tag")
"""What of a row is needed to ask about it."""


class Gatherer(Freezer):
    """Takes what a freezer is given, and freezes nothing: it keeps all of it to be asked about, packed in portions."""

    def __init__(self, connection: Connection, workspace: Workspace, *, profile: str, directory: str) -> None:
        super().__init__(connection, workspace, plan_id=0, profile=profile, directory=directory, revision=workspace.engagement.revision)
        self._packed: list[bytes] = []

    def add_creates(self, rows: Sequence[freezing.PendingObject]) -> Sequence[freezing.PendingObject]:
        """Their values matter here: none is taken unopened."""
        return rows

    def add_members(self, rows: Sequence[freezing.PendingMember], kind: Kind) -> Sequence[freezing.PendingMember]:
        """The same."""
        return rows

    def finish(self) -> str:
        """Nothing more comes."""
        self._flush()
        return ""

    def _hold(
        self, subject: Subject, request: Sequence[Mapping[str, Any]], attributes: Mapping[str, AttributeSchema], image: dict[str, Any]
    ) -> None:
        """The order does not matter."""

    def _flush(self) -> None:
        rows = [tuple(row[name] for name in KEPT) for _, of_subject, *_ in self._waiting for row in of_subject]
        if rows:
            self._packed.append(zlib.compress(pickle.dumps(rows), 1))
        self._waiting = []
        self._rows = 0

    def portions(self) -> Iterator[list[dict[str, Any]]]:
        """What was gathered, and is then given away."""
        while self._packed:
            rows = pickle.loads(zlib.decompress(self._packed.pop(0)))  # noqa: S301 - packed above, in the same process
            yield [dict(zip(KEPT, row, strict=True)) for row in rows]

    def __bool__(self) -> bool:
        return bool(self._packed)


def review(workspace: Workspace, *, profile: str, directory: str, fill: Callable[[Connection, Freezer], None]) -> Objections:
    """What the directory would refuse of all that `fill` adds. Nothing where its connector cannot say: then it costs nothing either."""
    if not issubclass(workspace.connector_class(directory), Reviews):
        return NONE
    with workspace.backend.read() as connection, garbage.paused():
        gathered = Gatherer(connection, workspace, profile=profile, directory=directory)
        fill(connection, gathered)
        gathered.finish()
    return _ask(workspace, directory, gathered) if gathered else NONE


def _ask(workspace: Workspace, directory: str, gathered: Gatherer) -> Objections:
    found: dict[Key, Objection] = {}
    not_created: set[str] = set()
    unasked, done = "", 0
    try:
        with workspace.connector(directory) as connector:
            reviewer = cast(Reviews, connector)
            for rows in gathered.portions():
                workspace.check_stop()
                of = {row["tag"]: row for row in rows}
                changes = [as_change(row, before=codec.decode(row["before"]), after=codec.decode(row["after"])) for row in rows]
                for objection in answers(connector.name, partial(_reviewed, reviewer, changes)):
                    row = of.get(objection.change)
                    if row is None:
                        raise ConnectorFailed(
                            f"the connector {connector.name} objected to a change that it was not asked about; "
                            "this is a mistake in the plugin, tell its author"
                        )
                    found[key_of(row)] = objection
                    if row["anchor"] is None:
                        not_created.add(row["source"])  # whatever of it is objected to: the freezer leaves all of it out
                done += len(rows)
                workspace.report(done, None, f"asking {directory} what it would refuse")
    except Stopped:
        raise
    except MetasyncError as error:
        unasked = str(error)
    return Objections(changes=found, objects=frozenset(one[0] for one in found), not_created=frozenset(not_created), unasked=unasked)


def _reviewed(reviewer: Reviews, changes: Sequence[Change]) -> Iterator[Objection]:
    return reviewer.review(changes)
