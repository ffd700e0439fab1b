"""`connector: ad`: the contract's methods, each handed to the module that does it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from metasync.contract import (
    Change,
    Check,
    Connector,
    Context,
    Found,
    ImportIncomplete,
    Operation,
    Page,
    ReadRequest,
    Result,
    RightMissing,
    Schema,
    Unavailable,
)
from metasync_ad import cursor as cursors
from metasync_ad import domains, errors, lines, rights, schema, taken
from metasync_ad.attributes import Codec
from metasync_ad.domains import Domain
from metasync_ad.errors import Refused
from metasync_ad.following import Follower
from metasync_ad.options import ADOptions
from metasync_ad.readback import Finder
from metasync_ad.reading import Reader
from metasync_ad.restoring import Restorer
from metasync_ad.scope import bases
from metasync_ad.session import Session
from metasync_ad.settings import Settings
from metasync_ad.writing import Writer


class ActiveDirectory(Connector):
    """One domain of Active Directory, by one domain controller at a time; or several naming contexts of one forest, each so."""

    name: ClassVar[str] = "ad"
    title: ClassVar[str] = "Active Directory (LDAPS or StartTLS)"
    Options = ADOptions
    commit_size: ClassVar[int] = 100
    idempotent: ClassVar[frozenset[Operation]] = frozenset(Operation) - {Operation.CREATE, Operation.PASSWORD, Operation.SID}
    """Each is compared with what is there first; a create is recognised by its mark or its name."""

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        super().__init__(options, context)
        self.settings = Settings.of(options)
        self.domains = domains.split(self.settings, context)
        self.connections = sum(one.lines.number for one in self.domains)
        self.session: Session = self.domains[0].session
        """Of the document's own domain."""
        self._codec: Codec | None = None
        self._silent = False
        """It could not be asked for what is taken, and is not asked again."""

    @property
    def codec(self) -> Codec:
        """By the directory's schema, read once."""
        if self._codec is None:
            self._codec = Codec(schema.load(self.session))
        return self._codec

    @property
    def _several(self) -> bool:
        return len(self.domains) > 1

    def check(self) -> Check:
        """The domain's SID, and what our account may do."""
        with _Explained(self, "checking the rights"):
            document = self.context.settings
            of_domain = [replace(document, places=domains.places(self.domains, one, document.places)) for one in self.domains]
            first = rights.check(self.session, self.settings, of_domain[0])
            further = zip(self.domains[1:], of_domain[1:], strict=True)
            return domains.merged([first, *(rights.check_further(one.session, one.settings, own) for one, own in further)])

    def discover(self) -> Schema:
        """From the schema partition, which is one for the forest."""
        with _Explained(self, "reading the schema"):
            return schema.describe(self.codec.schema)

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """All kinds in one stream. See `Reader` for what becomes of a read that is interrupted."""
        if self._several:
            return domains.read(self.domains, self._within(request), self._read, self._follow)
        return self._read(self.domains[0], request)

    def _read(self, domain: Domain, request: ReadRequest) -> Iterator[Page]:
        session, settings = domain.session, domain.settings
        with _Explained(self, "reading"):
            follower = Follower(session, self.codec, settings, self.context, request)
            cursor, why = cursors.begin(session, settings, self.codec.schema, bool(follower.mirrored))
            if why:
                self.context.logger.warning("%s: the next import reads everything again: %s", self.context.directory, why)
            yield from Reader(domain.lines, self.codec, settings, self.context, request).read(cursor, follower.follow)

    def follow(self, request: ReadRequest, cursor: str) -> Iterator[Page]:
        """What changed since then, as the controller of the cursor tells. See `Follower`."""
        if self._several:
            return domains.follow(self.domains, self._within(request), cursor, self._follow)
        return self._follow(self.domains[0], request, cursor)

    def _follow(self, domain: Domain, request: ReadRequest, cursor: str) -> Iterator[Page]:
        known = cursors.Cursor.of(cursor)
        session, settings = domain.session, domain.settings
        session.prefer(known.controller)
        with _Explained(self, "asking for changes"):
            cursors.check(session, settings, self.codec.schema, known)
            yield from Follower(session, self.codec, settings, self.context, request).follow(known)

    def _within(self, request: ReadRequest) -> ReadRequest:
        """What request and options both allow, so that each domain is asked for its own part alone."""
        return replace(request, under=tuple(bases(self.settings, request.under))) if self.settings.under else request

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        """See `Writer`."""
        with _Explained(self, "reading what is there"):
            codec = self.codec  # read before several lines ask for it
            for domain, own in self._routed(changes):
                yield from lines.write(
                    domain.lines, own, lambda session, share: Writer(session, codec, session.settings, self.context).write(share)
                )

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        """See `Finder`."""
        with _Explained(self, "reading back"):
            for domain, own in self._routed(changes):
                yield from Finder(domain.session, self.codec, self.context, domain.base).find(own)

    def _routed(self, changes: Sequence[Change]) -> Iterable[tuple[Domain, Sequence[Change]]]:
        return domains.routed(self.domains, changes) if self._several else [(self.domains[0], changes)]

    def taken(self, attribute: str, values: Collection[str]) -> frozenset[str]:
        """See `taken`. Of names that stand once within their container nothing is said, for the container is not; nor of addresses, which
        the domain lets others have. Where it cannot be asked nothing is taken: its own refusal of the write is a conflict then."""
        found: frozenset[str] = frozenset()
        for one in () if self._silent or attribute not in taken.NAMES else self.domains:
            try:
                found |= taken.taken(one.session, one.settings, attribute, values)
            except (Refused, Unavailable, ImportIncomplete, ValueError) as error:
                self._silent = True
                self.context.logger.warning("%s: who else has a name is not known: %s", self.context.directory, error)
        return found

    def restorable(self, anchors: Collection[str]) -> Mapping[str, str]:
        """See `Restorer`."""
        found: dict[str, str] = {}
        with _Explained(self, "looking for deleted objects"):
            for one in self.domains:
                found |= Restorer(one.session, self.codec, self.context, one.base).restorable(anchors)
        return found

    def close(self) -> None:
        """Give back the connections."""
        for one in self.domains:
            one.lines.close()


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
