"""A whole engine in a folder, for tests: a document, memory directories, a SQLite store, and the verbs of the job.

    engine = Engine(folder, document, {"hr": MemoryDirectory(), "ad": MemoryDirectory()})
    engine.cycle()              # import, plan, approve, export, confirm
    engine.plan()               # {} once everything is in step

Every call goes through what the command line calls; nothing is taken from behind.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from metasync.contract import Operation
from metasync.engagement import load, revision
from metasync.engagement.document import read
from metasync.engagement.model import Engagement
from metasync.engagement.secrets import Secrets
from metasync.host import Host
from metasync.planning import approve
from metasync.runs import run as runs
from metasync.runs.run import RunOutcome
from metasync.store import Backend, clock, codec, open_store
from metasync.store.tables import change, object_, plan, problem, sync_state
from metasync.testing.memory import MemoryConnector, MemoryDirectory, MemoryPlugin
from metasync.testing.small import SmallPlugin
from metasync.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One change of a plan, for a test to look at."""

    profile: str
    operation: Operation
    label: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    state: str


class Engine:
    """One engagement, from its document to its directories."""

    def __init__(
        self,
        folder: Path,
        document: str,
        directories: Mapping[str, MemoryDirectory],
        *,
        plugins: Sequence[object] = (),
        url: str | None = None,
        connector: type[MemoryConnector] = MemoryConnector,
    ) -> None:
        self.folder, self.directories = folder, directories
        self.host = Host.of(MemoryPlugin(dict(directories), connector=connector), SmallPlugin(), *plugins)
        self.url = url or f"sqlite:///{folder / 'metasync.db'}"
        self.ahead = timedelta(0)
        """How far the database's clock is moved."""
        self.backend = self._open()
        self.path = folder / "engagement.yaml"
        self.last: RunOutcome | None = None
        try:
            self.workspace = self.load(document)
        except BaseException:
            self.close()
            raise

    def _open(self) -> Backend:
        backend = open_store(self.url)

        def now(connection: Connection) -> datetime:
            return clock.now(connection) + self.ahead

        vars(backend)["now"] = now
        return backend

    def restart(self) -> None:
        """Nothing of the process stays, only what the database and the directories hold."""
        self.backend.close()
        self.backend = self._open()
        self.workspace = self._workspace(revision.newest(self.backend, self.workspace.engagement.name, self.host))

    def later(self, **time: float) -> None:
        """Move the database's clock: `later(days=90)`."""
        self.ahead += timedelta(**time)

    def load(self, document: str) -> Workspace:
        """Accept a (new) document."""
        self.path.write_text(document, encoding="utf-8")
        checked = load.check(read(self.path), self.host)
        engagement = revision.accept(self.backend, checked, document, "tester", self.host)
        self.workspace = self._workspace(engagement)
        return self.workspace

    def _workspace(self, engagement: Engagement) -> Workspace:
        from metasync.store import directories

        with self.backend.write() as connection:
            engagement_id = revision.engagement_id(connection, engagement.name)
            ids = directories.ensure(connection, engagement_id, {one.name: one.connector for one in engagement.directories.values()})
            former = directories.former(connection, engagement_id, ids.values())
        return Workspace(
            backend=self.backend,
            host=self.host,
            engagement=engagement,
            engagement_id=engagement_id,
            directory_ids=ids,
            former=former,
            secrets=Secrets.of({}),
            author="tester",
        )

    # --- the job -------------------------------------------------------------------------------------------------------------------------

    def import_(self, *names: str, full: bool = False) -> RunOutcome:
        """Import directories (all)."""
        self.last = runs.import_directories(self.workspace, names or list(self.workspace.engagement.directories), full=full)
        return self.last

    def plan(self, *profiles: str, objects: Collection[int] | None = None) -> dict[str, list[Planned]]:
        """Synchronise and freeze; profile -> changes, of those that have any."""
        self.last = runs.plan(self.workspace, profiles or list(self.workspace.engagement.profiles), objects)
        return self.changes(self.last.plans)

    def approve(self, *, beyond: Collection[Operation] = ()) -> list[int]:
        """Approve what the last `plan` froze, unless somebody has."""
        assert self.last is not None
        numbers = self._with_changes(self.last.plans)
        with self.backend.read() as connection:
            waiting = connection.execute(select(plan.c.id).where(plan.c.id.in_(numbers), plan.c.state == "planned")).scalars().all()
        for number in waiting:
            approve(self.workspace, number, reason="a test", beyond=frozenset(beyond))
        return numbers

    def export(self, plans: Sequence[int] | None = None) -> RunOutcome:
        """Export what was approved, and confirm it."""
        assert self.last is not None
        self.last = runs.export(self.workspace, plans if plans is not None else self._with_changes(self.last.plans))
        return self.last

    def cycle(self, *profiles: str, beyond: Collection[Operation] = ()) -> dict[str, list[Planned]]:
        """Import everything, plan, approve, export, confirm; what was planned."""
        self.import_()
        planned = self.plan(*profiles)
        if planned:
            self.approve(beyond=beyond)
            self.export()
        return planned

    def run(self, *profiles: str, approve: bool = False) -> RunOutcome:
        """The whole job in one run, as a schedule does it."""
        self.last = runs.run(self.workspace, profiles or list(self.workspace.engagement.profiles), approve=approve)
        return self.last

    def undo(self, run: int) -> dict[str, list[Planned]]:
        """Plan the way back from a run."""
        self.last = runs.undo(self.workspace, run)
        return self.changes(self.last.plans)

    # --- looking -------------------------------------------------------------------------------------------------------------------------

    def _with_changes(self, plans: Collection[int]) -> list[int]:
        with self.backend.read() as connection:
            return sorted(set(connection.execute(select(change.c.plan_id).where(change.c.plan_id.in_(list(plans)))).scalars()))

    def changes(self, plans: Collection[int]) -> dict[str, list[Planned]]:
        """The changes of plans, by profile, in the order of export."""
        found: dict[str, list[Planned]] = {}
        query = (
            select(change, plan.c.profile.label("of")).join(plan, plan.c.id == change.c.plan_id).where(change.c.plan_id.in_(list(plans)))
        )
        with self.backend.read() as connection:
            for row in connection.execute(query.order_by(change.c.stage, change.c.label, change.c.id)):
                found.setdefault(row.of, []).append(
                    Planned(
                        profile=row.of,
                        operation=Operation(row.operation),
                        label=row.label,
                        before=codec.decode(row.before),
                        after=codec.decode(row.after),
                        state=row.state,
                    )
                )
        return found

    def problems(self) -> list[tuple[str, str, str]]:
        """(area, code, text) of everything that stands."""
        with self.backend.read() as connection:
            return [(row.area, row.code, row.text) for row in connection.execute(select(problem).order_by(problem.c.id))]

    def statuses(self) -> dict[str, int]:
        """status -> number of source objects."""
        found: dict[str, int] = {}
        with self.backend.read() as connection:
            for status in connection.execute(select(sync_state.c.status)).scalars():
                found[status] = found.get(status, 0) + 1
        return found

    def reasons(self, profile: str) -> dict[str, tuple[str, str]]:
        """Source object's label -> (status, reason) under a profile."""
        query = select(object_.c.label, sync_state.c.status, sync_state.c.reason).join(sync_state, sync_state.c.object_id == object_.c.id)
        with self.backend.read() as connection:
            return {row.label: (row.status, row.reason) for row in connection.execute(query.where(sync_state.c.profile == profile))}

    def close(self) -> None:
        """Give everything back."""
        self.backend.close()
