"""Who may stand in a group: owners are users, and so are the members of a Microsoft 365 group.

What refers to a group there is looked for among the groups; what is not found there says nothing.
Sources: https://learn.microsoft.com/graph/api/group-post-owners, .../group-post-members (the table of what can be a member)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metasync.contract import Change, Kind, Operation, Values
from metasync_entra.codec import is_guid
from metasync_entra.lookup import Lookup
from metasync_entra.ownership import OWNERS
from metasync_entra.standing import Standing

_OWNER = "{} is a group, and owners are users; leave groups out of what `owners` is mapped from"
_MEMBER = "{} is a group, and the members of a Microsoft 365 group are users; leave it out, or make a security group of this one"


def misplaced(lookup: Lookup, changes: Iterable[Change], standing: Mapping[str, Standing]) -> dict[str, tuple[str, str]]:
    """Change -> the attribute, and why the tenant refuses it. Raises `Unavailable`."""
    asked: list[tuple[Change, str, str]] = []
    for change in changes:
        if change.kind is not Kind.GROUP:
            continue
        there = standing.get((change.anchor or "").lower())
        if change.operation is Operation.MEMBER_ADD and there is not None and "Unified" in (there.raw.get("groupTypes") or ()):
            asked += [(change, "", one) for one in _anchors(change.member)]
        asked += [(change, OWNERS, one) for one in _anchors(change.after.get(OWNERS))]
    groups = lookup.several(dict.fromkeys((one for _, _, one in asked), Kind.GROUP))
    found: dict[str, tuple[str, str]] = {}
    for change, name, one in asked:
        if one in groups:
            shown = groups[one].get("displayName") or one
            found[change.id] = name, _OWNER.format(shown) if name else _MEMBER.format(shown)
    return found


def _anchors(value: Values | None) -> list[str]:
    """The identifiers that a value names."""
    several = value if isinstance(value, tuple) else () if value is None else (value,)
    found = (getattr(one, "value", "") for one in several if getattr(one, "key", "") == "anchor")
    return [str(one).lower() for one in found if is_guid(str(one))]
