"""Engagement documents of these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.samba import Samba

HR = """
  hr:
    connector: csv
    options:
      files: {user: hr/people.csv, group: hr/teams.csv, contact: hr/partners.csv}
      anchor: id
      columns: {enabled: status}
      true words: [active]
      false words: [left]
"""


def domain(samba: Samba, unit: str, *, name: str = "domain", more: str = "", password: str = "domain-bind") -> str:
    """A directory of the document: the part of a Samba domain below one OU, as the service account."""
    return f"""
  {name}:
    connector: ad
    options:
      servers: ["{samba.address}"]
      certificate name: "{samba.host}"
      base: "{samba.base}"
      under: ["{unit}"]
      bind: "{samba.service.name}"
      password: {{secret: {password}}}
      ca file: "{samba.ca}"
    mark: adminDescription
    new passwords: {{length: 24, must change: true}}
{more}"""


SIGN_IN = '[strip_diacritics, lower, {{regex_replace: {{pattern: "[^a-z0-9.]", to: ""}}}}, {{truncate: {length}}}, {{prefix: "{tag}-"}}]'


def company_to_domain(samba: Samba, unit: str) -> str:
    """People, teams and partners of the HR files into one OU of the domain. Sign-in names begin with the OU's tag: the domain is shared."""
    tag = unit.partition(",")[0][-4:]
    return f"""
engagement: company-to-domain
plugins: {{standard: ">=0.1", csv: ">=0.1", ad: ">=0.1"}}
directories:{HR}{domain(samba, unit)}
profiles:
  staff:
    kind: user
    source: hr
    target: domain
    match: [{{source: id, target: employeeNumber}}]
    place: {{expression: '"OU=" + source.site + ",{unit}"', existing: move}}
    map:
      employeeNumber: source.id
      cn: {{from: source.displayName, unique: ['{{value}}', '{{value}} ({{n}})']}}
      displayName: source.displayName
      givenName: source.givenName
      sn: source.sn
      sAMAccountName:
        from: 'join(".", [source.givenName, source.sn])'
        rewrite: {SIGN_IN.format(length=12, tag=tag)}
        unique: ['{{value}}', '{{value}}{{n}}']
        once: true
      userPrincipalName:
        from: 'join(".", [source.givenName, source.sn])'
        rewrite: [strip_diacritics, lower, {{regex_replace: {{pattern: "[^a-z0-9.]", to: ""}}}}, {{suffix: "@{tag}.{samba.domain}"}}]
        unique: ['{{value}}', '{{local}}{{n}}@{{domain}}']
        once: true
      title: source.title
      l: source.site
      telephoneNumber: source.phone
      manager: source.manager
      enabled: source.enabled
    leaving:
      disabled: disable
      deleted: [disable, {{move: '"OU=Leavers,{unit}"'}}, {{after: 90 days, delete: created}}]
    limits: {{create: {{count: 100000}}}}
  teams:
    kind: group
    source: hr
    target: domain
    match: [{{source: id, target: info}}]
    place: '"OU=Teams,{unit}"'
    map:
      cn: source.name
      sAMAccountName: {{from: source.name, rewrite: [{{regex_replace: {{pattern: '["/\\[\\]:;|=,+*?<>]', to: ""}}}}, {{prefix: "{tag}-"}}]}}
      info: source.id
      description: source.description
      members: source.members
    leaving: {{deleted: delete}}
    limits: {{member add: {{count: 100000}}}}
  partners:
    kind: contact
    source: hr
    target: domain
    match: [{{source: mail, target: mail}}]
    place: '"OU=Partners,{unit}"'
    map: {{cn: source.name, displayName: source.name, mail: source.mail, company: source.company}}
    leaving: {{deleted: delete}}
"""
