"""Is a directory still the one that was imported first? Under the name of another one nothing is read and nothing is written (law 1)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from metasync.blame import blamed
from metasync.contract import Connector, Kind, MetasyncError, Schema
from metasync.store import directories
from metasync.workspace import Workspace

SHOWN = 10
"""Attributes that a message names; of more it says how many."""


class AnotherDirectory(MetasyncError):
    """The directory is not the one that was imported before; give it another name in the document."""


def check_identity(workspace: Workspace, directory: str, connector: Connector, *, pin: bool = False) -> None:
    """Ask the directory who it is, and refuse another one than before; `pin` keeps the answer of one that was never asked.

    Raises `AnotherDirectory`, and whatever `Connector.check` does.
    """
    with blamed(connector.name):
        identity = connector.check().identity
    number = workspace.directory_ids[directory]
    with workspace.backend.read() as connection:
        pinned = directories.get(connection, number).pinned
    if pinned is None and pin:
        with workspace.backend.write() as connection:
            directories.set_identity(connection, number, identity)
    if pinned not in (None, identity):
        raise AnotherDirectory(
            f"{directory} was {pinned} when it was first imported, and is {identity} now{_differing(workspace, number, connector)}; "
            "nothing was read or written. If another directory is meant, give it another name in the document"
        )


def _differing(workspace: Workspace, number: int, connector: Connector) -> str:
    with workspace.backend.read() as connection:
        before = directories.schema_of(connection, number)
    with suppress(MetasyncError):
        with blamed(connector.name):
            now = connector.discover()
        if before is not None and (words := difference(before, now)):
            return f" ({words})"
    return ""


def difference(before: Schema, now: Schema) -> str:
    """Which attributes are missing and which are new, such as `'title' is missing and 'jobtitle' is new`; where that is not so for every
    kind, with the kinds. Empty where both have the same."""
    kinds = sorted({*before.kinds, *now.kinds})
    found: dict[str, list[Kind]] = {}
    for kind in kinds:
        found.setdefault(_change(_attributes(before, kind), _attributes(now, kind)), []).append(kind)
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"of {', '.join(some)}: {change}" for change, some in found.items() if change)


def _attributes(schema: Schema, kind: Kind) -> frozenset[str]:
    return frozenset(schema.kinds[kind].attributes) if kind in schema.kinds else frozenset()


def _change(before: frozenset[str], now: frozenset[str]) -> str:
    lost, new = before - now, now - before
    return " and ".join(f"{_listed(names)} {state}" for names, state in ((lost, "missing"), (new, "new")) if names)


def _listed(names: Iterable[str]) -> str:
    known = [repr(name) for name in sorted(names)]
    shown = [*known[: SHOWN - 1], f"{len(known) - SHOWN + 1} more"] if len(known) > SHOWN else known
    return f"{', '.join(shown[:-1])} and {shown[-1]} are" if len(shown) > 1 else f"{shown[0]} is"
