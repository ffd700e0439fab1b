"""Every accepted version of a document is kept, numbered and audited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metasync.engagement import revision
from metasync.engagement.load import DocumentError, check, parse
from metasync.engagement.model import Engagement
from metasync.host import Host
from metasync.store import Backend, audit, open_store

Checked = Callable[[str], Engagement]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    made = open_store(f"sqlite:///{tmp_path / 'metasync.db'}")
    yield made
    made.close()


def test_revisions_are_numbered_from_one(backend: Backend, checked: Checked, small: str, host: Host) -> None:
    assert revision.accept(backend, checked(small), small, "ann").revision == 1
    changed = small.replace("surname", "lastname")
    assert revision.accept(backend, checked(changed), changed, "ben", host).revision == 2
    newest = revision.newest(backend, "small", host)
    assert newest.revision == 2
    assert newest.profiles["staff"].map["sn"].expression == "source.lastname"


def test_a_comment_makes_no_revision(backend: Backend, checked: Checked, small: str) -> None:
    revision.accept(backend, checked(small), small, "ann")
    commented = "# hello\n" + small
    assert revision.accept(backend, checked(commented), commented, "ann").revision == 1


def test_the_newest_revision_is_found_where_its_document_stood(
    backend: Backend, checked: Checked, small: str, host: Host, tmp_path: Path
) -> None:
    revision.accept(backend, checked(small), small, "ann")
    assert revision.newest(backend, "small", host).directories["hr"].options["path"] == str(tmp_path / "hr.csv")


def test_what_was_loaded_by_a_relative_path_means_the_same_files_from_everywhere(
    backend: Backend, small: str, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    revision.accept(backend, check(parse(small, "engagement.yaml"), host), small, "ann")
    monkeypatch.chdir(tmp_path.parent)
    assert revision.newest(backend, "small", host).directories["hr"].options["path"] == str(tmp_path / "hr.csv")


def test_a_document_differs_by_its_content_alone(backend: Backend, checked: Checked, small: str) -> None:
    assert revision.differs(backend, parse(small, "e.yaml"))
    revision.accept(backend, checked(small), small, "ann")
    assert not revision.differs(backend, parse("# hello\n" + small, "elsewhere/e.yaml"))
    assert revision.differs(backend, parse(small.replace("surname", "lastname"), "e.yaml"))


def test_a_revision_is_audited_with_what_it_changed(backend: Backend, checked: Checked, small: str, host: Host) -> None:
    revision.accept(backend, checked(small), small, "ann")
    more = small + "  other: {kind: group, source: hr, target: ad, map: {cn: source.name}}\n"
    revision.accept(backend, checked(more), more, "ben", host)
    revision.accept(backend, checked(small), small, "ann")
    with backend.read() as connection:
        rows = list(audit.rows(connection))
        assert audit.verify(connection) == []
    assert [(row.actor, row.action, row.subject) for row in rows] == [
        ("ann", "load", "revision 1"),
        ("ben", "load", "revision 2"),
        ("ann", "load", "revision 3"),
    ]
    assert [row.detail["changed"] for row in rows] == [["staff"], ["other"], []]
    assert [row.detail["removed"] for row in rows] == [[], [], ["other"]]
    assert list(rows[1].detail["plugins"]) == ["Stubs-1"]


def test_nothing_loaded_says_what_to_do(backend: Backend, host: Host) -> None:
    with pytest.raises(revision.NothingLoaded, match="metasync load FILE"):
        revision.newest(backend, "small", host)
    with backend.read() as connection, pytest.raises(revision.NothingLoaded):
        revision.engagement_id(connection, "small")


def test_a_revision_that_todays_plugins_no_longer_take_says_so(backend: Backend, checked: Checked, small: str) -> None:
    revision.accept(backend, checked(small), small, "ann")
    with pytest.raises(DocumentError, match="there is no connector"):
        revision.newest(backend, "small", Host.of())


def test_two_engagements_in_one_database_have_revisions_of_their_own(backend: Backend, checked: Checked, small: str) -> None:
    other = small.replace("engagement: small", "engagement: other")
    assert revision.accept(backend, checked(small), small, "ann").revision == 1
    assert revision.accept(backend, checked(other), other, "ann").revision == 1
    with backend.read() as connection:
        assert revision.engagement_id(connection, "small") != revision.engagement_id(connection, "other")
