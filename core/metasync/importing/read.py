"""An import from its beginning to its end: full or delta, page by page, resumed where it was cut off.

A page that was read stays. Nothing is taken for gone, no cursor counts and no reference by a new key is known before the last page said
that nothing is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from metasync import faults as fault
from metasync import garbage
from metasync.blame import blamed
from metasync.contract import (
    ELSEWHERE,
    Connector,
    CursorExpired,
    Follows,
    ImportIncomplete,
    MetasyncError,
    Page,
    ReadRequest,
    Schema,
    SourceEmpty,
)
from metasync.identity import check_identity
from metasync.importing import index, references, tombstones
from metasync.importing.code import code_of
from metasync.importing.compare import Comparison, repeated
from metasync.importing.decide import Decision, Progress, decide
from metasync.importing.marks import Marks
from metasync.importing.request import Request, make_request
from metasync.importing.seen import Seen
from metasync.store import audit, directories, links, match_keys, objects, problems
from metasync.store.directories import CursorRow
from metasync.store.rows import DirectoryRow, Problem, Severity, State
from metasync.synchronising.needs import directory_needs
from metasync.words import failure
from metasync.workspace import Workspace

PAGE = 2000
"""Objects that a connector is asked for at once; they are stored in one transaction."""

COUNTS = ("added", "changed", "gone", "unread", "unchanged", "rejected")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportOutcome:
    """A complete import. One that is not complete raises `ImportIncomplete`, `Unavailable` or `Stopped`, and can be run again."""

    complete: bool = True
    full: bool
    counts: Mapping[str, int]
    """added, changed, gone, unread, unchanged, rejected."""
    problems: Sequence[Problem] = ()
    reason: str = ""
    """Why everything was read; empty for a delta."""


def import_directory(workspace: Workspace, directory: str, *, full: bool | None = None, run_id: int) -> ImportOutcome:
    """Import one directory. `full`: read everything, also where a delta would do.

    Raises `Unavailable`, `ImportIncomplete` (`SourceEmpty` where everything seems to be gone), `AnotherDirectory` and `Stopped`; what was
    stored by then stands, nothing was taken for gone, and the next import goes on.
    """
    with workspace.connector(directory) as connector:
        return _Import(workspace, directory, connector, run_id).run(full=bool(full))


class _Import:
    """One import. Its methods are called in the order in which they stand."""

    def __init__(self, workspace: Workspace, directory: str, connector: Connector, run_id: int) -> None:
        self.workspace, self.directory, self.connector, self.run_id = workspace, directory, connector, run_id
        self.backend = workspace.backend
        self.id = workspace.directory_ids[directory]
        self.schema: Schema | None = None
        self.total: int | None = None
        self.done = 0

    def run(self, *, full: bool) -> ImportOutcome:
        check_identity(self.workspace, self.directory, self.connector, pin=True)
        request = self.request()
        if not request.kinds:
            return ImportOutcome(full=False, counts=dict.fromkeys(COUNTS, 0), reason="no profile needs anything of this directory")
        self.settle_first_load(request)
        index.rebuild(self.backend, self.row(), request)
        with blamed(self.connector.name):
            streams = self.connector.streams(request.kinds)
        decision = self.decision(request, streams, full=full)
        if decision.reason:
            return self.everything(request, streams, decision)
        try:
            return self.delta(request, decision.cursors)
        except CursorExpired as expired:
            return self.everything(request, streams, Decision(reason=f"the last cursor does not hold any more ({expired})"))

    def everything(self, request: Request, streams: Sequence[str], decision: Decision) -> ImportOutcome:
        """A full import, and what has to follow for it to be one."""
        outcome = self.full(request, streams, decision)
        further = self.request()
        if any(further.attributes[kind] != request.attributes[kind] for kind in request.kinds):
            # References turned out to be by an attribute that had not been asked for: without it they would mean nothing.
            again = self.full(further, streams, Decision(reason=decision.reason))
            added = outcome.counts["added"]
            counts = {**again.counts, "added": again.counts["added"] + added, "changed": max(0, again.counts["changed"] - added)}
            return replace(again, counts=counts)
        if decision.resumed:
            return self.catch_up(further, streams, outcome, recent=decision.recent)
        return outcome

    def catch_up(self, request: Request, streams: Sequence[str], outcome: ImportOutcome, *, recent: bool) -> ImportOutcome:
        """What changed while a resumed import lay still."""
        following = self.decision(request, streams, full=False)
        if following.reason and recent:
            return outcome
        if following.reason:
            return self.everything(request, streams, Decision(reason=f"the import lay still for too long ({following.reason})"))
        try:
            since = self.delta(request, following.cursors)
        except CursorExpired as expired:
            return self.everything(request, streams, Decision(reason=f"the import lay still for too long ({expired})"))
        counts = {name: outcome.counts[name] + since.counts[name] for name in COUNTS}
        return replace(outcome, counts=counts, problems=(*outcome.problems, *since.problems))

    def row(self) -> DirectoryRow:
        with self.backend.read() as connection:
            return directories.get(connection, self.id)

    def request(self) -> Request:
        if self.schema is None:
            with blamed(self.connector.name):
                self.schema = self.connector.discover()
            with self.backend.write() as connection:
                directories.set_schema(connection, self.id, self.schema)
        with self.backend.read() as connection:
            link_keys = {key for key in links.key_names(connection, self.id) if not key.startswith(ELSEWHERE)}
        engagement = self.workspace.engagement
        needs = directory_needs(engagement, self.workspace.host, self.schema, self.directory)
        return make_request(engagement.directories[self.directory], self.schema, needs, link_keys, code_of(type(self.connector)))

    def settle_first_load(self, request: Request) -> None:
        """A first load that was cut off: from now on there is something to compare with."""
        with self.backend.read() as connection:
            row = directories.get(connection, self.id)
            open_load = objects.any_objects(connection, self.id) and row.completed is None
            unordered = not objects.has_anchor_index(connection, self.id)
            cut = [one for cursor in directories.cursors(connection, self.id).values() if (one := Progress.of(cursor.resume))]
        if not open_load:
            return
        if unordered:
            # Whom it showed twice is its finding: it stands if that load is resumed, and falls if all is read anew.
            run_id = max((run for one in cut for run in one.runs), default=self.run_id)
            self.build_anchors(self.comparison(request, generation=row.generation, earlier=Seen(), full=True, first=True, run_id=run_id))
            self.backend.gather_statistics()
        references.resolve_all(self.backend, self.id, keys=True)

    def decision(self, request: Request, streams: Sequence[str], *, full: bool) -> Decision:
        """Full or delta, and why."""
        with self.backend.read() as connection:
            row, cursors = directories.get(connection, self.id), directories.cursors(connection, self.id)
            now = self.backend.now(connection)
        return decide(self.connector, row, cursors, now, request, streams, full=full)

    # Delta

    def delta(self, request: Request, cursors: Mapping[str, str]) -> ImportOutcome:
        comparison = self.comparison(request, generation=self.row().generation, earlier=Seen(), full=False, first=False)
        ends: dict[str, Page] = {}
        for stream, cursor in cursors.items():
            assert isinstance(self.connector, Follows)
            for page in self.pages(self.connector.follow(self.ask(request, stream), cursor)):
                self.store(comparison, page)
                ends[stream] = page
        if all(page.everything for page in ends.values()):
            self.settle(request, comparison, same_scope=True)
        elif not set(self.row().requested or ()) <= {kind.value for kind in request.kinds}:
            tombstones.drop_kinds(self.backend, self.id, request=request, comparison=comparison)
        if comparison.unknown_patched:
            text = f"{self.directory} told of changes to {comparison.unknown_patched:,} objects that are not known; "
            text += "the next import reads everything"
            with self.backend.write() as connection:
                comparison.problem(connection, Problem(code="unknown object", text=text, severity=Severity.NOTICE, anchor=self.directory))
        rows = [
            CursorRow(stream=stream, cursor=None if comparison.unknown_patched else page.cursor or cursors[stream])
            for stream, page in ends.items()
        ]
        self.learn_keys(request, comparison)
        return self.finish(request, comparison, rows, reason="")

    # Full

    def full(self, request: Request, streams: Sequence[str], decision: Decision) -> ImportOutcome:
        row = self.row()
        resumed = decision.resumed
        runs = [self.run_id]
        with self.backend.read() as connection:
            progress = Progress(request=request.digest, runs=runs, began=self.backend.now(connection).isoformat())
            first = not objects.any_objects(connection, self.id)
            earlier = Seen(objects.get_seen(connection, self.id, row.generation)) if resumed else Seen()
            self.total = objects.total(connection, self.id) or None
        self.done = len(earlier)
        if resumed:
            generation = row.generation
            progress.kept = True
            known = [one for cursor in resumed.values() if (one := Progress.of(cursor.resume))]
            progress.runs = sorted({run for one in known for run in one.runs} | set(runs))
            progress.began = min(one.began for one in known)
            open_streams = dict(resumed)
        else:
            generation = row.generation + 1
            open_streams = {
                stream: CursorRow(stream=stream, cursor=None, resume=progress.text(None), generation=generation) for stream in streams
            }
            with self.backend.write("import.begin") as connection:
                directories.put_cursors(connection, self.workspace.engagement_id, self.id, open_streams.values())
                directories.set_generation(connection, self.id, generation)
                objects.forget_seen(connection, self.id)
                if first:
                    directories.not_complete(connection, self.id)
                    objects.drop_indexes(connection, self.id)
            if first:
                with self.backend.write() as connection:
                    match_keys.drop_index(connection, self.id)
        comparison = self.comparison(request, generation=generation, earlier=earlier, full=True, first=first)
        if resumed:
            comparison.seen.fresh = []
        finished = [self.stream(request, comparison, one, progress) for one in open_streams.values()]
        if first:
            self.build_anchors(comparison)
            self.backend.gather_statistics()
            references.resolve_all(self.backend, self.id, keys=bool(request.link_keys))
        self.settle(request, comparison, same_scope=row.scope in (None, request.scope))
        self.learn_keys(request, comparison)
        return self.finish(request, comparison, finished, reason=decision.reason, runs=progress.runs)

    def stream(self, request: Request, comparison: Comparison, row: CursorRow, progress: Progress) -> CursorRow:
        """Read one stream to its end, or from where it was left; what its cursor is once the import is complete."""
        if row.taken is not None:
            return CursorRow(stream=row.stream, cursor=row.cursor, taken=row.taken)
        known = Progress.of(row.resume)
        token = known.token if known else None
        cursor: str | None = None
        taken: datetime | None = None
        asked = self.ask(request, row.stream, token, first=comparison.first)
        for page in self.pages(self.connector.read(asked)):
            if page.resume is not None and not progress.kept:
                # From now on the import can be resumed: keep what it has seen up to here, and what it will see.
                progress.kept, comparison.seen.fresh = True, list(comparison.seen)
            token, cursor = page.resume, page.cursor
            if page.complete:
                with self.backend.read() as connection:
                    taken = self.backend.now(connection)
            self.store(
                comparison,
                page,
                CursorRow(stream=row.stream, cursor=cursor, resume=progress.text(token), generation=row.generation, taken=taken),
            )
        return CursorRow(stream=row.stream, cursor=cursor, taken=taken)

    def build_anchors(self, comparison: Comparison) -> None:
        """After a first load: find keys, make anchors unique, and believe neither of two objects that share one."""
        with self.backend.write() as connection:
            match_keys.build_index(connection, self.id)
        try:
            with self.backend.write() as connection:
                objects.build_indexes(connection, self.id)
            return
        except IntegrityError:
            pass  # looked into below
        with self.backend.write() as connection:
            for anchor, found in objects.repeated_anchors(connection, self.id).items():
                first, *others = found
                objects.remove(connection, [object_id for object_id, _ in others])
                if any(digest != first[1] for _, digest in others):
                    objects.set_state(self.backend, connection, [first[0]], State.UNREAD, self.run_id)
                    comparison.counts["rejected"] += len(others)
                    comparison.problem(connection, repeated(first[0], anchor))
                comparison.seen.discard(object_id for object_id, _ in others)
                comparison.counts["added"] -= len(others)
        # Of its own: whoever has changed rows and then waits to index them waits for another load that does the same.
        with self.backend.write() as connection:
            objects.build_indexes(connection, self.id)

    def learn_keys(self, request: Request, comparison: Comparison) -> None:
        """References by an attribute that was not looked up before: make it a match key, then find what they mean."""
        learned = {key for key in comparison.link_keys if not key.startswith(ELSEWHERE)}
        if learned - {references.ANCHOR} <= request.link_keys:
            return
        index.rebuild(self.backend, self.row(), self.request())

    # Both

    def comparison(
        self, request: Request, *, generation: int, earlier: Seen, full: bool, first: bool, run_id: int | None = None
    ) -> Comparison:
        with self.backend.read() as connection:
            marks = Marks(self.workspace, self.directory, connection)
            known = problems.known(connection, self.workspace.engagement_id, problems.IMPORT, self.directory)
        return Comparison(
            backend=self.backend,
            engagement_id=self.workspace.engagement_id,
            directory=self.directory,
            directory_id=self.id,
            request=request,
            generation=generation,
            run_id=run_id or self.run_id,
            marks=marks,
            known_problems=known,
            earlier=earlier,
            full=full,
            first=first,
        )

    def ask(self, request: Request, stream: str, resume: str | None = None, *, first: bool = False) -> ReadRequest:
        return ReadRequest(
            stream=stream,
            kinds=request.kinds,
            attributes=request.attributes,
            under=request.under,
            page_size=PAGE,
            resume=resume,
            versions=request.basis is not None,
            compares=request.basis is not None and not first,
        )

    def pages(self, read: Iterator[Page]) -> Iterator[Page]:
        """The pages, if they end with one that says complete."""
        complete = False
        fault.point("import.before_read")
        for page in self.read_by_plugin(read):
            fault.point("import.after_read")
            if complete:
                raise ImportIncomplete(f"{self.directory} went on after it had said that everything was read; nothing was deleted")
            complete = page.complete
            yield page
            self.workspace.check_stop()
            fault.point("import.before_read")
        if not complete:
            self.workspace.check_stop()
            raise ImportIncomplete(f"{self.directory} stopped before everything was read; nothing was deleted. Run the import again")

    def read_by_plugin(self, read: Iterator[Page]) -> Iterator[Page]:
        """A plugin's own mistake breaks this import off, and no other; it may not end the program either."""
        pages = iter(read)
        while True:
            try:
                with garbage.paused():
                    page = next(pages)
            except StopIteration:
                return
            except MetasyncError:
                raise
            except (Exception, SystemExit) as error:
                text = f"the connector {self.connector.name} failed: {failure(error)}; this is a mistake in the plugin, tell its author"
                raise ImportIncomplete(f"{self.directory} was not read to its end, and nothing was deleted: {text}") from error
            yield page

    def store(self, comparison: Comparison, page: Page, progress: CursorRow | None = None) -> None:
        """One page, what follows from it, and how far the import came, in one transaction."""
        with garbage.paused():
            self._store(comparison, page, progress)
        self.done += len(page.items)
        self.workspace.report(self.done, max(self.total, self.done) if self.total else None, f"importing {self.directory}")

    def _store(self, comparison: Comparison, page: Page, progress: CursorRow | None) -> None:
        # Nobody else need wait for what needs no database.
        batches = comparison.prepare(page.items)
        with self.backend.write("import.page") as connection:
            for batch in batches:
                comparison.store(connection, batch)
            if progress is not None:
                if comparison.seen.fresh:
                    objects.add_seen(self.backend, connection, self.id, comparison.seen.fresh)
                    comparison.seen.fresh = []
                if progress.taken is not None or comparison.seen.fresh is not None:
                    directories.put_cursor(connection, self.id, progress)

    def settle(self, request: Request, comparison: Comparison, *, same_scope: bool) -> None:
        try:
            tombstones.settle(
                self.backend,
                self.connector,
                self.directory,
                self.id,
                request=request,
                comparison=comparison,
                same_scope=same_scope,
            )
        except SourceEmpty:
            # What was read is not to be gone on from: the next import asks anew.
            with self.backend.write() as connection:
                directories.put_cursors(connection, self.workspace.engagement_id, self.id, ())
            raise

    def finish(
        self, request: Request, comparison: Comparison, cursors: Sequence[CursorRow], *, reason: str, runs: Sequence[int] = ()
    ) -> ImportOutcome:
        """The import is complete: from here its cursors count."""
        references.connect_elsewhere(self.workspace)
        counts = {name: comparison.counts[name] for name in COUNTS}
        engagement_id = self.workspace.engagement_id
        detail: dict[str, Any] = {"run": self.run_id, "full": bool(reason), "reason": reason, **counts}
        with self.backend.write("import.end", durable=True) as connection:
            directories.put_cursors(connection, engagement_id, self.id, cursors)
            requested = {kind.value: names for kind, names in request.attributes.items()}
            directories.complete(connection, self.id, at=self.backend.now(connection), requested=requested, scope=request.scope)
            objects.forget_seen(connection, self.id)
            if reason:
                problems.clear_others(connection, engagement_id, problems.IMPORT, self.directory, runs)
            audit.append(connection, engagement_id, self.workspace.author, "import", self.directory, detail)
        return ImportOutcome(full=bool(reason), counts=counts, problems=tuple(comparison.problems), reason=reason)
