"""The engagements that are measured: a directory into an empty one, and a file into an empty one."""

from __future__ import annotations

from pathlib import Path

CEL = """
      city: 'source.title.matches("(?i)^(director|manager)") ? "Management" : "Staff"'
      room: 'size(source.proxyAddresses) > 1 ? source.proxyAddresses.filter(x, x.startsWith("smtp:"))[0] : source.mail'
"""

_LIMITS = "limits: {create: {count: 10000000}, update: {count: 10000000}}"

_PEOPLE = """
  people:
    kind: user
    source: hr
    target: ad
    {limits}
    match: [{{source: employeeID, target: employeeID}}, {{source: mail, target: mail}}]
    place: '"OU=Staff,DC=fabrikam,DC=test"'
    map:
      cn: source.cn
      displayName: 'source.displayName + " (" + source.company + ")"'
      givenName: source.givenName
      sn: source.sn
      mail: {{from: source.mail, rewrite: [lower]}}
      userPrincipalName: {{from: source.userPrincipalName, rewrite: [lower]}}
      sAMAccountName: source.sAMAccountName
      title: source.title
      department: source.department
      company: '"Fabrikam"'
      telephoneNumber: source.telephoneNumber
      otherTelephone: source.otherTelephone
      targetAddress: source.targetAddress
      legacyExchangeDN: source.legacyExchangeDN
      employeeID: source.employeeID
      employeeNumber: {{from: source.employeeNumber, rewrite: [digits]}}
      badge: source.badge
      hidden: source.hidden
      description: 'source.street + ", " + source.city + ", " + source.room + ", " + source.costCentre'
      manager: source.manager
      enabled: source.enabled
{more}
"""
_DIRECTORY_ONLY = """
      proxyAddresses: source.proxyAddresses
      accountExpires: source.accountExpires
"""
_GROUPS = """
  groups:
    kind: group
    source: hr
    target: ad
    {limits}
    match: [{{source: cn, target: cn}}]
    place: '"OU=Groups,DC=fabrikam,DC=test"'
    map: {{cn: source.cn, displayName: source.displayName, mail: source.mail, sAMAccountName: source.sAMAccountName,
           description: source.description, members: source.members}}
"""
_EMPTY = "{connector: ready, options: {store: ad}}"
_HEAD = """
engagement: bench
plugins: {{standard: ">=0"}}
directories:
  hr: {hr}
  ad: {ad}
profiles:
"""


def reworded(text: str) -> str:
    """Another document that means the same: every object has to be looked at again."""
    other = text.replace("givenName: source.givenName", "givenName: 'source.givenName + \"\"'")
    other = other.replace("displayName: source.displayName, mail", "displayName: 'source.displayName + \"\"', mail")
    if other.count('+ ""') != 2:
        raise RuntimeError("nothing was reworded")
    return other


def directory(*, cel: bool = False, sink: bool = False) -> str:
    """People and groups of one directory into another; `sink`: that can be written."""
    more = _DIRECTORY_ONLY + (CEL if cel else "")
    head = _HEAD.format(hr="{connector: ready, options: {store: hr}}", ad="{connector: sink}" if sink else _EMPTY)
    return head + _PEOPLE.format(limits=_LIMITS, more=more) + _GROUPS.format(limits=_LIMITS)


def file(path: Path) -> str:
    """People of a file of 25 columns into a directory."""
    columns = "columns: {name: cn}"
    types = "types: {badge: integer, hidden: boolean}"
    hr = f"{{connector: csv, options: {{path: {path}, anchor: employeeNumber, {columns}, {types}}}}}"
    return _HEAD.format(hr=hr, ad=_EMPTY) + _PEOPLE.format(limits=_LIMITS, more="")
