"""What a `MemoryDirectory` can hold: the attributes of a domain in small, with every type, role and rule of the contract."""

from __future__ import annotations

from metasync.contract import (
    EVERYTHING,
    READ_ONLY,
    Allow,
    AttributeSchema,
    Equality,
    Kind,
    KindSchema,
    Operation,
    Role,
    Schema,
    Type,
    Unique,
)

_NO_CLEAR = EVERYTHING - {Allow.CLEAR}


def _common() -> list[AttributeSchema]:
    return [
        AttributeSchema(name="anchor", role=Role.ANCHOR, allow=READ_ONLY, help="Made by the directory, never used twice."),
        AttributeSchema(
            name="cn",
            alias="name",
            role=Role.NAME,
            allow=_NO_CLEAR,
            max_length=64,
            unique=Unique.PARENT,
            help="The first part of the name.",
        ),
        AttributeSchema(name="path", role=Role.PATH, equality=Equality.DN, allow=_NO_CLEAR, help="The container that it is in."),
        AttributeSchema(name="distinguishedName", alias="dn", equality=Equality.DN, allow=READ_ONLY, help="Name and path together."),
        AttributeSchema(name="description", max_length=1024),
        AttributeSchema(name="adminDescription", max_length=256, help="Has room for a mark."),
        AttributeSchema(name="privileged", type=Type.BOOLEAN, allow=READ_ONLY, help="True: it administers the directory."),
        AttributeSchema(name="whenCreated", type=Type.TIME, allow=READ_ONLY),
    ]


def _addresses() -> list[AttributeSchema]:
    return [
        AttributeSchema(name="mail", max_length=256, equality=Equality.IGNORE_CASE, role=Role.SIGN_IN, unique=Unique.DIRECTORY),
        AttributeSchema(name="proxyAddresses", multi=True, max_length=1123, equality=Equality.IGNORE_CASE, unique=Unique.DIRECTORY),
        AttributeSchema(name="displayName", max_length=256),
    ]


def _person() -> list[AttributeSchema]:
    return [
        *_addresses(),
        AttributeSchema(name="givenName", max_length=64),
        AttributeSchema(name="sn", max_length=64),
        AttributeSchema(name="title", max_length=128),
        AttributeSchema(name="department", max_length=64, equality=Equality.IGNORE_SPACE),
        AttributeSchema(name="company", max_length=64),
        AttributeSchema(name="telephoneNumber", max_length=64),
        AttributeSchema(name="otherTelephone", multi=True, max_length=64),
        AttributeSchema(name="targetAddress", max_length=1123, equality=Equality.IGNORE_CASE),
        AttributeSchema(name="legacyExchangeDN", equality=Equality.IGNORE_CASE),
        AttributeSchema(name="manager", type=Type.REFERENCE),
    ]


def _account() -> list[AttributeSchema]:
    return [
        *_person(),
        AttributeSchema(name="enabled", type=Type.BOOLEAN, role=Role.ENABLED, allow=_NO_CLEAR, help="False: may not sign in."),
        AttributeSchema(
            name="userPrincipalName", max_length=1024, equality=Equality.IGNORE_CASE, role=Role.SIGN_IN, unique=Unique.DIRECTORY
        ),
        AttributeSchema(name="employeeID", max_length=16, equality=Equality.IGNORE_CASE),
        AttributeSchema(name="employeeNumber", max_length=512),
        AttributeSchema(name="badge", type=Type.INTEGER),
        AttributeSchema(name="hidden", type=Type.BOOLEAN, help="True: not shown in address lists."),
        AttributeSchema(name="accountExpires", type=Type.TIME),
        AttributeSchema(name="thumbnailPhoto", type=Type.BYTES, max_length=102400),
    ]


def _security() -> list[AttributeSchema]:
    return [
        AttributeSchema(name="sAMAccountName", max_length=20, equality=Equality.IGNORE_CASE, role=Role.SIGN_IN, unique=Unique.DIRECTORY),
        AttributeSchema(name="sIDHistory", multi=True, allow=READ_ONLY),
    ]


_ALWAYS = frozenset(
    {
        Operation.CREATE,
        Operation.UPDATE,
        Operation.CLEAR,
        Operation.RENAME,
        Operation.MOVE,
        Operation.DELETE,
        Operation.RESTORE,
        Operation.SIGN_IN,
    }
)
_SWITCHED = _ALWAYS | {Operation.ENABLE, Operation.DISABLE}


def _kind(kind: Kind, operations: frozenset[Operation], attributes: list[AttributeSchema]) -> KindSchema:
    return KindSchema(kind=kind, operations=operations, attributes={attribute.name: attribute for attribute in [*_common(), *attributes]})


def memory_schema() -> Schema:
    """The schema of a new memory directory."""
    members = AttributeSchema(name="member", alias="members", type=Type.REFERENCE, multi=True)
    kinds = [
        _kind(Kind.CONTAINER, _ALWAYS - {Operation.SIGN_IN}, []),
        _kind(Kind.USER, _SWITCHED, [*_account(), *_security()]),
        _kind(Kind.GUEST, _SWITCHED, _account()),
        _kind(Kind.CONTACT, _ALWAYS, _person()),
        _kind(Kind.GROUP, _ALWAYS | {Operation.MEMBER_ADD, Operation.MEMBER_REMOVE}, [*_addresses(), *_security(), members]),
    ]
    return Schema(kinds={kind.kind: kind for kind in kinds})
