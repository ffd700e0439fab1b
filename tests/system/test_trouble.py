"""What goes wrong with a domain is told in a sentence that says what to do; nothing is lost, and no traceback is shown."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .office import Office, office
from .product import Answer

if TYPE_CHECKING:
    from lab.samba import Samba


@pytest.fixture(scope="module")
def place(samba: Samba, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A small company, in step."""
    with office(samba, tmp_path_factory.mktemp("trouble"), 6) as made:
        made.first_day()
        yield made


@pytest.fixture
def document(place: Office) -> Iterator[str]:
    """The document, as it was before and will be after."""
    text = place.product.document.read_text(encoding="utf-8")
    secrets = dict(place.product.secrets)
    yield text
    place.product.secrets = secrets
    place.product.load(text)


def told(answer: Answer, *words: str) -> None:
    """In words, and in JSON for programs."""
    assert "Traceback" not in answer.err + answer.out
    assert "\x1b" not in answer.err + answer.out
    for word in words:
        assert word in answer.err + answer.out, f"{word!r} is missing: {answer}"


def tried(place: Office) -> Iterator[Answer]:
    """The ways to meet a directory: with words, with JSON, in the whole job."""
    for command in (["test", "domain"], ["import", "domain"], ["run", "--json"]):
        yield place.product.ask(*command)


def test_a_wrong_password(place: Office, document: str) -> None:
    place.product.secrets = {"METASYNC_SECRET_DOMAIN_BIND": "not-it"}
    for answer in tried(place):
        assert answer.code == 4, answer
        told(answer, "password", place.samba.service.name)
        assert "not-it" not in str(answer)


def test_a_secret_that_nobody_gave(place: Office, document: str) -> None:
    place.product.secrets = {}
    for answer in tried(place):
        assert answer.code, answer
        told(answer, "domain-bind", "METASYNC_SECRET_DOMAIN_BIND")


def test_an_unknown_host(place: Office, document: str) -> None:
    place.product.load(document.replace(f'"{place.samba.address}"', '"dc1.nowhere.invalid"'))
    for answer in tried(place):
        assert answer.code == 4, answer
        told(answer, "dc1.nowhere.invalid")


def test_a_host_where_nobody_listens(place: Office, document: str) -> None:
    place.product.load(
        document.replace(f'"{place.samba.address}"', '"127.0.0.1"').replace("      certificate", "      port: 9\n      certificate")
    )
    for answer in tried(place):
        assert answer.code == 4, answer
        told(answer, "127.0.0.1", "9")


def test_a_certificate_that_nobody_trusts(place: Office, document: str, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    shutil.copy(Path(__file__).with_name("other-ca.pem"), other)
    place.product.load(document.replace(str(place.samba.ca), str(other)))
    for answer in tried(place):
        assert answer.code == 4, answer
        told(answer, "certificate", "ca file")


def test_a_certificate_for_another_name(place: Office, document: str) -> None:
    place.product.load(document.replace(f'"{place.samba.host}"', '"dc1.fabrikam.test"'))
    for answer in tried(place):
        assert answer.code == 4, answer
        told(answer, "certificate", "dc1.fabrikam.test")


def test_a_right_that_is_missing_is_a_problem_of_those_objects_alone(place: Office, document: str) -> None:
    """New people go where the account may not write; teams go on."""
    forbidden = f"CN=Users,{place.samba.base}"
    place.product.load(document.replace('\'"OU=" + source.site', f'\'source.id == "E10008" ? "{forbidden}" : "OU=" + source.site'))
    allowed, forbidden_one = place.company.hire(sn="Allowed"), place.company.hire(sn="Forbidden")
    assert (allowed.id, forbidden_one.id) == ("E10007", "E10008")
    place.company.teams["T02"].description = "still written"
    plans = place.plan()
    for one in plans:
        place.product("approve", str(one["plan"]), "--reason", "a test")
    answer = place.product.ask("export", *(str(one["plan"]) for one in plans), "--json")
    assert answer.code == 1, answer
    rejected = [one for plan in plans for one in place.product("show", "plan", str(plan["plan"]), "--all")["changes"] if one["error"]]
    assert {one["label"] for one in rejected} == {forbidden_one.displayName}, rejected
    told(place.product.ask("problems", "--object", f"hr/{forbidden_one.id}"), "right", forbidden_one.displayName)
    place.company.dismiss(forbidden_one)
    place.company.write(place.hr)
