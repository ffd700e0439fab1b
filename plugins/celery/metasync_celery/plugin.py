"""What Metasync's host loads: the hooks of this plugin."""

from __future__ import annotations

from collections.abc import Sequence

from metasync.contract import Dispatcher, hookimpl
from metasync_celery.dispatcher import CeleryDispatcher


@hookimpl
def metasync_register_dispatchers() -> Sequence[type[Dispatcher]]:
    """The one dispatcher of this distribution."""
    return [CeleryDispatcher]
