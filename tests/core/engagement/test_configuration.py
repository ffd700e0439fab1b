"""An approval binds what is effective: it changes with everything that changes the outcome, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from metasync.engagement.configuration import content_digest
from metasync.engagement.load import check, parse
from metasync.engagement.model import Engagement
from metasync.host import Host

Checked = Callable[[str], Engagement]


def digest(checked: Checked, text: str) -> str:
    return checked(text).profiles["staff"].configuration


def test_comments_order_layout_and_place_do_not_count(small: str, host: Host) -> None:
    one = check(parse(small, "/one/engagement.yaml"), host).profiles["staff"].configuration
    other = "# a comment\n" + small.replace("sn: source.surname", "sn: {from: 'source.surname'}   # the same")
    other = other.replace("    source: hr\n    target: ad\n", "    target: ad\n    source: [hr]\n")
    assert check(parse(other, "/two/engagement.yaml"), host).profiles["staff"].configuration == one


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    map:", "    schedule: every 15 minutes\n    map:"),
        ("mark: adminDescription", "mark: adminDescription, rate: {operations: 50/s}"),
        ("mark: adminDescription", 'mark: adminDescription, windows: ["Sat,Sun 00:00-24:00 UTC"]'),
        ("  hr: {", "  crm: {connector: csv, options: {path: crm.csv, anchor: id}}\n  hr: {"),
        ("profiles:\n", "profiles:\n  other: {kind: group, source: hr, target: ad, map: {cn: source.name}}\n"),
    ],
)
def test_what_does_not_change_the_outcome_does_not_count(small: str, checked: Checked, old: str, new: str) -> None:
    assert digest(checked, small.replace(old, new, 1)) == digest(checked, small)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("source.surname", "source.lastname"),
        ("rewrite: [lower]", "rewrite: [digits]"),
        ("deleted: disable", "deleted: delete"),
        ("path: hr.csv", "path: other.csv"),
        ("anchor: id", "anchor: number"),
        ("mark: adminDescription", "mark: info"),
        ("mark: adminDescription", "mark: adminDescription, new passwords: {length: 30}"),
        ("    map:", "    limits: {delete: {count: 1}}\n    map:"),
        ("    map:", "    approval: first\n    map:"),
        ("    map:", "    mode: staging\n    map:"),
    ],
)
def test_what_changes_the_outcome_counts(small: str, checked: Checked, old: str, new: str) -> None:
    assert digest(checked, small.replace(old, new, 1)) != digest(checked, small)


def test_a_rank_in_the_metaverse_counts_for_those_who_read_it(small: str, checked: Checked) -> None:
    def ranked(order: str, mapping: str) -> str:
        return digest(
            checked, small.replace("profiles:", f"metaverse: {{user: {{title: [{order}]}}}}\nprofiles:").replace("source.surname", mapping)
        )

    assert ranked("hr.title, ad.title", "mv.title") != ranked("ad.title, hr.title", "mv.title")
    assert ranked("hr.title, ad.title", "source.surname") == ranked("ad.title, hr.title", "source.surname")


def test_another_version_of_a_plugin_that_the_profile_uses_counts(small: str, host: Host) -> None:
    document = parse(small, "e.yaml")
    before = check(document, host).profiles["staff"].configuration
    host.plugins = tuple(replace(info, version="0.2") for info in host.plugins)
    assert check(document, host).profiles["staff"].configuration != before


def test_the_documents_digest_is_that_of_its_content(small: str) -> None:
    one = content_digest(parse(small, "/one/e.yaml"))
    assert (
        content_digest(parse("# hello\n" + small.replace("{source: id, target: employeeID}", "{target: employeeID, source: id}"), "e.yaml"))
        == one
    )
    assert content_digest(parse(small.replace("surname", "lastname"), "e.yaml")) != one
