"""The connector keeps what the conformance suite asks of every connector."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from metasync.contract import DirectorySettings, Kind, Reference, Value, Values
from metasync.testing.suite import ConnectorSuite, Harness
from metasync_csv.connector import CsvConnector

from .harness import put

COLUMNS = [
    "id",
    "kind",
    "name",
    "enabled",
    "displayName",
    "title",
    "mail",
    "phones",
    "badge",
    "hired",
    "photo",
    "manager",
    "members",
    "origin",
]


def cell(value: Value) -> str:
    if isinstance(value, Reference):
        return value.value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else str(value)


class CsvHarness(Harness):
    """One file with several kinds, edited with Python's own `csv`."""

    connector = CsvConnector
    settings = DirectorySettings(mark="origin")
    multi = "phones"
    reference = "manager"
    unique = "mail"
    limited = "title"
    group = Kind.GROUP
    encoding: ClassVar[str] = "utf-8"
    more: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.file = folder / "people.csv"
        self.numbers = itertools.count(1)
        self.whole = b""
        self.save({})

    def options(self) -> Mapping[str, Any]:
        return {
            "path": str(self.file),
            "anchor": "id",
            "kind column": "kind",
            "kinds": {"person": "user", "team": "group"},
            "may be empty": True,
            "encoding": self.encoding,
            "multi-valued": ["phones"],
            "types": {"badge": "integer", "hired": "time", "photo": "bytes"},
            "true words": ["yes"],
            "false words": ["no"],
            "unique": ["mail"],
            "max lengths": {"title": 40},
            **self.more,
        }

    def sample(self, kind: Kind, number: int) -> dict[str, Values]:
        return {**super().sample(kind, number), "id": f"{kind.value[0]}-{number}"}

    def load(self) -> dict[str, dict[str, str]]:
        with self.file.open(encoding=self.encoding, newline="") as stream:
            return {row["id"]: row for row in csv.DictReader(stream)}

    def save(self, objects: Mapping[str, Mapping[str, str]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(objects.values())
        put(self.file, text.getvalue(), self.encoding)

    def put(self, kind: Kind, attributes: Mapping[str, Values]) -> str:
        anchor = str(attributes["id"]) if "id" in attributes else f"x-{next(self.numbers)}"
        self.save({**self.load(), anchor: {"id": anchor, "kind": "person" if kind is Kind.USER else "team"}})
        self.change(anchor, attributes)
        return anchor

    def change(self, anchor: str, attributes: Mapping[str, Values | None]) -> None:
        objects = self.load()
        for name, values in attributes.items():
            several = values if isinstance(values, tuple) else () if values is None else (values,)
            objects[anchor][name] = "|".join(map(cell, several))
        self.save(objects)

    def delete(self, anchor: str) -> None:
        objects = self.load()
        del objects[anchor]
        self.save(objects)

    def cut(self) -> None:
        self.whole = self.file.read_bytes()
        put(self.file, self.whole[: len(self.whole) - 20])

    def mend(self) -> None:
        put(self.file, self.whole)


class TestCsv(ConnectorSuite):
    Harness = CsvHarness


class Utf16Harness(CsvHarness):
    """Escaped formulas, no mark, another encoding: what we created is known by its anchor."""

    settings = DirectorySettings()
    encoding = "utf-16"
    more: ClassVar[Mapping[str, Any]] = {"formulas": "escape"}


class TestCsvInUtf16WithoutMark(ConnectorSuite):
    Harness = Utf16Harness
