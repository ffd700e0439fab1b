"""What is posted: for programs, for Slack, for Teams; and how it is signed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

from metasync.contract import Notification, OptionsError

PREFIX = "whsec_"


def plain(notification: Notification) -> dict[str, Any]:
    """For programs, in the form that https://www.standardwebhooks.com/ recommends: type, timestamp, data."""
    return {
        "type": f"metasync.{notification.event}",
        "timestamp": notification.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "data": {
            "engagement": notification.engagement,
            "event": notification.event.value,
            "kind": notification.kind,
            "run": notification.run,
            "plan": notification.plan,
            "profiles": list(notification.profiles),
            "counts": dict(notification.counts),
            "text": notification.text,
            "subject": notification.subject,
        },
    }


def slack(notification: Notification) -> dict[str, Any]:
    """For an incoming webhook of Slack: plain text, so that nothing in it becomes a link or a mention.

    https://api.slack.com/reference/block-kit/composition-objects#text, https://api.slack.com/messaging/webhooks
    """
    return {
        "text": _escaped(notification.subject),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": notification.subject[:150], "emoji": False}},
            {"type": "section", "text": {"type": "plain_text", "text": (notification.body or notification.subject)[:3000], "emoji": False}},
        ],
    }


def teams(notification: Notification) -> dict[str, Any]:
    """For a workflow of Teams that takes webhook requests: an adaptive card. `TextRun` knows no Markdown, so that nothing becomes a link.

    https://adaptivecards.io/explorer/TextRun.html
    """

    def block(text: str, **more: Any) -> dict[str, Any]:
        return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **more}]}

    body = [block(line) for line in notification.body.split("\n") if line]
    return {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": [block(notification.subject, weight="Bolder"), *body],
                },
            }
        ],
    }


FORMS: Mapping[str, Callable[[Notification], dict[str, Any]]] = {"json": plain, "slack": slack, "teams": teams}


def encoded(notification: Notification, form: str) -> bytes:
    """The bytes that are posted, and signed."""
    return json.dumps(FORMS[form](notification), ensure_ascii=False, separators=(",", ":")).encode()


def key_of(secret: str) -> bytes:
    """`whsec_` and Base64, or any text as it stands. Raises `OptionsError`."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise OptionsError(f"the webhook's secret begins with {PREFIX}, and what follows is not Base64; set it again") from None


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,BASE64` of HMAC-SHA256 over `ID.TIMESTAMP.BODY`, as https://www.standardwebhooks.com/ has it."""
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def _escaped(text: str) -> str:
    """https://api.slack.com/reference/surfaces/formatting#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
