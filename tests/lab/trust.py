"""A forest trust between two running forests, in both directions.

Each finds the other by DNS, so both must stand on the addresses that they were provisioned with.
"""

from __future__ import annotations

import os
import subprocess
import time

from .forest import Forest
from .packages import LabError, search_path

PATIENCE = 180
"""Seconds until two domain controllers that were just started know each other."""


def trust(here: Forest, there: Forest) -> bool:
    """Have the trust; False if it was there already. Both forests run. Raises `LabError`."""
    if _stands(here, there):
        return False
    until = time.monotonic() + PATIENCE
    while True:
        try:
            _create(here, there)
            validate(here, there)
            return True
        except LabError as error:
            # They need some seconds to find each other, and one side may have heard of it before the other gave up.
            if _stands(here, there) and _stands(there, here):
                validate(here, there)
                return True
            if time.monotonic() > until:
                hint = "; forests that were made without `--trust` may tell others an address of another lab: make them anew with `--fresh`"
                raise LabError(f"{error}{hint if 'Failed to find' in str(error) else ''}") from None
            time.sleep(1)


def _stands(here: Forest, there: Forest) -> bool:
    return there.plan.domain.lower() in _tool(here, "domain", "trust", "list", *_local(here)).lower()


def _create(here: Forest, there: Forest) -> None:
    _tool(
        here, "domain", "trust", "create", there.plan.domain.upper(), "--type=forest", "--direction=both", "--create-location=both",
        *_as_administrator(there), *_local(here),
    )  # fmt: skip


def validate(here: Forest, there: Forest) -> None:
    """Ask both sides whether the trust works. Raises `LabError`."""
    _tool(here, "domain", "trust", "validate", there.plan.domain.upper(), *_as_administrator(there), *_local(here))


def _as_administrator(forest: Forest) -> list[str]:
    return ["-U", f"Administrator@{forest.plan.domain.upper()}%{forest.password('Administrator')}"]


def _local(forest: Forest) -> list[str]:
    account = f"Administrator@{forest.plan.domain.upper()}"
    return [
        "-s", str(forest.configuration), f"--local-dc-ipaddress={forest.plan.address}", f"--local-dc-username={account}",
        f"--local-dc-password={forest.password('Administrator')}",
    ]  # fmt: skip


def _tool(forest: Forest, *arguments: str) -> str:
    """samba-tool in the forest's own mount namespace: it speaks to winbind, and must resolve the other forest's names."""
    pid = forest.pid()
    if pid is None:
        raise LabError(f"{forest.plan.domain} does not run")
    environment = {**os.environ, "PATH": search_path(), "LC_ALL": "C.UTF-8"}
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        environment.pop(name, None)
    command = ["nsenter", "-t", str(pid), "-m", "samba-tool", *arguments]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-800:]
        raise LabError(f"{forest.plan.domain}: samba-tool {' '.join(arguments[:3])} failed (exit {done.returncode}); {said or 'no output'}")
    return done.stdout
