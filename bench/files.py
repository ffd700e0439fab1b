"""A file of 25 columns: `csv.reader` alone, our reading of it, from the file to a frozen plan, and the file with one row in 100 changed."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import metasync_csv.plugin
from metasync import garbage
from metasync.contract import Kind, ReadRequest
from metasync.store import match_keys, objects, open_store
from metasync.testing.context import TestContext
from metasync.testing.engine import Engine
from metasync_csv.connector import CsvConnector
from metasync_csv.options import CsvOptions

from . import documents, people, raw
from .meter import Meter
from .ready import Company
from .working import engine_of, imported, synchronised


def limit(meter: Meter, engine: Engine, url: str) -> None:
    """The rows alone that file, synchronisation and plan left, stored again by the shortest way."""
    batches = raw.ready_creates(engine.backend)
    fresh = open_store(url)
    raw.copy_parents(engine.backend, fresh)
    directory_id = engine.workspace.directory_ids["hr"]
    with meter.step("raw rows of file to frozen plan"):
        raw.store(fresh, directory_id, raw.CREATES, batches)
        with fresh.write() as connection:
            match_keys.build_index(connection, directory_id)
            objects.build_indexes(connection, directory_id)
    fresh.close()


def write(path: Path, size: int, changed: Collection[int] = ()) -> None:
    """The company's people; those that changed in a later edition."""
    staged = path.with_suffix(".new")
    with staged.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(people.COLUMNS)
        writer.writerows(people.row(number, int(number in changed)) for number in numbers(size))
    os.replace(staged, path)


def numbers(size: int) -> list[int]:
    """The first so many people."""
    found = [number for number in range(size + size // 18 + 2) if not people.is_group(number)]
    return found[:size]


def work(meter: Meter, folder: Path, urls: Sequence[str], size: int) -> dict[str, float]:
    """All steps on one file, each without the cyclic garbage collector where an import has none."""
    path = folder / "people.csv"
    write(path, size)
    with garbage.paused(), meter.step("csv.reader"), path.open(newline="", encoding="utf-8") as stream:
        for _ in csv.reader(stream):
            pass
    options = CsvOptions().load({"path": str(path), "anchor": "employeeNumber", "columns": {"name": "cn"}})
    assert isinstance(options, dict)
    connector = CsvConnector(options, TestContext())
    request = ReadRequest(stream="all", kinds=frozenset({Kind.USER}), attributes={Kind.USER: frozenset(people.COLUMNS)})
    with garbage.paused(), meter.step("CSV parse"):
        read = sum(len(page.items) for page in connector.read(request))
    engine = engine_of(folder, urls[0], documents.file(path), {"ad": Company(0)}, [metasync_csv.plugin])
    with meter.step("file to frozen plan"):
        with meter.step("import of the file"):
            imported(engine, "hr")
        imported(engine, "ad")
        changes = synchronised(engine, meter, step="synchronise the file", frozen="freeze the file")
    if read != size or changes < size:
        raise RuntimeError(f"{read} rows were read and {changes} changes planned for {size} people")
    limit(meter, engine, urls[1])
    write(path, size, set(range(0, 2 * size, 100)))
    with meter.step("re-import of the file with 1% changed"):
        imported(engine, "hr", full=True)
    engine.close()
    return {"changes": changes}
