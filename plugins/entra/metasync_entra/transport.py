"""The line: one `requests` session whose trust, proxy and patience are what the document says, whatever the environment holds."""

from __future__ import annotations

import os
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from metasync.contract import NotTrusted, Unavailable
from metasync_entra.settings import Settings


class Line(requests.Session):
    """A session with a time limit on every request."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.trust_env = False  # else REQUESTS_CA_BUNDLE would beat `ca file`, and a .netrc would add a password
        self.verify = settings.ca_file or True
        self.max_redirects = 0
        if settings.proxy:
            self.proxies = {"https": settings.proxy}  # a managed identity's own service is asked by http, on this machine
        self.limits = (settings.connect_timeout, settings.receive_timeout)
        self.mount("https://", HTTPAdapter(pool_connections=4, pool_maxsize=settings.threads + 2, max_retries=0))

    def request(self, method: Any, url: Any, *arguments: Any, **named: Any) -> requests.Response:
        """As `requests` does, but never without an end, and never to where a redirect leads."""
        named["timeout"] = self.limits
        named["allow_redirects"] = False
        return super().request(method, url, *arguments, **named)


def line(settings: Settings) -> Line:
    """Raises `NotTrusted` where the authorities to trust cannot be read."""
    if settings.ca_file and not os.path.isfile(settings.ca_file):
        raise NotTrusted(f"the file {settings.ca_file} of `ca file` cannot be read; correct the option")
    return Line(settings)


def unreachable(error: Exception, host: str) -> Unavailable:
    """The error for a connection that did not come about."""
    text = f"{error} {error.__cause__ or ''}".lower()
    if "certificate" in text and ("verify" in text or "match" in text or "expired" in text):
        why = "has expired" if "has expired" in text else "is not trusted"
        return NotTrusted(f"the certificate of {host} {why}; name the authority's PEM file in `ca file`, or see who answers there")
    if "getaddrinfo" in text or "resolve" in text or "name or service" in text:
        return Unavailable(f"the name {host} is unknown; check the network, the name servers and `cloud`")
    if "proxy" in text:
        return Unavailable(f"the proxy does not let us through to {host}; correct `proxy`")
    if "timed out" in text or "timeout" in text:
        return Unavailable(f"{host} did not answer in time; check the network, or raise `receive timeout`")
    if "refused" in text:
        return Unavailable(f"{host} refuses the connection; check the host and the firewall")
    return Unavailable(f"the line to {host} broke ({type(error).__name__}); run again")
