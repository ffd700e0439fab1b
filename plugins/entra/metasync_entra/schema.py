"""What the tenant can hold, as `discover` says it."""

from __future__ import annotations

from metasync.contract import Kind, KindSchema, Operation, Schema
from metasync_entra.codec import Codec

_VALUES = frozenset({Operation.UPDATE, Operation.CLEAR, Operation.SIGN_IN})
_WHOLE = frozenset({Operation.CREATE, Operation.DELETE, Operation.RESTORE})
_SWITCH = frozenset({Operation.ENABLE, Operation.DISABLE})
OPERATIONS = {
    Kind.USER: _WHOLE | _VALUES | _SWITCH,
    Kind.GUEST: _WHOLE | _VALUES | _SWITCH,
    Kind.GROUP: _WHOLE | _VALUES | {Operation.MEMBER_ADD, Operation.MEMBER_REMOVE},
    Kind.CONTACT: frozenset[Operation](),
}
"""Graph cannot write contacts (https://learn.microsoft.com/graph/api/resources/orgcontact)."""


def describe(codec: Codec) -> Schema:
    """The kinds and their attributes. It takes no connection: Graph's types are the same in every tenant."""
    return Schema(
        kinds={
            kind: KindSchema(kind=kind, attributes={one.schema.name: one.schema for one in table.values()}, operations=OPERATIONS[kind])
            for kind, table in codec.tables.items()
        }
    )
