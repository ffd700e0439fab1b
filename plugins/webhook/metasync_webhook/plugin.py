"""What Metasync's host loads: the hooks of this plugin."""

from __future__ import annotations

from collections.abc import Sequence

from metasync.contract import Notifier, hookimpl
from metasync_webhook.notifier import WebhookNotifier


@hookimpl
def metasync_register_notifiers() -> Sequence[type[Notifier]]:
    """The one notifier of this distribution."""
    return [WebhookNotifier]
