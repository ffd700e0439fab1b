"""Answers of searches as bytes, and a search that is asked for before its answer is waited for.

ldap3 takes every message apart by a general decoder and makes text of every value a second time, which nobody here reads: of a large read,
that was four fifths of the client's CPU. Here an entry stays the message that it came as until `entry` is asked what is in it. Referrals,
results, controls, and all of sending stay ldap3's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ldap3.core.exceptions import LDAPSocketReceiveError
from ldap3.strategy.base import RESPONSE_COMPLETE, SESSION_TERMINATED_BY_SERVER
from ldap3.strategy.sync import SyncStrategy
from ldap3.utils.asn1 import decode_message_fast

_SEARCH_RESULT_ENTRY = 0x64
"""Its tag in RFC 4511, 4.5.2."""
_INTERMEDIATE = ("searchResEntry", "searchResRef", "intermediateResponse")
_DISCONNECTED = "1.3.6.1.4.1.1466.20036"
"""Notice of Disconnection (RFC 4511, 4.4.1)."""

Attributes = dict[str, list[bytes]]
Answer = tuple[list[dict[str, Any]], dict[str, Any]]
"""The entries and references of a search, and its result, as ldap3 shows them; of entries only the message."""


class RawStrategy(SyncStrategy):
    """ldap3's synchronous strategy, whose entries hold the `message` alone."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._at_once = True

    def ask(self, search: Callable[[], Any]) -> int:
        """Send a search and wait for nothing; its number, for `answer`. Until that was called nothing else may be asked."""
        self._at_once = False
        try:
            return int(search())
        finally:
            self._at_once = True

    def answer(self, number: int) -> Answer:
        """Wait for the answer. Raises what ldap3 raises."""
        responses, result = self.get_response(number)
        return list(responses), result

    def post_send_search(self, message_id: int) -> Any:
        """ldap3's way to the answer, or to its number."""
        return super().post_send_search(message_id) if self._at_once else message_id  # type: ignore[no-untyped-call]

    def _get_response(self, message_id: int, timeout: float) -> Any:
        """What came, up to the result. As ldap3's own, but for entries."""
        found: list[Any] = []
        while True:
            messages = self.receiving()  # type: ignore[no-untyped-call]
            if not messages:
                return SESSION_TERMINATED_BY_SERVER
            for message in messages:
                number, tag = head(message)
                if number == message_id and tag == _SEARCH_RESULT_ENTRY:
                    found.append({"type": "searchResEntry", "message": message})
                    continue
                answer = self.decode_response_fast(decode_message_fast(message))  # type: ignore[no-untyped-call]
                if number == 0 and answer.get("responseName") == _DISCONNECTED:
                    return SESSION_TERMINATED_BY_SERVER
                if number != message_id:
                    raise LDAPSocketReceiveError("an answer to something that was not asked")
                found.append(answer)
                if answer["type"] not in _INTERMEDIATE:
                    return [*found, RESPONSE_COMPLETE]


# -- just enough of BER (X.690) to read an entry -------------------------------------------------------------------------------------------


def head(message: bytes) -> tuple[int, int]:
    """The number of a message and the tag of what is in it (RFC 4511, 4.1.1). The message is whole."""
    at = 2 if message[1] < 0x80 else 2 + (message[1] & 0x7F)
    end = at + 2 + message[at + 1]
    return int.from_bytes(message[at + 2 : end], "big"), message[end]


def entry(message: bytes, names: dict[bytes, str]) -> tuple[bytes, Attributes]:
    """Name and attributes (in lower case) of a SearchResultEntry; an attribute without values, as DirSync shows one that was cleared, has
    an empty list. `names` keeps the names that came before. Raises `ValueError` for what is none."""
    try:
        at, _ = _inside(message, 0)
        at = _inside(message, at)[1]  # the message's number
        at, _ = _inside(message, at)
        begin, at = _inside(message, at)
        dn = message[begin:at]
        at, end = _inside(message, at)
        found: Attributes = {}
        while at < end:
            begin, after = _inside(message, at)
            at, stop = _inside(message, begin)
            raw = message[at:stop]
            name = names.get(raw)
            if name is None:
                name = names[raw] = raw.decode("utf-8", "replace").lower()
            at, last = _inside(message, stop)
            values: list[bytes] = []
            while at < last:
                size = message[at + 1]
                if size < 0x80:  # most values are this short
                    values.append(message[at + 2 : (at := at + 2 + size)])
                else:
                    begin, at = _inside(message, at)
                    values.append(message[begin:at])
            if at != last or last != after:
                raise IndexError
            found[name] = values
            at = after
        if at != end or end > len(message):
            raise IndexError
    except IndexError:
        raise ValueError("an entry's parts do not fit into one another") from None
    return dn, found


def _inside(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of a part begins and ends."""
    size = data[at + 1]
    if size < 0x80:
        return at + 2, at + 2 + size
    begin = at + 2 + (size & 0x7F)
    return begin, begin + int.from_bytes(data[at + 2 : begin], "big")
