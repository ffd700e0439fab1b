"""Owners of groups: each one put in and taken out by a request of its own, those who come before those who go.

The contract's changes of members name no attribute, so that owners are planned as one value; a group has at most a hundred, and what is
sent is the difference alone. The last owner who is a user cannot be taken out.
Sources: https://learn.microsoft.com/graph/api/group-post-owners, .../group-delete-owners
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from metasync.contract import Values
from metasync_entra import calls
from metasync_entra.calls import VERSION, Call
from metasync_entra.codec import reference
from metasync_entra.session import Session

OWNERS = "owners"


def identifiers(owners: Values | None) -> dict[str, str]:
    """Those that a value names, in one case, with how they are written. Raises `ValueError`."""
    several = owners if isinstance(owners, tuple) else () if owners is None else (owners,)
    return {identifier.lower(): identifier for identifier in map(reference, several)}


def between(before: Collection[str], there: Collection[str], after: Collection[str]) -> bool:
    """Are those who are there what some of the requests from one set to the other lead to?"""
    return set(before) & set(after) <= set(there) <= set(before) | set(after)


def owner_calls(session: Session, group: str, before: Values | None, after: Values | None, tag: Any = None) -> list[Call]:
    """The requests that lead from one set of owners to the other. Raises `ValueError`."""
    there, wanted = identifiers(before), identifiers(after)
    path = f"/groups/{group}/owners"
    link = f"{session.settings.cloud.graph}{VERSION}/users/"
    come = [calls.write("POST", f"{path}/$ref", {"@odata.id": link + one}, tag=tag) for low, one in wanted.items() if low not in there]
    return come + [calls.write("DELETE", f"{path}/{one}/$ref", tag=tag) for low, one in there.items() if low not in wanted]
