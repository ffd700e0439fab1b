"""Cells and values: what the text of a cell means, and how a value is written."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from metasync.contract import Reference, Role, Type, Value, Values
from metasync_csv.layout import Column, Layout
from metasync_csv.options import STANDARD

Decode = Callable[[str], "Values | None"]
ResolveReference = Callable[[Column, Reference], str]

KNOWN = 4096
"""How many cells of a column are remembered."""

INTEGER = re.compile(r"[+-]?[0-9]{1,4000}\Z")
FORMULA = re.compile(r"[=@\t\r\n+\-＝＠＋－]")  # noqa: RUF001 - spreadsheets take the full-width signs as well
PLAIN_NUMBER = re.compile(r"[+-][0-9][0-9 .,()/-]*\Z")
HIDDEN_FORMULA = re.compile(r"'+[=@\t\r\n+\-＝＠＋－]")  # noqa: RUF001 - as above


def anchor_of(cell: str) -> str:
    """An anchor in the one form that it is known by: composed (NFC), without spaces around it."""
    cell = cell.strip()
    return cell if cell.isascii() else unicodedata.normalize("NFC", cell)


def folded(cell: str) -> str:
    """What two anchors, or two values of a unique column, must not share: case, spaces and Unicode forms do not count."""
    cell = " ".join(cell.split())
    if cell.isascii():
        return cell.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", cell).casefold())


class Known(dict[str, "Value | None"]):
    """What cells mean that come again and again (a manager, a word for true); as many as there is room for."""

    def __init__(self, decode: Callable[[str], Value | None]) -> None:
        self._decode = decode

    def __missing__(self, cell: str) -> Value | None:
        value = self._decode(cell)
        if len(self) >= KNOWN:
            self.clear()
        self[cell] = value
        return value


class Cells:
    """Reads and writes cells by the options. Everything raises `ValueError` with a reason that names no row."""

    def __init__(self, layout: Layout) -> None:
        options = layout.options
        self._true: list[str] = options["true_words"]
        self._false: list[str] = options["false_words"]
        self._words = {word.strip().casefold(): True for word in self._true} | {word.strip().casefold(): False for word in self._false}
        self._separator: str = options["separator"]
        self._escape: str | None = options["separator_escape"]
        self._time_format: str | None = options["time_format"]
        self._formulas: str = options["formulas"]
        self._parts = (
            re.compile(f"{re.escape(self._escape)}[{re.escape(self._escape)}{re.escape(self._separator)}]|{re.escape(self._separator)}")
            if self._escape
            else None
        )

    # -- reading -------------------------------------------------------------------------------------------------------

    def decoder(self, column: Column) -> Decode | None:
        """How a cell of this column is read; None where its text is its value. It is never called with an empty cell."""
        one = self._scalar_decoder(column)
        if column.multi:
            decode = self._several(one)
        elif one is not None:
            decode = one
        elif self._formulas == "escape":
            return lambda cell: cell[1:] if HIDDEN_FORMULA.match(cell) else cell
        else:
            return None
        if self._formulas == "escape":
            return lambda cell: decode(cell[1:] if HIDDEN_FORMULA.match(cell) else cell)
        return decode

    def _scalar_decoder(self, column: Column) -> Callable[[str], Value | None] | None:
        if column.role is Role.ANCHOR:
            return anchor_of
        match column.type:
            case Type.BOOLEAN:
                return Known(self._boolean).__getitem__
            case Type.INTEGER:
                return _integer
            case Type.TIME:
                return Known(self._time).__getitem__
            case Type.BYTES:
                return _bytes
            case Type.REFERENCE:
                key = column.key

                def reference(cell: str) -> Reference | None:
                    value = anchor_of(cell)
                    return Reference(value=value, key=key) if value else None

                return Known(reference).__getitem__
            case _:
                return None

    def _several(self, one: Callable[[str], Value | None] | None) -> Decode:
        def decode(cell: str) -> Values | None:
            parts = [part for part in self.split(cell) if part]
            values = parts if one is None else [value for value in map(one, parts) if value is not None]
            return tuple(dict.fromkeys(values)) or None

        return decode

    def split(self, cell: str) -> list[str]:
        """The parts of a multi-valued cell."""
        if self._parts is None or self._escape is None or self._escape not in cell:
            return cell.split(self._separator)
        parts, part, at = [], "", 0
        for found in self._parts.finditer(cell):
            part += cell[at : found.start()]
            at = found.end()
            if found.group() == self._separator:
                parts.append(part)
                part = ""
            else:
                part += found.group()[1]
        return [*parts, part + cell[at:]]

    def _boolean(self, cell: str) -> bool:
        value = self._words.get(cell.strip().casefold())
        if value is None:
            raise ValueError(
                f"{shown(cell)} is neither one of the words for true ({', '.join(self._true)}) nor for false ({', '.join(self._false)})"
            )
        return value

    def _time(self, cell: str) -> datetime:
        try:
            value = datetime.strptime(cell.strip(), self._time_format) if self._time_format else datetime.fromisoformat(cell.strip())  # noqa: DTZ007
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        except (ValueError, OverflowError):
            form = f"of the form {self._time_format}" if self._time_format else "in ISO 8601"
            raise ValueError(f"{shown(cell)} is not a time {form}") from None

    # -- writing -------------------------------------------------------------------------------------------------------

    def encode(self, column: Column, values: Values | None, resolve: ResolveReference) -> str:
        """The cell of these values."""
        if values is None or values == "" or values == ():
            return ""
        if isinstance(values, tuple) and not column.multi:
            raise ValueError(f"column {column.name!r} holds one value, not several; name it under `multi-valued`")
        several: Sequence[Value] = values if isinstance(values, tuple) else (values,)
        texts = list(dict.fromkeys(self.text(column, value, resolve) for value in several))
        for text in texts:
            if column.max_length is not None and len(text) > column.max_length:
                raise ValueError(f"column {column.name!r} holds at most {column.max_length} characters, the value has {len(text)}")
        cell = self.join(texts, column) if column.multi else texts[0]
        return self._guard(column, cell)

    def text(self, column: Column, value: Value, resolve: ResolveReference) -> str:
        """One value as it stands in the file."""
        if column.role is Role.ANCHOR and isinstance(value, (str, int)) and not isinstance(value, bool):
            return anchor_of(str(value))
        match column.type:
            case Type.REFERENCE if isinstance(value, Reference):
                return resolve(column, value)
            case Type.BOOLEAN if isinstance(value, bool):
                return (self._true if value else self._false)[0]
            case Type.INTEGER if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
            case Type.TIME if isinstance(value, datetime):
                return self._time_text(column, value)
            case Type.BYTES if isinstance(value, bytes):
                return base64.b64encode(value).decode("ascii")
            case Type.STRING if isinstance(value, str):
                return value
        held = "references" if column.type is Type.REFERENCE else f"{column.type}s"
        advice = "give it that type under `types`, or map it as text" if column.name not in STANDARD else "map a value of that type"
        raise ValueError(f"column {column.name!r} holds {held}, not {type(value).__name__}; {advice}")

    def _time_text(self, column: Column, value: datetime) -> str:
        value = value.astimezone(UTC)
        if not self._time_format:
            return value.isoformat().replace("+00:00", "Z")
        text = value.strftime(self._time_format)
        if self._time(text) != value:
            raise ValueError(f"column {column.name!r} cannot hold the time {value.isoformat()}: `time format` leaves a part of it out")
        return text

    def join(self, texts: Sequence[str], column: Column) -> str:
        """The multi-valued cell of these parts."""
        parts = []
        for text in texts:
            if self._escape:
                text = text.replace(self._escape, self._escape * 2).replace(self._separator, self._escape + self._separator)
            elif self._separator in text:
                raise ValueError(
                    f"a value of column {column.name!r} holds the separator {self._separator!r}; choose another, or a `separator escape`"
                )
            parts.append(text)
        return self._separator.join(parts)

    def _guard(self, column: Column, cell: str) -> str:
        if self._formulas == "raw":
            return cell
        dangerous = bool(FORMULA.match(cell)) and not PLAIN_NUMBER.match(cell)
        if self._formulas == "escape":
            return f"'{cell}" if dangerous or HIDDEN_FORMULA.match(cell) else cell
        if dangerous:
            raise ValueError(
                f"the value for column {column.name!r} starts with {cell[0]!r} and a spreadsheet would take it for a formula; "
                "set the option `formulas` to escape or raw, or correct the value"
            )
        return cell


def shown(cell: str) -> str:
    """A value in a message: quoted, not too long."""
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")


def _integer(cell: str) -> int:
    if not INTEGER.match(cell.strip()):
        raise ValueError(f"{shown(cell)} is not an integer")
    return int(cell)


def _bytes(cell: str) -> bytes | None:
    try:
        return base64.b64decode(cell.strip(), validate=True) or None
    except (binascii.Error, ValueError):
        raise ValueError(f"{shown(cell)} is not base64") from None
