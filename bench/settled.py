"""Two directories that hold the same people: who is whom, then everything looked at again although nothing has to be done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import documents
from .meter import Meter, peak_megabytes
from .ready import Company
from .working import decode, engine_of, imported, synchronised


def work(meter: Meter, folder: Path, urls: Sequence[str], size: int, *, cel: bool) -> dict[str, float]:
    """Join all of a company to its like, then synchronise all of it under another document that means the same."""
    hr, ad = Company(size), Company(size, seed=1, kept=True)
    text = documents.directory(cel=cel)
    engine = engine_of(folder, urls[0], text, {"hr": hr, "ad": ad})
    imported(engine, "hr")
    with meter.step("import of the target", lambda: ad.spent):
        imported(engine, "ad")
    with meter.step("decode the source"):
        decode(engine.backend, engine.workspace.directory_ids["hr"])
    _in_step(engine, synchronised(engine, meter, step="join", frozen="nothing to freeze"), size)
    engine.load(documents.reworded(text))
    _in_step(engine, synchronised(engine, meter, step="full synchronisation", frozen="nothing to freeze"), size)
    peak = peak_megabytes()
    engine.close()
    return {"changes": 0, "peak": peak}


def _in_step(engine, changes: int, size: int) -> None:
    statuses = engine.statuses()
    if changes or statuses != {"in step": size}:
        raise RuntimeError(f"{changes} changes were planned, and {statuses} of {size} objects")
