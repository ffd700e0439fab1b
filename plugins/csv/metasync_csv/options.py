"""The options of a CSV directory, as the document writes them. What they mean together is worked out in `layout`."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from metasync.contract import Kind, Options, option

STANDARD = ("name", "path", "enabled", "manager", "members", "disabled_by")
"""The standard attribute names that a column may stand for; the anchor has an option of its own."""

KINDS = tuple(kind.value for kind in Kind)
IGNORE = "ignore"
TYPES = ("string", "integer", "boolean", "time", "bytes")

ONE_CHARACTER = validate.Length(equal=1, error="must be one character")
SEPARATING = validate.Regexp(r"^(.|tab)\Z", error="must be one character, or the word: tab")
NOT_EMPTY = validate.Length(min=1, error="must not be empty")


def text(**keywords: Any) -> fields.String:
    """A string field that, where it may be left out, is None then."""
    if not keywords.get("required") and "load_default" not in keywords:
        keywords.update(load_default=None, allow_none=True)
    return fields.String(**keywords)


def words(**keywords: Any) -> fields.List[Any]:
    """A list of non-empty strings."""
    return fields.List(fields.String(validate=NOT_EMPTY), **keywords)


class CsvOptions(Options):
    """Options of `connector: csv`."""

    path = option(
        text(metadata={"path": True}, validate=NOT_EMPTY),
        title="File",
        help="The file with all objects. Relative to the document's folder. Give either this or `files`.",
        group="file",
    )
    files = option(
        fields.Dict(
            keys=fields.String(validate=validate.OneOf(KINDS)),
            values=fields.String(metadata={"path": True}, validate=NOT_EMPTY),
            load_default=None,
            allow_none=True,
            metadata={"path": True},
        ),
        title="One file per kind",
        help="Kind to file, such as {user: people.csv, group: groups.csv}. Anchors are unique across all of them.",
        group="file",
    )
    anchor = option(
        text(required=True, validate=NOT_EMPTY),
        title="Anchor column",
        help="The column whose value identifies an object for its whole life, such as an employee number. It never changes and is "
        "never reused.",
        group="file",
    )
    kind = option(
        fields.String(load_default="user", validate=validate.OneOf(KINDS)),
        title="Kind",
        help="What every row of the file is, where there is no kind column.",
        group="file",
    )
    kind_column = option(
        text(data_key="kind column", validate=NOT_EMPTY),
        title="Kind column",
        help="The column that says what a row is, where one file holds several kinds.",
        group="file",
    )
    kinds = option(
        fields.Dict(
            keys=fields.String(validate=NOT_EMPTY),
            values=fields.String(validate=validate.OneOf((*KINDS, IGNORE))),
            load_default=dict,
        ),
        title="Words of the kind column",
        help="Word to kind, such as {person: user, team: group, robot: ignore}. Case does not count. Without it the words are the "
        "kinds' own names. "
        "The first word of a kind is the one that is written. A row with any other word is rejected.",
        group="file",
    )
    header = option(
        fields.String(load_default="fixed", validate=validate.OneOf(("fixed", "open"))),
        title="Header",
        help="`fixed`: the header is part of the file's identity, every column that the document names must be there, and Metasync "
        "adds none "
        "but the one for the mark. `open`: columns may be added, also by Metasync when it first writes one; a column that is not "
        "there reads as empty.",
        group="file",
    )
    may_be_empty = option(
        fields.Boolean(data_key="may be empty", load_default=False),
        title="May be empty",
        help="Accept a file without any row. Otherwise it is held, because it looks as if everybody had left.",
        group="file",
    )
    create = option(
        words(load_default=list),
        title="Create with header",
        help="The header of a target that does not exist yet: a missing file then reads as empty, and the first write makes it.",
        group="file",
    )
    encoding = option(
        fields.String(load_default="utf-8"),
        title="Encoding",
        help="utf-8, utf-8-sig (written with a byte order mark), utf-16, cp1252 and so on. It is never guessed; a byte order mark in "
        "the file "
        "counts more than this option and is kept.",
        group="dialect",
    )
    delimiter = option(
        fields.String(load_default=",", validate=SEPARATING),
        title="Delimiter",
        help="The character between two cells, or the word: tab.",
        group="dialect",
    )
    quote = option(
        fields.String(load_default='"', allow_none=True, validate=ONE_CHARACTER),
        title="Quote",
        help="The character around cells that hold a delimiter, a quote or a line break; null: cells are never quoted.",
        group="dialect",
    )
    double_quote = option(
        fields.Boolean(data_key="double quote", load_default=True),
        title="Double quote",
        help="A quote inside a quoted cell is written twice; if false, `escape` stands before it.",
        group="dialect",
        advanced=True,
    )
    escape = option(
        text(validate=ONE_CHARACTER),
        title="Escape",
        help="The character that takes a special meaning from the next one; by default there is none.",
        group="dialect",
        advanced=True,
    )
    newline = option(
        fields.String(load_default="keep", validate=validate.OneOf(("keep", "crlf", "lf"))),
        title="Newline",
        help="How rows that Metasync writes end. `keep`: as the header does; a new file gets crlf, as RFC 4180 says. Any is read.",
        group="dialect",
        advanced=True,
    )
    quote_all = option(
        fields.Boolean(data_key="quote all", load_default=False),
        title="Quote all",
        help="Quote every cell that Metasync writes, not only those that need it.",
        group="dialect",
        advanced=True,
    )
    gzip = option(
        fields.Boolean(load_default=None, allow_none=True),
        title="Compressed",
        help="The file is compressed with gzip. By default its name decides: it ends with .gz.",
        group="dialect",
    )
    field_size = option(
        fields.Integer(data_key="field size", load_default=10_000_000, strict=True, validate=validate.Range(min=1, max=1_000_000_000)),
        title="Field size",
        help="The most characters in one cell; a row with a longer one is rejected.",
        group="dialect",
        advanced=True,
    )
    columns = option(
        fields.Dict(
            keys=fields.String(validate=validate.OneOf(STANDARD)),
            values=fields.String(allow_none=True, validate=NOT_EMPTY),
            load_default=dict,
        ),
        title="Standard attributes",
        help="Standard attribute to column, such as {name: displayName, enabled: active, path: ou}. A column that has the standard "
        "name itself "
        "needs no entry; null takes that meaning from it.",
        group="columns",
    )
    true_words = option(
        words(data_key="true words", load_default=lambda: ["true", "yes", "y", "1", "enabled", "active"], validate=NOT_EMPTY),
        title="Words for true",
        help="What true is written as in `enabled` and in boolean columns. All are read, whatever their case; the first is written.",
        group="columns",
    )
    false_words = option(
        words(data_key="false words", load_default=lambda: ["false", "no", "n", "0", "disabled", "inactive"], validate=NOT_EMPTY),
        title="Words for false",
        help="What false is written as. All are read, whatever their case; the first is written. A row with any other word is rejected.",
        group="columns",
    )
    multi_valued = option(
        words(data_key="multi-valued", load_default=list),
        title="Multi-valued columns",
        help="Columns whose cells hold several values. `members` always does.",
        group="columns",
    )
    separator = option(
        fields.String(load_default="|", validate=ONE_CHARACTER),
        title="Separator",
        help="The character between two values of a multi-valued cell.",
        group="columns",
    )
    separator_escape = option(
        fields.String(data_key="separator escape", load_default="\\", allow_none=True, validate=ONE_CHARACTER),
        title="Separator escape",
        help="The character before a separator, or before itself, that is part of a value. null: there is none, and a value with a "
        "separator is refused.",
        group="columns",
        advanced=True,
    )
    references = option(
        fields.Dict(keys=fields.String(validate=NOT_EMPTY), values=fields.String(validate=NOT_EMPTY), load_default=dict),
        title="References",
        help="Columns that name other objects, and by which attribute: {manager: mail, assistant: anchor}. `manager` and `members` "
        "are references by "
        "anchor unless this says otherwise.",
        group="columns",
    )
    types = option(
        fields.Dict(keys=fields.String(validate=NOT_EMPTY), values=fields.String(validate=validate.OneOf(TYPES)), load_default=dict),
        title="Types",
        help="Column to type: integer, boolean, time or bytes (base64). Everything else is a string. A cell that is not of its "
        "column's type rejects its row.",
        group="columns",
    )
    time_format = option(
        text(data_key="time format", validate=NOT_EMPTY),
        title="Time format",
        help="How times are written, by the signs of Python's strptime, such as %d.%m.%Y; ISO 8601 by default. A time without a zone "
        "is UTC.",
        group="columns",
        advanced=True,
    )
    unique = option(
        words(load_default=list),
        title="Unique columns",
        help="Columns in which a value may stand only once, whatever its case.",
        group="columns",
    )
    sign_in = option(
        words(data_key="sign-in", load_default=list),
        title="Sign-in columns",
        help="Columns that people sign in with or are reached by; changing one is a sign-in change, with a limit of its own.",
        group="columns",
    )
    max_lengths = option(
        fields.Dict(
            keys=fields.String(validate=NOT_EMPTY),
            values=fields.Integer(strict=True, validate=validate.Range(min=1)),
            data_key="max lengths",
            load_default=dict,
        ),
        title="Longest values",
        help="Column to the most characters that a value may have there.",
        group="columns",
    )
    formulas = option(
        fields.String(load_default="refuse", validate=validate.OneOf(("refuse", "escape", "raw"))),
        title="Formulas",
        help="What happens to a value that a spreadsheet would take for a formula (it starts with = @ a tab or a line break, or with "
        "+ or - and is no "
        "plain number or phone number). `refuse`: the change is rejected. `escape`: written behind an apostrophe, which reading takes "
        "away. "
        "`raw`: written as it is, for files that no spreadsheet opens.",
        group="safety",
    )
    trailer = option(
        text(validate=NOT_EMPTY),
        title="Trailer",
        help="The first cell of the last row, which proves that the file is whole. Where it has a second cell, that is the number of rows.",
        group="safety",
    )
    checksum = option(
        text(validate=validate.OneOf(("sha256",))),
        title="Checksum",
        help="A file beside this one, with .sha256 behind its name, holds the SHA-256 digest of the file. Such a file is a source only.",
        group="safety",
    )
    final_newline = option(
        fields.Boolean(data_key="final newline", load_default=False),
        title="Final newline",
        help="The last row must end with a line break; otherwise the file counts as half-written.",
        group="safety",
        advanced=True,
    )
    quiet_for = option(
        fields.Integer(data_key="quiet for", load_default=0, strict=True, validate=validate.Range(min=0)),
        title="Quiet for",
        help="Seconds for which nobody must have written to the file before it is read, for writers that pause.",
        group="safety",
        advanced=True,
    )

    @validates_schema
    def check_together(self, data: Mapping[str, Any], **_: Any) -> None:
        """What the fields cannot say one by one."""
        problems = dict(contradictions(data))
        if problems:
            raise ValidationError({key: [reason] for key, reason in problems.items()})


def contradictions(data: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """(key, reason) of what does not go together."""
    if bool(data["path"]) == bool(data["files"]):
        yield "path", "give either `path` or `files`"
    if data["files"] and data["kind_column"]:
        yield "kind column", "each file of `files` holds one kind; a kind column goes with `path`"
    if data["kinds"] and not data["kind_column"]:
        yield "kinds", "these words need a `kind column` to stand in"
    try:
        "".encode(data["encoding"])
        codecs.lookup(data["encoding"])
    except (LookupError, UnicodeError):
        yield "encoding", f"{data['encoding']!r} is not a known text encoding; use utf-8, utf-16, cp1252 or another that Python knows"
    special = [character(data["delimiter"]), data["quote"], data["escape"]]
    given = [sign for sign in special if sign is not None]
    if len(set(given)) != len(given) or {"\r", "\n", "\0"} & set(given):
        yield "delimiter", "delimiter, quote and escape must be three different characters, none of them a line break"
    if not data["double_quote"] and data["quote"] and not data["escape"]:
        yield "double quote", "without double quotes an `escape` is needed"
    if data["separator"] == data["separator_escape"]:
        yield "separator escape", "must differ from the separator"
    folded_true, folded_false = ({word.strip().casefold() for word in data[key]} for key in ("true_words", "false_words"))
    if folded_true & folded_false:
        yield "true words", f"{sorted(folded_true & folded_false)} cannot mean both true and false"
    used = [column for column in data["columns"].values() if column]
    if len(set(used)) != len(used) or data["anchor"] in used or data["kind_column"] in (data["anchor"], *used):
        yield "columns", "a column stands for one standard attribute only, and neither for the anchor nor for the kind"
    both = set(data["types"]) & set(data["references"])
    if both:
        yield "types", f"{sorted(both)} cannot be both typed and references"
    if data["create"]:
        if len(set(data["create"])) != len(data["create"]):
            yield "create", "a column is named twice"
        if data["anchor"] not in data["create"]:
            yield "create", f"the anchor column {data['anchor']!r} must be one of the columns"


def character(name: str) -> str:
    """A delimiter as the dialect needs it."""
    return "\t" if name == "tab" else name
