"""The options: explained, checked alone and together, and never guessed."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError, fields

from metasync_csv.options import CsvOptions


def test_every_option_has_a_title_a_help_and_a_group() -> None:
    for name, field in CsvOptions().fields.items():
        assert field.metadata.get("title") and str(field.metadata.get("help")).endswith((".", "reads.")), name
        assert field.metadata.get("group") in {"file", "dialect", "columns", "safety"}, name


def test_the_fewest_options_are_a_path_and_an_anchor() -> None:
    loaded = CsvOptions().load({"path": "hr.csv", "anchor": "employeeNumber"})
    assert loaded["kind"] == "user" and loaded["encoding"] == "utf-8" and loaded["formulas"] == "refuse"


def test_fields_that_name_files_say_so() -> None:
    """The engine makes them relative to the document's folder."""
    named = {name for name, field in CsvOptions().fields.items() if field.metadata.get("path")}
    assert named == {"path", "files"}
    assert isinstance(CsvOptions().fields["files"], fields.Dict)


@pytest.mark.parametrize(
    ("options", "key", "words"),
    [
        ({"path": None}, "path", "either `path` or `files`"),
        ({"files": {"user": "a.csv"}}, "path", "either `path` or `files`"),
        ({"path": None, "files": {"user": "a.csv"}, "kind column": "what"}, "kind column", "goes with `path`"),
        ({"path": None, "files": {"printer": "a.csv"}}, "files", "user"),
        ({"kinds": {"person": "user"}}, "kinds", "need a `kind column`"),
        ({"kind": "printer"}, "kind", "user"),
        ({"encoding": "klingon"}, "encoding", "not a known text encoding"),
        ({"encoding": "base64"}, "encoding", "not a known text encoding"),
        ({"delimiter": ";;"}, "delimiter", "one character, or the word: tab"),
        ({"delimiter": '"'}, "delimiter", "three different characters"),
        ({"delimiter": "\n"}, "delimiter", "one character"),
        ({"quote": "''"}, "quote", "one character"),
        ({"quote": "\r"}, "delimiter", "none of them a line break"),
        ({"double quote": False}, "double quote", "an `escape` is needed"),
        ({"separator": "\\"}, "separator escape", "must differ"),
        ({"true words": []}, "true words", "not be empty"),
        ({"true words": ["Yes", "x"], "false words": ["no", "X"]}, "true words", "both true and false"),
        ({"columns": {"boss": "manager"}}, "columns", "name, path, enabled"),
        ({"columns": {"name": "cn", "path": "cn"}}, "columns", "one standard attribute only"),
        ({"columns": {"name": "id"}}, "columns", "neither for the anchor"),
        ({"types": {"manager": "integer"}, "references": {"manager": "mail"}}, "types", "both typed and references"),
        ({"types": {"badge": "float"}}, "types", "string, integer"),
        ({"create": ["name"]}, "create", "anchor column 'id'"),
        ({"create": ["id", "id"]}, "create", "named twice"),
        ({"formulas": "maybe"}, "formulas", "refuse, escape, raw"),
        ({"checksum": "md5"}, "checksum", "sha256"),
        ({"field size": 0}, "field size", "1"),
        ({"colums": {}}, "colums", "Unknown field"),
    ],
)
def test_what_does_not_go_together_is_refused_by_its_key(options: dict[str, Any], key: str, words: str) -> None:
    given = {"path": "a.csv", "anchor": "id", **options}
    with pytest.raises(ValidationError) as raised:
        CsvOptions().load({name: value for name, value in given.items() if value is not None})
    messages: Any = raised.value.messages
    assert key in messages and words in str(messages[key])


def test_the_anchor_must_be_named() -> None:
    with pytest.raises(ValidationError) as raised:
        CsvOptions().load({"path": "a.csv"})
    assert "anchor" in raised.value.messages_dict
