"""`metasync check` tries a document's expressions on what was imported, and warns before a plan would surprise."""

from __future__ import annotations

from metasync.contract import Kind
from metasync.testing.memory import MemoryDirectory

from .conftest import Shell


def replaced(shell: Shell, old: str, new: str) -> None:
    text = (shell.folder / "metasync.yaml").read_text(encoding="utf-8")
    assert old in text
    shell.write(text.replace(old, new))


def test_before_the_first_import_there_is_nothing_to_warn_of(shell: Shell) -> None:
    assert shell("check", "--json").json["warnings"] == []
    shell("load")
    assert shell("check", "--json").json["warnings"] == []


def test_an_expression_that_fails_for_imported_objects_is_named_with_one_of_them(in_step: Shell, hr: MemoryDirectory) -> None:
    hr.change(hr.anchors(Kind.USER)[0], title=None)
    in_step("import")
    replaced(in_step, "title: source.title", "title: 'source.title.lower()'")
    warnings = in_step("check", "--json").json["warnings"]
    assert any("profiles.people.map.title" in one and "fails for 25%" in one and "hr/" in one for one in warnings) or any(
        "profiles.people.map.title" in one and "null for 25%" in one for one in warnings
    )


def test_a_mapping_that_is_null_for_many_is_named_with_the_share(in_step: Shell) -> None:
    replaced(in_step, "title: source.title", "title: source.description")
    in_step("load")
    in_step("import")
    done = in_step("check")
    (line,) = [
        number for number, text in enumerate((in_step.folder / "metasync.yaml").read_text().splitlines(), 1) if "source.description" in text
    ]
    words = "profiles.people.map.title: `source.description` is null for all of the objects of hr in scope"
    assert f"warning: metasync.yaml:{line}: {words}" in done.out


def test_only_objects_in_scope_count_for_mappings(in_step: Shell, hr: MemoryDirectory) -> None:
    hr.change(hr.anchors(Kind.USER)[0], title=None)
    in_step("import")
    before = in_step("check", "--json").json["warnings"]
    replaced(
        in_step,
        "    source: hr\n    target: ad\n    match: [{source: mail",
        "    source: hr\n    target: ad\n    scope: {where: 'source.title != null'}\n    match: [{source: mail",
    )
    after = in_step("check", "--json").json["warnings"]
    assert any("map.title" in one for one in before)
    assert not any("map.title" in one for one in after)
