"""I7: no secret is at rest or in logs.

What must never stand in a file is looked for in each, in all the ways in which it could be written.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from lab.samba import Account

from metasync.workspace import EngineContext

from .office import Office, office
from .product import Answer

if TYPE_CHECKING:
    from lab.samba import Samba


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were made for new accounts, as only the connector knows them."""
    found: list[str] = []
    make = EngineContext.new_password

    def recorded(self: EngineContext, *, avoid: tuple[str, ...] = ()) -> str:
        found.append(make(self, avoid=avoid))
        return found[-1]

    monkeypatch.setattr(EngineContext, "new_password", recorded)
    return found


def forms(secret: str) -> Iterator[bytes]:
    """As files, logs and LDAP write a text."""
    plain, quoted = secret.encode(), f'"{secret}"'.encode("utf-16-le")
    yield from (plain, secret.encode("utf-16-le"), quoted, json.dumps(secret)[1:-1].encode(), quote(secret).encode())
    for one in (plain, quoted):
        yield from (base64.b64encode(one).rstrip(b"="), one.hex().encode())


def leaks(folder: Path, secrets: list[str]) -> list[str]:
    """Files of a working folder that hold a secret."""
    found = []
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found += [str(path) for secret in secrets if any(form in content for form in forms(secret))]
    return found


def watched(place: Office, made: list[str]) -> None:
    """Nothing on the disk, nothing on the screen. The database is looked at while it is open, with its write-ahead log."""
    secrets = [place.samba.service.password, *made]
    assert leaks(place.product.folder, secrets) == []
    assert [answer.command for answer in place.product.answers for secret in secrets if secret in answer.out + answer.err] == []


def test_i7_neither_the_bind_password_nor_a_generated_one_is_in_any_file(samba: Samba, tmp_path: Path, made: list[str]) -> None:
    """I7"""
    with office(samba, tmp_path / "work", 12) as place:
        place.first_day()
        assert len(made) == len(place.company.people), "each account had a password of its own"
        assert len(set(made)) == len(made)
        assert_is_the_password(place, made)
        watched(place, made)
        place.product("runs")
        place.product("objects")
        place.product.ask("explain", "hr/E10002")
        place.company.pick().title = "another"
        place.day()
        undone = place.product.undo(place.product.runs[-1])
        place.export(undone["plans"])
        wrong = f"Wrong-{place.samba.service.password[::-1]}"
        place.product.secrets = {"METASYNC_SECRET_DOMAIN_BIND": wrong}
        assert place.product.ask("import", "domain").code == 4
        made.append(wrong)
        watched(place, made)


def test_i7_what_a_connector_raises_is_told_as_its_mistake_without_the_secret_in_it(
    samba: Samba, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I7: an error that nobody foresaw, with the password in its text, at the worst place."""
    from metasync_ad.session import Session

    def fail(self: Session, *given: object, **named: object) -> None:
        raise RuntimeError(f"cannot bind as {self.settings.bind} with {self.context.secret(self.settings.password)}")

    with office(samba, tmp_path / "work", 3) as place:
        monkeypatch.setattr(Session, "connection", fail)
        answer = place.product.ask("import", "domain")
        assert answer.code == 4 and "a mistake in the plugin" in " ".join(answer.out.split()), answer
        told_nothing(place, samba, answer)


def test_i7_a_crash_tells_where_and_no_secret(samba: Samba, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """I7: an error of our own, with the password in its text."""
    from metasync.importing.compare import Comparison

    def fail(*_: object) -> None:
        raise RuntimeError(f"cannot store {samba.service.password}")

    with office(samba, tmp_path / "work", 3) as place:
        monkeypatch.setattr(Comparison, "prepare", fail)
        answer = place.product.ask("import", "domain")
        assert answer.code == 5, answer
        assert list(place.product.folder.glob("*.log")), "the details are in a file"
        told_nothing(place, samba, answer)


def told_nothing(place: Office, samba: Samba, answer: Answer) -> None:
    """Neither on the screen nor in any file does the password stand."""
    assert samba.service.password not in answer.out + answer.err, answer
    assert "Traceback" not in answer.err
    assert leaks(place.product.folder, [samba.service.password]) == []


def assert_is_the_password(place: Office, made: list[str]) -> None:
    """What we look for is what was written: with it an account is told to change it first, with any other it is refused."""
    (name,) = next(held["userprincipalname"] for held in place.dump().values() if held.get("employeenumber") == frozenset({b"E10001"}))
    answers = [place.samba.sign_in(Account(name=name.decode(), password=one)) for one in [*made, "Another-" + made[0]]]
    assert sum("data 773" in one or "data 532" in one for one in answers) == 1, answers
