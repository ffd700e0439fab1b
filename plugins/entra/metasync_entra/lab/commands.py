"""`metasync lab entra`: a lab tenant that runs until it is interrupted, for demos, benches and clients of other languages."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import click

from metasync_entra.lab.starting import tenant


@click.command("entra")
@click.option("--users", type=click.IntRange(0), default=50, show_default=True, help="How many people the tenant begins with.")
@click.option("--groups", type=click.IntRange(0), default=5, show_default=True, help="How many groups.")
@click.option("--contacts", type=click.IntRange(0), default=0, show_default=True, help="How many contacts.")
@click.option("--members", type=click.IntRange(0), default=10, show_default=True, help="How many members each group has.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same number makes the same people.")
@click.option("--domain", "domains", multiple=True, help="A verified domain; the first is the initial one. May be given several times.")
@click.option("--address", default="127.0.0.1", show_default=True, help="A loopback address; others are refused.")
@click.option(
    "--ports", type=(int, int, int, int), default=(0, 0, 0, 0), help="Ports of login, Graph, control, Exchange; 0 takes a free one."
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where certificates and facts.json are left; without it in a temporary folder, gone at the end.",
)
def entra(
    users: int,
    groups: int,
    contacts: int,
    members: int,
    seed: int,
    domains: tuple[str, ...],
    address: str,
    ports: tuple[int, int, int, int],
    folder: Path | None,
) -> None:
    """Run a lab tenant of Entra ID until interrupted.

    Prints one line of JSON: the URLs, the tenant's and the app's ids, the secret and the certificate files. See docs/lab-entra.md.
    """
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    named = domains or ("contoso.onmicrosoft.com", "contoso.com")
    try:
        with tenant(
            folder=folder,
            domains=named,
            users=users,
            groups=groups,
            contacts=contacts,
            members=members,
            seed=seed,
            address=address,
            ports=ports,
        ) as running:
            facts = json.dumps(running.facts())
            if folder is not None:
                (folder / "facts.json").touch(mode=0o600)
                (folder / "facts.json").write_text(facts + "\n", encoding="utf-8")
            click.echo(facts)
            done.wait()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
