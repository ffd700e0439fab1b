"""What Metasync's host loads: the hooks of this plugin."""

from __future__ import annotations

from collections.abc import Sequence

from metasync.contract import Connector, hookimpl
from metasync_entra.connector import EntraID


@hookimpl
def metasync_register_connectors() -> Sequence[type[Connector]]:
    """`connector: entra`."""
    return [EntraID]
