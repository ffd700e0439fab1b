"""References to objects that did not exist when the plan was made: `created for hr/1001` becomes the anchor of what stands for that
identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from metasync.contract import Kind, Reference
from metasync.store import ledger

CREATED_FOR = "created for"
"""Key of a reference to an object that does not exist yet; its value is `directory/anchor` of the source object that it is created for."""
KEPT = 20_000
"""So many anchors are remembered: a plan may refer to a million."""
PREFERRED = (Kind.USER, Kind.GROUP, Kind.GUEST, Kind.CONTACT, Kind.CONTAINER)
"""Of several objects that stand for one identity, where none has the source's kind."""


class Unresolved(Exception):
    """What the reference means does not exist yet. Its text names the source object."""


class Resolver:
    """Resolves the references of changes to one directory. It remembers whom it found: an anchor never changes."""

    def __init__(self, engagement_id: int, directory_id: int) -> None:
        self._engagement_id = engagement_id
        self._directory_id = directory_id
        self._known: dict[str, str] = {}
        self._for_now: set[str] = set()
        """Those for whom only an object of another kind stands: a contact may give way to a user while we write."""

    def learn(self, connection: Connection, images: Iterable[Mapping[str, Any]]) -> None:
        """Look up all references of these images at once; those of images before may be forgotten."""
        if len(self._known) > KEPT:
            self._known = {}
        named = {one.value for image in images for one in _references(image) if one.key == CREATED_FOR}
        wanted = {name for name in named if name not in self._known or name in self._for_now}
        keys = {(directory, anchor) for directory, _, anchor in (name.partition("/") for name in wanted)}
        for (directory, anchor), standing in ledger.standing_for(connection, self._engagement_id, keys, self._directory_id).items():
            own, kind, chosen = min(standing, key=lambda one: (one[1] != one[0], PREFERRED.index(Kind(one[1])), one[2]))
            name = f"{directory}/{anchor}"
            self._known[name] = chosen
            if kind != own:
                self._for_now.add(name)

    def anchor(self, name: str) -> str | None:
        """The anchor of what stands for a source object (`directory/anchor`), of those that were learned."""
        return self._known.get(name)

    def image(self, image: Mapping[str, Any]) -> dict[str, Any]:
        """The image with anchors. Raises `Unresolved`."""
        return {
            name: tuple(self._one(one) for one in value) if isinstance(value, tuple) else self._one(value) for name, value in image.items()
        }

    def _one(self, value: Any) -> Any:
        if not isinstance(value, Reference) or value.key != CREATED_FOR:
            return value
        if value.value not in self._known:
            raise Unresolved(value.value)
        return Reference(value=self._known[value.value])


def _references(image: Mapping[str, Any]) -> Iterator[Reference]:
    for value in image.values():
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, Reference):
                yield one
