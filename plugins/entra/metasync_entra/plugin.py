"""What Metasync's host loads: the hooks of this plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from metasync.contract import Connector, hookimpl
from metasync_entra.connector import EntraID


@hookimpl
def metasync_register_connectors() -> Sequence[type[Connector]]:
    """`connector: entra`."""
    return [EntraID]


@hookimpl
def metasync_register_commands() -> Sequence[Any]:
    """`metasync lab entra`."""
    return [_lab]


@click.group("lab")
def _lab() -> None:
    """Simulators to try things against, on this machine alone."""


@_lab.command("entra", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def _entra(arguments: tuple[str, ...]) -> None:
    """Run a lab tenant of Entra ID until interrupted. `metasync lab entra --help` lists its options."""
    try:
        from metasync_entra.lab.commands import entra
    except ModuleNotFoundError as error:
        raise click.ClickException(f"the lab tenant needs more: pip install 'metasync-entra[lab]' ({error})") from None
    entra.main(args=list(arguments), prog_name="metasync lab entra", standalone_mode=False)
