"""The pairing file of `joins: {file: ...}`: pairs that people made before anything was imported."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from metasync.contract import MetasyncError

if TYPE_CHECKING:
    from metasync.engagement.model import Engagement

ANCHOR = "anchor"
"""What stands for an attribute where a column holds anchors."""


def pairing_attributes(engagement: Engagement, target: str) -> tuple[str, str] | None:
    """The attributes (or `anchor`) of source and target that the file pairs by; None where there is no file that can be read, which is said
    when the profile is synchronised."""
    try:
        header, _ = _read(engagement, target)
    except MetasyncError:
        return None
    return header


def pairing_file(engagement: Engagement, target: str) -> list[tuple[str, str, str, str]]:
    """The rows: (source attribute or `anchor`, value, target attribute or `anchor`, value). Raises `MetasyncError`."""
    header, rows = _read(engagement, target)
    if header is None:
        return []
    return [(header[0], one, header[1], other) for one, other in rows]


def _read(engagement: Engagement, target: str) -> tuple[tuple[str, str] | None, list[tuple[str, str]]]:
    """Two columns, `source` and `target` (anchors) or `source.ATTRIBUTE` and `target.ATTRIBUTE`."""
    name = engagement.directories[target].joins_file
    if name is None:
        return None, []
    path = Path(engagement.path).parent / name
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MetasyncError(f"{target}: the pairing file {path} cannot be read: {error}") from error
    header = [one.strip() for one in rows[0]] if rows else []
    if len(header) != 2 or header[0].partition(".")[0] != "source" or header[1].partition(".")[0] != "target":
        raise MetasyncError(
            f"{target}: the pairing file {path} needs the header `source,target`, or such as `source.employeeID,target.mail`"
        )
    found = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != 2 or not row[0].strip() or not row[1].strip():
            raise MetasyncError(f"{target}: the pairing file {path} needs two values in row {number}")
        found.append((row[0].strip(), row[1].strip()))
    return (header[0].partition(".")[2] or ANCHOR, header[1].partition(".")[2] or ANCHOR), found
