"""The notifier `webhook`."""

from __future__ import annotations

import http.client
import random
import ssl
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from email.message import Message
from typing import IO, Any, ClassVar
from urllib.parse import SplitResult, urlsplit

from metasync.contract import Notification, Notifier, NotTrusted, OptionsError, Unavailable
from metasync.contract import Options as ContractOptions
from metasync_webhook.messages import encoded, key_of, signature
from metasync_webhook.options import WebhookOptions

FIRST_PAUSE = 0.5
"""Seconds before the second attempt; each further pause is twice as long."""
ONE_ATTEMPT = 5.0
"""The most seconds that one attempt waits for an answer, so that a second one has a chance."""
AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Answers that may be another one soon."""


class WebhookNotifier(Notifier):
    """One POST for each notification, tried again within the deadline. All attempts carry one id, by which a receiver knows them."""

    name: ClassVar[str] = "webhook"
    title: ClassVar[str] = "A webhook"
    Options: ClassVar[type[ContractOptions]] = WebhookOptions

    def notify(self, notification: Notification) -> None:
        """Post it. Raises `Unavailable`, `NotTrusted`, `OptionsError`."""
        ends = time.monotonic() + self.context.deadline
        url = self.context.secret(self.options["url"]).strip()
        server = _server(url)
        key = key_of(self.context.secret(self.options["secret"])) if self.options["secret"] is not None else None
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=self._trust()), _Stay())
        body = encoded(notification, self.options["format"])
        message_id, pause = f"msg_{uuid.uuid4().hex}", FIRST_PAUSE
        while True:
            # The receiver refuses what is old, so each attempt says when it was made.
            headers = _headers(message_id, int(time.time()), body, key)
            wait, why = _attempt(opener, url, server, headers, body, min(ONE_ATTEMPT, ends - time.monotonic()))
            if why is None:
                return
            wait = max(wait, pause * random.uniform(0.8, 1.2))  # noqa: S311 - so that several do not come at once
            if time.monotonic() + wait >= ends - 0.1:
                raise why
            self.context.logger.info("%s; it is tried again", why)
            time.sleep(wait)
            pause *= 2

    def _trust(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.options["ca_file"])
        except (OSError, ssl.SSLError) as error:
            why = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else "it holds no certificate"
            raise OptionsError(f"the CA file of the webhook cannot be read ({why}); correct `ca file`") from error


class _Stay(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: another server was not named in the document, and would be handed the message."""

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


def _server(url: str) -> str:
    """Host and port, for messages: the rest of the address is a secret. Raises `OptionsError`."""
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError:
        raise OptionsError("the URL of the webhook is none; set its secret again") from None
    if (
        parts.scheme != "https"
        or not parts.hostname
        or parts.username is not None
        or not url.isascii()
        or any(one.isspace() for one in url)
    ):
        raise OptionsError("the URL of the webhook is not of the form https://HOST/PATH; set its secret again")
    return parts.hostname if port is None else f"{parts.hostname}:{port}"


def _headers(message_id: str, timestamp: int, body: bytes, key: bytes | None) -> Mapping[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "metasync-webhook",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
    }
    return headers if key is None else {**headers, "webhook-signature": signature(key, message_id, timestamp, body)}


def _attempt(
    opener: urllib.request.OpenerDirector, url: str, server: str, headers: Mapping[str, str], body: bytes, seconds: float
) -> tuple[float, Unavailable | None]:
    """(seconds to wait at least, why it did not arrive; None: it did). Raises `Unavailable` where another one would come to the same."""
    request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310 - https alone
    try:
        with opener.open(request, timeout=max(0.1, seconds)) as answer:
            code = answer.status
        return 0.0, None if 200 <= code < 300 else Unavailable(f"the webhook at {server} answered {code}")
    except urllib.error.HTTPError as error:
        with error:
            return _wait(error.headers), _refused(server, error.code)
    except urllib.error.URLError as error:
        return 0.0, _unreachable(server, error.reason)
    except (OSError, http.client.HTTPException) as error:
        return 0.0, _unreachable(server, error)


def _refused(server: str, code: int) -> Unavailable:
    if code in AGAIN:
        return Unavailable(f"the webhook at {server} cannot take it now (it answered {code}); look at its service")
    if 300 <= code < 400:
        raise Unavailable(f"the webhook at {server} answered {code}: it has moved, and redirects are not followed; set its new URL")
    raise Unavailable(f"the webhook at {server} refused it (it answered {code}); check its URL, its secret and the format")


def _unreachable(server: str, reason: object) -> Unavailable:
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise NotTrusted(
            f"the certificate of the webhook at {server} is not trusted ({reason.verify_message}); name its authority in `ca file`"
        )
    words = getattr(reason, "strerror", None) or type(reason).__name__
    return Unavailable(f"the webhook at {server} cannot be reached ({words}); check its URL, the proxy and the firewall")


def _wait(headers: Message) -> float:
    """`Retry-After` in seconds, where it says that."""
    said = headers.get("Retry-After", "")
    return float(said) if said.isdigit() else 0.0
