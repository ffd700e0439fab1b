"""A small engagement for engine tests: people and groups of `hr` are kept in step in `ad`, both in memory."""

from __future__ import annotations

from metasync.contract import Kind
from metasync.testing.memory import MemoryDirectory

DOCUMENT = """
engagement: pipeline
plugins: {{standard: ">=0"}}
directories:
  hr: {{connector: memory, options: {{store: hr}}}}
  ad: {{connector: memory, options: {{store: ad}}, mark: mark}}
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


def person(directory: MemoryDirectory, name: str, mail: str | None = None, **more: object) -> str:
    values = {"displayName": name, "mail": mail or f"{name.lower().replace(' ', '.')}@x.test", "enabled": True, **more}
    return directory.add(Kind.USER, name=f"{name} {mail or ''}".strip(), path=BASE, **values)  # type: ignore[arg-type]
