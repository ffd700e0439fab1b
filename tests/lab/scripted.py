"""A scripted LDAP server that answers as Windows does where Samba differs: it stands in for what no Samba does, and proves no more.

    domain = ScriptedDomain(certificate=path, objects={...})
    with domain.serve("127.0.0.31") as controller:
        controller.plan(Cut(after=3))

What it says follows MS-ADTS; the section stands beside each behaviour. Nothing here was compared with a Windows domain controller.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import ber
from .ber import Part

PAGED, EXTENDED_DN, DIRSYNC = "1.2.840.113556.1.4.319", "1.2.840.113556.1.4.529", "1.2.840.113556.1.4.841"
BIND, UNBIND, SEARCH = 0x60, 0x42, 0x63
BIND_RESPONSE, ENTRY, DONE, REFERENCE = 0x61, 0x64, 0x65, 0x73
SUCCESS, SIZE_LIMIT, REFERRAL, UNAVAILABLE_CRITICAL, INVALID_CREDENTIALS, BUSY, UNAVAILABLE = 0, 4, 10, 12, 49, 51, 52
_RANGE = re.compile(r"(.+);range=(\d+)-(\d+|\*)", re.IGNORECASE)
_BIT_AND = "1.2.840.113556.1.4.803"

Object = Mapping[str, Sequence[bytes]]


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """Answer a search with this result. Error strings: the Win32 code in 8 digits first (MS-ADTS 3.1.1.3.1.9)."""

    code: int
    text: str
    uris: Sequence[str] = ()
    """Of a referral (RFC 4511, 4.1.10)."""


@dataclass(frozen=True, kw_only=True)
class Refer:
    """Answer a search in full, with continuation references beside the entries (RFC 4511, 4.5.3)."""

    uris: Sequence[str]


class Cut:
    """Break the line instead of an answer."""


class Stall:
    """Never answer."""


Step = Refuse | Refer | Cut | Stall
BUSY_NOW = Refuse(code=BUSY, text="0000200E: SvcErr: DSID-02080490, problem 5001 (BUSY), data 0")
UNAVAILABLE_NOW = Refuse(code=UNAVAILABLE, text="0000200F: SvcErr: DSID-03190D4B, problem 5002 (UNAVAILABLE), data 0")


@dataclass(kw_only=True)
class ScriptedDomain:
    """What all controllers of the domain hold."""

    certificate: Path
    """Certificate and key of the controllers, PEM."""
    base: str = "DC=contoso,DC=test"
    account: tuple[str, str] = ("svc@contoso.test", "Lab-Passw0rd!9Z")
    objects: dict[str, dict[str, list[bytes]]] = field(default_factory=dict)
    """By distinguished name."""
    max_values: int = 1500
    """MaxValRange: more values of one attribute come in ranges (MS-ADTS 3.1.1.3.4.6, 3.1.1.3.1.3.3)."""
    max_page: int = 1000
    """MaxPageSize: a page is never larger, and a search without pages ends with sizeLimitExceeded (MS-ADTS 3.1.1.3.4.6)."""

    @contextmanager
    def serve(self, address: str, port: int = 0, host: str = "dc1") -> Iterator[ScriptedController]:
        """A controller at this loopback address."""
        controller = ScriptedController(self, address, port, host)
        try:
            yield controller
        finally:
            controller.close()


class ScriptedController:
    """One controller. `plan` says what becomes of the searches that follow, one step each; None: an answer."""

    def __init__(self, domain: ScriptedDomain, address: str, port: int, host: str) -> None:
        self.domain, self.address, self.host = domain, address, host
        self.invocation: uuid.UUID | None = uuid.uuid4()
        """None: it does not show it."""
        self.capabilities: Sequence[bytes] = ()
        self.searches: list[str] = []
        """The bases of the searches that came, in order."""
        self.bound: list[str] = []
        self._steps: list[Step | None] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(domain.certificate)
        self._lines: list[socket.socket] = []
        self._listener = socket.create_server((address, port))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def plan(self, *steps: Step | None) -> None:
        """What becomes of the next searches of the domain's objects; those of rootDSE, schema and configuration are answered always."""
        self._steps = list(steps)

    def close(self) -> None:
        """Break all lines and listen no more."""
        self._listener.close()
        for line in self._lines:
            _break(line)

    # -- lines -------------------------------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        line = plain
        # A line that is closed while it is read may give the bytes of TLS itself, which are no message.
        with contextlib.suppress(OSError, ValueError, IndexError):
            line = self._context.wrap_socket(plain, server_side=True)
            self._lines.append(line)
            heard = b""
            while data := line.recv(65536):
                heard += data
                while (size := ber.length(heard)) is not None and len(heard) >= size:
                    (message,) = ber.parse(heard[:size])
                    heard = heard[size:]
                    if not self._answer(line, message):
                        return _break(line)
        _break(line)

    def _answer(self, line: socket.socket, message: Part) -> bool:
        number, request = message.parts[0].number, message.parts[1]
        controls = {one.parts[0].text: one.parts[-1].content for one in (message.parts[2].parts if len(message.parts) > 2 else ())}
        if request.tag == UNBIND:
            return False
        if request.tag == BIND:
            name, password = request.parts[1].text, request.parts[2].text
            self.bound.append(name)
            code = SUCCESS if (name, password) == self.domain.account else INVALID_CREDENTIALS
            text = "" if code == SUCCESS else "80090308: LdapErr: DSID-0C090453, comment: AcceptSecurityContext error, data 52e, v4563"
            line.sendall(_message(number, _result(BIND_RESPONSE, code, text)))
            return True
        if request.tag != SEARCH:
            return False
        step = self._next(request.parts[0].text)
        if isinstance(step, Cut):
            return False
        if isinstance(step, Stall):
            return True
        line.sendall(b"".join(self._search(number, request, controls, step)))
        return True

    def _next(self, base: str) -> Step | None:
        self.searches.append(base)
        aside = not base or "CN=Configuration" in base
        return self._steps.pop(0) if self._steps and not aside else None

    # -- searches ----------------------------------------------------------------------------------------------------------------------

    def _search(self, number: int, request: Part, controls: Mapping[str, bytes], step: Step | None) -> Iterator[bytes]:
        if isinstance(step, Refuse):
            yield _message(number, _result(DONE, step.code, step.text, step.uris))
            return
        if DIRSYNC in controls:
            yield _message(number, _result(DONE, UNAVAILABLE_CRITICAL, "00002040: SvcErr: DSID-03140594, problem 5010 (UNAVAIL_EXTENSION)"))
            return
        found = list(self._found(request))
        asked = [part.text for part in request.parts[7].parts]
        at, size, cookie = 0, len(found), b""
        answered = b""
        if PAGED in controls:
            (value,) = ber.parse(controls[PAGED])
            at = int(value.parts[1].content or b"0")
            size = min(value.parts[0].number, self.domain.max_page)
            cookie = str(at + size).encode() if at + size < len(found) else b""
            answered = _control(PAGED, ber.encode(ber.SEQUENCE, ber.integer(0), ber.octets(cookie)))
        code = SIZE_LIMIT if not answered and len(found) > self.domain.max_page else SUCCESS
        for dn, held in found[at : at + min(size, self.domain.max_page)]:
            yield _message(number, self._entry(dn, held, asked, EXTENDED_DN in controls))
        if isinstance(step, Refer):
            yield _message(number, ber.encode(REFERENCE, *(ber.octets(uri) for uri in step.uris)))
        yield _message(number, _result(DONE, code, ""), answered)

    def _everything(self) -> dict[str, Object]:
        base = self.domain.base
        service = f"CN=NTDS Settings,CN={self.host},CN=Servers,CN=Site,CN=Sites,CN=Configuration,{base}"
        root = {
            "defaultNamingContext": [base.encode()],
            "configurationNamingContext": [f"CN=Configuration,{base}".encode()],
            "schemaNamingContext": [f"CN=Schema,CN=Configuration,{base}".encode()],
            "dsServiceName": [service.encode()],
            "highestCommittedUSN": [b"1000"],
        }
        own = {"invocationId": [self.invocation.bytes_le]} if self.invocation else {}
        return {"": {**root, "supportedCapabilities": self.capabilities}, service: own, **self.domain.objects}

    def _found(self, request: Part) -> Iterator[tuple[str, Object]]:
        base, scope, query = request.parts[0].text, request.parts[1].number, request.parts[6]
        every = self._everything()
        if base.startswith("<GUID="):
            wanted = uuid.UUID(base[6:-1]).bytes_le
            base = next((dn for dn, held in every.items() if held.get("objectGUID") == [wanted]), base)
        for dn, held in every.items():
            inside = dn.lower() == base.lower() if scope == 0 else bool(dn) and f",{dn}".lower().endswith(f",{base}".lower())
            if inside and matches(query, held):
                yield dn, held

    def _entry(self, dn: str, held: Object, asked: Sequence[str], extended: bool) -> bytes:
        shown: list[bytes] = []
        for name in held:
            part = next((one for one in asked if one.partition(";")[0].lower() == name.lower()), None)
            if part is None and "*" not in asked:
                continue
            label, values = self._values(name, held[name], part or name)
            if extended and name in ("member", "manager"):
                values = [self._extended(value.decode()) for value in values]
            shown.append(ber.encode(ber.SEQUENCE, ber.octets(label), ber.values(values)))
        name_shown = self._extended(dn) if extended and "objectGUID" in held else dn.encode()
        return ber.encode(ENTRY, ber.octets(name_shown), ber.encode(ber.SEQUENCE, *shown))

    def _values(self, name: str, held: Sequence[bytes], asked: str) -> tuple[str, Sequence[bytes]]:
        """All values, or those of the range that was asked for, or the first that one answer may hold (MS-ADTS 3.1.1.3.1.3.3)."""
        named = _RANGE.fullmatch(asked)
        low = int(named[2]) if named else 0
        most = len(held) if not named or named[3] == "*" else int(named[3]) + 1
        values = held[low : min(most, low + self.domain.max_values)]
        if not named and len(values) == len(held):
            return name, values
        high = "*" if low + len(values) >= len(held) else str(low + len(values) - 1)
        return f"{name};range={low}-{high}", values

    def _extended(self, dn: str) -> bytes:
        held = self.domain.objects.get(dn, {})
        guid = f"<GUID={uuid.UUID(bytes_le=held['objectGUID'][0])}>;" if held.get("objectGUID") else ""
        return f"{guid}{dn}".encode()


