"""What a message may be: (run, batch, nonce), and nothing else. Whoever can write to the broker can write anything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.worker.strategy import default

HANDED_ON = ("callbacks", "errbacks", "chain", "chord")
"""What Celery would have done with a result."""
UNUSED = ("eta", "expires", "group", "reply_to")
"""What else Celery would obey: a time to wait for, or to be late."""

_log = logging.getLogger(__name__)


def is_ours(payload: Any, headers: Any) -> bool:
    """Is this a message as `nudge` publishes it?"""
    match payload:
        case [[run, batch, nonce], {} as named, {} as embedded]:
            plain = type(run) is int and type(batch) is int and type(nonce) is str and not named
            return plain and not any(map(embedded.get, HANDED_ON)) and not any(map(headers.get, UNUSED))
    return False


def strategy(task: Any, app: Celery, consumer: Any, **more: Any) -> Callable[..., None]:
    """Celery's own way with a message of this task, once it is one. What is none is thrown away: an error here would end the worker, and
    the message would come back to the next one."""
    handle = default(task, app, consumer, **more)

    def guarded(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **named: Any) -> None:
        try:
            ours = is_ours(message.payload, message.headers)
        except Exception as error:
            _log.warning("a message that cannot be read is thrown away: %s", type(error).__name__)
            ours = False
        if ours:
            handle(message, body, ack, reject, callbacks, **named)
        else:
            _log.warning("a message that is none of ours is thrown away")
            message.reject_log_error(_log, consumer.connection_errors)

    return guarded
