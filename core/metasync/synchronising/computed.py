"""Digests of what the mappings yield for an object: equal digests mean that nothing has to be decided anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import xxhash

from metasync.expressions import CLEAR, KEEP
from metasync.expressions.values import Sentinel
from metasync.store import codec


class Images(NamedTuple):
    """Two digests of the same values."""

    desired: bytes
    """Of the values alone: what `sync_state.desired` holds."""
    computed: bytes
    """Also of what is to be cleared or left alone, of the place, and of how each value is kept."""

    @classmethod
    def of(cls, values: Mapping[str, Any], place: str | None, kept: str) -> Images | None:
        """None where a value is a reference: those are never compared by their text. `kept`: `Program.kept`."""
        special = ""
        if Sentinel in set(map(type, values.values())):
            special = " ".join(f"{name}={value.value}" for name, value in values.items() if value is CLEAR or value is KEEP)
            values = {name: value for name, value in values.items() if value is not CLEAR and value is not KEEP}
        text = codec.encode(values)[1:]
        if b'"r":' in text:
            return None
        aside = f"\0{place}\0{special}\0{kept}".encode("utf-8", "surrogatepass")
        return cls(xxhash.xxh3_128_digest(text), xxhash.xxh3_128_digest(text + aside))