def matches(query: Part, held: Object) -> bool:
    """Whether an object passes a filter (RFC 4511, 4.5.1.7): and, or, not, presence, equality, at least, at most, bits."""
    match query.tag:
        case 0xA0:
            return all(matches(part, held) for part in query.parts)
        case 0xA1:
            return any(matches(part, held) for part in query.parts)
        case 0xA2:
            return not matches(query.parts[0], held)
        case 0x87:
            return bool(_of(held, query.text)) or query.text.lower() == "objectclass"
        case 0xA3:
            wanted = query.parts[1].content
            return any(value == wanted or value.lower() == wanted.lower() for value in _of(held, query.parts[0].text))
        case 0xA5:
            return any(int(value) >= int(query.parts[1].content) for value in _of(held, query.parts[0].text))
        case 0xA6:
            return any(int(value) <= int(query.parts[1].content) for value in _of(held, query.parts[0].text))
        case 0xA9:
            named = {part.tag & 0x1F: part for part in query.parts}
            bits = int(named[3].content)
            return named[1].text == _BIT_AND and any(int(value) & bits == bits for value in _of(held, named[2].text))
    raise ValueError("a filter that the script does not know")


def _of(held: Object, name: str) -> Sequence[bytes]:
    return next((values for known, values in held.items() if known.lower() == name.lower()), ())


def _message(number: int, operation: bytes, control: bytes = b"") -> bytes:
    return ber.encode(ber.SEQUENCE, ber.integer(number), operation, ber.encode(0xA0, control) if control else b"")


def _result(tag: int, code: int, text: str, uris: Sequence[str] = ()) -> bytes:
    referral = ber.encode(0xA3, *(ber.octets(uri) for uri in uris)) if uris else b""
    return ber.encode(tag, ber.integer(code, ber.ENUMERATED), ber.octets(""), ber.octets(text), referral)


def _control(name: str, value: bytes) -> bytes:
    return ber.encode(ber.SEQUENCE, ber.octets(name), ber.octets(value))


def _break(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()
