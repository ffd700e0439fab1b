"""The files that a document names are beside it, from wherever a command is typed."""

from __future__ import annotations

from pathlib import Path

from .product import Product


def test_a_document_that_was_loaded_in_its_folder_is_used_from_another(tmp_path: Path) -> None:
    product = Product(tmp_path / "work")
    assert product.ask("init", str(product.folder)).code == 0
    assert product.shell("load").code == 0
    elsewhere = Product(tmp_path)
    answer = elsewhere.shell("--engagement", str(product.document), "test", "--json")
    assert answer.code == 0, answer
    assert [one["error"] for one in answer.json] == [None, None]
