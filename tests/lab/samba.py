"""pytest fixtures: a running Samba forest for a session, and a fresh OU for each test.

Load it by path in a conftest: put `tests/` on sys.path, then `from lab.samba import samba, samba_unit`. The forest is that of
`script/lab` (or of the folder in METASYNC_LAB); it is started where it does not run, shared by all test processes, and stopped by the
last one if a test started it.
"""

from __future__ import annotations

import os
import ssl
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import command
from .forest import SERVICE_ACCOUNT, Forest
from .packages import LabError, why_not

LEAVES = "(|(objectClass=person)(objectClass=group))"
TREE_DELETE = ("1.2.840.113556.1.4.805", True, None)


@dataclass(frozen=True, kw_only=True)
class Account:
    """A name to bind with, and its password."""

    name: str
    password: str


@dataclass(frozen=True, kw_only=True)
class Samba:
    """A running forest."""

    domain: str
    address: str
    host: str
    base: str
    ca: Path
    administrator: Account
    service: Account
    """The least privileged account: rights on the seeded OUs, `tests` among them."""

    @property
    def tests(self) -> str:
        """The OU under which tests make their own."""
        return f"OU=Tests,{self.base}"

    @contextmanager
    def connect(self, account: Account | None = None, *, patience: int = 30) -> Iterator[Any]:
        """A plain ldap3 connection (as Administrator), to look and to change behind the product's back. It is closed at the end."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of pyasn1 and ssl, for names that ldap3 2.9.1 still uses
            import ldap3

            tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(self.ca), valid_names=[self.host])
            server = ldap3.Server(self.address, port=636, use_ssl=True, tls=tls, get_info=ldap3.NONE, connect_timeout=10)
            account = account or self.administrator
            connection = ldap3.Connection(
                server,
                account.name,
                account.password,
                auto_referrals=False,
                receive_timeout=patience,
                raise_exceptions=True,
                return_empty_attributes=False,
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                connection.bind()
            yield connection
        finally:
            connection.unbind()

    def sign_in(self, account: Account) -> str:
        """What the domain says to a name and a password: nothing, or why not."""
        try:
            with self.connect(account):
                return ""
        except Exception as error:  # ldap3's own, which is imported late
            return str(error)

    def make_unit(self, label: str = "t") -> str:
        """The DN of a new OU that both accounts may write below."""
        dn = f"OU={label}-{uuid.uuid4().hex[:12]},{self.tests}"
        with self.connect() as connection:
            connection.add(dn, "organizationalUnit")
        return dn

    def remove_tree(self, dn: str) -> None:
        """Delete an OU with all that is below. Thousands of objects go one by one: all in one request are one transaction, which may take
        longer than anybody waits for an answer."""
        with self.connect(patience=300) as connection:
            found = connection.extend.standard.paged_search(dn, LEAVES, attributes=["1.1"], paged_size=500, generator=False)
            for leaf in [entry["dn"] for entry in found if entry["type"] == "searchResEntry"]:
                connection.delete(leaf)
            connection.delete(dn, controls=[TREE_DELETE])


def described(forest: Forest) -> Samba:
    """A forest as tests see it."""
    plan = forest.plan
    accounts = [Account(name=f"{name}@{plan.domain}", password=forest.password(name)) for name in ("Administrator", SERVICE_ACCOUNT)]
    return Samba(
        domain=plan.domain,
        address=plan.address,
        host=plan.host,
        base=plan.base,
        ca=forest.ca,
        administrator=accounts[0],
        service=accounts[1],
    )


def _forests(two: bool) -> Iterator[list[Samba]]:
    import fcntl

    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    folder = Path(os.environ.get("METASYNC_LAB") or command.DEFAULT_FOLDER)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ours = folder / "started-by-tests"
    with open(folder / "in-use.lock", "a") as users, open(folder / "starting.lock", "a") as starting:
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(starting, fcntl.LOCK_EX)
        before = {forest.plan.name for forest in command.standing(folder) if forest.running()}
        try:
            # Other labs may run on this machine: a demo's, another checkout's.
            standing = command.standing(folder)
            forests = command.up(folder, two=two, first=standing[0].plan.address if standing else command.free_address())
        except LabError as error:
            pytest.fail(f"the lab does not start: {error}")
        if not before:
            ours.touch()
        fcntl.flock(starting, fcntl.LOCK_UN)
        yield [described(forest) for forest in forests]
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody else uses it
        except BlockingIOError:
            return
        if ours.exists():
            command.down(folder)
            ours.unlink()


@pytest.fixture(scope="session")
def samba() -> Iterator[Samba]:
    """contoso.test, running."""
    for forests in _forests(two=False):
        yield forests[0]


@pytest.fixture(scope="session")
def two_sambas() -> Iterator[tuple[Samba, Samba]]:
    """contoso.test and fabrikam.test, running."""
    for forests in _forests(two=True):
        yield forests[0], forests[1]


@pytest.fixture
def samba_unit(samba: Samba) -> Iterator[str]:
    """The DN of an OU of the test's own; it goes with all that is below when the test ends."""
    dn = samba.make_unit()
    yield dn
    samba.remove_tree(dn)
