"""Who is whose manager: with the users themselves, where the tenant takes `$expand`, else by a request for each.

Source: https://learn.microsoft.com/graph/api/user-list-manager
"""

from __future__ import annotations

from collections.abc import Iterable

from metasync_entra import calls
from metasync_entra.errors import Sense
from metasync_entra.session import Session

_EXPAND = "&$expand=manager($select=id)"


class Managers:
    """Of the users of one tenant."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def expand(self) -> str:
        """What a request for users adds to its options so that managers come with them; empty where that is not to be had."""
        if self._session.expands is None:
            answer = self._session.ask(calls.get(f"/users?$select=id&$top=1{_EXPAND}"))
            if answer.sense is not Sense.REFUSED and answer.status != 501:
                self._session.needed(answer, "reading managers")
            self._session.expands = answer.trouble is None
        return _EXPAND if self._session.expands else ""

    def of(self, users: Iterable[str]) -> dict[str, str]:
        """User -> manager, of those who have one. Raises `Unavailable`."""
        asked = [calls.get(f"/users/{one}/manager?$select=id", tag=one) for one in users]
        found: dict[str, str] = {}
        for answer in self._session.batched(asked):
            if answer.sense is not Sense.MISSING:
                identifier = self._session.needed(answer, "reading a manager").fields.get("id")
                if isinstance(identifier, str):
                    found[answer.call.tag] = identifier
        return found
