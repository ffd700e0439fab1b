"""Digests of what is effective: comments, the order of keys and the two ways to write one thing do not count.

A profile's digest holds its own part, what it uses of directories and metaverse, and the versions of the plugins behind that. An
approval binds it (law 9), so what does not change the outcome (the schedule, write windows, rates) is left out.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import orjson

from metasync.contract import Kind
from metasync.engagement.document import Document
from metasync.engagement.model import Directory, Profile, Ranking
from metasync.engagement.profiles import Built
from metasync.host import Host, PluginInfo

_NOT_EFFECTIVE = ("name", "schedule", "configuration")
_DIRECTORY_PARTS = ("name", "connector", "mark", "new_passwords", "allow_privileged", "joins_file", "reserve_names")


def content_digest(document: Document) -> str:
    """Of the whole document as it is meant, whatever its comments, order and layout."""
    return _digest(document.data)


def configuration(
    document: Document,
    host: Host,
    built: Built,
    directories: Mapping[str, Directory],
    metaverse: Mapping[Kind, Mapping[str, Ranking]],
) -> str:
    """The digest of a profile's effective configuration."""
    profile = built.profile
    roots = {root for expression in built.expressions.values() for root, _ in expression.arguments}
    rankings = metaverse.get(profile.source_kind, {})
    read = {name for expression in built.expressions.values() for root, name in expression.arguments if root == "mv"}
    contributing = {directory for name in read if name in rankings for directory, _ in rankings[name].contributors}
    used = {profile.target, *profile.sources, *(merge.directory for merge in profile.merge), *contributing, *(roots & directories.keys())}
    return _digest(
        {
            "profile": {key: value for key, value in _fields(profile).items() if key not in _NOT_EFFECTIVE},
            "directories": {name: _directory(document, directories[name]) for name in used if name in directories},
            "metaverse": {name: _fields(rankings[name]) for name in read if name in rankings},
            "waves": document.data.get("waves") if "wave" in roots else None,
            "plugins": sorted(_plugins(host, built, [directories[name] for name in used if name in directories])),
        }
    )


def _directory(document: Document, directory: Directory) -> dict[str, Any]:
    """Options as written: absolute paths differ from machine to machine."""
    parts = {key: value for key, value in _fields(directory).items() if key in _DIRECTORY_PARTS}
    written = document.data["directories"][directory.name]
    return {**parts, "options": written.get("options"), "joins_file": written.get("joins")}


def _plugins(host: Host, built: Built, directories: Iterable[Directory]) -> set[str]:
    found: set[PluginInfo | None] = {host.plugin_of("connectors", directory.connector) for directory in directories}
    found |= {host.plugin_of("matchers", rule.matcher) for rule in built.profile.match}
    found |= {host.plugin_of("rewrites", name) for name in built.rewrites}
    return {f"{info.name} {info.version} {info.digest}" for info in found if info}


def _fields(noun: Any) -> dict[str, Any]:
    return {one.name: getattr(noun, one.name) for one in dataclasses.fields(noun)}


def _digest(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(_canonical(value), option=orjson.OPT_SORT_KEYS)).hexdigest()


def _canonical(value: Any) -> Any:
    """Plain JSON; what has no order is sorted."""
    if isinstance(value, Profile | Directory) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return {key: _canonical(one) for key, one in _fields(value).items()}
    if isinstance(value, Mapping):
        return {str(key): _canonical(one) for key, one in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((_canonical(one) for one in value), key=str)
    if isinstance(value, (list, tuple)):
        return [_canonical(one) for one in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return str(value)  # orjson takes 64 bits
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
