"""What is asked of a directory, and the facts of its objects that the engine must know: label, mark, protection, match keys."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from metasync.contract import Kind, Schema, SecretReference, Type, Values
from metasync.engagement.model import Directory
from metasync.store import codec
from metasync.store.normalise import normalise, storable
from metasync.store.rows import MARK_PREFIX
from metasync.synchronising.needs import DirectoryNeeds, Key, KeyFunction, PlainKey, canonical

MARK = ""
"""Where a directory's keys note the attribute that marks are read from; no key has an empty name."""

LABELS = ("displayName", "name", "mail")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one import asks for, and what it makes of an object."""

    kinds: frozenset[Kind]
    attributes: Mapping[Kind, frozenset[str]]
    under: tuple[str, ...]
    scope: str
    """Digest of what else decides which objects are read."""
    keys: Mapping[str, frozenset[str] | None]
    """Names of the match keys and their kinds, as they are noted for the directory."""
    functions: Mapping[Kind, Sequence[tuple[str, KeyFunction]]]
    plain_keys: Mapping[Kind, Sequence[tuple[str, str]]]
    """Those of the keys that are nothing but the values of an attribute: (name, attribute); `functions` are the others."""
    link_keys: frozenset[str]
    """Attributes by which references name their targets."""
    marks: Mapping[Kind, str]
    scalar: Mapping[Kind, frozenset[str]]
    """Attributes that hold none, as far as the directory says so."""
    schema: bytes = b""
    """What the directory says it can hold, encoded."""
    code: bytes | None = None
    """Tells the code that values come from; None: it cannot be told."""

    @cached_property
    def basis(self) -> bytes | None:
        """Of all that decides which image an object of a version has; None: not to be relied on."""
        return None if self.code is None else hashlib.sha256(b"\0".join((self.code, self.digest.encode(), self.schema))).digest()

    @property
    def digest(self) -> str:
        """Of everything that is asked for: only an equal request may go on where another one stopped."""
        asked = {kind.value: sorted(names) for kind, names in self.attributes.items()}
        return hashlib.sha256(orjson.dumps([self.scope, asked], option=orjson.OPT_SORT_KEYS)).hexdigest()

    def facts(self, kind: Kind, anchor: str, plain: Mapping[str, Values | None]) -> tuple[str, str | None, bool]:
        """(label, mark, privileged) of an object."""
        label = anchor
        for name in LABELS:
            value = plain.get(name)
            if isinstance(value, str) and value:
                label = storable(value)
                break
        mark = self._mark(kind, plain) if self.marks else None
        return label, mark, ("privileged" in plain or "adminCount" in plain) and _privileged(plain)

    def _mark(self, kind: Kind, plain: Mapping[str, Values | None]) -> str | None:
        attribute = self.marks.get(kind)
        value = plain.get(attribute) if attribute else None
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, str) and one.startswith(MARK_PREFIX) and len(one) <= 64:
                return one
        return None

    def match_keys(self, kind: Kind, plain: Mapping[str, Values | None]) -> dict[tuple[str, str], None]:
        """(name, normalised value) of an object, each once; what is empty is left out: it never matches."""
        found: dict[tuple[str, str], None] = {}
        for name, attribute in self.plain_keys.get(kind, ()):
            value = plain.get(attribute)
            if value is None:
                continue
            if isinstance(value, tuple):
                found.update({(name, folded): None for one in value if (folded := normalise(one))})
            elif folded := normalise(value):
                found[name, folded] = None
        for name, function in self.functions.get(kind, ()):
            for folded in function(plain):  # type: ignore[arg-type]  # no value of an imported image is None
                if folded:
                    found[name, folded] = None
        return found


def _privileged(plain: Mapping[str, Values | None]) -> bool:
    """Law 3. A file says it with a word; one that is not a clear no protects."""
    value = plain.get("privileged")
    said = value.strip().casefold() not in ("", "0", "no", "n", "false") if isinstance(value, str) else bool(value)
    return said or plain.get("adminCount") in (1, "1")


def make_request(
    directory: Directory, schema: Schema, needs: DirectoryNeeds, link_keys: Collection[str], code: bytes | None = None
) -> Request:
    """What to ask for: what the engagement needs, and the attributes by which references name their targets."""
    attributes = {
        kind: frozenset(names) | {name for key in link_keys if (name := _attribute(schema, kind, key))}
        for kind, names in needs.attributes.items()
    }
    keys = {key.name: key for key in needs.keys}
    for name in link_keys:
        keys[name] = Key(name=name, kinds=None, function=PlainKey(_link_key(schema, needs.kinds, name)))
    of_kind = {kind: [key for key in keys.values() if key.kinds is None or kind in key.kinds] for kind in needs.kinds}
    noted: dict[str, frozenset[str] | None] = {
        name: None if key.kinds is None else frozenset(kind.value for kind in key.kinds) for name, key in keys.items()
    }
    if directory.mark:
        noted[MARK] = frozenset({directory.mark})
    return Request(
        kinds=needs.kinds,
        attributes=attributes,
        under=needs.under,
        scope=_scope(directory, needs.under),
        keys=noted,
        functions={
            kind: [(key.name, key.function) for key in some if not isinstance(key.function, PlainKey)] for kind, some in of_kind.items()
        },
        plain_keys={
            kind: [(key.name, key.function.attribute) for key in some if isinstance(key.function, PlainKey)]
            for kind, some in of_kind.items()
        },
        link_keys=frozenset(link_keys),
        scalar={kind: _scalar(schema, kind) for kind in attributes},
        marks={kind: canonical(schema.kinds.get(kind), directory.mark) for kind in needs.kinds} if directory.mark else {},
        schema=codec.encode_schema(schema),
        code=code,
    )


def _scalar(schema: Schema, kind: Kind) -> frozenset[str]:
    known = schema.kinds[kind].attributes.values() if kind in schema.kinds else ()
    return frozenset(one.alias or one.name for one in known if one.type is not Type.REFERENCE)


def _attribute(schema: Schema, kind: Kind, name: str) -> str | None:
    """The attribute of a kind that a reference's key means; None if the kind has none."""
    known = schema.kinds.get(kind)
    if known is None or name == "anchor":
        return None
    standard = canonical(known, name)
    if known.open or name in known.attributes or any(one.alias == name for one in known.attributes.values()):
        return standard
    return None


def _link_key(schema: Schema, kinds: Collection[Kind], name: str) -> str:
    return next((standard for kind in sorted(kinds) if (standard := _attribute(schema, kind, name))), name)


def _scope(directory: Directory, under: Sequence[str]) -> str:
    """Another account or password reads the same objects; any other option may not."""
    options = {name: value for name, value in directory.options.items() if not isinstance(value, SecretReference)}
    content = orjson.dumps(
        [directory.connector, options, list(under)], default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    )
    return hashlib.sha256(content).hexdigest()


def _plain(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)
