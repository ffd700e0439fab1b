"""A mail for each notification, by a real server with TLS; what goes wrong is said in words; nothing breaks out of a header."""

from __future__ import annotations

import email
import email.policy
import logging
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from marshmallow import ValidationError

from metasync.contract import (
    Event,
    Notification,
    NotTrusted,
    OptionsError,
    SecretMissing,
    SecretReference,
    SignInRefused,
    Unavailable,
)
from metasync_email.notifier import EmailNotifier
from metasync_email.options import EmailOptions, server_of

from .conftest import Box, Start

# The server of the tests does not count encryption from the first byte, and warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

PASSWORD = "correct horse battery"


@dataclass
class Given:
    """A notifier's context."""

    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("test"))
    deadline: float = 10.0
    known: str | None = PASSWORD

    def secret(self, reference: SecretReference) -> str:
        if self.known is None:
            raise SecretMissing
        return self.known


FAILED = Notification(
    event=Event.FAILED,
    engagement="contoso",
    at=datetime(2026, 1, 31, 8, 5, tzinfo=UTC),
    kind="run",
    run=7,
    profiles=("staff", "groups"),
    text="hr: it cannot be reached, “Zoë”\n.\nQUIT",
    counts=(("create", 1200),),
)


@pytest.fixture
def trusted(certificate: tuple[Path, Any]) -> str:
    return str(certificate[0])


def notifier(box: Box | int, *, context: Given | None = None, **more: Any) -> EmailNotifier:
    port = box if isinstance(box, int) else box.port
    given = {"server": f"127.0.0.1:{port}", "from": "metasync@contoso.com", "to": ["ann@contoso.com", "bo@contoso.com"], **more}
    return EmailNotifier(EmailOptions().load({key: value for key, value in given.items() if value is not None}), context or Given())


def signed_in(**more: Any) -> dict[str, Any]:
    return {"user": "metasync", "password": {"secret": "mail-password"}, **more}


def read(box: Box) -> email.message.EmailMessage:
    (envelope,) = box.mails
    assert isinstance(envelope.content, bytes)
    found = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert isinstance(found, email.message.EmailMessage)
    return found


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
def test_a_mail_arrives_encrypted_after_a_sign_in(start: Start, trusted: str, encryption: str) -> None:
    box = start(encryption, password=PASSWORD)
    notifier(box, **signed_in(encryption=encryption), **{"ca file": trusted}).notify(FAILED)
    assert box.encrypted == [True]
    (envelope,), mail = box.mails, read(box)
    assert envelope.mail_from == "metasync@contoso.com"
    assert envelope.rcpt_tos == ["ann@contoso.com", "bo@contoso.com"]
    assert mail["Subject"] == "Metasync contoso: run 7 failed (staff, groups)"
    assert mail["From"] == "metasync@contoso.com"
    assert mail["To"] == "ann@contoso.com, bo@contoso.com"
    assert mail["Date"].datetime == FAILED.at
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@contoso.com>")
    assert mail.get_content_type() == "text/plain"
    text = mail.get_content().replace("\r\n", "\n")
    assert "hr: it cannot be reached, “Zoë”\n.\nQUIT\n" in text, "also a line that would end the mail"
    assert "1,200 create" in text and "metasync problems" in text


def test_without_encryption_it_is_sent_where_the_document_says_so(start: Start) -> None:
    box = start("none")
    notifier(box, encryption="none").notify(FAILED)
    assert box.encrypted == [False]


def test_a_server_without_starttls_is_sent_nothing(start: Start, trusted: str) -> None:
    box = start("none")
    with pytest.raises(Unavailable, match="cannot do what is asked"):
        notifier(box, **{"ca file": trusted}).notify(FAILED)
    assert box.mails == []


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
def test_a_server_that_nobody_vouches_for_is_sent_nothing(start: Start, encryption: str) -> None:
    box = start(encryption, password=PASSWORD)
    with pytest.raises(NotTrusted, match="`ca file`"):
        notifier(box, **signed_in(encryption=encryption)).notify(FAILED)
    assert box.mails == []


def test_unverified_only_where_the_document_says_so(start: Start) -> None:
    box = start("starttls")
    notifier(box, verify=False).notify(FAILED)
    assert box.encrypted == [True]


def test_a_wrong_password_is_said_and_not_shown(start: Start, trusted: str) -> None:
    box = start("starttls", password="another one")
    with pytest.raises(SignInRefused, match="refused the sign-in") as caught:
        notifier(box, **signed_in(), **{"ca file": trusted}).notify(FAILED)
    assert PASSWORD not in str(caught.value)


