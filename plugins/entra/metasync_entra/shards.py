"""A large list in parts that are read at the same time: by the first character of the sign-in name.

Graph cannot page from the middle, and filters identifiers by equality alone; userPrincipalName takes `startsWith`. Whether the parts add
up is not documented, so that it is counted, and what no part showed is looked for in one chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

FIRST = "abcdefghijklmnopqrstuvwxyz0123456789'.-_!#^~"
"""Every character that a userPrincipalName may begin with (https://learn.microsoft.com/graph/api/user-post-users); case does not count."""
MANY = 25
"""Nearly all names begin with a letter; two of them make the crowded ones even."""
CROWDED = "aejms"


def prefixes() -> list[str]:
    """Disjoint, and together all."""
    return [one for one in FIRST if one not in CROWDED] + [first + second for first in CROWDED for second in FIRST]


def filters(parts: Sequence[str]) -> list[str]:
    """The value of `$filter` for each part, percent-encoded."""
    return [quote(f"startsWith(userPrincipalName,'{one.replace(chr(39), chr(39) * 2)}')", safe="") for one in parts]
