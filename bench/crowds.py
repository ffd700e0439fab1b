"""A group as large as the company: what it costs, and the peak memory, from the import to a frozen plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import documents
from .meter import Meter, peak_megabytes
from .ready import Company
from .working import engine_of, imported, synchronised


def work(meter: Meter, folder: Path, urls: Sequence[str], size: int) -> dict[str, float]:
    """Import and plan a company and one more group, which has all of it as members."""
    company = Company(size, crowd=size)
    engine = engine_of(folder, urls[0], documents.directory(), {"hr": company, "ad": Company(0)})
    with meter.step("import a large group", lambda: company.spent):
        imported(engine, "hr")
    imported(engine, "ad")
    changes = synchronised(engine, meter, step="synchronise a large group", frozen="freeze a large group")
    engine.close()
    if changes < size:
        raise RuntimeError(f"{changes} changes were planned for {size} objects")
    return {"changes": changes, "peak": peak_megabytes()}
