"""A host of stubs: what the example document names, without the plugins, as the engine stands without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from marshmallow import fields, validate

from metasync.contract import (
    Change,
    Check,
    Connector,
    Exporter,
    Found,
    Intent,
    Lookup,
    Matcher,
    Notification,
    Notifier,
    Null,
    Operation,
    Options,
    Page,
    Pair,
    Parameter,
    ReadRequest,
    ReadsPasswordHashes,
    Result,
    Rewrite,
    Schema,
    Secret,
    Several,
    Values,
    WritesPasswordHashes,
    hookimpl,
    option,
)
from metasync.engagement.load import DocumentError, check, parse
from metasync.engagement.model import Engagement
from metasync.host import Host


class AdOptions(Options):
    servers = option(fields.List(fields.String(), required=True), title="Servers", help="Host names.")
    base = option(fields.String(required=True), title="Base", help="A DN.")
    bind = option(fields.String(required=True), title="Bind", help="An account.")
    password = Secret(title="Password", help="Of the account.", required=True)
    ca = option(fields.String(), title="CA", help="A file.")
    ca.metadata["path"] = True


class CsvOptions(Options):
    path = option(fields.String(required=True), title="Path", help="The file.")
    path.metadata["path"] = True
    anchor = option(fields.String(required=True), title="Anchor", help="The column that names a row for good.")
    columns = option(
        fields.Dict(keys=fields.String(validate=validate.OneOf(("enabled", "manager"))), values=fields.String(allow_none=True)),
        title="Columns",
        help="Which column holds what.",
    )


class Still(Connector):
    """Connects to nothing."""

    title = "A stub"

    def check(self) -> Check:
        raise NotImplementedError

    def discover(self) -> Schema:
        raise NotImplementedError

    def read(self, request: ReadRequest) -> Iterator[Page]:
        raise NotImplementedError


class Ad(Still):
    name, Options = "ad", AdOptions

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        raise NotImplementedError

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        raise NotImplementedError

    def password_hashes(self, anchors: Any) -> Iterator[tuple[str, bytes]]:
        raise NotImplementedError

    def set_password_hash(self, anchor: str, nt_hash: bytes) -> None:
        raise NotImplementedError


class Csv(Still):
    name, Options = "csv", CsvOptions


class AttributeOptions(Options):
    source = option(fields.String(required=True), title="Source", help="An attribute or expression of the source.")
    target = option(fields.String(required=True), title="Target", help="An attribute or expression of the target.")


class AttributeMatcher(Matcher):
    name, title, Options = "attribute", "Equal attributes", AttributeOptions

    @property
    def sources(self) -> Sequence[str]:
        return [self.options["source"]]

    @property
    def targets(self) -> Sequence[str]:
        return [self.options["target"]]

    def lookups(self, values: Sequence[Values | None]) -> Sequence[Lookup]:
        return [Lookup(key=self.options["target"], value=value) for value in values if value is not None]


class PasswordsOptions(Options):
    every = option(fields.Integer(load_default=120), title="Every", help="Seconds between two looks.")


class Passwords(Exporter):
    name, title, Options = "passwords", "Passwords", PasswordsOptions
    operations = frozenset({Operation.PASSWORD})
    needs = (ReadsPasswordHashes, WritesPasswordHashes)

    def plan(self, pairs: Iterator[Pair], since: str | None) -> Iterator[Intent]:
        yield from (Intent(pair=pair, operation=Operation.PASSWORD) for pair in pairs)

    def write(self, intents: Sequence[tuple[str, Intent]], source: Connector, target: Connector) -> Iterator[Result]:
        raise NotImplementedError


class NoteOptions(Options):
    to = option(fields.String(required=True), title="To", help="Whom it is for.")


class Note(Notifier):
    name, title, Options = "note", "A note", NoteOptions

    def notify(self, notification: Notification) -> None:
        raise NotImplementedError


def rewrite(name: str, *parameters: Parameter, **more: Any) -> Rewrite:
    return Rewrite(name=name, function=lambda value, *_: value, help="h", example=("a", "a"), parameters=parameters, **more)


class Stubs:
    """Everything that the example document names."""

    @hookimpl
    def metasync_register_connectors(self) -> Sequence[type[Connector]]:
        return [Ad, Csv]

    @hookimpl
    def metasync_register_matchers(self) -> Sequence[type[Matcher]]:
        return [AttributeMatcher]

    @hookimpl
    def metasync_register_exporters(self) -> Sequence[type[Exporter]]:
        return [Passwords]

    @hookimpl
    def metasync_register_notifiers(self) -> Sequence[type[Notifier]]:
        return [Note]

    @hookimpl
    def metasync_register_rewrites(self) -> Sequence[Rewrite]:
        return [
            rewrite("lower"),
            rewrite("digits"),
            rewrite("prefix", Parameter(name="text", help="what stands in front")),
            rewrite("replace_domain", Parameter(name="from", help="f"), Parameter(name="to", help="t")),
            rewrite("regex_replace", Parameter(name="pattern", help="p", pattern=True), Parameter(name="with", help="w", default="")),
            rewrite("join", Parameter(name="separator", help="s", default=""), null=Null.HANDLED, several=Several.ALL, value_last=True),
            rewrite("addresses", Parameter(name="old", help="o", default=None), several=Several.ALL),
        ]


SMALL = """\
engagement: small
plugins: {standard: ">=0.1"}
directories:
  hr: {connector: csv, options: {path: hr.csv, anchor: id}}
  ad: {connector: ad, options: {servers: [dc1], base: "DC=a", bind: svc, password: {secret: ad-bind}}, mark: adminDescription}
profiles:
  staff:
    kind: user
    source: hr
    target: ad
    match: [{source: id, target: employeeID}]
    map:
      sn: source.surname
      mail: {from: source.mail, rewrite: [lower]}
    leaving: {deleted: disable}
"""


@pytest.fixture
def host() -> Host:
    return Host.of(Stubs())


@pytest.fixture
def small() -> str:
    """A small document that is right; tests spoil it."""
    return SMALL


@pytest.fixture
def checked(host: Host, tmp_path: Path) -> Callable[[str], Engagement]:
    """Check a text as if it stood in `tmp_path/engagement.yaml`."""
    return lambda text: check(parse(text, str(tmp_path / "engagement.yaml")), host)


@pytest.fixture
def faults(checked: Callable[[str], Engagement]) -> Callable[[str], list[tuple[int, str, str, str]]]:
    """(line, key, text, allowed) of every problem of a text; empty where it is right."""

    def find(text: str) -> list[tuple[int, str, str, str]]:
        try:
            checked(text)
        except DocumentError as error:
            assert all(problem.column > 0 and problem.file.endswith("engagement.yaml") for problem in error.problems)
            return [(problem.line, problem.key, problem.text, problem.allowed) for problem in error.problems]
        return []

    return find
