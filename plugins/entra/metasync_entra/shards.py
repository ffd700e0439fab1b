"""A large list in parts that are read at the same time: by the first character of the sign-in name.

Graph cannot page from the middle, and filters identifiers by equality alone; userPrincipalName takes `startsWith`. Whether the parts add
up is not documented, so that it is counted, and what no part showed is looked for in one chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

FIRST = "abcdefghijklmnopqrstuvwxyz0123456789'.-_!#^~"
"""Every character that a userPrincipalName may begin with (https://learn.microsoft.com/graph/api/user-post-users); case does not count."""
CROWDED = "aejms"
"""Letters that many names begin with."""
LARGE = 250_000
"""With more users than this, they are divided once more."""


def prefixes(count: int) -> list[str]:
    """Disjoint, and together all; as many as so many users are worth."""
    divided = CROWDED if count > LARGE else ""
    return [one for one in FIRST if one not in divided] + [first + second for first in divided for second in f"{FIRST}@"]


def filters(parts: Sequence[str]) -> list[str]:
    """The value of `$filter` for each part, percent-encoded."""
    return [quote(f"startsWith(userPrincipalName,'{one.replace(chr(39), chr(39) * 2)}')", safe="") for one in parts]
