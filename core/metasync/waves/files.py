"""The file of a wave: one column of it holds keys. It is read whole or not at all; what was read before stands until it can be read."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metasync.contract import MetasyncError
from metasync.engagement.model import Wave
from metasync.store.normalise import normalise
from metasync.store.rows import Problem, Severity
from metasync.words import listed

SHOWN = 5
"""Rows that a problem names."""


class Unreadable(MetasyncError):
    """The file of a wave cannot be read; who was in the wave stays in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """What stands in the file of a wave."""

    shown: Mapping[str, str]
    """Normalised key -> as the file has it."""
    problems: Sequence[Problem]


def read(wave: Wave) -> Keys:
    """The keys of a wave. Raises `Unreadable`, with what to do."""
    path = Path(wave.file)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(reader.line_num, row) for reader in (csv.reader(file, strict=True),) for row in reader]
    except FileNotFoundError:
        raise Unreadable(f"wave {wave.name}: there is no file {path}; put it there, or correct `file:`") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Unreadable(f"wave {wave.name}: {path} cannot be read: {_why(error)}; save it again as CSV in UTF-8") from error
    rows = [(line, row) for line, row in rows if any(cell.strip() for cell in row)]
    header = [cell.strip() for cell in rows[0][1]] if rows else []
    if header.count(wave.key) != 1:
        found = f"it has {listed(header)}" if header else "it is empty"
        raise Unreadable(f"wave {wave.name}: {path} needs one column `{wave.key}`; {found}")
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise Unreadable(
                f"wave {wave.name}: {path}: line {line} has {len(row)} values and the header {len(header)}; is the file cut off, or not "
                "separated by commas?"
            )
    return _keys(wave, [(line, row[header.index(wave.key)].strip()) for line, row in rows[1:]])


def _keys(wave: Wave, cells: Sequence[tuple[int, str]]) -> Keys:
    shown: dict[str, str] = {}
    empty: list[int] = []
    twice: dict[str, list[int]] = {}
    for line, cell in cells:
        key = normalise(cell)
        if not key:
            empty.append(line)
        elif key in shown:
            twice.setdefault(key, []).append(line)
        else:
            shown[key] = cell
    problems = []
    if empty:
        text = f"{_lines(empty)} of {wave.file} has no {wave.key}: nobody is meant by it; write the key, or take the line out"
        problems.append(Problem(code="no key", text=text, severity=Severity.WARNING))
    for key, lines in twice.items():
        text = f"{wave.key} {shown[key]} stands in {wave.file} again, in {_lines(lines)}; it counts once"
        problems.append(Problem(code="key twice", text=text, severity=Severity.WARNING, anchor=shown[key]))
    return Keys(shown=shown, problems=problems)


def _lines(numbers: Sequence[int]) -> str:
    first = listed([str(number) for number in numbers[:SHOWN]])
    return f"line {first}" if len(numbers) == 1 else f"lines {first}" + (" and others" if len(numbers) > SHOWN else "")


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
