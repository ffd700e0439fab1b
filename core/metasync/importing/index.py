"""The match keys of a directory: made anew, from what is stored, when the engagement asks for other ones."""

from __future__ import annotations

from metasync.importing.references import resolve_all
from metasync.importing.request import MARK, Request
from metasync.store import codec, directories, match_keys, objects
from metasync.store.backend import Backend
from metasync.store.rows import DirectoryRow


def rebuild(backend: Backend, directory: DirectoryRow, request: Request) -> None:
    """Bring the stored match keys and marks to what the request makes of objects, and find what references by new keys mean.

    The directory's note of its keys is taken back first and written last, so that an interrupted rebuild begins anew.
    """
    before, wanted = directory.keys or {}, request.keys
    if directory.keys is not None and before == wanted:
        return
    stale = {name for name in before if name not in wanted or before[name] != wanted[name]}
    names = {name for name in wanted if name not in before or before[name] != wanted[name]}
    with backend.write() as connection:
        match_keys.clear(connection, directory.id, names | stale)
        directories.set_keys(connection, directory.id, {name: kinds for name, kinds in before.items() if name not in stale})
    facts = MARK in names | stale
    names.discard(MARK)
    if names or facts:
        _fill(backend, directory.id, request, frozenset(names), facts=facts)
    if names & request.link_keys:
        resolve_all(backend, directory.id, keys=True)
    with backend.write() as connection:
        directories.set_keys(connection, directory.id, wanted)


def _fill(backend: Backend, directory_id: int, request: Request, names: frozenset[str], *, facts: bool) -> None:
    after = 0
    while True:
        with backend.read() as connection:
            found = objects.images(connection, directory_id, after=after)
        if not found:
            return
        after = found[-1][0]
        keys: list[tuple[int, int, str, str]] = []
        read: list[tuple[str, str | None, bool, int]] = []
        for object_id, kind, anchor, blob in found:
            plain = codec.decode(blob)
            keys += [(directory_id, object_id, name, value) for name, value in request.match_keys(kind, plain) if name in names]
            if facts:
                read.append((*request.facts(kind, anchor, plain), object_id))
        with backend.write() as connection:
            # In this order, as imports write: so nobody waits for whoever waits for him.
            objects.set_facts(backend, connection, read)
            match_keys.insert(backend, connection, keys)
