"""One Samba forest on a loopback address: provision, seed, start, stop, and go back to the state after the first start.

Nothing outside of the lab's folder is changed: the domain controller lives in a mount namespace of its own, where its own resolv.conf,
hosts and /run/samba are mounted over the machine's. Any address of 127.0.0.0/8 works without being added to an interface.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .packages import LabError, search_path

SERVICE_ACCOUNT = "svc-metasync"
LAYOUT = 3
"""Raise it when provisioning or seeding changes: pristine copies of another layout are not used."""
START_SECONDS = 60
STOP_SECONDS = 30

SETTINGS = """
\t# /8: an address of lo without "ip addr add"; /32 or a bare address is "no network interfaces found"
\tinterfaces = {address}/8
\tbind interfaces only = yes
\tsmb ports = 445
\tdisable netbios = yes
\tserver services = s3fs, rpc, wrepl, ldap, cldap, kdc, drepl, winbindd, ntp_signd, kcc, dns
\tusershare path = {folder}/run
\tlog file = {folder}/log/log.samba
\tmax log size = 0
\tdns forwarder = {forwarder}
\tload printers = no
\tprintcap name = /dev/null
\tprefork children = 1
\ttls enabled = yes
\t# "required" would break a trust
\tserver smb encrypt = desired
\t# no fsync: five times the writes; never on a server that matters
\tldb:nosync = yes
\tldap server require strong auth = allow_sasl_over_tls
"""

START = """
mount --bind "$1/etc/resolv.conf" /etc/resolv.conf
mount --bind "$1/etc/hosts" /etc/hosts
mount --bind "$1/run" /run/samba
export KRB5_CONFIG=$1/private/krb5.conf
exec setsid samba -s "$1/etc/smb.conf" -D
"""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a forest shall be."""

    name: str
    address: str
    forwarder: str
    people: int

    @property
    def domain(self) -> str:
        """contoso.test"""
        return f"{self.name}.test"

    @property
    def host(self) -> str:
        """dc1.contoso.test"""
        return f"dc1.{self.domain}"

    @property
    def base(self) -> str:
        """DC=contoso,DC=test"""
        return ",".join(f"DC={label}" for label in self.domain.split("."))


