"""What the lab needs of the machine: Debian packages, root, and a kernel that lets us have a mount namespace of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = {
    "samba": "samba-ad-dc",
    "samba-tool": "samba-common-bin",
    "samba_spnupdate": "samba-common-bin",
    "unshare": "util-linux",
    "setsid": "util-linux",
    "mount": "mount",
}
TEMPLATES = Path("/usr/share/samba/setup/provision.ldif")
"""Comes with samba-ad-provision, which samba-ad-dc only recommends."""
PACKAGES = (
    "samba-ad-dc",
    "samba-ad-provision",
    "samba-dsdb-modules",
    "samba-vfs-modules",
    "winbind",
    "python3-samba",
    "util-linux",
    "mount",
)
POLICY = Path("/usr/sbin/policy-rc.d")


class LabError(Exception):
    """What is missing or went wrong, and what to do."""


def search_path() -> str:
    """PATH with the folders of system programs, which a plain user's PATH may lack."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"])


def missing() -> list[str]:
    """The Debian packages that would have to be installed."""
    absent = {package for program, package in PROGRAMS.items() if shutil.which(program, path=search_path()) is None}
    if not TEMPLATES.exists():
        absent.add("samba-ad-provision")
    return sorted(absent)


def why_not() -> str | None:
    """Why no forest can be started here, in words; None where nothing stands in the way."""
    if os.name != "posix" or not Path("/proc/self/ns/mnt").exists():
        return "a Samba domain controller needs Linux"
    if os.geteuid() != 0:
        packages = missing()
        needed = f" and these Debian packages: {' '.join(packages)}" if packages else ""
        return f"a Samba domain controller needs root (mount namespace, ports below 1024){needed}"
    if missing() and shutil.which("apt-get") is None:
        return f"these programs' packages are missing and there is no apt-get to install them: {' '.join(missing())}"
    return None


def faketime(say: Callable[[str], None]) -> Path:
    """The library that shows a process another time, installed where it is missing and we may. Raises `LabError`."""
    for again in (True, False):
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        if found:
            return found[0]
        if not again or os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise LabError("a process with another clock needs libfaketime (on Debian: apt-get install faketime)")
        say("installing Debian packages: faketime")
        apt_install(["faketime"])
    raise AssertionError


def ldapsearch(say: Callable[[str], None]) -> None:
    """Have the program `ldapsearch`, installed where it is missing and we may. Raises `LabError`."""
    if shutil.which("ldapsearch") is not None:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LabError("ldapsearch is missing (on Debian: apt-get install ldap-utils)")
    say("installing Debian packages: ldap-utils")
    apt_install(["ldap-utils"])


@contextmanager
def _no_services_started() -> Iterator[None]:
    """Keep apt from starting smbd, nmbd and winbindd of its own; what stood in policy-rc.d before stays."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def install(say: Callable[[str], None]) -> None:
    """Install what is missing. Raises `LabError` naming what a person must do."""
    reason = why_not()
    if reason is not None:
        raise LabError(reason)
    packages = missing()
    if not packages:
        return
    say(f"installing Debian packages (missing: {' '.join(packages)})")
    apt_install(PACKAGES)
    still = missing()
    if still:
        raise LabError(f"apt-get installed its packages, but these are still missing: {' '.join(still)}")


def apt_install(packages: Sequence[str]) -> None:
    """Install Debian packages without starting a service. Raises `LabError`."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_services_started():
        for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]):
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode != 0:
                raise LabError(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()[-600:]}")
