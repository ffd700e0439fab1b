"""Kerberos clients beside the lab's forests: what the machine needs, and a configuration that finds the forest's own controller."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .packages import LabError, apt_install, search_path

if TYPE_CHECKING:  # script/test needs no pytest to ask what is missing
    from .samba import Account, Samba

PROGRAMS = {"kinit": "krb5-user", "ktutil": "krb5-user", "krb5-config": "libkrb5-dev", "gcc": "gcc"}
"""The last two build the Python packages `gssapi` and `krb5`, of which there are no wheels for Linux."""


def missing() -> list[str]:
    """The Debian packages that would have to be installed."""
    return sorted({package for program, package in PROGRAMS.items() if shutil.which(program, path=search_path()) is None})


def why_not() -> str | None:
    """Why no Kerberos client can be tried here; None where nothing stands in the way."""
    return f"Kerberos needs these Debian packages: {' '.join(missing())}" if missing() else None


def install(say: Callable[[str], None]) -> None:
    """Install what is missing. Raises `LabError` naming what a person must do."""
    if not missing():
        return
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LabError(str(why_not()))
    say(f"installing Debian packages (missing: {' '.join(missing())})")
    apt_install(missing())


def configure(samba: Samba, folder: Path) -> Path:
    """Write a krb5.conf for this forest; clients find it by the variable KRB5_CONFIG. Nothing is asked of any DNS."""
    realm = samba.domain.upper()
    path = folder / "krb5.conf"
    path.write_text(
        f"[libdefaults]\n default_realm = {realm}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n rdns = false\n"
        f" dns_canonicalize_hostname = false\n[realms]\n {realm} = {{\n  kdc = {samba.address}\n }}\n"
        f"[domain_realm]\n .{samba.domain} = {realm}\n {samba.domain} = {realm}\n"
    )
    return path


def principal(samba: Samba, account: Account) -> str:
    """svc-metasync@CONTOSO.TEST"""
    return f"{account.name.partition('@')[0]}@{samba.domain.upper()}"


def make_ticket_cache(samba: Samba, account: Account, path: Path) -> Path:
    """Tickets of an account, in a file."""
    _run(["kinit", "-c", f"FILE:{path}", principal(samba, account)], f"{account.password}\n")
    return path


def make_keytab(samba: Samba, account: Account, path: Path) -> Path:
    """An account's key, made of its password (salt: realm and account name), in a file."""
    name = principal(samba, account)
    salt = f"{samba.domain.upper()}{name.partition('@')[0]}"
    entry = f"addent -password -p {name} -k 1 -e aes256-cts-hmac-sha1-96 -s {salt}"
    _run(["ktutil"], f"{entry}\n{account.password}\nwkt {path}\nq\n")
    return path


def _run(command: list[str], said: str) -> None:
    done = subprocess.run(command, input=said, text=True, capture_output=True, env={**os.environ, "PATH": search_path()})
    if done.returncode != 0:
        raise LabError(f"{command[0]} failed: {done.stderr.strip()[-300:]}")
