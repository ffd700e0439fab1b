"""What turns a row into attributes: written out as straight-line code, once for each file and kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metasync.contract import ImportIncomplete, Kind, ReadRequest, Values
from metasync_csv.layout import File, Layout
from metasync_csv.values import Cells, Decode, anchor_of

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


def builder(parts: Sequence[Wanted], width: int) -> Build:
    """For rows of so many cells. An empty cell is an absent attribute. A row without one has all attributes: its mapping is a copy, which
    is filled in, instead of one that grows. What the document and the file name enters as constants and never as code."""
    names: dict[str, object] = {"RowRejected": RowRejected, "copy": dict.fromkeys(part.attribute for part in parts).copy}
    names.update((f"decode_{number}", part.decode) for number, part in enumerate(parts))
    lines = ["def build(row, anchor):", "    try:"]
    if 2 * len(parts) >= width:  # else it costs more to look at all cells than a copy saves
        lines += ["        if all(row):", "            attributes = copy()"]
        for number, part in enumerate(parts):
            lines += _set(number, part, f"row[{part.at:d}]", " " * 12)
            if _may_be_absent(part):
                lines += ["            else:", f"                del attributes[{part.attribute!r}]"]
        lines.append("            return attributes")
    lines.append("        attributes = {}")
    for number, part in enumerate(parts):
        lines.append(f"        if cell := row[{part.at:d}]:")
        lines += _set(number, part, "cell", " " * 12)
    lines += ["        return attributes", "    except ValueError as error:"]
    lines.append('        raise RowRejected(f"column {column!r}: {error}") from None')
    code = compile("\n".join(lines), "<rows of a CSV file>", "exec")
    exec(code, names)  # noqa: S102 - our own template; names are constants in it
    build: Build = names["build"]  # type: ignore[assignment]
    return build


def _may_be_absent(part: Wanted) -> bool:
    return part.decode is not None and part.decode is not anchor_of


def _set(number: int, part: Wanted, cell: str, indent: str) -> list[str]:
    """The lines that give the attribute the value of a cell that is not empty."""
    if part.decode is None:
        return [f"{indent}attributes[{part.attribute!r}] = {cell}"]
    if part.decode is anchor_of:
        return [f"{indent}attributes[{part.attribute!r}] = anchor"]
    return [
        f"{indent}column = {part.column!r}",
        f"{indent}if (value := decode_{number}({cell})) is not None:",
        f"{indent}    attributes[{part.attribute!r}] = value",
    ]
