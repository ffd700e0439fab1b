"""Digests of what the mappings yield for an object: equal digests mean that nothing has to be decided anew.

No canonical form is needed for that, which would cost more than the mappings: they yield the same attributes in the same order, each of the
type that the target's schema gives it, so that JSON confuses none, and images hold several values sorted. Where values come in another
order all the same, the digest is another one, and they are compared one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import xxhash

from metasync.expressions import CLEAR, KEEP, Sentinel
from metasync.synchronising.images import is_reference


def computed(values: Mapping[str, Any], place: str | None, kept: str) -> bytes | None:
    """What `sync_state.computed` holds: of the values, of what is to be cleared or left alone, of the place, and of how each value is kept
    (`Program.kept`). None where a value is a reference: those are never compared by their text."""
    try:
        text = orjson.dumps((values, place, kept), default=_told, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError:
        if any(map(is_reference, values.values())):
            return None
        text = _rarely(values, place, kept)
    return xxhash.xxh3_128_digest(text)


def desired(values: Mapping[str, Any]) -> bytes:
    """What `sync_state.desired` holds: of the values alone, without what is to be cleared or left alone."""
    told = {name: value for name, value in values.items() if value is not CLEAR and value is not KEEP}
    try:
        text = orjson.dumps(told, default=_told, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError:
        text = _rarely(told)
    return xxhash.xxh3_128_digest(text)


def _told(value: Any) -> Any:
    """What JSON does not tell by itself; never in the form of another value."""
    if value.__class__ is Sentinel:
        return {"sentinel": str(value)}
    if value.__class__ is bytes:
        return {"bytes": value.hex()}
    raise TypeError


def _rarely(*what: Any) -> bytes:
    """With an integer beyond 64 bits, a string with a lone surrogate, or a reference."""
    return repr(what).encode()
