"""A connector that costs nothing: it makes each page when it is asked for it, and keeps account of the time that this takes.

So pages need no room, and what they cost can be taken off: what is left is the engine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from marshmallow import fields

from metasync.contract import AttributeSchema, Check, Connector, Entry, Kind, Options, Page, ReadRequest, Schema, hookimpl, option
from metasync.testing.memory import memory_schema

from . import people

EXTRA = ("city", "street", "room", "costCentre")
"""What the company has beside the attributes of a domain."""


@dataclass
class Company:
    """What a directory holds, and what happened to it."""

    size: int
    seed: int = 0
    crowd: int = 0
    """Beside the objects, one group with so many members."""
    kept: bool = False
    """It is what the documents make of such a company in their target."""
    editions: dict[int, int] = field(default_factory=dict)
    log: list[int] = field(default_factory=list)
    spent: float = 0.0
    """CPU seconds that went into making pages."""

    def edit(self, numbers: Sequence[int]) -> None:
        """Change one attribute of each of these."""
        for number in numbers:
            self.editions[number] = self.editions.get(number, 0) + 1
        self.log += numbers

    def entry(self, number: int) -> Entry:
        """One object as it is now."""
        if self.kept:
            return people.kept(number, self.size, edition=self.editions.get(number, 0), seed=self.seed)
        return people.entry(number, self.size, edition=self.editions.get(number, 0), seed=self.seed)


class ReadyOptions(Options):
    """Which company."""

    store = option(fields.String(required=True), title="Store", help="The name of the company.")


class ReadyConnector(Connector):
    """Reads and follows a `Company`."""

    name = "ready"
    title = "Pages made on the spot, for measuring"
    Options = ReadyOptions
    companies: ClassVar[Mapping[str, Company]]

    @property
    def company(self) -> Company:
        return self.companies[str(self.options["store"])]

    def check(self) -> Check:
        return Check(identity=f"ready {self.options['store']}")

    def discover(self) -> Schema:
        return schema()

    def read(self, request: ReadRequest) -> Iterator[Page]:
        company = self.company
        numbers = range(company.size)
        for start in range(0, company.size, request.page_size):
            yield self.page(request, numbers[start : start + request.page_size])
        began = time.process_time()
        items = (asked(people.crowd(company.crowd, company.seed), request),) if company.crowd else ()
        company.spent += time.process_time() - began
        yield Page(items=items, complete=True, cursor=str(len(company.log)))

    def follow(self, request: ReadRequest, cursor: str) -> Iterator[Page]:
        company = self.company
        since = company.log[int(cursor) :]
        for start in range(0, len(since), request.page_size):
            yield self.page(request, since[start : start + request.page_size])
        yield Page(items=(), complete=True, cursor=str(len(company.log)))

    def page(self, request: ReadRequest, numbers: Sequence[int]) -> Page:
        """One page, on our own account."""
        began = time.process_time()
        made = Page(items=tuple([asked(self.company.entry(number), request) for number in numbers]))
        self.company.spent += time.process_time() - began
        return made


class ReadyPlugin:
    """Brings the connector into a host, over these companies."""

    def __init__(self, companies: Mapping[str, Company]) -> None:
        class Bound(ReadyConnector):
            """The connector over this plugin's companies."""

        Bound.companies = companies
        self.connector = Bound

    @hookimpl
    def metasync_register_connectors(self) -> Sequence[type[Connector]]:
        """The one connector."""
        return (self.connector,)


def schema() -> Schema:
    """What a domain holds, and a few attributes more."""
    known = memory_schema()
    more = {name: AttributeSchema(name=name) for name in EXTRA}
    user = known.kinds[Kind.USER]
    return Schema(kinds={**known.kinds, Kind.USER: replace(user, attributes={**user.attributes, **more})})


def asked(entry: Entry, request: ReadRequest) -> Entry:
    """With the attributes that were asked for."""
    wanted = request.attributes.get(entry.kind, frozenset()) | {"anchor"}
    known = {"anchor": entry.anchor, "name": entry.attributes["cn"], **entry.attributes}
    return Entry(anchor=entry.anchor, kind=entry.kind, attributes={name: value for name, value in known.items() if name in wanted})
