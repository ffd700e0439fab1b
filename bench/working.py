"""Import, synchronise and freeze behind a connector that costs nothing, each step measured by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import xxhash

from metasync.importing.read import PAGE
from metasync.planning import freeze
from metasync.runs import run as runs
from metasync.runs.record import recorded
from metasync.store import Backend, codec, match_keys, objects, open_store
from metasync.store.tables import object_
from metasync.synchronising import synchronise
from metasync.testing.engine import Engine

from . import documents, raw
from .meter import Meter, peak_megabytes
from .ready import Company, ReadyPlugin

THOUSAND = 1000
PORTION = 5000


def engine_of(folder: Path, url: str, document: str, companies: dict[str, Company], plugins: Sequence[object] = ()) -> Engine:
    """An engine over companies."""
    return Engine(folder, document, {}, plugins=[ReadyPlugin(companies), *plugins], url=url)


def imported(engine: Engine, directory: str, *, full: bool = False) -> None:
    """Import a directory. Raises `RuntimeError` where it did not come to its end."""
    outcome = runs.import_directories(engine.workspace, [directory], full=full)
    if outcome.unavailable or outcome.errors:
        raise RuntimeError(f"the import of {directory} went wrong: {outcome} {engine.problems()[:3]}")


def synchronised(engine: Engine, meter: Meter, *, step: str, frozen: str | None = None) -> int:
    """Synchronise and, where a step is named for it, freeze; the number of changes that were frozen."""
    names = list(engine.workspace.engagement.profiles)
    with recorded(engine.workspace, "plan", names) as run:
        with meter.step(step):
            outcome = synchronise(run.workspace, run.id, names)
        if outcome.not_ready or outcome.problems:
            raise RuntimeError(f"the synchronisation went wrong: {outcome} {engine.problems()[:3]}")
        if frozen is None:
            return 0
        with meter.step(frozen):
            return sum(plan.changes for plan in freeze(run.workspace, run.id, names))


def work(meter: Meter, folder: Path, urls: Sequence[str], size: int) -> dict[str, float]:
    """All steps on one company: everything created, then deltas, the second import, and the raw limits."""
    company, empty = Company(size), Company(0)
    spent: Callable[[], float] = lambda: company.spent  # noqa: E731
    engine = engine_of(folder, urls[0], documents.directory(), {"hr": company, "ad": empty})
    with meter.step("import", spent):
        imported(engine, "hr")
    imported(engine, "ad")
    changes = synchronised(engine, meter, step="first synchronisation", frozen="freeze")
    if changes < size:
        raise RuntimeError(f"{changes} changes were planned for {size} objects")
    peak = peak_megabytes()
    behind(engine, meter, company, spent)
    limits(meter, engine, urls[1:], company)
    engine.close()
    return {"changes": changes, "peak": peak}


def behind(engine: Engine, meter: Meter, company: Company, spent: Callable[[], float]) -> None:
    """What comes after the first import: changes by delta, by a second full import, and a thousand of them."""
    company.edit(range(0, company.size, 100))
    with meter.step("delta import of 1%", spent):
        imported(engine, "hr")
    synchronised(engine, meter, step="delta synchronisation of 1%")
    company.edit(range(1, company.size, 100))
    with meter.step("re-import with 1% changed", spent):
        imported(engine, "hr", full=True)
    synchronised(engine, Meter(), step="not measured")
    company.edit(range(2, company.size, max(1, company.size // THOUSAND))[:THOUSAND])
    with meter.step("1,000 changes", spent):
        imported(engine, "hr")
    synchronised(engine, meter, step="1,000 changes")


def limits(meter: Meter, engine: Engine, urls: Sequence[str], company: Company) -> None:
    """What the steps are divided by, each into a new database."""
    directory_id = engine.workspace.directory_ids["hr"]
    for url, name, tables in ((urls[0], "raw object rows", (object_,)), (urls[1], "raw rows of three tables", raw.TABLES)):
        batches = raw.ready(engine.backend, tables, directory_id)
        fresh = open_store(url)
        raw.copy_parents(engine.backend, fresh)
        with meter.step(name):
            raw.store(fresh, directory_id, tables, batches)
            if len(tables) > 1:
                with fresh.write() as connection:
                    match_keys.build_index(connection, directory_id)
                    objects.build_indexes(connection, directory_id)
        fresh.close()
        del batches
    fresh = open_store(urls[2])
    raw.copy_parents(engine.backend, fresh)
    object_rows(meter, fresh, engine, directory_id, company)
    fresh.close()


def object_rows(meter: Meter, fresh: Backend, engine: Engine, directory_id: int, company: Company) -> None:
    """Rows of objects alone, from the entries: encoded, with their digest, stored by the engine's own insert."""
    rows = raw.rows_of(engine.backend, object_, directory_id)
    place = {name: objects.COLUMNS.index(name) for name in ("digest", "blob")}
    order = [[column.name for column in object_.columns].index(name) for name in objects.COLUMNS]
    made = [[row[at] for at in order] for row in rows]
    with fresh.write() as connection:
        objects.drop_indexes(connection, directory_id)
    for start in range(0, len(made), PAGE):
        entries = [company.entry(number) for number in range(start, min(start + PAGE, company.size))]
        with meter.step("object rows with digest"), fresh.write() as connection:
            stored: list[tuple[Any, ...]] = []
            for entry, row in zip(entries, made[start : start + PAGE], strict=True):
                _, row[place["blob"]], row[place["digest"]], _ = codec.pack(entry.attributes)
                stored.append(tuple(row))
            fresh.insert(connection, object_, objects.COLUMNS, stored)
        images = [codec.pack(entry.attributes)[0] for entry in entries]
        with meter.step("JSON and digest alone"):
            for image in images:
                xxhash.xxh3_128_digest(orjson.dumps(image, option=orjson.OPT_SORT_KEYS))


def decode(backend: Backend, directory_id: int) -> None:
    """Read the images of a directory and decode them, and nothing else."""
    after, mark = 0, "?" if backend.dialect == "sqlite" else "%s"
    query = f"SELECT id, blob FROM object WHERE directory_id = {mark} AND id > {mark} ORDER BY id LIMIT {PORTION}"
    while True:
        with backend.read() as connection:
            cursor: Any = connection.connection.cursor()
            found = cursor.execute(query, (directory_id, after)).fetchall()
            cursor.close()
        for _, blob in found:
            codec.decode(blob)
        if len(found) < PORTION:
            return
        after = found[-1][0]
