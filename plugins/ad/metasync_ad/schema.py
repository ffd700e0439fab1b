"""What the directory can hold: its schema partition, read once, as the contract's `Schema`.

Three sources meet: the attributes and classes that the schema partition lists, what only we know of some of them (roles, uniqueness,
real limits), and the attributes that we compute, such as `enabled`. Secrets and confidential attributes are never read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from metasync.contract import EVERYTHING as ALL
from metasync.contract import READ_ONLY, Allow, AttributeSchema, Equality, Kind, KindSchema, Operation, Role, Schema, Type, Unique
from metasync_ad import accounts
from metasync_ad.session import RawEntry, Session


class Syntax(StrEnum):
    """How values stand on the wire (MS-ADTS 3.1.1.2.2.2)."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    BYTES = "bytes"
    GENERALIZED = "generalized time"
    FILETIME = "FILETIME"
    SID = "SID"
    GUID = "GUID"
    DN = "distinguished name"
    DN_TEXT = "distinguished name, as text"


TYPES = {
    Syntax.TEXT: Type.STRING,
    Syntax.INTEGER: Type.INTEGER,
    Syntax.BOOLEAN: Type.BOOLEAN,
    Syntax.BYTES: Type.BYTES,
    Syntax.GENERALIZED: Type.TIME,
    Syntax.FILETIME: Type.TIME,
    Syntax.SID: Type.STRING,
    Syntax.GUID: Type.STRING,
    Syntax.DN: Type.REFERENCE,
    Syntax.DN_TEXT: Type.STRING,
}
_SYNTAXES = {
    "2.5.5.1": Syntax.DN,
    "2.5.5.2": Syntax.TEXT,
    "2.5.5.3": Syntax.TEXT,
    "2.5.5.4": Syntax.TEXT,
    "2.5.5.5": Syntax.TEXT,
    "2.5.5.6": Syntax.TEXT,
    "2.5.5.8": Syntax.BOOLEAN,
    "2.5.5.9": Syntax.INTEGER,
    "2.5.5.10": Syntax.BYTES,
    "2.5.5.11": Syntax.GENERALIZED,
    "2.5.5.12": Syntax.TEXT,
    "2.5.5.16": Syntax.INTEGER,
    "2.5.5.17": Syntax.SID,
}
"""Security descriptors (2.5.5.15) and names with a payload (2.5.5.7, 2.5.5.14) are not offered."""
_FILETIMES = frozenset({"accountexpires", "badpasswordtime", "lastlogoff", "lastlogon", "lastlogontimestamp", "lockouttime", "pwdlastset"})
_GUIDS = frozenset({"objectguid"})
_SECRETS = frozenset(
    {
        "unicodepwd", "dbcspwd", "lmpwdhistory", "ntpwdhistory", "supplementalcredentials", "userpassword", "unixuserpassword",
        "clearpassword", "initialauthincoming", "initialauthoutgoing", "trustauthincoming", "trustauthoutgoing", "currentvalue",
        "priorvalue", "ms-mcs-admpwd", "mspkiaccountcredentials", "mspkidpapimasterkeys", "mspki-credentialroamingtokens",
        "mssfu30password", "msds-managedpassword",
    }
)  # fmt: skip
_IN_USE = "(!(isDefunct=TRUE))"
"""One that is defunct cannot be written, and another may have its name (MS-ADTS 3.1.1.2.5)."""
_ONE_VALUE = frozenset({"description"})
"""Several values by the schema, one on every account (MS-SAMR 3.1.1.8.6) and by every tool."""
_CONFIDENTIAL = 0x80
_NOT_REPLICATED, _CONSTRUCTED = 0x1, 0x4
"""Of systemFlags (MS-ADTS 2.2.10)."""
_READ_ONLY = frozenset(
    {
        "objectclass", "objectcategory", "samaccounttype", "iscriticalsystemobject", "admincount", "useraccountcontrol",
        "distinguishedname", "name", "badpwdcount", "badpasswordtime", "lastlogoff", "lastlogon", "lastlogontimestamp",
        "logoncount", "pwdlastset", "sidhistory", "primarygroupid", "objectsid", "objectguid", "memberof", "dscorepropagationdata",
        "usncreated", "usnchanged", "instancetype", "whencreated", "whenchanged", "ou", "rid", "isdeleted", "lastknownparent",
        "lockouttime", "securityidentifier", "operatorcount", "msds-allowedtodelegateto", "msds-cached-membership",
    }
)  # fmt: skip
_HIDDEN = frozenset(
    {
        "name", "cn", "ou", "member", "distinguishedname", "objectcategory", "replpropertymetadata", "repluptodatevector",
        "repsfrom", "repsto", "dscorepropagationdata", "partialattributedeletionlist", "partialattributeset",
    }
)  # fmt: skip
"""Offered under the standard names, or (the bookkeeping of replication) not at all."""

