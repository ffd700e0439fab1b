"""Files as an administrator handles them, and connectors for them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from metasync.contract import (
    Change,
    DirectorySettings,
    Entry,
    Item,
    Kind,
    Operation,
    Page,
    ReadRequest,
    Reference,
    Reject,
    Result,
    Values,
)
from metasync.testing.context import TestContext
from metasync_csv.connector import CsvConnector
from metasync_csv.options import CsvOptions


def put(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    """Put a file there whole, as a careful program does."""
    staged = path.with_name(path.name + ".new")
    staged.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    os.replace(staged, path)
    return path


def connect(path: Path | None = None, *, mark: str | None = None, **options: Any) -> CsvConnector:
    """A connector; options by their names in the document, with _ for a space or a hyphen."""
    names = {field.data_key.replace(" ", "_").replace("-", "_"): field.data_key for field in CsvOptions().fields.values() if field.data_key}
    given = {names.get(name, name.replace("_", " ")): value for name, value in {"anchor": "id", **options}.items()}
    if path is not None:
        given["path"] = str(path)
    loaded = CsvOptions().load(given)
    assert isinstance(loaded, dict)
    return CsvConnector(loaded, TestContext("people", settings=DirectorySettings(mark=mark)))


def request(*attributes: str, kinds: Sequence[Kind] = (Kind.USER,), page_size: int = 1000) -> ReadRequest:
    """A request for these attributes of these kinds."""
    return ReadRequest(
        stream="all", kinds=frozenset(kinds), attributes={kind: frozenset(attributes) for kind in kinds}, page_size=page_size
    )


def items(pages: Iterable[Page]) -> list[Item]:
    """All items of a read that came to its end."""
    read = list(pages)
    assert [page.complete for page in read] == [False] * (len(read) - 1) + [True]
    return [item for page in read for item in page.items]


def read(connector: CsvConnector, *attributes: str, kinds: Sequence[Kind] = (Kind.USER,)) -> dict[str, dict[str, Values]]:
    """Anchor to attributes of a file without rejects."""
    found = items(connector.read(request(*attributes, kinds=kinds)))
    assert not rejects(found), rejects(found)
    return {item.anchor: dict(item.attributes) for item in found if isinstance(item, Entry)}


def entries(found: Iterable[Item]) -> dict[str, dict[str, Values]]:
    """Anchor to attributes of the entries."""
    return {item.anchor: dict(item.attributes) for item in found if isinstance(item, Entry)}


def rejects(found: Iterable[Item]) -> list[Reject]:
    """The rejects."""
    return [item for item in found if isinstance(item, Reject)]


class Changes:
    """Makes changes with ids of their own."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(
        self,
        operation: Operation,
        anchor: str | None = None,
        after: Mapping[str, Values | None] | None = None,
        before: Mapping[str, Values] | None = None,
        *,
        kind: Kind = Kind.USER,
        member: str | None = None,
        mark: str | None = None,
    ) -> Change:
        self.count += 1
        return Change(
            id=f"change-{self.count}",
            operation=operation,
            kind=kind,
            anchor=anchor,
            label=anchor or "new",
            before=before or {},
            after=after or {},
            member=Reference(value=member) if member else None,
            tag=f"{self.count:032x}",
            mark=mark,
        )


def write(connector: CsvConnector, *changes: Change) -> list[Result]:
    """One call; its results, in the order of the changes."""
    results = {result.id: result for result in connector.write(changes)}
    assert len(results) == len(changes)
    return [results[change.id] for change in changes]


def rows(path: Path, encoding: str = "utf-8") -> list[list[str]]:
    """The cells of a file, by Python's own reader."""
    with path.open(encoding=encoding, newline="") as stream:
        return list(csv.reader(stream))