def test_a_server_that_wants_a_sign_in_says_so(start: Start, trusted: str) -> None:
    box = start("starttls", password=PASSWORD)
    with pytest.raises(Unavailable, match="530"):
        notifier(box, **{"ca file": trusted}).notify(FAILED)


def test_who_is_refused_is_named(start: Start) -> None:
    box = start("none")
    box.refuses = {"bo@contoso.com": "550 no such person"}
    with pytest.raises(Unavailable, match=r"took the mail, but not for bo@contoso.com \(550 no such person\)"):
        notifier(box, encryption="none").notify(FAILED)
    assert len(box.mails) == 1
    box.refuses["ann@contoso.com"] = "550 neither"
    with pytest.raises(Unavailable, match=r"refused ann@contoso\.com"):
        notifier(box, encryption="none").notify(FAILED)


def test_a_mail_that_is_refused_is_told_with_the_answer(start: Start) -> None:
    box = start("none")
    box.answer = "554 5.7.1 not from here"
    with pytest.raises(Unavailable, match=r"554 5\.7\.1 not from here"):
        notifier(box, encryption="none").notify(FAILED)


def test_a_server_that_is_not_there_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port} cannot be reached"):
            notifier(port, encryption="none").notify(FAILED)


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_the_deadline() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(Unavailable):
            notifier(silent.getsockname()[1], encryption="none", context=Given(deadline=0.3)).notify(FAILED)


def test_a_ca_file_without_certificate_is_named(start: Start, tmp_path: Path) -> None:
    box = start("starttls")
    (tmp_path / "empty.pem").touch()
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(OptionsError, match="correct `ca file`"):
            notifier(box, **{"ca file": str(tmp_path / name)}).notify(FAILED)


def test_a_missing_secret_is_raised_before_anything_is_sent(start: Start, trusted: str) -> None:
    box = start("starttls", password=PASSWORD)
    with pytest.raises(SecretMissing):
        notifier(box, context=Given(known=None), **signed_in(), **{"ca file": trusted}).notify(FAILED)


def test_nothing_breaks_out_of_a_header(start: Start) -> None:
    box = start("none")
    evil = Notification(
        event=Event.APPROVAL,
        engagement="contoso\r\nBcc: eve@evil.test\r\n\r\nhello",
        at=FAILED.at,
        plan=1,
        profiles=("a\nX-Evil: 1", "b\x85c"),
    )
    notifier(box, encryption="none").notify(evil)
    mail = read(box)
    assert mail["Bcc"] is None and mail["X-Evil"] is None
    assert box.mails[0].rcpt_tos == ["ann@contoso.com", "bo@contoso.com"]
    assert mail["Subject"] == "Metasync contoso Bcc: eve@evil.test hello: plan 1 waits for approval (a X-Evil: 1, b c)"


@pytest.mark.parametrize(
    "address",
    [
        "ann",
        "ann@contoso.com\nBcc: eve@evil.test",
        "ann@contoso.com, eve@evil.test",
        "Ann <ann@contoso.com>",
        "a b@contoso.com",
        "ann@",
        "@x",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    for key in ("from", "to"):
        with pytest.raises(ValidationError, match="not an address"):
            EmailOptions().load({"server": "mail", "from": "a@b.c", "to": "a@b.c", key: address})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"user": "metasync"}, "stand together"),
        (signed_in(encryption="none"), "everybody to read"),
        (signed_in(verify=False), "whoever answers"),
        ({"password": "literal", "user": "u"}, "reference"),
        ({"server": "mail:99999"}, "not a server"),
        ({"server": "smtp://mail"}, "not a server"),
        ({"server": "mail\r\nEHLO"}, "not a server"),
        ({"to": []}, "Length"),
        ({"encryption": "ssl"}, "starttls"),
    ],
)
def test_options_that_do_not_do_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        EmailOptions().load({"server": "mail", "from": "a@b.c", "to": "a@b.c", **given})


@pytest.mark.parametrize(
    ("server", "encryption", "host", "port"),
    [
        ("mail.contoso.com", "starttls", "mail.contoso.com", 587),
        ("mail", "tls", "mail", 465),
        ("mail", "none", "mail", 25),
        ("mail:2525", "starttls", "mail", 2525),
        ("[::1]:2525", "starttls", "::1", 2525),
    ],
)
def test_a_server_with_and_without_port(server: str, encryption: str, host: str, port: int) -> None:
    loaded = EmailOptions().load({"server": server, "encryption": encryption, "from": "a@b.c", "to": "a@b.c"})
    assert server_of(loaded) == (host, port)
