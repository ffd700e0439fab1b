"""A small engagement for engine tests: people and groups of `hr` are kept in step in `ad`, both in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from metasync.contract import Kind, Values
from metasync.testing.engine import Planned
from metasync.testing.memory import MemoryDirectory

DOCUMENT = """
engagement: pipeline
plugins: {{standard: ">=0"}}
directories:
  hr: {{connector: memory, options: {{store: hr}}}}
  ad: {{connector: memory, options: {{store: ad}}, mark: adminDescription}}
profiles:
{profiles}
"""

BASE = "DC=memory,DC=test"
PEOPLE = f"OU=People,{BASE}"

STAFF = f"""
  people:
    kind: user
    source: hr
    target: ad
    match: [{{source: mail, target: mail}}]
    place: '"{PEOPLE}"'
    map:
      cn: {{from: source.displayName, unique: ['{{value}}', '{{value}} ({{n}})']}}
      displayName: source.displayName
      mail: source.mail
      title: source.title
      manager: source.manager
      enabled: source.enabled
    leaving: {{deleted: [disable]}}
    limits: {{create: {{count: 5000}}, delete: {{count: 50}}, disable: {{count: 50}}, rename: {{count: 50}}}}
  groups:
    kind: group
    source: hr
    target: ad
    match: [{{source: cn, target: cn}}]
    place: '"{PEOPLE}"'
    map: {{cn: source.cn, members: source.members}}
"""


def target(**more: Any) -> MemoryDirectory:
    """A directory that holds nothing but the container `PEOPLE`. `more`: of the memory directory itself."""
    directory = MemoryDirectory(**more)
    directory.add(Kind.CONTAINER, name="People", path=BASE)
    return directory


def person(directory: MemoryDirectory, name: str, mail: str | None = None, **more: object) -> str:
    values = {"displayName": name, "mail": mail or f"{name.lower().replace(' ', '.')}@x.test", "enabled": True, **more}
    return directory.add(Kind.USER, name=f"{name} {mail or ''}".strip(), path=BASE, **values)  # type: ignore[arg-type]


def profile(name: str = "people", /, **more: Any) -> str:
    """One profile of people as YAML, which JSON is; keys with a space by `**{"any kind": ...}`, None takes a key away."""
    given = {
        "kind": "user",
        "source": "hr",
        "target": "ad",
        "match": [{"source": "mail", "target": "mail"}],
        "place": f'"{PEOPLE}"',
        "map": {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "title": "source.title"},
        **more,
    }
    return f"\n  {name}: {json.dumps({key: value for key, value in given.items() if value is not None})}"


def shown(planned: Mapping[str, Sequence[Planned]]) -> list[tuple[str, str]]:
    """(operation, label) of everything that was planned."""
    return [(one.operation.value, one.label) for changes in planned.values() for one in changes]


def anchor(directory: MemoryDirectory, name: str) -> str:
    """The first object with this display name. Raises `StopIteration`."""
    return next(one for one in directory.anchors() if (directory.get(one) or {}).get("displayName") == name)


def values(directory: MemoryDirectory, name: str) -> Mapping[str, Values]:
    """All attributes of the object with this display name."""
    return directory.get(anchor(directory, name)) or {}
