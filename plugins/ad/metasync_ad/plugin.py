"""The entry point: registers the connector."""

from __future__ import annotations

from collections.abc import Sequence

from metasync.contract import Connector, hookimpl
from metasync_ad.connector import ActiveDirectory


@hookimpl
def metasync_register_connectors() -> Sequence[type[Connector]]:
    """`connector: ad`."""
    return [ActiveDirectory]
