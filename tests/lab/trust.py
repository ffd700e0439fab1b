"""A forest trust between two forests, in both directions. It is made once, and kept in the untouched copy of the two.

Each finds the other by DNS, so both must stand on the addresses that they were provisioned with. The other's names are told to its own DNS:
two servers that forward to one another what they do not know send a name that neither knows back and forth, and the calls behind it time
out. The calls go through several services of
both domain controllers, and under load any of them may time out, also half-way: then the two are put back to where they were, and all of it
is done again. Nothing here waits for a certain time to pass but between two attempts.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence

from .forest import Forest
from .packages import LabError, search_path

ATTEMPTS = 6
"""So often the trust is made from the beginning."""
CREATED = 8
"""So often one attempt asks for it, as long as neither side has heard of it."""
ASKED = 20
"""So often one attempt asks whether it works, before it is given up."""
PAUSE = 3
"""Seconds between two questions."""
ONE_CALL = 180
"""Seconds that one call may take: samba-tool has no limit of its own, and waits for replies of a service that went away."""


def make(fresh: Callable[[], Sequence[Forest]], say: Callable[[str], None]) -> Sequence[Forest]:
    """Two forests that trust each other, running. `fresh` gives the two as they were, running; it is called for each attempt. Raises
    `LabError` where none succeeded."""
    trouble = ""
    for attempt in range(1, ATTEMPTS + 1):
        forests = fresh()
        try:
            trust(*forests)
            return forests
        except LabError as error:
            trouble = str(error)
            say(f"the trust did not come about ({attempt} of {ATTEMPTS}): {trouble.strip().splitlines()[-1]}")
            time.sleep(PAUSE * attempt)
    raise LabError(f"the two forests do not come to trust each other, {ATTEMPTS} times; try again on a machine with less load. {trouble}")


def trust(here: Forest, there: Forest) -> None:
    """Make it, and see that it works. Raises `LabError`, and may leave one side alone with it."""
    for one, other in ((here, there), (there, here)):
        _introduce(one, other)
    _patiently(lambda: _tool(here, "domain", "info", there.plan.domain), "they do not find each other")
    for left in range(CREATED - 1, -1, -1):
        # Whom each trusts is asked before: it wakes the services that are needed next, which may take a minute of their own.
        known = [stands(here, there), stands(there, here)]
        if all(known):
            break
        if any(known):
            raise LabError("one side alone knows of the trust")
        try:
            _create(here, there)
            break
        except LabError:
            if not left:
                raise
            time.sleep(PAUSE)
    _patiently(lambda: validate(here, there), "it was made and does not work")


def _introduce(here: Forest, there: Forest) -> None:
    """Tell this one's DNS how to find the other: its zone, as far as a trust asks for it."""
    address, domain, host = here.plan.address, there.plan.domain, there.plan.host
    name = f"Administrator@{here.plan.domain.upper()}%{here.password('Administrator')}"
    records = [("dc1", "A", there.plan.address), ("@", "A", there.plan.address)]
    for service, port in (("_ldap._tcp", 389), ("_kerberos._tcp", 88), ("_kerberos._udp", 88), ("_kpasswd._tcp", 464), ("_gc._tcp", 3268)):
        records.append((service, "SRV", f"{host} {port} 0 100"))
    for role in ("dc", "pdc", "gc"):
        for service, port in (("_ldap._tcp", 3268 if role == "gc" else 389), ("_kerberos._tcp", 88)):
            records.append((f"{service}.{role}._msdcs", "SRV", f"{host} {port} 0 100"))
    _patiently(lambda: _once(here, "dns", "zonecreate", address, domain, "-U", name), f"its DNS takes no zone {domain}")
    for label, kind, data in records:
        # The loop's values, not its last ones.
        words = ("dns", "add", address, domain, label, kind, data, "-U", name)
        _patiently(lambda words=words: _once(here, *words), f"its DNS takes no {kind} of {label}.{domain}")  # type: ignore[misc]


def _once(forest: Forest, *arguments: str) -> None:
    """A call that an earlier one, of which no answer came, may have done already."""
    try:
        _tool(forest, *arguments)
    except LabError as error:
        if "ALREADY_EXISTS" not in str(error):
            raise


def _create(here: Forest, there: Forest) -> None:
    _tool(
        here, "domain", "trust", "create", there.plan.domain.upper(), "--type=forest", "--direction=both", "--create-location=both",
        *_as_administrator(there), *_local(here),
    )  # fmt: skip


def stands(here: Forest, there: Forest) -> bool:
    """The one knows of the trust. Raises `LabError`."""
    said: list[str] = []
    _patiently(lambda: said.append(_tool(here, "domain", "trust", "list", *_local(here))), "it does not say whom it trusts")
    return there.plan.domain.lower() in said[-1].lower()


def validate(here: Forest, there: Forest) -> None:
    """Ask both sides whether the trust works. Raises `LabError`."""
    _tool(here, "domain", "trust", "validate", there.plan.domain.upper(), *_as_administrator(there), *_local(here))


def _patiently(ask: Callable[[], object], words: str) -> None:
    for left in range(ASKED - 1, -1, -1):
        try:
            ask()
            return
        except LabError as error:
            if not left:
                raise LabError(f"{words}: {error}") from None
            time.sleep(PAUSE)


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
    what = f"{forest.plan.domain}: samba-tool {' '.join(arguments[:3])}"
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace", timeout=ONE_CALL
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"{what} gave no answer in {ONE_CALL} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-800:]
        raise LabError(f"{what} failed (exit {done.returncode}); {said or 'no output'}")
    return done.stdout
