"""Writes the example: a commented document, the HR department's files, and a directory kept as CSV, or the document for a domain."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

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


@dataclass(frozen=True, kw_only=True)
class Domain:
    """How to reach the domain of the example for Active Directory."""

    server: str
    host: str
    base: str
    bind: str
    ca: str

    @property
    def name(self) -> str:
        """`DC=contoso,DC=test` is contoso.test."""
        return ".".join(part.partition("=")[2] for part in self.base.split(","))


def write(folder: Path, people: int = PEOPLE, domain: Domain | None = None) -> list[Path]:
    """Write document and files. Refuses to overwrite anything."""
    of = making.company(people)
    paths = {"metasync.yaml", "hr/people.csv", "hr/teams.csv"} | (set() if domain else {"directory.csv"})
    present = sorted(name for name in paths if (folder / name).exists())
    if present:
        raise FolderNotEmpty(f"{folder} has {', '.join(present)} already; nothing was written. Choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [_document(folder, domain), *making.write(of, folder / "hr")]
        if domain is None:
            written.append(_directory(of, folder / "directory.csv"))
    except OSError as error:
        raise MetasyncError(f"{folder} cannot be written to: {error.strerror}; choose another folder") from error
    return written


def _document(folder: Path, domain: Domain | None) -> Path:
    name = "example-ad.yaml" if domain else "example.yaml"
    text = files("metasync.demo").joinpath(name).read_text(encoding="utf-8")
    for key, value in _placeholders(domain).items():
        text = text.replace(key, value)
    handle = os.open(folder / "metasync.yaml", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return folder / "metasync.yaml"


def _placeholders(domain: Domain | None) -> Mapping[str, str]:
    if domain is None:
        return {}
    return {
        "@SERVER@": domain.server,
        "@HOST@": domain.host,
        "@BASE@": domain.base,
        "@BIND@": domain.bind,
        "@CA@": domain.ca,
        "@STAFF@": f"OU=Imported,{domain.base}",
        "@GROUPS@": f"OU=Groups,{domain.base}",
        "@DOMAIN@": domain.name,
    }


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
