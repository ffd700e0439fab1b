"""The bare protocol: what the same work costs without us, on the same server."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.samba import Samba

PEOPLE = "(&(objectCategory=person)(objectClass=user)(!(objectClass=computer))(!(userAccountControl:1.2.840.113556.1.4.803:=2048)))"
"""The filter that the connector asks with."""


def ldapsearch(samba: Samba, base: str, attributes: Sequence[str], folder: Path) -> tuple[float, int]:
    """Everybody in pages of 1,000 into a file: seconds, and how many came."""
    secret = folder / "bind"
    secret.touch(mode=0o600)
    secret.write_text(samba.service.password, encoding="utf-8")
    out = folder / "people.ldif"
    command = [
        "ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-x", "-H", f"ldaps://{samba.address}", "-D", samba.service.name, "-y", str(secret),
        "-b", base, "-E", "pr=1000/noprompt", PEOPLE, *attributes,
    ]  # fmt: skip
    # The certificate names the host, and the lab is reached by its address.
    environment = {**os.environ, "LDAPTLS_CACERT": str(samba.ca), "LDAPTLS_REQCERT": "allow"}
    began = time.monotonic()
    with out.open("wb") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, check=True, env=environment)
    spent = time.monotonic() - began
    secret.unlink()
    with out.open("rb") as file:
        return spent, sum(line.startswith(b"dn:") for line in file)


def adds(samba: Samba, requests: Sequence[tuple[str, Mapping[str, Sequence[Any]]]]) -> float:
    """These adds one after another on one connection of plain ldap3: seconds, without connecting."""
    with samba.connect(samba.service) as connection:
        began = time.monotonic()
        for dn, attributes in requests:
            connection.add(dn, attributes={name: list(held) for name, held in attributes.items()})
        return time.monotonic() - began
