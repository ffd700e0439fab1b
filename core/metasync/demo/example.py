"""Writes the example: a commented document, the HR department's files, and a directory as CSV, or the document for a domain or a tenant."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from metasync.contract import MetasyncError
from metasync.demo import company as making
from metasync.demo.company import Company

PEOPLE = 12
"""In the example of `metasync init`; the demo has some hundred."""
DIRECTORY_COLUMNS = [
    "uid",
    "kind",
    "employeeNumber",
    "name",
    "givenName",
    "sn",
    "userName",
    "mail",
    "title",
    "department",
    "description",
    "manager",
    "members",
    "enabled",
    "createdBy",
]


class FolderNotEmpty(MetasyncError):
    """There are files already that would be overwritten; choose another folder."""


class NoLabTenant(MetasyncError):
    """The file does not name a lab tenant on this machine."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """How to reach the domain of the example for Active Directory."""

    word: ClassVar[str] = "domain"
    document: ClassVar[str] = "example-ad.yaml"
    name_attribute: ClassVar[str] = "sAMAccountName"
    late: ClassVar[str] = ""

    server: str
    host: str
    base: str
    bind: str
    ca: str

    @property
    def name(self) -> str:
        """`DC=contoso,DC=test` is contoso.test."""
        return ".".join(part.partition("=")[2] for part in self.base.split(","))

    @property
    def placeholders(self) -> Mapping[str, str]:
        """What stands in the document."""
        return {
            "@SERVER@": self.server,
            "@HOST@": self.host,
            "@BASE@": self.base,
            "@BIND@": self.bind,
            "@CA@": self.ca,
            "@STAFF@": f"OU=Imported,{self.base}",
            "@GROUPS@": f"OU=Groups,{self.base}",
            "@DOMAIN@": self.name,
        }


@dataclass(frozen=True, kw_only=True)
class LabTenant:
    """How to reach the lab tenant of the example for Entra ID."""

    word: ClassVar[str] = "tenant"
    document: ClassVar[str] = "example-entra.yaml"
    name_attribute: ClassVar[str] = "userPrincipalName"
    late: ClassVar[str] = " Tenants may show late what was written, so that an import confirms only what is two minutes old."
    """What to say of confirmation."""

    login: str
    graph: str
    ca: str
    tenant: str
    application: str
    certificate: str
    domain: str

    @classmethod
    def of(cls, facts: Path) -> LabTenant:
        """From the line of JSON that a lab tenant prints. Raises `NoLabTenant`."""
        try:
            said = json.loads(facts.read_text(encoding="utf-8"))
            found = cls(
                login=said["login_url"],
                graph=said["graph_url"],
                ca=said["ca_file"],
                tenant=said["tenant_id"],
                application=said["client_id"],
                certificate=said["certificate"],
                domain=said["domains"][-1],
            )
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise NoLabTenant(f"{facts} does not hold what `metasync lab entra` prints ({error}); write that line into it") from error
        if any(urlsplit(url).hostname not in ("localhost", "127.0.0.1") for url in (found.login, found.graph)):
            raise NoLabTenant(f"{facts} leads to {found.graph}: the demo is for a lab tenant on this machine, and touches no other")
        return found

    @property
    def placeholders(self) -> Mapping[str, str]:
        """What stands in the document."""
        return {
            "@TENANT@": self.tenant,
            "@APPLICATION@": self.application,
            "@CERTIFICATE@": self.certificate,
            "@LOGIN@": self.login,
            "@GRAPH@": self.graph,
            "@CA@": self.ca,
            "@DOMAIN@": self.domain,
        }


Target = Domain | LabTenant


def write(folder: Path, people: int = PEOPLE, target: Target | None = None) -> list[Path]:
    """Write document and files. Refuses to overwrite anything."""
    of = making.company(people)
    paths = {"metasync.yaml", "hr/people.csv", "hr/teams.csv"} | (set() if target else {"directory.csv"})
    present = sorted(name for name in paths if (folder / name).exists())
    if present:
        raise FolderNotEmpty(f"{folder} has {', '.join(present)} already; nothing was written. Choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [_document(folder, target), *making.write(of, folder / "hr")]
        if target is None:
            written.append(_directory(of, folder / "directory.csv"))
    except OSError as error:
        raise MetasyncError(f"{folder} cannot be written to: {error.strerror}; choose another folder") from error
    return written


def _document(folder: Path, target: Target | None) -> Path:
    name = target.document if target else "example.yaml"
    text = files("metasync.demo").joinpath(name).read_text(encoding="utf-8")
    for key, value in target.placeholders.items() if target else ():
        text = text.replace(key, value)
    handle = os.open(folder / "metasync.yaml", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return folder / "metasync.yaml"


def _directory(of: Company, path: Path) -> Path:
    """The directory as it was before Metasync came: some people have accounts, and so do two services that are nobody's."""
    rows = [
        _row(uid=f"L{number:04}", kind="user", **account, name=f"{account['givenName']} {account['sn']}", enabled="true")
        for number, account in enumerate(of.existing, 1)
    ]
    rows += [
        _row(uid="S0001", kind="user", name="Backup service", userName="svc-backup", enabled="true"),
        _row(
            uid="S0002",
            kind="user",
            name="Maria Garcia (archive)",
            userName="maria.garcia",
            mail="maria.garcia@example.com",
            enabled="false",
        ),
    ]
    return making.write_csv(path, DIRECTORY_COLUMNS, rows)


def _row(**cells: str) -> list[str]:
    return [cells.get(name, "") for name in DIRECTORY_COLUMNS]