FLAG_NAMES = tuple(accounts.FLAGS)
_NO_CLEAR = ALL - {Allow.CLEAR}

_CLASSES = {Kind.USER: ("user",), Kind.GROUP: ("group",), Kind.CONTACT: ("contact",), Kind.CONTAINER: ("organizationalUnit",)}
_OPERATIONS = frozenset(
    {Operation.CREATE, Operation.UPDATE, Operation.CLEAR, Operation.RENAME, Operation.MOVE, Operation.DELETE, Operation.RESTORE}
)
OPERATIONS = {
    Kind.USER: _OPERATIONS | {Operation.SIGN_IN, Operation.ENABLE, Operation.DISABLE},
    Kind.GROUP: _OPERATIONS | {Operation.SIGN_IN, Operation.MEMBER_ADD, Operation.MEMBER_REMOVE},
    Kind.CONTACT: _OPERATIONS | {Operation.SIGN_IN},
    Kind.CONTAINER: _OPERATIONS,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribute:
    """One attribute of the schema partition."""

    name: str
    syntax: Syntax
    multi: bool
    max_length: int | None
    writable: bool
    replicated: bool = True
    """Otherwise each controller has a value of its own, and no change tells of it."""
    link: int = 0
    """linkID: even for a link, the odd number above it for its other end (MS-ADTS 3.1.1.1.6); 0: no link."""

    @property
    def forward(self) -> bool:
        """A link, such as `member`."""
        return self.link > 0 and self.link % 2 == 0

    @property
    def backward(self) -> bool:
        """The other end of one, such as `memberOf`: computed by the directory."""
        return self.link % 2 == 1


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectorySchema:
    """The schema partition, as far as it concerns us."""

    attributes: Mapping[str, Attribute]
    """By name in lower case."""
    of_class: Mapping[Kind, frozenset[str]]
    """Names in lower case."""

    def get(self, name: str) -> Attribute | None:
        """By any spelling of case."""
        return self.attributes.get(name.lower())

    def forward_of(self, other_end: Attribute) -> str | None:
        """The link, in lower case, that an attribute is the other end of."""
        return next((name for name, one in self.attributes.items() if one.link == other_end.link - 1), None)


_loaded: dict[str, tuple[int, DirectorySchema]] = {}
"""Domain controller -> (its highest USN before the schema was read, the schema): a run connects several times, schemas hardly change."""


def load(session: Session) -> DirectorySchema:
    """The schema of the domain controller: as this process read it before, unless something in its schema partition changed since."""
    controller, usn = session.root.text("dsservicename"), session.root.number("highestcommittedusn")
    if controller is None or usn is None:
        return read(session)
    key = f"{session.server} {controller}".lower()
    known = _loaded.get(key)
    if known is None or usn < known[0] or _changed(session, known[0]):
        known = _loaded[key] = (usn, read(session))
    return known[1]


def _changed(session: Session, usn: int) -> bool:
    """Whether anything in the schema partition was written after this USN of the same domain controller."""
    return bool(session.search(session.root.text("schemanamingcontext") or "", f"(uSNChanged>={usn + 1})", ["objectGUID"]))


def read(session: Session) -> DirectorySchema:
    """Read the schema partition: about 1,500 attributes and 270 classes, in under a second."""
    base = session.root.text("schemanamingcontext") or ""
    wanted = ["lDAPDisplayName", "isSingleValued", "rangeUpper", "attributeSyntax", "systemOnly", "linkID", "searchFlags", "systemFlags"]
    attributes: dict[str, Attribute] = {}
    for page in session.pages(base, f"(&(objectClass=attributeSchema){_IN_USE})", wanted, 1000):
        for entry in page:
            attribute = _attribute(entry)
            if attribute is not None:
                attributes[attribute.name.lower()] = attribute
    parts = ["mayContain", "mustContain", "systemMayContain", "systemMustContain"]
    links = ["subClassOf", "auxiliaryClass", "systemAuxiliaryClass"]
    classes: dict[str, tuple[set[str], set[str]]] = {}
    for page in session.pages(base, f"(&(objectClass=classSchema){_IN_USE})", ["lDAPDisplayName", *parts, *links], 1000):
        for entry in page:
            own = {name.lower() for part in parts for name in entry.every(part.lower())}
            above = {name.lower() for link in links for name in entry.every(link.lower())}
            classes[(entry.text("ldapdisplayname") or "").lower()] = (own, above)
    of_class = {kind: frozenset(_contained(classes, names)) & attributes.keys() for kind, names in _CLASSES.items()}
    return DirectorySchema(attributes=attributes, of_class=of_class)


def _attribute(entry: RawEntry) -> Attribute | None:
    name = entry.text("ldapdisplayname") or ""
    low = name.lower()
    syntax = _SYNTAXES.get(entry.text("attributesyntax") or "")
    system_flags = entry.number("systemflags") or 0
    if syntax is None or low in _SECRETS or (entry.number("searchflags") or 0) & _CONFIDENTIAL or system_flags & _CONSTRUCTED:
        return None
    if low in _FILETIMES:
        syntax = Syntax.FILETIME
    elif low in _GUIDS:
        syntax = Syntax.GUID
    elif low == "distinguishedname":
        syntax = Syntax.DN_TEXT
    link = entry.number("linkid") or 0
    upper = entry.number("rangeupper") if syntax in (Syntax.TEXT, Syntax.BYTES) else None
    return Attribute(
        name=name,
        syntax=syntax,
        multi=entry.text("issinglevalued") != "TRUE" and low not in _ONE_VALUE,
        max_length=upper if upper and 0 < upper < 1 << 31 else None,
        writable=not (entry.text("systemonly") == "TRUE" or link % 2 == 1 or low in _READ_ONLY),
        replicated=not system_flags & _NOT_REPLICATED,
        link=link,
    )


def _contained(classes: Mapping[str, tuple[set[str], set[str]]], names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [name.lower() for name in names]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in classes:
            continue
        seen.add(name)
        own, above = classes[name]
        found |= own
        waiting += above
    return found


def describe(schema: DirectorySchema) -> Schema:
    """What `discover` reports."""
    return Schema(
        kinds={kind: KindSchema(kind=kind, operations=OPERATIONS[kind], attributes=_described(kind, schema)) for kind in _CLASSES}
    )


def _described(kind: Kind, schema: DirectorySchema) -> dict[str, AttributeSchema]:
    found: dict[str, AttributeSchema] = {}
    for low in sorted(schema.of_class[kind] - _HIDDEN):
        attribute = schema.attributes[low]
        special = _special(kind, attribute)
        found[attribute.name] = special
    for known in _computed(kind, schema):
        found[known.name] = known
    return found


def _special(kind: Kind, attribute: Attribute) -> AttributeSchema:
    low = attribute.name.lower()
    allow = ALL if attribute.writable else READ_ONLY
    role = unique = None
    length = attribute.max_length
    text = ""
    if low == "objectguid":
        role, text = Role.ANCHOR, "Made by the directory, never used twice; as canonical text."
    elif low == "samaccountname":
        role, unique, allow = Role.SIGN_IN, Unique.DIRECTORY, _NO_CLEAR
        length = 20 if kind is Kind.USER else length
        text = "The logon name of before Windows 2000, unique among users, groups and computers."
    elif low == "userprincipalname":
        role, unique = Role.SIGN_IN, Unique.DIRECTORY
        text = "The logon name, name@domain."
    elif low == "mail":
        role = Role.SIGN_IN
        unique = Unique.DIRECTORY if kind is not Kind.CONTAINER else None
        text = "The primary e-mail address."
    elif low == "proxyaddresses":
        unique = Unique.DIRECTORY
        text = "All addresses: SMTP: is the primary one, smtp: and X500: are others."
    elif low == "grouptype":
        allow = _NO_CLEAR
        text = "The number behind groupScope and groupCategory."
    elif low == "accountexpires":
        text = "When the account ends; absent: never."
    elif attribute.syntax is Syntax.DN and attribute.writable:
        text = "A reference to another object of the domain."
    return AttributeSchema(
        name=attribute.name,
        type=TYPES[attribute.syntax],
        multi=attribute.multi,
        max_length=length,
        allow=allow,
        role=role,
        unique=unique,
        help=text,
    )


def _computed(kind: Kind, schema: DirectorySchema) -> Iterable[AttributeSchema]:
    """What stands under a standard name, or is made from other attributes."""
    first = "ou" if kind is Kind.CONTAINER else "cn"
    known = schema.get(first)
    yield AttributeSchema(
        name=first, alias="name", role=Role.NAME, unique=Unique.PARENT, max_length=known.max_length if known else None, allow=_NO_CLEAR,
        help="The relative name.",
    )  # fmt: skip
    yield AttributeSchema(
        name="path", role=Role.PATH, equality=Equality.DN, allow=_NO_CLEAR, help="The distinguished name of the container."
    )
    yield AttributeSchema(name="distinguishedName", alias="dn", equality=Equality.DN, allow=READ_ONLY, help="Name and path together.")
    yield AttributeSchema(
        name="privileged",
        type=Type.BOOLEAN,
        allow=READ_ONLY,
        help="It administers the domain, did so once (adminCount), or the domain needs it to work.",
    )
    if kind is Kind.USER:
        yield AttributeSchema(
            name="enabled", type=Type.BOOLEAN, role=Role.ENABLED, allow=_NO_CLEAR, help="May sign in (userAccountControl)."
        )
        yield AttributeSchema(
            name="mustChangePassword",
            type=Type.BOOLEAN,
            allow=READ_ONLY,
            help="Must change the password at the next sign-in (pwdLastSet is 0).",
        )
        for flag in FLAG_NAMES:
            yield AttributeSchema(
                name=flag, type=Type.BOOLEAN, allow=READ_ONLY, help=f"Bit 0x{accounts.FLAGS[flag]:X} of userAccountControl."
            )
    if kind is Kind.GROUP:
        yield AttributeSchema(
            name="member",
            alias="members",
            type=Type.REFERENCE,
            multi=True,
            fixed="primaryMembers",
            help="Direct members, and whoever has the group as primary group.",
        )
        yield AttributeSchema(
            name="primaryMembers",
            type=Type.REFERENCE,
            multi=True,
            allow=READ_ONLY,
            help="Those of `members` who have the group as primary group. They cannot be taken out of it until they have another one.",
        )
        yield AttributeSchema(
            name="foreignMembers",
            type=Type.REFERENCE,
            multi=True,
            allow=READ_ONLY,
            elsewhere="objectSid",
            help="Direct members from other domains, found by their SIDs in the other directories of the document. In `members` they "
            "stand as foreign security principals.",
        )
        yield AttributeSchema(name="groupScope", allow=_NO_CLEAR, help=f"{', '.join(accounts.SCOPES)}; Global where nothing is said.")
        yield AttributeSchema(
            name="groupCategory", allow=_NO_CLEAR, help=f"{' or '.join(accounts.CATEGORIES)}; Security where nothing is said."
        )
