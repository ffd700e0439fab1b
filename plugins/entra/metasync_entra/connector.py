"""`connector: entra`: the contract's methods, each handed to the module that does it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from metasync.contract import (
    Change,
    Check,
    Connector,
    Context,
    Estimate,
    Found,
    MetasyncError,
    Objection,
    Operation,
    Page,
    ReadRequest,
    Result,
    Schema,
    SignInRefused,
)
from metasync_entra import calls, checking, errors, pace, schema, streams
from metasync_entra.codec import Codec, is_guid
from metasync_entra.cursor import Cursor
from metasync_entra.domains import Domains
from metasync_entra.following import Follower
from metasync_entra.lookup import Lookup, Young
from metasync_entra.options import EntraOptions
from metasync_entra.readback import Finder
from metasync_entra.reading import Reader
from metasync_entra.restoring import Restorer
from metasync_entra.reviewing import Reviewer
from metasync_entra.session import Session
from metasync_entra.settings import Settings
from metasync_entra.tokens import claims_of
from metasync_entra.writing import Writer


class EntraID(Connector):
    """One tenant, by Microsoft Graph."""

    name: ClassVar[str] = "entra"
    title: ClassVar[str] = "Microsoft Entra ID (Microsoft Graph)"
    Options = EntraOptions
    commit_size: ClassVar[int] = 100
    """Five batches of creates, or of twenty members each."""
    idempotent: ClassVar[frozenset[Operation]] = frozenset(Operation) - {Operation.CREATE, Operation.PASSWORD, Operation.SID}
    lag: ClassVar[timedelta] = timedelta(minutes=2)
    """Microsoft promises none; seconds to minutes were reported (https://devblogs.microsoft.com/identity, eventual consistency)."""

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        super().__init__(options, context)
        settings = Settings.of(options)
        self.connections = min(settings.threads, context.settings.connections or settings.threads)
        self.settings = replace(settings, threads=self.connections)
        self.session = Session(self.settings, context)
        self.codec = Codec(self.settings.extensions, self.settings.security_attributes)
        self.domains = Domains(self.session)
        self.young = Young()

    @property
    def tenant(self) -> str:
        """Its identifier, as the token says it."""
        found = claims_of(self.session.tokens.get()).get("tid")
        if not isinstance(found, str):
            raise SignInRefused(f"{self.settings.cloud.login} gave a token that names no tenant; see who answers there")
        return found.lower()

    def check(self) -> Check:
        """The tenant's identifier, and what the application may do."""
        return checking.check(self.session, self.context, self.domains, self.codec)

    def discover(self) -> Schema:
        """What Microsoft documents; the same in every tenant, but for the directory extensions that the document names."""
        return schema.describe(self.codec)

    def streams(self, kinds: Collection[str]) -> tuple[str, ...]:
        """Users with guests, groups, contacts: each has a delta of its own."""
        return streams.streams(kinds)

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """See `Reader`."""
        yield from Reader(self.session, self.codec, self.context, request).read(self.tenant)

    def follow(self, request: ReadRequest, cursor: str) -> Iterator[Page]:
        """See `Follower`."""
        known = Cursor.of(cursor)
        yield from Follower(self.session, self.codec, self.context, request).follow(known, self.tenant)

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        """See `Writer`."""
        if changes:
            yield from self._writer().write(changes)

    def review(self, changes: Sequence[Change]) -> Iterator[Objection]:
        """See `Reviewer`."""
        yield from Reviewer(self.session, self.codec, self.domains, self._writer().creator).review(changes)

    @classmethod
    def estimate(cls, options: Mapping[str, Any], writes: Mapping[Operation, int]) -> Estimate | None:
        """See `pace.estimate`."""
        return pace.estimate(writes)

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        """See `Finder`."""
        yield from Finder(self.session, self.codec, self.context, self._writer().creator, self.young).find(changes)

    def restorable(self, anchors: Collection[str]) -> Mapping[str, str]:
        """See `Restorer`."""
        return Restorer(self.session, self.codec, Lookup(self.session, self.codec), self.domains).restorable(anchors)

    def set_password(self, anchor: str, password: str, *, must_change: bool) -> None:
        """By passwordProfile (https://learn.microsoft.com/graph/api/user-update). It is kept nowhere."""
        if not is_guid(anchor):
            raise MetasyncError(f"{anchor!r} is no identifier of this tenant; import again")
        profile = {"passwordProfile": {"password": password, "forceChangePasswordNextSignIn": must_change}}
        answer = self.session.ask(calls.write("PATCH", f"/users/{anchor}", profile))
        if answer.trouble is not None:
            raise MetasyncError(errors.outcome(answer.trouble, f"setting the password of {anchor}")[1])

    def _writer(self) -> Writer:
        return Writer(self.session, self.codec, self.context, self.domains, self.young)

    def close(self) -> None:
        """Give back the connections."""
        self.session.close()
