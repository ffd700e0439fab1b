"""A group's scope and category, and by which steps they may change (MS-ADTS 2.2.12, 3.1.1.5.3.1.2).

Global and DomainLocal become each other only by way of Universal. Each step is a request of its own; what one of them is refused for (a
member or a membership that the new scope forbids) leaves the group as the last step made it, and the next plan goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping

from metasync.contract import Values
from metasync_ad import accounts

NAMES = ("groupScope", "groupCategory")


def steps(present: int, after: Mapping[str, Values | None]) -> list[int]:
    """The values of groupType to write, one after another; bits that say neither stay as they are. Raises `ValueError`."""
    scope, category = (_named(after, name) for name in NAMES)
    now, wanted = accounts.group_scope(present), scope or accounts.group_scope(present)
    made: list[int] = []
    number = present
    if wanted != now and wanted is not None:
        by_way_of = ["Universal"] if {now, wanted} == {"Global", "DomainLocal"} else []
        for one in (*by_way_of, wanted):
            number = accounts.with_scope(number, one)
            made.append(number)
    if category is not None and category != accounts.group_category(present):
        made.append(accounts.with_category(number, category))
    return made


def _named(after: Mapping[str, Values | None], name: str) -> str | None:
    if name not in after:
        return None
    value = after[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} cannot be empty, and takes one text")
    accounts.group_type(**{"scope" if name == "groupScope" else "category": value})
    return value
