"""The connector: what the engine calls. The work is done in `scan` and `read`, in `change` and `replace`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, ClassVar

import xxhash

from metasync.contract import (
    Change,
    Check,
    Connector,
    Context,
    CursorExpired,
    Found,
    ImportIncomplete,
    Operation,
    Outcome,
    Page,
    ReadRequest,
    Result,
    RightMissing,
    Schema,
    SourceEmpty,
    Unavailable,
)
from metasync_csv.change import Changer, wanted
from metasync_csv.files import Held, exists, file_digest, holding, location, reading
from metasync_csv.header import check_header, check_named, check_planned, read_header, unnamed
from metasync_csv.layout import File, Layout
from metasync_csv.options import CsvOptions
from metasync_csv.read import pages
from metasync_csv.replace import discard, locked, put, settle, stage, sweep
from metasync_csv.scan import Scan, duplicates, emptiness, scan, where_undecodable, widen_field_limit
from metasync_csv.table import Table, Wanted, load
from metasync_csv.values import Cells

KEPT = 48 << 20
"""Bytes of memory for the text of files between the two passes. A larger file is read twice."""

CURSOR = "csv1:"
PRESENT, ABSENT = "+", "-"


class CsvConnector(Connector):
    """One CSV file, or one per kind, as a directory."""

    name: ClassVar[str] = "csv"
    title: ClassVar[str] = "CSV files"
    Options = CsvOptions
    commit_size: ClassVar[int] = 100
    idempotent: ClassVar[frozenset[Operation]] = frozenset(
        {
            Operation.UPDATE,
            Operation.CLEAR,
            Operation.SIGN_IN,
            Operation.RENAME,
            Operation.MOVE,
            Operation.ENABLE,
            Operation.DISABLE,
            Operation.DELETE,
            Operation.MEMBER_ADD,
            Operation.MEMBER_REMOVE,
        }
    )

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        super().__init__(options, context)
        self.layout = Layout(options, context.settings.mark)
        self.cells = Cells(self.layout)
        self._tables: dict[str, Table] = {}

    # -- looking -------------------------------------------------------------------------------------------------------

    def check(self) -> Check:
        """The identity is the resolved path, the anchor column and the header; not the inode, which every replacement changes."""
        identities: list[str] = []
        granted: list[str] = []
        missing: list[str] = []
        warnings: list[str] = []
        headers = self._headers()
        for file in self.layout.files:
            header = headers[file.path]
            path = location(file)
            identities.append(f"{path}; anchor {self.layout.anchor}; header {self.layout.pinned(header)}")
            if not exists(file):
                warnings.append(f"{file.path} does not exist yet; the first write makes it with the columns of `create`")
            else:
                (granted if os.access(path, os.R_OK) else missing).append(f"read {file.path}")
            if self.layout.writable:
                folder = os.path.dirname(path)
                if os.access(folder, os.W_OK | os.X_OK):
                    granted.append(f"write in the folder {folder}")
                else:
                    warnings.append(f"the folder {folder} is not writable: it can be a source, not a target, which is replaced whole")
            if self.layout.mark and self.layout.column_name(self.layout.mark) not in header:
                warnings.append(f"{file.path} has no column {self.layout.mark!r} for the mark; the first create adds it")
        return Check(
            identity="file:" + " | ".join(identities),
            software="CSV",
            granted=tuple(granted),
            missing=tuple(missing),
            warnings=tuple(warnings),
        )

    def discover(self) -> Schema:
        return self.layout.schema(self._headers())

    def _headers(self) -> dict[str, list[str]]:
        """Of each file, by its path, with every column that an option names somewhere in them."""
        try:
            headers = {file.path: self._header(file) for file in self.layout.files}
            check_named(headers, self.layout)
        except ImportIncomplete as error:
            raise Unavailable(str(error)) from error
        return headers

    def _header(self, file: File) -> list[str]:
        widen_field_limit()
        state, advice = "does not exist", "put it there"
        with holding(file) as held:
            if held is not None:
                try:
                    with reading(held, self.layout) as (opened, _):
                        _, header = read_header(opened, file, self.layout)
                except UnicodeDecodeError as error:
                    raise ImportIncomplete(where_undecodable(held, self.layout, error)) from error
                if header:
                    check_header(header, file, self.layout)
                    return header
                state, advice = emptiness(held), "write it again with its header"
        header = list(self.layout.options["create"])
        if not header:
            raise Unavailable(f"{file.path} {state}; {advice}, or name the header of a new target under `create`")
        return header

    # -- reading -------------------------------------------------------------------------------------------------------

    def read(self, request: ReadRequest) -> Iterator[Page]:
        yield from self._pages(request, everything=False)

    def follow(self, request: ReadRequest, cursor: str) -> Iterator[Page]:
        """The same bytes: nothing changed. Other bytes: everything is read again, and what is not listed is gone."""
        if not cursor.startswith(CURSOR):
            raise CursorExpired(f"{cursor[:40]!r} is no cursor of this connector; a full import follows")
        files = self._files(request)
        digests = [file_digest(file) for file in files]
        for file, digest, was_there in zip(files, digests, cursor.rpartition(":")[2], strict=False):
            if digest is None and was_there == PRESENT:
                raise SourceEmpty(f"{file.path} was there at the last import and is gone; it was held and nothing was deleted. Put it back")
        if self._cursor(request, digests) == cursor:
            yield Page(complete=True, cursor=cursor)
        else:
            yield from self._pages(request, everything=True)

    def _pages(self, request: ReadRequest, *, everything: bool) -> Iterator[Page]:
        with ExitStack() as stack:
            held: list[tuple[File, Held | None]] = [(file, stack.enter_context(holding(file))) for file in self._files(request)]
            scans, room = list[Scan](), KEPT
            for file, one in held:
                scans.append(scan(file, one, self.layout, room))
                room = scans[-1].room
            self._check_named(scans)
            # of the bytes of the first pass; the second pass must see the same, or the read does not complete
            cursor = self._cursor(request, [found.digest if found.held else None for found in scans])
            twice = duplicates(scans, self.layout) if scans else {}
            done, total = 0, sum(found.records for found in scans)
            for found in scans:
                for items in pages(found, request, self.layout, self.cells, twice):
                    if self.context.stop.is_set():
                        return  # without saying `complete`
                    self._check_deadline()
                    done += len(items)
                    self.context.progress(done, total, found.file.label)
                    page = Page(items=tuple(items))
                    items.clear()  # nobody but who stores the page holds its items while the next one is made
                    yield page
                    del page
            yield Page(complete=True, cursor=cursor, everything=everything)

    def _check_named(self, scans: Sequence[Scan]) -> None:
        """Raises `ImportIncomplete` for options that name columns which no file has; those that are not read now are asked as well."""
        headers = {found.file.path: found.header for found in scans}
        if unnamed(headers, self.layout):
            check_named({file.path: headers.get(file.path) or self._header(file) for file in self.layout.files}, self.layout)

    def _files(self, request: ReadRequest) -> list[File]:
        return [file for file in self.layout.files if file.kind is None or file.kind in request.kinds]

    def _cursor(self, request: ReadRequest, digests: Sequence[bytes | None]) -> str:
        """Of the bytes, and of all that decides what is read from them; and which files there were."""
        digest = xxhash.xxh3_128(self.layout.fingerprint())
        for kind in sorted(request.kinds):
            digest.update(repr((kind.value, sorted(request.attributes.get(kind, ())))).encode())
        for one in digests:
            digest.update(one or b"missing")
        return f"{CURSOR}{digest.hexdigest()}:{''.join(ABSENT if one is None else PRESENT for one in digests)}"

    def _check_deadline(self) -> None:
        if self.context.deadline is not None and datetime.now(UTC) > self.context.deadline:
            raise Unavailable(f"reading {self.context.directory} took longer than it may; run the import again, or give it more time")

    # -- writing -------------------------------------------------------------------------------------------------------

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        """All changes in memory, then each file replaced once, then the results."""
        yield from self._write(changes)

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        changer = self._changer(changes, self._load(wanted(changes, self.layout)))
        for change in changes:
            yield changer.find(change)

    def _changer(self, changes: Sequence[Change], tables: Mapping[str, Table]) -> Changer:
        """For these changes, all of which were planned on these columns. Raises `Unavailable`."""
        changer = Changer(self.layout, self.cells, tables)
        placed = ((change, changer.table_of(change.kind)) for change in changes)
        check_planned(((change, table.file, table.columns) for change, table in placed if table is not None), self.layout)
        return changer

    def _write(self, changes: Sequence[Change]) -> list[Result]:
        if not self.layout.writable:
            reason = "a file with a `checksum` is a source only; take the option away to write to it"
            return [Result(id=change.id, outcome=Outcome.REJECTED, detail=f"{change.label}: {reason}") for change in changes]
        with ExitStack() as locks:
            for path in sorted({location(file) for file in self.layout.files}):
                self._lock(locks, path)
            tables = self._load()
            changer = self._changer(changes, tables)
            results: list[tuple[Result, Table | None]] = []
            for change in changes:
                result = changer.apply(change)
                table = changer.table_of(change.kind)
                hangs_on = table if result.outcome is Outcome.APPLIED and table is not None and table.dirty else None
                results.append((result, hangs_on))
            failed: dict[int, Callable[[Result], Result]] = {}
            for table in tables.values():
                if table.dirty and (verdict := self._replace(table)) is not None:
                    failed[id(table)] = verdict
            return [failed[id(table)](result) if table is not None and id(table) in failed else result for result, table in results]

    def _lock(self, locks: ExitStack, path: str) -> None:
        try:
            locks.enter_context(locked(path))
            sweep(path)
        except OSError as error:
            raise RightMissing(
                f"{os.path.dirname(path)} cannot be written to: {error.strerror}; nothing was changed. Grant the right there"
            ) from error

    def _load(self, only: Wanted | None = None) -> dict[str, Table]:
        """The files as they are now; parsed again only where their bytes changed since. With `only`, these rows alone, for looking."""
        tables: dict[str, Table] = {}
        try:
            for file in self.layout.files:
                known = self._tables.get(file.path)
                digest = file_digest(file)
                if known is not None and not known.dirty and known.digest == digest:
                    tables[file.path] = known
                else:
                    tables[file.path] = load(file, self.layout, only)
                if only is None:
                    self._tables[file.path] = tables[file.path]
            check_named({path: table.columns for path, table in tables.items()}, self.layout)
        except ImportIncomplete as error:
            raise Unavailable(
                f"a file that an import would not take is neither written nor read back, its changes wait: {error}"
            ) from error
        return tables

    def _replace(self, table: Table) -> Callable[[Result], Result] | None:
        """Replace the file. None: done. Otherwise what the results of its changes become."""
        file, path = table.file, location(table.file)
        self._tables.pop(file.path, None)  # until the replacement is certain, nobody may take this table for the file
        try:
            staged, digest = stage(path, table.write_to)
        except OSError as error:
            return _retry(
                f"{file.path} could not be written beside its old content: {error.strerror}; nothing was changed. Check space and rights"
            )
        try:
            if file_digest(file) != table.digest or location(file) != path:
                discard(staged)
                return _retry(f"{file.path} was changed by somebody else while it was written; nothing was changed")
            put(staged, path)
        except (OSError, Unavailable, ImportIncomplete) as error:
            discard(staged)
            return _retry(f"{file.path} could not be replaced: {error}; nothing was changed")
        try:
            settle(path)
        except OSError as error:
            return _unknown(f"{file.path} was replaced, but it is not certain to survive a power cut: {error.strerror}")
        table.digest, table.dirty = digest, False
        self._tables[file.path] = table
        return None

    def close(self) -> None:
        self._tables.clear()


def _retry(reason: str) -> Callable[[Result], Result]:
    return lambda result: Result(id=result.id, outcome=Outcome.RETRY, detail=reason)


def _unknown(reason: str) -> Callable[[Result], Result]:
    return lambda result: Result(id=result.id, outcome=Outcome.UNKNOWN, detail=reason)
