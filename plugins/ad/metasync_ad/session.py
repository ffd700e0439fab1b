"""The connection as the other modules use it: searches that are complete or fail; writes that succeed or are `Refused`.

The result of every page is looked at, because a size limit ends ldap3's paged search without an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ldap3.core.exceptions import LDAPException, LDAPOperationResult

from metasync.contract import Context, ImportIncomplete, NotTrusted, SignInRefused, Unavailable
from metasync_ad import dn as names
from metasync_ad import errors, values
from metasync_ad.connecting import connect, discard
from metasync_ad.controllers import Controllers
from metasync_ad.errors import Refused
from metasync_ad.raw import Answer, entry
from metasync_ad.settings import Settings

Control = tuple[str, bool, bytes | None]
EXTENDED_DN: Control = ("1.2.840.113556.1.4.529", True, b"\x30\x03\x02\x01\x01")
"""DN-valued attributes arrive as <GUID=...>;<SID=...>;CN=...; the value asks for the string form (MS-ADTS 3.1.1.3.4.1.5)."""
DOMAIN_SCOPE: Control = ("1.2.840.113556.1.4.1339", True, None)
"""No continuation references to other partitions (MS-ADTS 3.1.1.3.4.1.2)."""
SHOW_DELETED: Control = ("1.2.840.113556.1.4.417", True, None)
PAGED = "1.2.840.113556.1.4.319"
SIZE_LIMIT = 4
"""The result where there is more than was asked for (RFC 4511, 4.1.9)."""
NO_SUCH_OBJECT = 32
"""The result where the base of a search is not there (RFC 4511, 4.1.9)."""

UNKNOWN = "unknown"
"""How the invocationId of a controller begins that does not show it: good for one line, and for no cursor."""

BASE, LEVEL, SUBTREE = "BASE", "LEVEL", "SUBTREE"
EVERYTHING = "(objectClass=*)"

Modification = tuple[str, list[bytes | str]]
ADD, DELETE, REPLACE = "MODIFY_ADD", "MODIFY_DELETE", "MODIFY_REPLACE"


@dataclass(frozen=True, kw_only=True, slots=True)
class RawEntry:
    """An entry as it came: the plain name, objectGUID, and per attribute (in lower case) its values. A range stays in the name."""

    dn: str
    guid: str | None
    attributes: Mapping[str, Sequence[bytes]]

    def one(self, name: str) -> bytes | None:
        """The first value."""
        found = self.attributes.get(name)
        return found[0] if found else None

    def text(self, name: str) -> str | None:
        """The first value as text."""
        found = self.one(name)
        return None if found is None else found.decode("utf-8", "replace")

    def number(self, name: str) -> int | None:
        """The first value as a number."""
        found = self.one(name)
        return None if found is None else int(found)

    def every(self, name: str) -> list[str]:
        """All values as text."""
        return [value.decode("utf-8", "replace") for value in self.attributes.get(name, ())]


class Vanished(ImportIncomplete):
    """The container that was to be searched is not there, or is called otherwise by now; run the import again."""


class Asked:
    """A search whose answer comes later. The line can be asked nothing else before, so that its answer is fetched whenever it must be, and
    kept here."""

    def __init__(self, connection: Any, search: Callable[[Any], Any]) -> None:
        self._connection = connection
        self._number: int = connection.strategy.ask(lambda: search(connection))
        self._answer: Answer | Exception | None = None

    def fetch(self) -> None:
        """Wait for it, if nobody has done so. Raises nothing: `answer` does."""
        if self._answer is None:
            try:
                self._answer = self._connection.strategy.answer(self._number)
            except (LDAPException, OSError) as error:
                self._answer = error

    def answer(self) -> Answer:
        """Raises what ldap3 raises."""
        self.fetch()
        if isinstance(self._answer, Exception):
            raise self._answer
        assert self._answer is not None  # fetched
        return self._answer


class Session:
    """Connects when first asked; after an error of the line the next call connects anew: to the same server, if it answers."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self.settings = settings
        self.context = context
        self.controllers = Controllers(settings)
        self.server = settings.domain or settings.servers[0]
        """The controller that answers, or whom one would ask for; for messages."""
        self._connection: Any = None
        self._asked: Asked | None = None
        """The search whose answer is still to come."""
        self._names: dict[bytes, str] = {}
        self._root: RawEntry | None = None
        self._invocation: str | None = None

    # -- line --------------------------------------------------------------------------------------------------------------------------

    def connection(self) -> Any:
        """The bound connection."""
        deadline = self.context.deadline
        if deadline is not None and datetime.now(UTC) >= deadline:
            raise Unavailable(f"the time for this call to {self.context.directory} is over; what is left goes on in the next")
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def close(self) -> None:
        """Give the connection back; a line that is dead already is no error."""
        connection, self._connection, self._root, self._invocation = self._connection, None, None, None
        self._asked = None
        if connection is not None:
            discard(connection)

    def prefer(self, host: str) -> None:
        """Ask this controller, if it answers: what a cursor says is known to it alone."""
        self.controllers.preferred = host
        if self._connection is not None and self.server != host:
            self.close()

    def _connect(self) -> Any:
        trouble: Unavailable | None = None
        for controller in self.controllers.in_order():
            try:
                connection = connect(controller, self.settings, self.context)
            except SignInRefused:
                raise  # another controller would refuse as well, and count the failure towards the lock-out
            except Unavailable as error:  # also where its certificate is not trusted: the password was not sent, and the next may be
                trouble = error if trouble is None or not isinstance(trouble, NotTrusted) else trouble
                self.context.logger.warning("%s: %s", self.context.directory, error)
                continue
            self.server = controller.host
            self.controllers.answered(controller)
            return connection
        assert trouble is not None  # there is at least one controller
        raise trouble

    # -- reading -----------------------------------------------------------------------------------------------------------------------

    @property
    def root(self) -> RawEntry:
        """The rootDSE."""
        if self._root is None:
            wanted = ["configurationNamingContext", "schemaNamingContext", "dsServiceName", "highestCommittedUSN"]
            wanted += ["domainFunctionality", "supportedCapabilities"]
            self._root = self.fresh_root(wanted)
        return self._root

    def fresh_root(self, wanted: Sequence[str]) -> RawEntry:
        """The rootDSE as it is at this moment. Raises `Unavailable`."""
        found = self.search("", EVERYTHING, wanted, BASE, controls=())
        if not found:
            raise Unavailable(f"{self.server} does not show its rootDSE; is it a domain controller?")
        return found[0]

    @property
    def invocation(self) -> str:
        """The controller's invocationId: update sequence numbers mean something beside it alone, and it changes when the controller is
        restored from a backup (MS-ADTS 3.1.1.1.9). Raises `Unavailable`."""
        if self._invocation is None:
            service = self.root.text("dsservicename")
            try:
                found = self.search(service or "", EVERYTHING, ["invocationId"], BASE, controls=()) if service else []
            except Refused:
                found = []
            raw = found[0].one("invocationid") if found else None
            self._invocation = values.guid(raw) if raw else f"{UNKNOWN} at {self.server}"
        return self._invocation

    def search(
        self,
        base: str,
        query: str,
        attributes: Sequence[str],
        scope: str = SUBTREE,
        controls: Sequence[Control] = (EXTENDED_DN, DOMAIN_SCOPE),
    ) -> list[RawEntry]:
        """All that there is, for answers known to be small. Raises `Refused` (32: the base is not there)."""
        self._ask(lambda connection: connection.search(base, query, scope, attributes=list(attributes) or ["1.1"], controls=list(controls)))
        return self._entries(self._connection.response)

    def pages(
        self,
        base: str,
        query: str,
        attributes: Sequence[str],
        size: int,
        controls: Sequence[Control] = (EXTENDED_DN, DOMAIN_SCOPE),
    ) -> Iterator[list[RawEntry]]:
        """A subtree, page by page; the next page is asked for before this one is given, so that the server works meanwhile. It ends
        normally only when the server said on the last page that nothing is left; otherwise `ImportIncomplete` or `Unavailable`."""

        def ask(cookie: bytes | None) -> Asked:
            return self._begin(
                lambda connection: connection.search(
                    base, query, SUBTREE, attributes=list(attributes), controls=list(controls),
                    paged_size=size, paged_criticality=True, paged_cookie=cookie,
                )
            )  # fmt: skip

        asked: Asked | None = ask(None)
        while asked is not None:
            try:
                found, result = self._heard(asked)
            except Refused as refused:
                if refused.code in errors.LATER:
                    self.close()
                    raise errors.later(self.server, errors.outcome(refused, f"reading {base}")[1]) from None
                kind = Vanished if refused.code == NO_SUCH_OBJECT else ImportIncomplete
                raise kind(f"reading {base} stopped: {errors.outcome(refused, 'search')[1]}; nothing was deleted") from None
            control = (result.get("controls") or {}).get(PAGED)
            if control is None:
                raise ImportIncomplete(f"{self.server} did not say whether {base} was read to its end; nothing was deleted")
            cookie = control["value"]["cookie"]
            asked = ask(cookie) if cookie else None
            yield self._entries(found)

    def any(self, base: str, query: str, scope: str, controls: Sequence[Control]) -> bool:
        """Whether there is at least one. Raises `Refused`."""
        try:
            self._ask(lambda connection: connection.search(base, query, scope, attributes=["1.1"], size_limit=1, controls=list(controls)))
        except Refused as refused:
            if refused.code != SIZE_LIMIT:
                raise
            return True
        return bool(self._entries(self._connection.response))

    def changes(self, base: str, query: str, attributes: Sequence[str], control: Control) -> tuple[list[RawEntry], Mapping[str, Any]]:
        """One answer of DirSync: what changed (an attribute without values was cleared), and the value of the control that came back.
        Raises `Refused`."""
        self._ask(
            lambda connection: connection.search(
                base, query, SUBTREE, attributes=list(attributes), controls=[control, EXTENDED_DN, DOMAIN_SCOPE]
            )
        )
        answered = (self._connection.result.get("controls") or {}).get(control[0])
        if answered is None:
            raise ImportIncomplete(f"{self.server} answered without saying how far its answer reaches; nothing was deleted")
        return self._entries(self._connection.response, cleared=True), answered["value"]

    def _entries(self, answered: Sequence[Mapping[str, Any]] | None, *, cleared: bool = False) -> list[RawEntry]:
        found = []
        for answer in answered or ():
            if answer["type"] == "searchResRef":
                raise ImportIncomplete(f"{self.server} refers to another server for a part of the answer; set `base` to a single domain")
            try:
                dn, attributes = entry(answer["message"], self._names)
                guid, _, plain = names.extended(dn.decode("utf-8"))
            except ValueError:
                raise ImportIncomplete(
                    f"{self.server} sent an entry that cannot be read; nothing was deleted. Run the import again"
                ) from None
            if not cleared and not all(attributes.values()):
                attributes = {name: held for name, held in attributes.items() if held}
            if own := attributes.get("objectguid"):
                guid = values.guid(own[0])
            found.append(RawEntry(dn=plain, guid=guid, attributes=attributes))
        return found

    # -- writing -----------------------------------------------------------------------------------------------------------------------

    def add(self, dn: str, attributes: Mapping[str, Sequence[bytes | str]]) -> None:
        """Raises `Refused`: then nothing was written."""
        self._ask(lambda connection: connection.add(dn, attributes={name: list(held) for name, held in attributes.items()}))

    def modify(self, dn: str, changes: Mapping[str, Sequence[Modification]], controls: Sequence[Control] = ()) -> None:
        """All or nothing. Raises `Refused`."""
        self._ask(
            lambda connection: connection.modify(
                dn, {name: list(steps) for name, steps in changes.items()}, controls=list(controls) or None
            )
        )

    def rename(self, dn: str, relative: str, superior: str | None = None) -> None:
        """One modify_dn: rename, move, or both. Raises `Refused`."""
        self._ask(lambda connection: connection.modify_dn(dn, relative, delete_old_dn=True, new_superior=superior))

    def delete(self, dn: str) -> None:
        """One object. Raises `Refused` (66: it has children)."""
        self._ask(lambda connection: connection.delete(dn))

    # -- asking ------------------------------------------------------------------------------------------------------------------------

    def _ask(self, request: Callable[[Any], Any]) -> None:
        """Ask and wait for the answer."""
        with self._line() as connection:
            request(connection)
        _accept(connection.result)

    def _begin(self, search: Callable[[Any], Any]) -> Asked:
        """Ask, and wait for the answer later."""
        with self._line() as connection:
            self._asked = Asked(connection, search)
        return self._asked

    def _heard(self, asked: Asked) -> Answer:
        """The answer of what was asked earlier: entries, and the result."""
        with self._explained():
            found, result = asked.answer()
        _accept(result)
        return found, result

    @contextmanager
    def _line(self) -> Iterator[Any]:
        """The connection, on which nothing is under way."""
        connection = self.connection()
        if self._asked is not None:
            self._asked.fetch()
            self._asked = None
        with self._explained():
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except LDAPOperationResult as error:
            raise Refused(int(error.result), str(error.description), str(error.message)) from None
        except (LDAPException, OSError) as error:
            # What was asked may have been done: the line is given up, and nothing is asked again by itself.
            self.close()
            raise Unavailable(
                f"the connection to {self.server} broke ({type(error).__name__}); check domain controller and network, then run again"
            ) from None


def _accept(result: Mapping[str, Any]) -> None:
    """ldap3 does not raise for size and time limits and referrals."""
    if result["result"] != 0:
        raise Refused(int(result["result"]), str(result["description"]), str(result.get("message") or ""))
