"""`connector: ad`: the contract's methods, each handed to the module that does it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from metasync.contract import (
    Change,
    Check,
    Connector,
    Context,
    Found,
    Operation,
    Page,
    ReadRequest,
    Result,
    RightMissing,
    Schema,
    Unavailable,
)
from metasync_ad import cursor as cursors
from metasync_ad import errors, rights, schema
from metasync_ad.attributes import Codec
from metasync_ad.errors import Refused
from metasync_ad.following import Follower
from metasync_ad.options import ADOptions
from metasync_ad.readback import Finder
from metasync_ad.reading import Reader
from metasync_ad.restoring import Restorer
from metasync_ad.session import Session
from metasync_ad.settings import Settings
from metasync_ad.writing import Writer


class ActiveDirectory(Connector):
    """One domain of Active Directory, by one domain controller at a time."""

    name: ClassVar[str] = "ad"
    title: ClassVar[str] = "Active Directory (LDAPS or StartTLS)"
    Options = ADOptions
    commit_size: ClassVar[int] = 100
    idempotent: ClassVar[frozenset[Operation]] = frozenset(Operation) - {Operation.CREATE, Operation.PASSWORD, Operation.SID}
    """Each is compared with what is there first; a create is recognised by its mark or its name."""

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        super().__init__(options, context)
        self.settings = Settings.of(options)
        self.session = Session(self.settings, context)
        self._codec: Codec | None = None

    @property
    def codec(self) -> Codec:
        """By the directory's schema, read once."""
        if self._codec is None:
            self._codec = Codec(schema.load(self.session))
        return self._codec

    def check(self) -> Check:
        """The domain's SID, and what our account may do."""
        with _Explained(self, "checking the rights"):
            return rights.check(self.session, self.settings, self.context.settings.mark)

    def discover(self) -> Schema:
        """From the schema partition."""
        with _Explained(self, "reading the schema"):
            return schema.describe(self.codec.schema)

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """All kinds in one stream. See `Reader` for what becomes of a read that is interrupted."""
        with _Explained(self, "reading"):
            follower = Follower(self.session, self.codec, self.settings, self.context, request)
            cursor, why = cursors.begin(self.session, self.settings, bool(follower.mirrored))
        if why:
            self.context.logger.warning("%s: the next import reads everything again: %s", self.context.directory, why)
        yield from Reader(self.session, self.codec, self.settings, self.context, request).read(cursor)

    def follow(self, request: ReadRequest, cursor: str) -> Iterator[Page]:
        """What changed since then, as the controller of the cursor tells. See `Follower`."""
        known = cursors.Cursor.of(cursor)
        self.session.prefer(known.controller)
        with _Explained(self, "asking for changes"):
            cursors.check(self.session, self.settings, known)
            yield from Follower(self.session, self.codec, self.settings, self.context, request).follow(known)

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        """See `Writer`."""
        with _Explained(self, "reading what is there"):
            yield from Writer(self.session, self.codec, self.settings, self.context).write(changes)

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        """See `Finder`."""
        with _Explained(self, "reading back"):
            yield from Finder(self.session, self.codec, self.context, self.settings.base).find(changes)

    def restorable(self, anchors: Collection[str]) -> Mapping[str, str]:
        """See `Restorer`."""
        with _Explained(self, "looking for deleted objects"):
            return Restorer(self.session, self.codec, self.context, self.settings.base).restorable(anchors)

    def close(self) -> None:
        """Give back the connection."""
        self.session.close()


class _Explained:
    """A refusal that concerns no single change ends the call, in words."""

    def __init__(self, connector: ActiveDirectory, doing: str) -> None:
        self.connector, self.doing = connector, doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Refused):
            words = errors.outcome(error, self.doing)[1]
            raise (RightMissing if error.code == 50 else Unavailable)(f"{self.connector.session.server}: {words}") from None
