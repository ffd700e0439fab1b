"""`MemoryConnector`: the reference of what a connector is, with every capability.

Reading and following live here; what a write may do is in `writing`. Mutants override its small methods, one broken promise each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from marshmallow import fields, validate

from metasync.contract import (
    Change,
    Check,
    Connector,
    Context,
    CursorExpired,
    Entry,
    Estimate,
    Found,
    Gone,
    ImportIncomplete,
    Item,
    Kind,
    MetasyncError,
    Objection,
    Operation,
    Options,
    OptionsError,
    Page,
    Patch,
    Presence,
    ReadRequest,
    Reference,
    Result,
    Schema,
    Secret,
    Unavailable,
    Values,
    option,
)
from metasync.testing.memory.directory import MemoryDirectory
from metasync.testing.memory.index import Index, Stored
from metasync.testing.memory.names import folded
from metasync.testing.memory.writing import PROTECTED, REMEDY, Writer
from metasync.testing.values import as_tuple

if TYPE_CHECKING:
    from metasync.testing.memory.plugin import Directories


A_SECOND = 1000
"""What a directory in memory takes at least."""


class MemoryOptions(Options):
    """Which directory, and how it is read."""

    store = option(fields.String(load_default=None), title="Store", help="The name under which the test registered its directory.")
    file = option(fields.String(load_default=None), title="File", help="Keep the directory in this file, so that it outlives the process.")
    base = option(
        fields.String(load_default=None), title="Base", help="The topmost path of a directory that a file is made for.", advanced=True
    )
    streams = option(
        fields.String(load_default="all", validate=validate.OneOf(["all", "kinds"])),
        title="Streams",
        help="Read all kinds in one stream, or each kind in a stream of its own.",
        advanced=True,
    )
    deltas = option(
        fields.String(load_default="changes", validate=validate.OneOf(["changes", "everything"])),
        title="Deltas",
        help="A delta names what changed and what is gone, or lists everything that is there.",
        advanced=True,
    )
    password = Secret(title="Password", help="If it is given, it is asked for at every sign-in; any value will do.")


class MemoryConnector(Connector):
    """Reads, follows and changes a `MemoryDirectory`."""

    name = "memory"
    title = "A directory in memory, for tests and trials"
    Options = MemoryOptions
    commit_size = 20
    idempotent = frozenset(Operation) - {Operation.CREATE}
    Writer: ClassVar[type[Writer]] = Writer
    """Who applies one change."""
    directories: ClassVar[Directories]
    """Which directories the options can name; `MemoryPlugin` binds it."""

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        super().__init__(options, context)
        if not options.get("store") and not options.get("file"):
            raise OptionsError("a memory directory needs the option store or file; name one of them")

    @property
    def directory(self) -> MemoryDirectory:
        """The directory, if it can be reached. Raises `Unavailable`."""
        directory = self.directories.open(self.options)
        if directory.faults.unavailable:
            raise Unavailable(f"the memory directory cannot be reached: {directory.faults.unavailable}")
        if self.options.get("password") is not None:
            self.context.secret(self.options["password"])
        return directory

    def check(self) -> Check:
        return Check(
            identity=self.directory.identity, software="memory", granted=("read everything", "write everything", "restore deleted objects")
        )

    def discover(self) -> Schema:
        return self.directory.schema

    def streams(self, kinds: Collection[str]) -> tuple[str, ...]:
        return tuple(sorted(str(kind) for kind in kinds)) if self.options.get("streams") == "kinds" else ("all",)

    # Reading

    def read(self, request: ReadRequest) -> Iterator[Page]:
        directory = self.directory
        with directory.shown() as (index, sequence):
            anchors = sorted(index.objects)
        if request.resume:
            # The cursor of a resumed read is the one of its first part: what changed in between is older than now.
            start, _, last = request.resume.partition(":")
            sequence, anchors = int(start), [anchor for anchor in anchors if anchor > last]
        cursor = self.cursor(directory, sequence)
        yield from self.paged(directory, request, cursor, anchors, lambda last: f"{sequence}:{last}", self.entry)

    def entry(self, anchor: str, index: Index, request: ReadRequest) -> Item | None:
        """An object as a read delivers it; None if it is not asked for, or gone meanwhile."""
        stored = index.live(anchor)
        if stored is None or stored.kind not in self.kinds(request) or not self.below(stored, index, request):
            return None
        return Entry(anchor=anchor, kind=stored.kind, attributes=self.requested(stored, index, request))

    def requested(self, stored: Stored, index: Index, request: ReadRequest) -> dict[str, Values]:
        """The attributes that were asked for; what has no value is absent."""
        wanted = request.attributes.get(stored.kind, frozenset()) | {"anchor"}
        return {name: values for name, values in self.directory.attributes(stored, index).items() if name in wanted}

    def kinds(self, request: ReadRequest) -> frozenset[Kind]:
        """The kinds that this stream is about."""
        return request.kinds if request.stream == "all" else request.kinds & {Kind(request.stream)}

    def below(self, stored: Stored, index: Index, request: ReadRequest) -> bool:
        """Is it under one of the paths that were asked for?"""
        if not request.under:
            return True
        path = folded(self.directory.path(stored, index))
        return any(path == folded(one) or path.endswith("," + folded(one)) for one in request.under)

    def paged(
        self,
        directory: MemoryDirectory,
        request: ReadRequest,
        cursor: str,
        anchors: Sequence[str],
        resume: Callable[[str], str | None],
        make: Callable[[str, Index, ReadRequest], Item | None],
        *,
        everything: bool = False,
    ) -> Iterator[Page]:
        """Make one item of each anchor, at the moment when its page is asked for; the last page says complete."""
        pages, last = 0, ""
        items: list[Item] = []
        for number, anchor in enumerate(anchors):
            if self.context.stop.is_set():
                return
            with directory.shown() as (index, _):
                item = make(anchor, index, request)
            if item is not None:
                if len(items) == request.page_size:
                    yield Page(items=tuple(items), resume=resume(last))
                    pages += 1
                    items.clear()
                    self.break_off(directory, pages)
                    self.context.progress(number, len(anchors), "reading")
                items.append(item)
            last = anchor
        self.break_off(directory, max(pages, 1) if items else pages, last=True)
        yield Page(items=tuple(items), complete=True, cursor=cursor, everything=everything)

    def break_off(self, directory: MemoryDirectory, pages: int, *, last: bool = False) -> None:
        """Act out the faults of reading. A fault that the read is too short for strikes before its last page."""
        faults = directory.faults
        if faults.unavailable:
            raise Unavailable(f"the memory directory went away: {faults.unavailable}")
        if (after := faults.cut_after_pages) is not None and (pages >= after or last):
            faults.cut_after_pages = None
            raise Unavailable(f"the connection broke after {pages} pages; run the import again")
        if (after := faults.incomplete_after_pages) is not None and (pages >= after or last):
            faults.incomplete_after_pages = None
            raise ImportIncomplete(f"the directory stopped after {pages} pages and has more; run the import again")

    # Following

    def cursor(self, directory: MemoryDirectory, sequence: int) -> str:
        """Where a delta starts: the directory, and its last change."""
        return f"{directory.identity}:{sequence}"

    def since(self, directory: MemoryDirectory, cursor: str) -> int:
        """The number that a cursor holds. Raises `CursorExpired`."""
        identity, _, number = cursor.rpartition(":")
        if identity != directory.identity or not number.isdecimal() or not directory.horizon <= int(number):
            raise CursorExpired("the memory directory does not know this cursor; a full import follows")
        return int(number)

    def follow(self, request: ReadRequest, cursor: str) -> Iterator[Page]:
        directory = self.directory
        since = self.since(directory, cursor)
        with directory.shown() as (index, sequence):
            everything = self.options.get("deltas") == "everything"
            anchors = [s.anchor for s in index.objects.values() if everything or s.born > since or max(self.touched(s), default=0) > since]

        def make(anchor: str, index: Index, request: ReadRequest) -> Item | None:
            return self.entry(anchor, index, request) if everything else self.difference(index.objects[anchor], index, request, since)

        yield from self.paged(directory, request, self.cursor(directory, sequence), anchors, lambda _: None, make, everything=everything)

    @staticmethod
    def touched(stored: Stored) -> list[int]:
        """When its attributes and members last changed."""
        return [*stored.changed.values(), *stored.joined.values()]

    def difference(self, stored: Stored, index: Index, request: ReadRequest, since: int) -> Item | None:
        """What a delta says of one object."""
        if stored.kind not in self.kinds(request):
            return None
        if stored.deleted:
            return Gone(anchor=stored.anchor)
        if stored.born > since or (stored.changed.get("path", 0) > since and self.below(stored, index, request)):
            return self.entry(stored.anchor, index, request)
        if not self.below(stored, index, request) and stored.changed.get("path", 0) <= since:
            return None
        wanted = request.attributes.get(stored.kind, frozenset())
        values = self.requested(stored, index, request)
        joined = [member for member, when in stored.joined.items() if when > since] if "members" in wanted else []
        patch = Patch(
            anchor=stored.anchor,
            kind=stored.kind,
            attributes={
                name: values.get(name) for name, when in stored.changed.items() if when > since and name in wanted and name != "members"
            },
            added=_members(member for member in joined if member in stored.members),
            removed=_members(member for member in joined if member not in stored.members),
        )
        return patch if patch.attributes or patch.added or patch.removed else None

    # Writing

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        if len(changes) > self.commit_size:
            raise MetasyncError(f"{len(changes)} changes in one call, {self.commit_size} allowed; give fewer")
        for change in changes:
            yield self.Writer(self.directory, self.context, changes).apply(change)

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        for change in changes:
            directory = self.directory
            with directory.shown() as (index, _):
                yield self.found(change, directory, index)

    def found(self, change: Change, directory: MemoryDirectory, index: Index) -> Found:
        """One read-back. While the directory lags, what is not seen may yet be there."""
        stored, by_mark = index.live(change.anchor), False
        if change.operation is Operation.CREATE:
            stored, by_mark = self.Writer(directory, self.context).planned(change, index)
        if stored is None:
            presence = Presence.UNKNOWN if directory.lags else Presence.ABSENT
            return Found(id=change.id, presence=presence, anchor=change.anchor, detail=f"{change.label} is not there")
        present = directory.attributes(stored, index)
        if change.member is not None:
            seen: dict[str, Values] = {"members": (change.member,)} if change.member.value in stored.members else {}
        else:
            seen = {name: present[name] for name in {*change.before, *change.after} if name in present}
        return Found(id=change.id, presence=Presence.PRESENT, anchor=stored.anchor, by_mark=by_mark, attributes=seen)

    # Further capabilities

    @classmethod
    def estimate(cls, options: Mapping[str, Any], writes: Mapping[Operation, int]) -> Estimate | None:
        number = sum(writes.values())
        return Estimate(lasts=timedelta(seconds=number / A_SECOND), words=f"{number:,} writes at {A_SECOND:,} a second") if number else None

    def review(self, changes: Sequence[Change]) -> Iterator[Objection]:
        for change in changes:
            if self.directory.protected(change.anchor, change.after.get("name")):
                yield Objection(change=change.id, reason=PROTECTED, remedy=REMEDY)

    def taken(self, attribute: str, values: Collection[str]) -> frozenset[str]:
        reserved = self.directory.reserved(attribute)
        return frozenset(value for value in values if value.casefold() in reserved)

    def restorable(self, anchors: Collection[str]) -> Mapping[str, str]:
        directory = self.directory
        return {anchor: "" for anchor in anchors if directory.restorable(anchor)}

    def set_password(self, anchor: str, password: str, *, must_change: bool) -> None:
        self.directory.set_password(anchor, password, must_change=must_change)

    def password_hashes(self, anchors: Collection[str]) -> Iterator[tuple[str, bytes]]:
        with self.directory.shown() as (index, _):
            kept = [(anchor, stored.nt_hash) for anchor in anchors if (stored := index.live(anchor)) is not None]
        return ((anchor, bytes.fromhex(nt_hash)) for anchor, nt_hash in kept if nt_hash)

    def set_password_hash(self, anchor: str, nt_hash: bytes) -> None:
        if len(nt_hash) != 16:
            raise MetasyncError("an NT hash has 16 bytes; the hash of this account was not written")
        self.directory.set_nt_hash(anchor, nt_hash)

    def add_sid_history(self, anchor: str, sid: str) -> None:
        directory = self.directory
        present = directory.get(anchor)
        if present is None:
            raise MetasyncError(f"there is no object {anchor}; import the directory again")
        held = as_tuple(present.get("sIDHistory"))
        directory.change(anchor, sIDHistory=(*(one for one in held if one != sid), sid))


def _members(anchors: Iterator[str]) -> dict[str, tuple[Reference, ...]]:
    found = tuple(Reference(value=anchor) for anchor in anchors)
    return {"members": found} if found else {}
