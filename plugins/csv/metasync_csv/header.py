"""The header of a file: what must stand in it, and what is said where something does not."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from metasync.contract import Change, ImportIncomplete, Operation, Unavailable
from metasync_csv.files import OpenFile
from metasync_csv.layout import File, Layout

MEMBERSHIP = (Operation.MEMBER_ADD, Operation.MEMBER_REMOVE)


def read_header(opened: OpenFile, file: File, layout: Layout) -> tuple[int, list[str]]:
    """The first row that is not blank, and how many rows that makes with the blank ones. An empty list: there is none."""
    try:
        return next(((number, row) for number, row in enumerate(layout.dialect.reader(opened.lines), start=1) if row), (0, []))
    except csv.Error as error:
        raise ImportIncomplete(f"{file.path}: the header cannot be read: {error}; check `delimiter` and `quote`") from error


def check_header(header: Sequence[str], file: File, layout: Layout) -> None:
    """Raises `ImportIncomplete` where the header cannot be used."""
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise ImportIncomplete(f"{file.path}: the header names {listed(twice)} more than once; give each column a name of its own")
    for name in (layout.anchor, layout.kind_column):
        if name and name not in header:
            near = _near(name, header)
            hint = f"; did you mean {near!r}? Names are compared exactly" if near else "; check `anchor`, `delimiter` and `encoding`"
            raise ImportIncomplete(f"{file.path}: the header has no column {name!r}, it has {listed(header)}{hint}")


def unnamed(headers: Mapping[str, Sequence[str]], layout: Layout) -> dict[str, list[str]]:
    """Per column that options name and none of these headers has: those options. None of an open header, and not the column for the mark,
    which Metasync adds itself."""
    there = {name for header in headers.values() for name in header}
    missing: dict[str, list[str]] = {}
    for option, name in layout.named():
        if name not in there and not layout.may_grow(name):
            missing.setdefault(name, []).append(option)
    return missing


def check_named(headers: Mapping[str, Sequence[str]], layout: Layout) -> None:
    """Raises `ImportIncomplete` where an option names a column that none of the files has: what the option says would hold for nothing."""
    missing = unnamed(headers, layout)
    if not missing:
        return
    there = list(dict.fromkeys(name for header in headers.values() for name in header if name))
    parts = []
    for name, options in missing.items():
        near = _near(name, there)
        hint = f"; did you mean {near!r}?" if near else ""
        parts.append(f"no column {name!r} (named under {' and '.join(f'`{option}`' for option in dict.fromkeys(options))}{hint})")
    has, its = ("has", "its") if len(headers) == 1 else ("have", "their")
    raise ImportIncomplete(
        f"{' and '.join(headers)} {has} {' and '.join(parts)}; {its} columns are {listed(there)}. Names are compared exactly. Correct the "
        "options or the header; with `header: open` a column may be missing"
    )


def check_planned(changes: Iterable[tuple[Change, File, Sequence[str]]], layout: Layout) -> None:
    """Each change with its file and that file's header. Raises `Unavailable` where changes were planned on a column that is not there any
    more: then this is not the file that they were planned on, and not a file whose values somebody cleared."""
    missing: dict[tuple[str, str], list[str]] = {}
    headers: dict[str, Sequence[str]] = {}
    for change, file, header in changes:
        known = [attribute for attribute, values in change.before.items() if values not in (None, "", ())]
        if change.operation in MEMBERSHIP:
            known.append("members")
        headers[file.path] = header
        for name in dict.fromkeys(map(layout.column_name, known)):
            if name not in header and not layout.may_grow(name):
                missing.setdefault((file.path, name), []).append(change.label)
    for (path, name), labels in missing.items():
        others = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        raise Unavailable(
            f"{path} has no column {name!r} any more, on which the change of {labels[0]}{others} was planned; the file is neither written "
            f"nor read back, and its changes wait. Its columns are {listed(headers[path])}. Give the column its name back, or put the "
            "right file there"
        )


def listed(names: Iterable[str]) -> str:
    """Columns in a message."""
    return ", ".join(map(repr, names))


def _near(name: str, there: Iterable[str]) -> str | None:
    """The column that was probably meant."""
    by_fold = {other.strip().casefold(): other for other in there}
    close = get_close_matches(name.strip().casefold(), by_fold, n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None
