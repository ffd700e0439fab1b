"""Microsoft's clouds: where each signs applications in, and where its Graph answers. Tokens of one mean nothing to another.

Source: https://learn.microsoft.com/graph/deployments
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """Two hosts that belong together."""

    login: str
    graph: str

    @property
    def scope(self) -> str:
        """What a token is asked for."""
        return f"{self.graph}/.default"

    def owns(self, url: str) -> bool:
        """Is this address at Graph itself? Any other one would be given our token."""
        ours, theirs = urlsplit(self.graph), urlsplit(url)
        return (theirs.scheme, theirs.hostname, theirs.port) == (ours.scheme, ours.hostname, ours.port) and "@" not in theirs.netloc


CLOUDS = {
    "global": Cloud(login="https://login.microsoftonline.com", graph="https://graph.microsoft.com"),
    "us government": Cloud(login="https://login.microsoftonline.us", graph="https://graph.microsoft.us"),
    "us government dod": Cloud(login="https://login.microsoftonline.us", graph="https://dod-graph.microsoft.us"),
    "china": Cloud(login="https://login.chinacloudapi.cn", graph="https://microsoftgraph.chinacloudapi.cn"),
}


def cloud(name: str, *, login: str | None = None, graph: str | None = None) -> Cloud:
    """The cloud of that name, with other hosts where they are given."""
    known = CLOUDS[name]
    return Cloud(login=(login or known.login).rstrip("/"), graph=(graph or known.graph).rstrip("/"))
