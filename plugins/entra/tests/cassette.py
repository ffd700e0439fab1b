"""Cassettes: what went to Graph and came back while the scenario was played, without anything that is secret.

They are made of the lab tenant's trace, which holds each part of a batch by itself. Headers are left out, and with them the token; so are
calls of the control plane and of the token service, which no trace holds. Passwords, the tokens inside of links, and the tickets of
invitations are struck out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metasync_entra.lab import tenant

from .scenario import play_lab

STRUCK = "***"
VERSION = "/v1.0"
_SECRET = frozenset(
    {"password", "secrettext", "invitationredeemurl", "inviteredeemurl", "access_token", "client_secret", "client_assertion"}
)
_LINK_TOKEN = re.compile(r"(\$(?:skip|delta)token=)(?!latest\b)[^&]+", re.IGNORECASE)
_LINK_TOKENS = frozenset({"$skiptoken", "$deltatoken"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One request and its answer."""

    method: str
    path: str
    """Behind the version: /users."""
    query: Mapping[str, str]
    request: Any
    """The body as JSON; None: none."""
    status: int
    response: Any
    """The body as JSON; None: none, or no JSON."""

    @property
    def follows_link(self) -> bool:
        """The query was made by Graph itself, as part of a link, and is handed back as it came."""
        return any(name.lower() in _LINK_TOKENS and value.lower() != "latest" for name, value in self.query.items())


def record() -> list[Exchange]:
    """Play the scenario in a lab tenant of its own; what was asked and answered."""
    with tenant() as lab:
        lab.control.trace(on=True)
        play_lab(lab, lambda words: None)
        return list(cassette(lab.control.trace()))


def cassette(trace: Iterable[Mapping[str, Any]]) -> Iterable[Exchange]:
    """Each exchange, but for the batches themselves, which no description of Graph holds."""
    for one in trace:
        path = str(one["path"]).removeprefix(VERSION)
        if path.lower() == "/$batch":
            continue
        yield Exchange(
            method=one["method"],
            path=path,
            query={name: _struck(value) if name.lower() in _LINK_TOKENS else value for name, value in one["query"].items()},
            request=without_secrets(one["request"]),
            status=one["status"],
            response=without_secrets(one["response"]),
        )


def without_secrets(value: Any) -> Any:
    """The same JSON, with what is secret struck out."""
    if isinstance(value, Mapping):
        return {name: STRUCK if name.lower() in _SECRET and value[name] is not None else without_secrets(value[name]) for name in value}
    if isinstance(value, list):
        return [without_secrets(one) for one in value]
    return _LINK_TOKEN.sub(rf"\g<1>{STRUCK}", value) if isinstance(value, str) else value


def _struck(value: str) -> str:
    return value if value.lower() == "latest" else STRUCK
