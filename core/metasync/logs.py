"""Logs of the long-running processes: one line per event, for people or as JSON, with the engagement, run and batch that it is about.

No secret that this process knows stands in them, whoever wrote the line.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from metasync.engagement.secrets import scrub

if TYPE_CHECKING:
    from structlog.typing import Processor

FORMATS = ("text", "json")
CHATTY = ("alembic", "amqp", "kombu", "ldap3", "sqlalchemy", "urllib3")
"""Libraries of which only warnings are of interest."""


def configure(form: str, level: int = logging.INFO) -> None:
    """Have everything that is logged in this process written to stderr, in this form."""
    import structlog

    told: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    written: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _scrubbed,
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=told, processors=written))
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for library in CHATTY:
        logging.getLogger(library).setLevel(logging.WARNING)


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """What is logged inside, by this thread, is about these: engagement, run, batch."""
    from structlog.contextvars import bound_contextvars

    with bound_contextvars(**ids):
        yield


def _scrubbed(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Before anything is escaped, which would hide a secret from the search as well."""
    return {key: value if isinstance(value, (int, float, bool)) or value is None else scrub(str(value)) for key, value in event.items()}
