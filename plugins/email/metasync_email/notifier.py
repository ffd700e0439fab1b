"""The notifier `email`."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import make_msgid
from typing import ClassVar

from metasync.contract import Notification, Notifier, NotTrusted, OptionsError, SignInRefused, Unavailable
from metasync.contract import Options as ContractOptions
from metasync_email.options import EmailOptions, server_of


class EmailNotifier(Notifier):
    """One mail to all addresses, for each notification."""

    name: ClassVar[str] = "email"
    title: ClassVar[str] = "E-mail"
    Options: ClassVar[type[ContractOptions]] = EmailOptions

    def notify(self, notification: Notification) -> None:
        """Hand the mail to the server. Raises `Unavailable`, `NotTrusted`, `SignInRefused`."""
        host, port = server_of(self.options)
        mail = self.mail(notification)
        password = self.context.secret(self.options["password"]) if self.options["password"] is not None else None
        with _in_words(f"{host}:{port}"), self._connected(host, port) as server:
            if password is not None:
                server.login(self.options["user"], password)
            refused = server.send_message(mail, from_addr=self.options["sender"], to_addrs=self.options["to"])
        if refused:
            raise Unavailable(f"the mail server {host} took the mail, but not for {_reasons(refused)}; correct `to`")

    def mail(self, notification: Notification) -> EmailMessage:
        """What is sent."""
        mail = EmailMessage(policy=SMTP)
        # A header is one line, whatever stands in it.
        mail["Subject"] = " ".join("".join(one if one.isprintable() else " " for one in notification.subject).split())
        mail["From"] = self.options["sender"]
        mail["To"] = ", ".join(self.options["to"])
        mail["Date"] = notification.at
        mail["Message-ID"] = make_msgid(domain=self.options["sender"].partition("@")[2])
        # RFC 3834: nobody's absence is answered.
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(f"{notification.subject}\n\n{notification.body}\n")
        return mail

    @contextmanager
    def _connected(self, host: str, port: int) -> Iterator[smtplib.SMTP]:
        encryption, seconds = self.options["encryption"], self.context.deadline
        # smtplib would ask the DNS for the name of this machine, which may take long.
        me = socket.gethostname() or "localhost"
        if encryption == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, local_hostname=me, timeout=seconds, context=self._trust())
        else:
            server = smtplib.SMTP(host, port, local_hostname=me, timeout=seconds)
        try:
            if encryption == "starttls":
                server.starttls(context=self._trust())
            yield server
        finally:
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()

    def _trust(self) -> ssl.SSLContext:
        name = self.options["ca_file"]
        try:
            trust = ssl.create_default_context(cafile=name)
        except (OSError, ssl.SSLError) as error:
            why = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else "it holds no certificate"
            raise OptionsError(f"the CA file of the mail server cannot be read ({why}); correct `ca file`") from error
        if not self.options["verify"]:
            trust.check_hostname = False
            trust.verify_mode = ssl.CERT_NONE
        return trust


@contextmanager
def _in_words(server: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise NotTrusted(
            f"the certificate of the mail server {server} is not trusted ({error.verify_message}); name its authority in `ca file`"
        ) from error
    except ssl.SSLError as error:
        raise Unavailable(f"the mail server {server} does not speak TLS as expected ({error.reason}); look at `encryption`") from error
    except smtplib.SMTPNotSupportedError as error:
        raise Unavailable(f"the mail server {server} cannot do what is asked ({error}); look at `encryption` and `user`") from error
    except smtplib.SMTPAuthenticationError as error:
        raise SignInRefused(f"the mail server {server} refused the sign-in ({error.smtp_code}); check `user` and `password`") from error
    except smtplib.SMTPRecipientsRefused as error:
        raise Unavailable(f"the mail server {server} refused {_reasons(error.recipients)}; correct `to`, or ask its owner") from error
    except smtplib.SMTPResponseException as error:
        raise Unavailable(f"the mail server {server} refused the mail: {error.smtp_code} {_said(error.smtp_error)}") from error
    except smtplib.SMTPException as error:
        raise Unavailable(f"the mail server {server} broke off ({type(error).__name__}); try again later") from error
    except OSError as error:
        raise Unavailable(
            f"the mail server {server} cannot be reached ({error.strerror or type(error).__name__}); check `server` and the firewall"
        ) from error


def _reasons(refused: Mapping[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{address} ({code} {_said(words)})" for address, (code, words) in refused.items())


def _said(words: bytes | str) -> str:
    """A server's answer as one line that is not too long."""
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return " ".join(text.split())[:200]
