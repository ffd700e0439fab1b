"""A document outlives the form of a connector's options: what was written for an older version is still read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from marshmallow import fields

from metasync.contract import Check, Connector, Options, Page, ReadRequest, Schema, hookimpl, option
from metasync.engagement.load import DocumentError, check, parse
from metasync.engagement.model import Engagement
from metasync.host import Host

from .conftest import Stubs


class FeedOptions(Options):
    """Version 1 had `url`, version 2 `address`; today there are several."""

    addresses = option(fields.List(fields.String(), required=True), title="Addresses", help="Where to read from.")


class Feed(Connector):
    name, title, Options, options_version = "feed", "A feed", FeedOptions, 3

    @classmethod
    def upgrade(cls, options: Mapping[str, Any], from_version: int) -> Mapping[str, Any]:
        if from_version == 1:
            options = {"address": options["url"]}
        return {"addresses": [options["address"]]}

    def check(self) -> Check:
        raise NotImplementedError

    def discover(self) -> Schema:
        raise NotImplementedError

    def read(self, request: ReadRequest) -> Iterator[Page]:
        raise NotImplementedError


class Plugin:
    @hookimpl
    def metasync_register_connectors(self) -> list[type[Connector]]:
        return [Feed]


DOCUMENT = """
engagement: old
plugins: {feeds: ">=1"}
directories:
  feed: {connector: feed, options: OPTIONS}
  ad: {connector: ad, mark: info, options: {servers: [dc], base: DC=x, bind: b, password: {secret: p}}}
profiles:
  all: {kind: user, source: feed, target: ad, match: [{source: mail, target: mail}], map: {title: source.title}}
"""


def engagement(options: str) -> Engagement:
    return check(parse(DOCUMENT.replace("OPTIONS", options), "old.yaml"), Host.of(Stubs(), Plugin()))


@pytest.mark.parametrize(("options", "version"), [("{url: a}", 1), ("{address: a}", 2)])
def test_options_of_an_older_version_are_read_in_todays_form_with_a_notice(options: str, version: int) -> None:
    found = engagement(options)
    assert found.directories["feed"].options == {"addresses": ["a"]}
    (notice,) = found.notices
    assert (notice.line, notice.key) == (5, "directories.feed.options")
    assert f"the form of version {version} of the options of `feed`, and is read as version 3" in notice.text


def test_options_of_today_are_taken_as_they_are() -> None:
    found = engagement("{addresses: [a, b]}")
    assert found.directories["feed"].options == {"addresses": ["a", "b"]}
    assert not found.notices


def test_what_is_of_no_version_is_judged_by_todays() -> None:
    with pytest.raises(DocumentError, match=r"directories\.feed\.options\.addresses: is missing") as caught:
        engagement("{adress: a}")
    assert "adress: is not known here" in str(caught.value)
