"""Celery's consumer, which ends where its transport breaks of a message."""

from __future__ import annotations

from celery.worker import consumer


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """kombu's Redis transport takes each `KeyError` for a lost line, also that of a message without its parts, and after such a loss a
    worker may live on and take nothing more. Whoever looks after the process starts another one, as after any message that is none."""

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Lines that were lost (a `KeyError` of theirs names a number) are connected anew."""
        if isinstance(exc, KeyError) and any(isinstance(part, str) for part in exc.args):
            raise exc
        super().on_connection_error_after_connected(exc)
