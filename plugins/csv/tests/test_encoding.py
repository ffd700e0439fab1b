"""Encodings are configured and never guessed; a byte order mark in the file counts more (fault plan, row 19)."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path

import pytest

from metasync.contract import ImportIncomplete, Operation, Outcome, Unavailable

from .harness import Changes, connect, put, read, request, write

TEXT = "id,name\r\n1,Zoë Müller\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "UTF8"])
def test_a_file_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    path = put(tmp_path / "people.csv", TEXT, encoding)
    assert read(connect(path, encoding=encoding), "name") == {"1": {"name": "Zoë Müller"}}


@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_a_byte_order_mark_counts_more_than_the_option(tmp_path: Path, mark: bytes, codec: str, encoding: str) -> None:
    path = put(tmp_path / "people.csv", mark + TEXT.encode(codec))
    assert read(connect(path, encoding=encoding), "name") == {"1": {"name": "Zoë Müller"}}


def test_utf16_without_a_mark_is_little_endian_everywhere(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", TEXT, "utf-16-le")
    assert read(connect(path, encoding="utf-16"), "name") == {"1": {"name": "Zoë Müller"}}


@pytest.mark.parametrize(
    ("data", "encoding", "words"),
    [
        (TEXT.encode("cp1252"), "utf-8", "row 2, column 'name': the byte 0xeb is not utf-8"),
        (b"id,name,title\n1,a,b\n2,c,\x81\n", "cp1252", "row 3, column 'title': the byte 0x81"),
        (b'id,name\n1,"a\nb"\n\xff2,c\n', "utf-8", "row 3, column 'id': the byte 0xff"),
        (b"id,n\xe4me\n1,a\n", "utf-8", "row 1, column 'cell 2': the byte 0xe4"),
        (b"id,name\n" + b"1234567,abcdefgh\n" * 40_000 + b"x,\xc3", "utf-8", "row 40002, column 'name': the byte 0xc3"),
        (b"id,name\n1,a\n".decode().encode("utf-16-le") + b"\x00\xd8\x41\x00", "utf-16", "row 3, column 'id': the byte 0x00"),
    ],
)
def test_a_wrong_byte_is_named_by_row_and_column_and_nothing_is_delivered(tmp_path: Path, data: bytes, encoding: str, words: str) -> None:
    connector = connect(put(tmp_path / "people.csv", data), encoding=encoding)
    with pytest.raises(ImportIncomplete) as raised:
        next(connector.read(request("name", page_size=1)))
    assert words in str(raised.value)


def test_a_wrong_byte_in_the_header_is_an_error_of_the_directory(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="row 1, column 'cell 2': the byte 0xe4 is not utf-8"):
        connect(put(tmp_path / "people.csv", b"id,n\xe4me\n1,a\n")).discover()


def test_a_wrong_byte_is_named_by_row_and_column_before_anything_is_read(tmp_path: Path) -> None:
    """An import and `doctor` ask for the identity first, which needs the header alone; the block around it is decoded with it."""
    connector = connect(put(tmp_path / "people.csv", "id,name\n1,Anna\n2,Hern\xe1ndez\n".encode("cp1252")))
    for ask in (connector.check, connector.discover):
        with pytest.raises(Unavailable) as raised:
            ask()
        words = f"{tmp_path}/people.csv: row 3, column 'name': the byte 0xe1 is not utf-8"
        assert words in str(raised.value) and "set `encoding` to what the file is written in" in str(raised.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
def test_writing_keeps_the_encoding_and_the_mark(tmp_path: Path, encoding: str) -> None:
    path = put(tmp_path / "people.csv", TEXT, encoding)
    change = Changes()(Operation.UPDATE, "1", {"name": "Ängström"}, {"name": "Zoë Müller"})
    assert write(connect(path, encoding=encoding), change)[0].outcome is Outcome.APPLIED
    # "utf-16" writes the machine's own byte order, which the connector then keeps
    assert path.read_bytes() == TEXT.replace("Zoë Müller", "Ängström").encode(encoding)


def test_writing_keeps_a_mark_that_the_option_does_not_name(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", TEXT, "utf-8-sig")
    write(connect(path, encoding="cp1252"), Changes()(Operation.DELETE, "1"))
    assert path.read_bytes() == b"\xef\xbb\xbfid,name\r\n"


@pytest.mark.parametrize(("encoding", "start"), [("utf-8-sig", codecs.BOM_UTF8), ("utf-16", codecs.BOM_UTF16_LE), ("utf-8", b"id")])
def test_a_new_file_gets_the_mark_that_the_option_names(tmp_path: Path, encoding: str, start: bytes) -> None:
    path = tmp_path / "new.csv"
    connector = connect(path, encoding=encoding, create=["id", "name"])
    assert write(connector, Changes()(Operation.CREATE, after={"id": "1", "name": "Zoë"}))[0].outcome is Outcome.APPLIED
    assert path.read_bytes().startswith(start)
    assert read(connector, "name") == {"1": {"name": "Zoë"}}


def test_a_value_that_the_encoding_cannot_hold_is_rejected_alone(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,name\n1,a\n2,b\n", "cp1252")
    changes = Changes()
    first, second = write(
        connect(path, encoding="cp1252"),
        changes(Operation.UPDATE, "1", {"name": "Łukasz"}, {"name": "a"}),
        changes(Operation.UPDATE, "2", {"name": "Zoë"}, {"name": "b"}),
    )
    assert first.outcome is Outcome.REJECTED and "'Ł' (U+0141) cannot be written in the file's encoding cp1252" in first.detail
    assert second.outcome is Outcome.APPLIED
    assert path.read_bytes() == "id,name\n1,a\n2,Zoë\n".encode("cp1252")


def test_a_compressed_target_stays_compressed_and_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv.gz", gzip.compress(b"id,name\n1,a\n"))
    changes = Changes()
    connector = connect(path)
    write(connector, changes(Operation.UPDATE, "1", {"name": "b"}, {"name": "a"}))
    first = path.read_bytes()
    assert gzip.decompress(first) == b"id,name\n1,b\n"
    write(connector, changes(Operation.UPDATE, "1", {"name": "c"}, {"name": "b"}))
    write(connector, changes(Operation.UPDATE, "1", {"name": "b"}, {"name": "c"}))
    assert path.read_bytes() == first
