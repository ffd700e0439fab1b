"""Revisions: every accepted version of the document is kept with a number, and every change remembers the revision that made it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection

from metasync.contract import MetasyncError
from metasync.engagement.configuration import content_digest
from metasync.engagement.document import Document, parse
from metasync.engagement.load import check
from metasync.engagement.model import Engagement
from metasync.host import Host
from metasync.store import Backend, audit, dirty, revisions
from metasync.store.revisions import RevisionRow


class NothingLoaded(MetasyncError):
    """The engagement was never loaded into this database; load its document with `metasync load FILE`."""


def accept(backend: Backend, engagement: Engagement, text: str, author: str, host: Host | None = None) -> Engagement:
    """Keep a checked document as the newest revision; the engagement with its number. `text` is what was checked.

    A document that says the same as the newest revision, from the same place and under the same plugins, is not kept again: a comment
    makes no revision. With `host` the audit row names the plugins that stood behind it.
    """
    digest = content_digest(parse(text, engagement.path))
    place = str(Path(engagement.path).absolute())  # the files that it names are beside it, from wherever a command is typed
    configurations = {name: profile.configuration for name, profile in engagement.profiles.items()}
    with backend.write("revision.load", durable=True) as connection:
        now = backend.now(connection)
        known = revisions.engagement_id(connection, engagement.name)
        number_of = revisions.add_engagement(connection, engagement.name, now) if known is None else known
        before = revisions.newest(connection, number_of)
        if before and (before.digest, before.path) == (digest, place) and dict(before.configurations) == configurations:
            return replace(engagement, revision=before.number)
        row = RevisionRow(
            number=before.number + 1 if before else 1,
            path=place,
            document=text,
            digest=digest,
            configurations=configurations,
            author=author,
            created=now,
        )
        revisions.add(connection, number_of, row)
        dirty.forget_all_but(connection, number_of, configurations)
        audit.append(connection, number_of, author, "load", f"revision {row.number}", _detail(text, row, before, host))
    return replace(engagement, revision=row.number)


def newest(backend: Backend, name: str, host: Host) -> Engagement:
    """The newest revision, checked again with the plugins of today. Raises `NothingLoaded`, or `DocumentError` where a plugin no longer
    takes what it says."""
    row = _newest(backend, name)
    if row is None:
        raise NothingLoaded(f"{name} was never loaded into {backend.url}; load its document with `metasync load FILE`")
    return replace(check(parse(row.document, row.path), host), revision=row.number)


def differs(backend: Backend, document: Document) -> bool:
    """True where a document says something else than the newest revision of its engagement, or there is none yet. Comments, layout and the
    order of keys do not count."""
    row = _newest(backend, document.name)
    return row is None or row.digest != content_digest(document)


def engagement_id(connection: Connection, name: str) -> int:
    """The id of a loaded engagement. Raises `NothingLoaded`."""
    found = revisions.engagement_id(connection, name)
    if found is None:
        raise NothingLoaded(f"{name} was never loaded; load its document with `metasync load FILE`")
    return found


def _newest(backend: Backend, name: str) -> RevisionRow | None:
    with backend.read() as connection:
        known = revisions.engagement_id(connection, name)
        return None if known is None else revisions.newest(connection, known)


def _detail(text: str, row: RevisionRow, before: RevisionRow | None, host: Host | None) -> Mapping[str, object]:
    """What the audit log says of a revision: its hash, which profiles it changed, who stood behind it."""
    earlier = dict(before.configurations) if before else {}
    present = dict(row.configurations)
    return {
        "path": row.path,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "digest": row.digest,
        "changed": sorted(name for name in present if earlier.get(name) != present[name]),
        "removed": sorted(earlier.keys() - present.keys()),
        "plugins": {info.name: f"{info.version} {info.state} {info.digest}".strip() for info in host.plugins} if host else {},
    }
