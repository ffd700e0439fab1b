"""Who may do what in one engagement: the `roles` of its newest loaded revision. What they say holds for whoever acts through Metasync, by
the account that runs the command; whoever may write to the database itself is held by the database alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from metasync.contract import MetasyncError
from metasync.engagement.document import Document, parse
from metasync.engagement.model import Role
from metasync.store import Backend, audit, revisions
from metasync.store.revisions import RevisionRow
from metasync.workspace import Workspace


class NotAllowed(MetasyncError):
    """This needs a role that the document gives to others; ask one of them."""


def need(workspace: Workspace, role: Role, what: str) -> None:
    """Go on where whoever acts has this role, or nobody is named for it. Raises `NotAllowed`, which is audited."""
    _need(workspace.backend, workspace.engagement_id, workspace.author, workspace.engagement.roles.get(role), role, what)


def need_in(backend: Backend, engagement_id: int, row: RevisionRow, author: str, role: Role, what: str) -> None:
    """The same by a revision, where the engagement is not open."""
    _need(backend, engagement_id, author, _named(parse(row.document, row.path), role), role, what)


def may_load(backend: Backend, document: Document, author: str) -> None:
    """Before a document becomes the newest revision: whoever loads it may do so by the revision that holds now, and by the document itself,
    so that nobody shuts himself out. Raises `NotAllowed`."""
    with backend.read() as connection:
        known = revisions.engagement_id(connection, document.name)
        before = None if known is None else revisions.newest(connection, known)
    if known is not None and before is not None:
        need_in(backend, known, before, author, Role.ENGINEER, "load")
    named = _named(document, Role.ENGINEER)
    if named is not None and author not in named:
        raise NotAllowed(
            f"{author} would not be able to load this engagement again: its `roles` name as {Role.ENGINEER} {_listed(named)}. "
            "Name yourself, too, or have one of them load it"
        )


def _need(backend: Backend, engagement_id: int, author: str, named: Collection[str] | None, role: Role, what: str) -> None:
    if named is None or author in named:
        return
    with backend.write(durable=True) as connection:
        audit.append(connection, engagement_id, author, "refused", what, {"role": str(role)})
    raise NotAllowed(f"{author} may not {what}: the document's `roles` give {role} to {_listed(named)}")


def _named(document: Document, role: Role) -> Collection[str] | None:
    """Whom a document names; it was checked, or is about to be."""
    given: Any = document.data.get("roles")
    named = given.get(str(role)) if isinstance(given, Mapping) else None
    return (named,) if isinstance(named, str) else named


def _listed(named: Collection[str]) -> str:
    return ", ".join(sorted(named))
