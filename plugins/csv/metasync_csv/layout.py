"""What the options mean: which file holds which kinds, how it is written, and what each column is."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metasync.contract import (
    EVERYTHING,
    READ_ONLY,
    Allow,
    AttributeSchema,
    Equality,
    Kind,
    KindSchema,
    Operation,
    Role,
    Schema,
    Type,
    Unique,
)
from metasync_csv.options import IGNORE, STANDARD, character

ROLES = {"name": Role.NAME, "path": Role.PATH, "enabled": Role.ENABLED}
REFERENCES = {"manager": "anchor", "members": "anchor"}
SAYING = {
    "multi_valued": "multi-valued",
    "references": "references",
    "types": "types",
    "unique": "unique",
    "sign_in": "sign-in",
    "max_lengths": "max lengths",
}
"""Options that say something of the columns that they name: as the code and as the document writes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """How cells and rows are told apart."""

    delimiter: str
    quote: str | None
    double_quote: bool
    escape: str | None
    quote_all: bool

    def reader(self, lines: Iterable[str], *, strict: bool = True) -> Iterator[list[str]]:
        """The rows of these lines, which keep their line ends."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            doublequote=self.double_quote,
            escapechar=self.escape,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            strict=strict,
        )

    def row(self, cells: Sequence[str]) -> str:
        """One row without its line end. The caller reads it back, as not every value can be written in every dialect."""
        if self.quote and len(cells) == 1 and not cells[0]:
            return self.quote * 2
        return self.delimiter.join(self._cell(cell) for cell in cells)

    def _cell(self, cell: str) -> str:
        special = (self.delimiter, "\r", "\n", self.quote or "", self.escape or "")
        if not self.quote:
            if self.escape:
                for sign in (self.escape, self.delimiter, "\r", "\n"):
                    cell = cell.replace(sign, self.escape + sign)
            return cell
        if not self.quote_all and not any(sign and sign in cell for sign in special):
            return cell
        if self.escape:
            cell = cell.replace(self.escape, self.escape * 2)
        inside = self.quote * 2 if self.double_quote else (self.escape or "") + self.quote
        return self.quote + cell.replace(self.quote, inside) + self.quote


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One file of the directory."""

    path: str
    kind: Kind | None
    """What every row is; None: the kind column says it."""

    @property
    def label(self) -> str:
        """The file's name, for messages."""
        return os.path.basename(self.path) or self.path


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """What a column holds."""

    name: str
    standard: str | None = None
    type: Type = Type.STRING
    multi: bool = False
    key: str = "anchor"
    """Of a reference: the attribute that names the other object."""
    role: Role | None = None
    unique: bool = False
    max_length: int | None = None


