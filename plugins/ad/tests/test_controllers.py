"""Finding domain controllers in DNS, and the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from metasync.contract import Unavailable
from metasync_ad import controllers
from metasync_ad.controllers import Controller, Controllers, Service, in_turn
from metasync_ad.options import ADOptions
from metasync_ad.settings import Settings

ALL, SITE = "_ldap._tcp.dc._msdcs.contoso.test", "_ldap._tcp.Zurich._sites.dc._msdcs.contoso.test"
Records = dict[tuple[str, str], Sequence[Service | str]]


@pytest.fixture(autouse=True)
def nobody_answered_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins like a process."""
    monkeypatch.setattr(controllers, "_answered", {})


def settings(**more: Any) -> Settings:
    plain = {"domain": "contoso.test", "base": "DC=contoso,DC=test", "bind": "svc", "password": {"secret": "p"}}
    return Settings.of(ADOptions().load({**plain, **more}))


def dns(records: Records) -> Callable[[str, str], Sequence[Service | str]]:
    return lambda name, kind: records.get((name, kind), [])


def dc(number: int, priority: int = 0, weight: int = 100) -> Service:
    return Service(priority=priority, weight=weight, host=f"dc{number}.contoso.test")


def hosts(found: Sequence[Controller]) -> list[str]:
    return [one.host.partition(".")[0] for one in found]


def test_the_sites_own_controllers_come_first_and_each_once() -> None:
    records: Records = {(SITE, "SRV"): [dc(3)], (ALL, "SRV"): [dc(1, priority=1), dc(2, priority=2), dc(3)]}
    assert hosts(Controllers(settings(site="Zurich"), dns(records)).in_order()) == ["dc3", "dc1", "dc2"]
    assert set(hosts(Controllers(settings(), dns(records)).in_order())) == {"dc1", "dc2", "dc3"}


def test_priority_decides_and_among_equals_the_weight() -> None:
    services = [dc(1, priority=1), dc(2, weight=0), dc(3, weight=10), dc(4, weight=90)]
    assert [one.host[2] for one in in_turn(services, lambda below: 0)] == ["2", "3", "4", "1"]
    assert [one.host[2] for one in in_turn(services, lambda below: below - 1)] == ["4", "3", "2", "1"]


def test_the_one_that_answered_last_is_asked_first_and_the_one_of_a_cursor_before_it() -> None:
    found = Controllers(settings(), dns({(ALL, "SRV"): [dc(number, priority=number) for number in (1, 2, 3)]}))
    found.answered(Controller(host="dc3.contoso.test"))
    assert hosts(found.in_order()) == ["dc3", "dc1", "dc2"]
    found.preferred = "dc2.contoso.test"
    assert hosts(found.in_order()) == ["dc2", "dc3", "dc1"]


def test_named_dns_servers_also_give_the_address() -> None:
    records: Records = {(ALL, "SRV"): [dc(1)], ("dc1.contoso.test", "A"): ["192.0.2.1"]}
    found = Controllers(settings(**{"name servers": ["192.0.2.53"]}), dns(records)).in_order()
    assert found == [Controller(host="dc1.contoso.test", address="192.0.2.1")]


def test_a_controller_whose_address_nobody_tells_does_not_keep_from_the_others() -> None:
    def lookup(name: str, kind: str) -> Sequence[Service | str]:
        if name.startswith("dc1."):
            raise Unavailable("no answer")
        return {(ALL, "SRV"): [dc(1), dc(2, priority=1)], ("dc2.contoso.test", "AAAA"): ["2001:db8::2"]}.get((name, kind), [])

    found = Controllers(settings(**{"name servers": ["192.0.2.53"]}), lookup).in_order()
    assert [one.address for one in found] == ["", "2001:db8::2"]


def test_a_host_outside_of_the_domain_counts_only_where_the_authority_is_pinned() -> None:
    records: Records = {(ALL, "SRV"): [dc(1), Service(priority=0, weight=0, host="dc.rogue.example")]}
    assert hosts(Controllers(settings(), dns(records)).in_order()) == ["dc1"]
    assert set(hosts(Controllers(settings(**{"ca file": "ca.pem"}), dns(records)).in_order())) == {"dc1", "dc"}


def test_a_domain_that_dns_does_not_know_says_what_to_do() -> None:
    for records in ({}, {(ALL, "SRV"): [Service(priority=0, weight=0, host="")]}):
        with pytest.raises(Unavailable, match=r"_ldap._tcp.dc._msdcs.contoso.test.*`name servers`"):
            Controllers(settings(), dns(records)).in_order()


def test_dns_that_does_not_answer_says_so() -> None:
    with pytest.raises(Unavailable, match="gave no answer"):
        Controllers(settings(**{"name servers": ["127.0.0.254"], "connect timeout": 1})).in_order()


def test_a_real_domain_is_found_by_its_name_and_its_certificate_carries_the_name_that_dns_gave(connect: Any, samba: Any) -> None:
    for site in (None, "Default-First-Site-Name", "Nowhere"):
        found = connect(servers=None, domain=samba.domain, site=site, **{"name servers": [samba.address], "certificate name": None})
        assert found.check().identity.startswith("S-1-5-21-")
        assert found.session.server == samba.host
