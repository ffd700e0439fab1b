"""What holds where the document says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from metasync.contract import Operation
from metasync.engagement.model import Limit

LIMITS: Mapping[Operation, Limit] = MappingProxyType(
    {
        # Building up harms little and is most of a first load; what takes away or changes how people sign in is held tight.
        Operation.CREATE: Limit(count=5000),
        Operation.UPDATE: Limit(count=20000),
        Operation.CLEAR: Limit(count=500, percent=20),
        Operation.SIGN_IN: Limit(count=100, percent=5),
        Operation.RENAME: Limit(count=500, percent=10),
        Operation.MOVE: Limit(count=1000, percent=20),
        Operation.ENABLE: Limit(count=200, percent=10),
        Operation.DISABLE: Limit(count=200, percent=10),
        Operation.DELETE: Limit(count=50, percent=5),
        Operation.RESTORE: Limit(count=200, percent=10),
        Operation.MEMBER_ADD: Limit(count=50000),
        Operation.MEMBER_REMOVE: Limit(count=5000),
        Operation.PASSWORD: Limit(count=5000),
        Operation.SID: Limit(count=5000),
    }
)
"""For every operation. What a document says of an operation replaces its default whole."""

PERCENT_FLOOR = 5
"""A limit in percent does not stop so few, as long as they are no more than a quarter of what is joined; `count` always holds."""
