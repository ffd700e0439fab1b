"""Which domain controllers there are, and in which order they are asked: a list of the document, or what DNS says of the domain."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import dns.exception
import dns.resolver

from metasync.contract import Unavailable
from metasync_ad.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Controller:
    """One domain controller."""

    host: str
    """What its certificate and its Kerberos principal are called."""
    address: str = ""
    """Where it is reached; empty: wherever this machine finds `host`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """An SRV record (RFC 2782)."""

    priority: int
    weight: int
    host: str


Lookup = Callable[[str, str], Sequence[Service | str]]
"""(name, type) -> SRV records, or addresses. An unknown name has none. Raises `Unavailable`."""

_answered: dict[tuple[object, ...], str] = {}
"""The controllers of a directory, as the document names them -> the one that answered this process last. It is asked first: another one
may be behind."""


class Controllers:
    """The controllers of one directory."""

    def __init__(self, settings: Settings, lookup: Lookup | None = None) -> None:
        self.settings = settings
        self._lookup = lookup or Dns(settings.name_servers, settings.connect_timeout)
        self._key = (settings.servers, settings.domain, settings.site, settings.name_servers)
        self.preferred: str | None = None
        """The host that a cursor belongs to: it goes before all others."""

    def in_order(self) -> list[Controller]:
        """Whom to ask, in this order. Raises `Unavailable`."""
        found = self._found() if self.settings.domain else [Controller(host=host) for host in self.settings.servers]
        first = (self.preferred, _answered.get(self._key))
        return sorted(found, key=lambda one: first.index(one.host) if one.host in first else len(first))

    def answered(self, controller: Controller) -> None:
        """From now on this process asks it first."""
        _answered[self._key] = controller.host

    def _found(self) -> list[Controller]:
        domain, site = str(self.settings.domain), self.settings.site
        # MS-ADTS 6.3.2.3: what every controller registers, for the domain and for the sites that it covers.
        asked = [f"_ldap._tcp.{site}._sites.dc._msdcs.{domain}"] if site else []
        asked.append(f"_ldap._tcp.dc._msdcs.{domain}")
        hosts: dict[str, None] = {}
        for name in asked:
            services = [one for one in self._lookup(name, "SRV") if isinstance(one, Service)]
            hosts.update((one.host, None) for one in in_turn(services) if self._trusted(one.host, domain))
        if not hosts:
            raise Unavailable(
                f"DNS knows no domain controllers of {domain} (SRV records of {asked[-1]}); correct `domain`, name the domain's own DNS "
                "servers in `name servers`, or list the controllers in `servers`"
            )
        return [Controller(host=host, address=self._address(host)) for host in hosts]

    def _trusted(self, host: str, domain: str) -> bool:
        """DNS is not signed: without an authority of one's own, a certificate of any other name would pass as a controller's."""
        return bool(host) and (host.lower().endswith(f".{domain.lower()}") or self.settings.ca_file is not None)

    def _address(self, host: str) -> str:
        """Where it stands; "" where that is not known: then it does not answer, and the next one is asked."""
        if not self.settings.name_servers:
            return ""
        for kind in ("A", "AAAA"):
            with contextlib.suppress(Unavailable):
                for one in self._lookup(host, kind):
                    if isinstance(one, str):
                        return one
        return ""


def in_turn(services: Iterable[Service], draw: Callable[[int], int] = secrets.randbelow) -> list[Service]:
    """By priority; among equals at random, the heavier the sooner (RFC 2782)."""
    ordered: list[Service] = []
    waiting = sorted(services, key=lambda one: (one.priority, one.weight, one.host))
    while waiting:
        equals = [one for one in waiting if one.priority == waiting[0].priority]
        point = draw(sum(one.weight for one in equals) + 1)
        reached = accumulate(one.weight for one in equals)
        chosen = next(one for one, weight in zip(equals, reached, strict=True) if weight >= point)
        ordered.append(chosen)
        waiting.remove(chosen)
    return ordered


class Dns:
    """DNS as this machine is set up, or by the servers that are named."""

    def __init__(self, servers: Sequence[str], seconds: float) -> None:
        self._servers, self._seconds = list(servers), seconds

    def __call__(self, name: str, kind: str) -> list[Service | str]:
        """See `Lookup`."""
        try:
            resolver = dns.resolver.Resolver(configure=not self._servers)
            if self._servers:
                resolver.nameservers = list(self._servers)
            answer = resolver.resolve(f"{name}.", kind, lifetime=self._seconds)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError) as error:
            where = f"the name servers {', '.join(self._servers)}" if self._servers else "this machine's name servers"
            raise Unavailable(
                f"{where} gave no answer for {name} ({type(error).__name__}); check them and the network, or list the controllers "
                "in `servers`"
            ) from None
        if kind == "SRV":
            return [Service(priority=one.priority, weight=one.weight, host=one.target.to_text(omit_final_dot=True)) for one in answer]
        return [one.address for one in answer]
