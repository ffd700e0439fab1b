"""The schemas are the reference: every key is explained, and every part of the document is in it."""

from __future__ import annotations

from metasync.contract import Operation
from metasync.engagement.defaults import LIMITS
from metasync.engagement.reference import reference


def test_every_key_has_title_help_and_what_is_allowed() -> None:
    for section in reference():
        for row in section.rows:
            assert row.title and row.help and row.form, f"{section.path}.{row.key}"
            assert row.help.endswith((".", "limits")) or section.title == "default limits", f"{section.path}.{row.key}"


def test_every_part_of_the_document_is_there_once() -> None:
    paths = [section.path for section in reference()]
    assert paths[0] == ""
    assert {
        "directories.NAME",
        "directories.NAME.new passwords",
        "profiles.NAME",
        "profiles.NAME.merge.NAME",
        "profiles.NAME.match[]",
        "profiles.NAME.map.NAME",
        "profiles.NAME.limits.NAME",
        "exporters.NAME[]",
        "notify.NAME[]",
        "waves.NAME",
    } <= set(paths)
    assert len(paths) == len(set(paths))


def test_every_operation_has_a_default_limit() -> None:
    assert set(LIMITS) == set(Operation)
