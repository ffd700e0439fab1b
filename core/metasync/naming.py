"""How people name objects: DIRECTORY/ANCHOR, DIRECTORY:attribute=value, or the anchor or label alone where only one object has it."""

from __future__ import annotations

from typing import Any

from metasync.contract import MetasyncError
from metasync.store import looking
from metasync.store.looking import Seen
from metasync.store.normalise import normalise
from metasync.workspace import Workspace

FORMS = "DIRECTORY/ANCHOR, DIRECTORY:attribute=value, its anchor, or its label"
SHOWN = 10


class NoSuchObject(MetasyncError):
    """There is no such object; look for it with `metasync objects --text TEXT`."""


class Ambiguous(MetasyncError):
    """Several objects are called that; name one by DIRECTORY/ANCHOR."""


def find_object(workspace: Workspace, name: str) -> Seen:
    """The one object that is meant. Raises `NoSuchObject` or `Ambiguous`, each with what to write instead."""
    found = _candidates(workspace, name)
    if len(found) == 1:
        return found[0]
    if not found:
        raise NoSuchObject(
            f"there is no object {name!r}; name it by {FORMS}, or look for it with `metasync objects --text {_quoted(name)}`"
        )
    listed = "\n".join(f"  {one.name}  ({one.kind}, {one.label})" for one in found[:SHOWN])
    more = f"\n  and more; see `metasync objects --text {_quoted(name)}`" if len(found) > SHOWN else ""
    raise Ambiguous(f"{name!r} may be any of these; type one of the names on the left (DIRECTORY/ANCHOR) instead:\n{listed}{more}")


def _candidates(workspace: Workspace, name: str) -> list[Seen]:
    engagement_id = workspace.engagement_id
    directory, _, anchor = name.partition("/")
    with workspace.backend.read() as connection:
        if directory in workspace.directory_ids and anchor:
            return looking.by_anchor(connection, engagement_id, workspace.directory_ids[directory], anchor)
        directory, _, condition = name.partition(":")
        attribute, equals, value = condition.partition("=")
        if directory in workspace.directory_ids and attribute and equals:
            directory_id = workspace.directory_ids[directory]
            found = looking.by_key(connection, engagement_id, directory_id, attribute, value)
            if found is not None:
                return found
            wanted = normalise(value)
            images = looking.images(connection, directory_id)
            ids = [number for number, _, image in images if wanted and wanted in _values(image.get(attribute))]
            return looking.by_ids(connection, engagement_id, ids[: SHOWN + 1])
        # An anchor is exact, and a label that looks like one is rare: where a directory has the anchor, that is meant.
        return looking.with_anchor(connection, engagement_id, name) or looking.by_label(connection, engagement_id, name, limit=SHOWN + 1)


def _values(value: Any) -> set[str]:
    many = value if isinstance(value, tuple) else (value,)
    return {normalise(one) for one in many if one is not None}


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text