class Layout:
    """The options, worked out once per connector."""

    def __init__(self, options: Mapping[str, Any], mark: str | None = None) -> None:
        self.options = options
        self.anchor: str = options["anchor"]
        self.mark = mark
        self.kind_column: str | None = options["kind_column"]
        self.open_header: bool = options["header"] == "open"
        self.dialect = Dialect(
            delimiter=character(options["delimiter"]),
            quote=options["quote"],
            double_quote=options["double_quote"],
            escape=options["escape"],
            quote_all=options["quote_all"],
        )
        if options["files"]:
            self.files = tuple(File(path=path, kind=Kind(kind)) for kind, path in sorted(options["files"].items()))
        else:
            self.files = (File(path=options["path"], kind=None if self.kind_column else Kind(options["kind"])),)
        words = options["kinds"] or {kind.value: kind.value for kind in Kind}
        self.words: dict[str, Kind | None] = {
            word.strip().casefold(): None if kind == IGNORE else Kind(kind) for word, kind in words.items()
        }
        self.word_of: dict[Kind, str] = {}
        for word, kind in words.items():
            if kind != IGNORE:
                self.word_of.setdefault(Kind(kind), word)
        self.writable: bool = options["checksum"] is None
        explicit: Mapping[str, str | None] = options["columns"]
        self._column_of = {name: column for name, column in explicit.items() if column}
        self._no_meaning = {name for name, column in explicit.items() if column is None}

    @property
    def kinds(self) -> frozenset[Kind]:
        """All kinds that the directory can hold."""
        if self.kind_column:
            return frozenset(self.word_of)
        return frozenset(file.kind for file in self.files if file.kind is not None)

    def standard_of(self, column: str) -> str | None:
        """The standard attribute that a column stands for."""
        for standard, name in self._column_of.items():
            if name == column:
                return standard
        if (
            column in STANDARD
            and column not in self._column_of
            and column not in self._no_meaning
            and column not in (self.anchor, self.kind_column)
        ):
            return column
        return None

    def column_name(self, attribute: str) -> str:
        """The column that an attribute lives in, whether it exists or not."""
        if attribute == "anchor":
            return self.anchor
        return self._column_of.get(attribute, attribute)

    def named(self) -> Iterator[tuple[str, str]]:
        """(option, column) of every column that an option says something of. The anchor and the kind column, which every file needs, and
        `create`, which is a header itself, are not among them."""
        for name in self._column_of.values():
            yield "columns", name
        for key, option in SAYING.items():
            given = self.options[key]
            for name in (*given, *given.values()) if key == "references" else given:
                yield option, self.column_name(name)

    def may_be_missing(self, attribute: str) -> bool:
        """True where a file without this column simply has no such value: what no option names and no document has to know."""
        if self.open_header or attribute == self.mark:
            return True
        return attribute in STANDARD and attribute not in self._column_of

    def may_grow(self, column: str) -> bool:
        """True for a column that Metasync may add to a header: the one for the mark always, as it is no part of the file's identity."""
        return self.open_header or (self.mark is not None and column == self.column_name(self.mark))

    def column(self, name: str) -> Column:
        """What a column of this name holds."""
        if name == self.anchor:
            return Column(name=name, role=Role.ANCHOR, unique=True, max_length=self._of("max_lengths", name, "anchor"))
        standard = self.standard_of(name)
        key = self._of("references", name, standard) or (REFERENCES.get(standard) if standard else None)
        type_ = Type.STRING
        if standard == "enabled":
            type_ = Type.BOOLEAN
        elif key:
            type_ = Type.REFERENCE
        else:
            type_ = Type(self._of("types", name, standard) or "string")
        role = ROLES.get(standard or "")
        if role is None and self._names("sign_in", name, standard):
            role = Role.SIGN_IN
        return Column(
            name=name,
            standard=standard,
            type=type_,
            multi=standard == "members" or self._names("multi_valued", name, standard),
            key=self.column_name(key) if key and key != "anchor" and self.column_name(key) != self.anchor else "anchor",
            role=role,
            unique=self._names("unique", name, standard),
            max_length=self._of("max_lengths", name, standard),
        )

    def schema(self, headers: Mapping[str, Sequence[str]]) -> Schema:
        """What the directory can hold, by the headers of its files."""
        kinds: dict[Kind, KindSchema] = {}
        for file in self.files:
            names = list(headers[file.path])
            if self.mark and self.mark not in names and self.writable:
                names.append(self.mark)
            # a column whose name is the standard name of another one could not be told from it
            hidden = {standard for standard, name in self._column_of.items() if standard != name}
            columns = [self.column(name) for name in names if name and name not in hidden]
            for kind in self.kinds if file.kind is None else (file.kind,):
                # in a file with several kinds, people have a column for members as well
                own = [column for column in columns if column.standard != "members" or kind is Kind.GROUP]
                kinds[kind] = KindSchema(
                    kind=kind,
                    attributes={column.name: self._attribute(column) for column in own},
                    operations=self._operations(own),
                    open=self.open_header,
                )
        return Schema(kinds=kinds)

    def fingerprint(self) -> bytes:
        """Digest of the options: reading with others may read something else."""
        plain = json.dumps(self.options, sort_keys=True, default=str)
        return hashlib.sha256(plain.encode()).digest()

    def pinned(self, header: Sequence[str]) -> str:
        """The part of a file's identity that its header gives. Columns that Metasync itself may add are no part of it."""
        if self.open_header:
            return "open"
        names = sorted(name for name in header if name != self.mark)
        return hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def _attribute(self, column: Column) -> AttributeSchema:
        allow = EVERYTHING
        if not self.writable or column.name == self.kind_column:
            allow = READ_ONLY
        elif column.role is Role.ANCHOR:
            allow = frozenset({Allow.READ, Allow.CREATE})
        return AttributeSchema(
            name=column.name,
            type=column.type,
            multi=column.multi,
            equality=Equality.IGNORE_SPACE if column.role is Role.ANCHOR else Equality.EXACT,
            max_length=column.max_length,
            allow=allow,
            role=column.role,
            unique=Unique.DIRECTORY if column.unique else None,
            alias=column.standard if column.standard != column.name else None,
        )

    def _operations(self, columns: Sequence[Column]) -> frozenset[Operation]:
        if not self.writable:
            return frozenset()
        operations = {Operation.CREATE, Operation.UPDATE, Operation.CLEAR, Operation.DELETE}
        by_role = {
            Role.NAME: (Operation.RENAME,),
            Role.PATH: (Operation.MOVE,),
            Role.ENABLED: (Operation.ENABLE, Operation.DISABLE),
            Role.SIGN_IN: (Operation.SIGN_IN,),
        }
        for column in columns:
            operations.update(by_role.get(column.role, ()) if column.role else ())
            if column.standard == "members":
                operations.update((Operation.MEMBER_ADD, Operation.MEMBER_REMOVE))
        return frozenset(operations)

    def _of(self, option: str, column: str, standard: str | None) -> Any:
        values: Mapping[str, Any] = self.options[option]
        return values.get(column, values.get(standard) if standard else None)

    def _names(self, option: str, column: str, standard: str | None) -> bool:
        return column in self.options[option] or standard in self.options[option]
