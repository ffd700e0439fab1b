"""What turns a row into attributes: written out as straight-line code, once for each file and kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from keyword import iskeyword

from metasync.contract import ImportIncomplete, Kind, ReadRequest, Values
from metasync_csv.layout import File, Layout
from metasync_csv.values import Cells, Decode, anchor_of

SHARED = 30
"""How many names Python keeps once for all objects of a class."""

WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

Build = Callable[[Sequence[str], str], dict[str, Values]]
"""A row and its anchor -> its attributes."""


class RowRejected(ValueError):
    """A row that cannot be taken, with the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """One requested attribute and where it is read."""

    attribute: str
    at: int
    column: str
    decode: Decode | None


def wanted(header: Sequence[str], kind: Kind, request: ReadRequest, file: File, layout: Layout, cells: Cells) -> tuple[Wanted, ...]:
    """The requested attributes that the file has. Raises `ImportIncomplete` for a column that must be there and is not: everything in
    it would read as cleared."""
    found: list[Wanted] = []
    for attribute in sorted(request.attributes.get(kind, frozenset())):
        name = layout.column_name(attribute)
        if name in header:
            found.append(Wanted(attribute=attribute, at=header.index(name), column=name, decode=cells.decoder(layout.column(name))))
        elif not layout.may_be_missing(attribute):
            raise ImportIncomplete(
                f"{file.path} has no column {name!r}, which the document reads for kind {kind}; its columns are "
                f"{', '.join(map(repr, header))}. "
                "Correct the document or the file; with `header: open` a missing column reads as empty"
            )
    return tuple(sorted(found, key=lambda part: part.at))  # in the order of the file: it lies so in memory


def builder(parts: Sequence[Wanted]) -> Build:
    """An empty cell is an absent attribute. What the document and the file name enters as constants and never as code; but for plain
    words, which become attributes of an object whose `__dict__` is the answer. Of objects of one class Python keeps the names only once,
    so such a mapping takes a third of the memory and half of the time."""
    names: dict[str, object] = {"RowRejected": RowRejected, "Attributes": type("Attributes", (), {})}
    names.update((f"decode_{number}", part.decode) for number, part in enumerate(parts))
    words = [number for number, part in enumerate(parts) if _word(part.attribute)] if len(parts) <= SHARED else []
    others = [number for number in range(len(parts)) if number not in words]
    lines = ["def build(row, anchor):", "    try:"]
    lines.append("        made = Attributes()" if words else "        attributes = {}")
    for number in words:
        lines += _taken(number, parts[number], f"made.{parts[number].attribute}")
    lines += ["        attributes = made.__dict__"] if words else []  # not before: it is the stores into the object that are cheap
    for number in others:
        lines += _taken(number, parts[number], f"attributes[{parts[number].attribute!r}]")
    lines += ["        return attributes", "    except ValueError as error:"]
    lines.append('        raise RowRejected(f"column {column!r}: {error}") from None')
    code = compile("\n".join(lines), "<rows of a CSV file>", "exec")
    exec(code, names)  # noqa: S102 - our own template; names are constants in it, or words
    build: Build = names["build"]  # type: ignore[assignment]
    return build


def _word(name: str) -> bool:
    """True for a name that can be an attribute of any object, and of which Python makes no other."""
    return WORD.fullmatch(name) is not None and not iskeyword(name)


def _taken(number: int, part: Wanted, target: str) -> list[str]:
    """The lines that give the target what stands in the cell, unless nothing does."""
    lines = [f"        if cell := row[{part.at:d}]:"]
    if part.decode is None:
        return [*lines, f"            {target} = cell"]
    if part.decode is anchor_of:
        return [*lines, f"            {target} = anchor"]
    return [
        *lines,
        f"            column = {part.column!r}",
        f"            if (value := decode_{number}(cell)) is not None:",
        f"                {target} = value",
    ]