class Forest:
    """A forest in a folder."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder / plan.name
        self.configuration = self.folder / "etc/smb.conf"

    @classmethod
    def load(cls, folder: Path, name: str) -> Forest | None:
        """The forest that stands in this lab's folder, or None."""
        try:
            stored = json.loads((folder / name / "forest.json").read_text())
            return cls(Plan(**stored["plan"]), folder)
        except FileNotFoundError:
            return None

    # -- what clients need -------------------------------------------------------------------------------------------------------------

    @property
    def ca(self) -> Path:
        """The authority that issued the domain controller's certificate."""
        return self.folder / "private/tls/ca.pem"

    def password_file(self, account: str) -> Path:
        """Where an account's password is."""
        return self.folder / f"{account}.password"

    def password(self, account: str) -> str:
        """`Administrator` or `svc-metasync`."""
        return self.password_file(account).read_text().strip()

    def binding(self) -> dict[str, object]:
        """How to bind, for people and programs; passwords by file."""
        return {
            "forest": self.plan.domain,
            "running": self.running(),
            "server": self.plan.address,
            "host name": self.plan.host,
            "base": self.plan.base,
            "ca file": str(self.ca),
            "accounts": {
                f"{account}@{self.plan.domain}": str(self.password_file(account)) for account in ("Administrator", SERVICE_ACCOUNT)
            },
        }

    # -- life --------------------------------------------------------------------------------------------------------------------------

    def pid(self) -> int | None:
        """The process id of our samba, None if it does not run. It is ours if its /run/samba is our folder: the program's name and
        command line change while it runs, and the id may long belong to another process."""
        try:
            pid = int((self.folder / "run/samba.pid").read_text())
            return pid if os.path.samefile(f"/proc/{pid}/root/run/samba", self.folder / "run") else None
        except (FileNotFoundError, ProcessLookupError, PermissionError, ValueError):
            return None

    def running(self) -> bool:
        """Whether our samba runs."""
        return self.pid() is not None

    def provision(self) -> None:
        """Make the forest. It is not started."""
        (self.folder / "etc").mkdir(parents=True)
        self.folder.chmod(0o700)
        for name in ("run", "log"):
            (self.folder / name).mkdir()
        for account in ("Administrator", SERVICE_ACCOUNT):
            write_private(self.password_file(account), f"Lab-{secrets.token_hex(12)}!9Z\n")
        self.configuration.write_text("")  # must exist and be empty, else "Unable to load file"
        plan = self.plan
        self._run(
            [
                "samba-tool", "domain", "provision", f"--configfile={self.configuration}", f"--targetdir={self.folder}",
                "--server-role=dc", "--use-rfc2307", "--dns-backend=SAMBA_INTERNAL", f"--realm={plan.domain.upper()}",
                f"--domain={plan.name.upper()}", "--host-name=dc1", f"--host-ip={plan.address}",
                f"--adminpass={self.password('Administrator')}", f"--option=interfaces={plan.address}/8",
                "--option=bind interfaces only=yes", "--option=ldb:nosync=yes",
            ],
            "provision",
        )  # fmt: skip
        self._write_settings()
        # Without the dnsupdate service nobody registers ldap/HOST and its like, and Kerberos to LDAP fails.
        self._run(["samba_spnupdate", "-s", str(self.configuration)], "spnupdate")
        self.run_seed(Path(__file__).with_name("seed.py"), str(self.password_file(SERVICE_ACCOUNT)), str(plan.people))
        write_private(self.folder / "forest.json", json.dumps({"plan": asdict(plan), "layout": LAYOUT}, indent=1) + "\n")

    def run_seed(self, script: Path, *more: str) -> None:
        """Fill the forest, which must not run, by a script that is given its configuration, its database, and this."""
        python = "/usr/bin/python3"  # the one that python3-samba belongs to
        self._run([python, "-I", str(script), str(self.configuration), str(self.folder / "private/sam.ldb"), *more], "seed")

    def start(self) -> None:
        """Start, and return when an LDAPS bind works. Already running: nothing to do."""
        if self.running():
            return
        (self.folder / "run/samba.pid").unlink(missing_ok=True)
        Path("/run/samba").mkdir(parents=True, exist_ok=True)
        plan = self.plan
        (self.folder / "etc/resolv.conf").write_text(f"nameserver {plan.address}\nsearch {plan.domain}\n")
        (self.folder / "etc/hosts").write_text(f"127.0.0.1 localhost\n{plan.address} {plan.host} dc1\n")
        command = ["unshare", "-m", "--propagation", "private", "bash", "-ec", START, "_", str(self.folder)]
        self._run(command, "start")
        limit = time.monotonic() + START_SECONDS
        trouble = "no answer"
        while time.monotonic() < limit:
            trouble = self.bind_trouble()
            if not trouble:
                return
            time.sleep(0.1)
        self.stop()
        raise LabError(f"{plan.domain} did not come up in {START_SECONDS} s ({trouble}); see {self.folder}/log")

    def stop(self) -> bool:
        """Stop what we started; False if it did not run."""
        pid = self.pid()
        if pid is None:
            return False
        signalled = family(pid)
        os.kill(pid, signal.SIGTERM)  # the first process ends its children
        limit = time.monotonic() + STOP_SECONDS
        while time.monotonic() < limit:
            # the first process goes before its children, which still hold the ports
            if not any(lives(process, began) for process, began in signalled.items()):
                return True
            time.sleep(0.05)
        raise LabError(f"{self.plan.domain} (process {pid}) still runs {STOP_SECONDS} s after it was asked to stop; see {self.folder}/log")

    def bind_trouble(self) -> str:
        """Why an LDAPS bind as Administrator fails; empty when it works. The certificate is checked."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            with socket.create_connection((self.plan.address, 636), timeout=5) as plain:
                with context.wrap_socket(plain, server_hostname=self.plan.host) as line:
                    line.sendall(simple_bind(f"Administrator@{self.plan.domain}", self.password("Administrator")))
                    code = bind_result(line.recv(4096))
        except (OSError, ValueError) as error:
            return str(error) or type(error).__name__
        return "" if code == 0 else f"the bind was refused with LDAP result {code}"

    # -- copies ------------------------------------------------------------------------------------------------------------------------

    def copy_to(self, target: Forest) -> None:
        """Copy this stopped forest, whole; the copy may live in another folder and on another address."""
        if self.running():
            raise LabError(f"{self.plan.domain} must be stopped before it is copied")
        shutil.rmtree(target.folder, ignore_errors=True)
        target.folder.parent.mkdir(parents=True, exist_ok=True)
        # cp: keeps the extended attributes that carry sysvol's permissions; sockets of the stopped daemon are not needed
        self._run(["cp", "-a", "--sparse=always", str(self.folder), str(target.folder)], None)
        for name in ("run", "log"):
            shutil.rmtree(target.folder / name, ignore_errors=True)
            (target.folder / name).mkdir()
        text = target.configuration.read_text().replace(str(self.folder), str(target.folder))
        text = text.replace(f"interfaces = {self.plan.address}/8", f"interfaces = {target.plan.address}/8")
        text = text.replace(f"dns forwarder = {self.plan.forwarder}", f"dns forwarder = {target.plan.forwarder}")
        target.configuration.write_text(text)
        write_private(target.folder / "forest.json", json.dumps({"plan": asdict(target.plan), "layout": LAYOUT}, indent=1) + "\n")

    # -- parts -------------------------------------------------------------------------------------------------------------------------

    def _write_settings(self) -> None:
        """Put our settings below [global]; --targetdir has set the private, lock, state and cache folders."""
        ours = {"interfaces", "bind interfaces only", "dns forwarder", "server services", "ldb:nosync"}
        lines = [line for line in self.configuration.read_text().splitlines() if line.partition("=")[0].strip() not in ours]
        at = lines.index("[global]") + 1
        settings = SETTINGS.format(address=self.plan.address, folder=self.folder, forwarder=self.plan.forwarder)
        self.configuration.write_text("\n".join([*lines[:at], *settings.strip("\n").split("\n"), *lines[at:]]) + "\n")

    def _run(self, command: list[str], log: str | None) -> None:
        environment = {**os.environ, "PATH": search_path(), "LC_ALL": "C.UTF-8"}
        for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):  # Debian's samba-tool wants Debian's Python
            environment.pop(name, None)
        output = self.folder / "log" / f"{log}.log" if log else Path(os.devnull)
        with output.open("ab") as stream:
            done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            tail = output.read_text(errors="replace").strip()[-800:] if log else ""
            what = "start" if command[0] == "unshare" else log or command[0]
            raise LabError(f"{self.plan.domain}: {what} failed (exit {done.returncode}); {tail or 'no output'}")


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat behind the program's name: state, parent, group, session ... Zombies count as gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields


def family(pid: int) -> dict[int, str]:
    """A process and all below it, each with its start time, which tells it from a later process of the same id."""
    parents: dict[int, tuple[int, str]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))):
            parents[int(name)] = (int(fields[1]), fields[19])
    found = {pid}
    while more := {child for child, (parent, _) in parents.items() if parent in found} - found:
        found |= more
    return {process: parents[process][1] for process in found if process in parents}


def lives(pid: int, began: str) -> bool:
    """Whether the process that began then still lives."""
    fields = _stat(pid)
    return fields is not None and fields[19] == began


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


# -- just enough of LDAP (RFC 4511) to ask whether a bind works ---------------------------------------------------------------------------


def _ber(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def simple_bind(name: str, password: str) -> bytes:
    """A BindRequest, version 3, simple."""
    request = _ber(0x02, b"\x03") + _ber(0x04, name.encode()) + _ber(0x80, password.encode())
    return _ber(0x30, _ber(0x02, b"\x01") + _ber(0x60, request))


def bind_result(answer: bytes) -> int:
    """The result code of a BindResponse. Raises `ValueError` if it is none."""
    at = answer.find(b"\x02\x01\x01\x61")
    code = answer.find(b"\x0a\x01", at)
    if at < 0 or code < 0:
        raise ValueError("the server closed the connection" if not answer else "the server's answer is not LDAP")
    return answer[code + 2]
