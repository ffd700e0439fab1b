"""Between an entry on the wire and Metasync's attributes: which LDAP attributes an attribute needs, decoding, encoding, equality."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from metasync.contract import ELSEWHERE, Kind, Reference, Value, Values
from metasync_ad import accounts, values
from metasync_ad import dn as names
from metasync_ad.primary import PRIMARY
from metasync_ad.schema import Attribute, DirectorySchema, Syntax
from metasync_ad.session import RawEntry

PROTECTION = ("adminCount", "objectSid", "isCriticalSystemObject", "primaryGroupID")
"""What says whether an object is privileged."""
IDENTITY = ("objectGUID", "objectClass", "name")
WIRE_NAMES = {"members": "member"}
"""Standard names of plain LDAP attributes."""


@dataclass(frozen=True, slots=True)
class Computed:
    """An attribute made from others."""

    needs: tuple[str, ...]
    make: Callable[[RawEntry], Values | None]


def sid_of(entry: RawEntry) -> str | None:
    """objectSid as text."""
    raw = entry.one("objectsid")
    return None if raw is None else values.sid(raw)


def privileged(entry: RawEntry) -> bool:
    """Nothing that a synchronisation may touch unasked."""
    critical = entry.one("iscriticalsystemobject") == b"TRUE" or entry.number("primarygroupid") in accounts.PRIVILEGED_RIDS
    return accounts.is_privileged(sid_of(entry), entry.number("admincount"), critical)


def _enabled(entry: RawEntry) -> Values | None:
    control = entry.number("useraccountcontrol")
    return None if control is None else not control & accounts.ACCOUNT_DISABLED


def _flag(bit: int) -> Callable[[RawEntry], Values | None]:
    def flag(entry: RawEntry) -> Values | None:
        control = entry.number("useraccountcontrol")
        return None if control is None else bool(control & bit)

    return flag


def _must_change(entry: RawEntry) -> Values | None:
    last = entry.number("pwdlastset")
    return None if last is None else last == 0


def _scope(entry: RawEntry) -> Values | None:
    number = entry.number("grouptype")
    return None if number is None else accounts.group_scope(number)


def _category(entry: RawEntry) -> Values | None:
    number = entry.number("grouptype")
    return None if number is None else accounts.group_category(number)


def _foreign(entry: RawEntry) -> Values | None:
    """Members from other domains, by their SIDs: their places are taken by foreign security principals, which are named by them."""
    found = [
        names.leaf(plain)[1] for raw in entry.attributes.get("member", ()) if is_foreign(plain := names.extended(raw.decode("utf-8"))[2])
    ]
    return tuple(Reference(value=sid, key=f"{ELSEWHERE}objectSid") for sid in dict.fromkeys(found)) or None


def _by_primary_group(entry: RawEntry) -> Values | None:
    guids = [names.extended(raw.decode("utf-8"))[0] for raw in entry.attributes.get(PRIMARY, ())]
    return tuple(Reference(value=guid) for guid in guids if guid) or None


def is_foreign(dn: str) -> bool:
    """Whether it is a foreign security principal (MS-ADTS 6.1.1.4.10)."""
    return names.parent(dn).lower().startswith(FOREIGN)


FOREIGN = "cn=foreignsecurityprincipals,"
COMPUTED: Mapping[str, Computed] = {
    "name": Computed(("name",), lambda entry: entry.text("name") or names.leaf(entry.dn)[1] or None),
    "path": Computed((), lambda entry: names.parent(entry.dn) or None),
    "dn": Computed((), lambda entry: entry.dn),
    "privileged": Computed(PROTECTION, privileged),
    "enabled": Computed(("userAccountControl",), _enabled),
    "mustChangePassword": Computed(("pwdLastSet",), _must_change),
    "foreignMembers": Computed(("member",), _foreign),
    "primaryMembers": Computed(("member", "objectSid"), _by_primary_group),
    "groupScope": Computed(("groupType",), _scope),
    "groupCategory": Computed(("groupType",), _category),
    **{name: Computed(("userAccountControl",), _flag(bit)) for name, bit in accounts.FLAGS.items()},
}
_ALIASES = {"cn": "name", "ou": "name", "member": "members", "distinguishedname": "dn"}


def standard(name: str) -> str:
    """The standard name of an attribute, where it has one."""
    return _ALIASES.get(name.lower(), name)


def kind_of(entry: RawEntry) -> Kind | None:
    """What an object is to us; None for computers, trusts, managed service accounts and all else."""
    classes = {name.lower() for name in entry.every("objectclass")}
    if "computer" in classes:  # managed service accounts are computers too
        return None
    if "group" in classes:
        return Kind.GROUP
    if "contact" in classes:
        return Kind.CONTACT
    if "user" in classes:
        return Kind.USER
    return Kind.CONTAINER if classes & {"organizationalunit", "container", "builtindomain"} else None


Ways = tuple[
    Sequence[tuple[str, Callable[[RawEntry], Values | None]]], Sequence[tuple[str, str, Attribute, Callable[[bytes], Value | None]]]
]
"""(name, how it is made) of what is computed, and (name, LDAP name in lower case, attribute, how a value is read) of all else."""


class Codec:
    """Decodes and encodes by the directory's own schema."""

    def __init__(self, schema: DirectorySchema) -> None:
        self.schema = schema
        self._known: dict[frozenset[str], Ways] = {}

    def wire(self, names: Collection[str]) -> list[str]:
        """The LDAP attributes to ask for, for these attributes."""
        found: dict[str, None] = {}
        for name in names:
            computed = COMPUTED.get(standard(name))
            known = computed.needs if computed else (WIRE_NAMES.get(standard(name), name),)
            found.update(dict.fromkeys(one for one in known if computed or self.schema.get(one)))
        return list(found)

    def decode(self, entry: RawEntry, names: Collection[str]) -> dict[str, Values]:
        """These attributes, by standard name; without a value: absent. Raises `ValueError` naming the attribute that makes no sense."""
        found: dict[str, Values] = {}
        computed, plain = self._ways(frozenset(names))
        for name, make in computed:
            made = make(entry)
            if made is not None:
                found[name] = made
        held = entry.attributes
        for name, wire, attribute, read in plain:
            raw = held.get(wire)
            if not raw:
                continue
            try:
                if len(raw) == 1:  # nearly always
                    only = read(raw[0])
                    if only is not None:
                        found[name] = (only,) if attribute.multi else only
                    continue
                several = raw if attribute.multi else sorted(raw)  # of `description` the same one counts in every import
                decoded = tuple(dict.fromkeys(value for one in several if (value := read(one)) is not None))
            except (ValueError, UnicodeDecodeError) as error:
                raise ValueError(f"a value of {attribute.name} is not a valid {attribute.syntax.value}") from error
            if decoded:
                found[name] = decoded if attribute.multi else decoded[0]
        return found

    def _ways(self, asked: frozenset[str]) -> Ways:
        """How each of these attributes is made: found once, for it is the same for all objects of a kind."""
        known = self._known.get(asked)
        if known is None:
            names = dict.fromkeys(standard(name) for name in sorted(asked))
            computed = [(name, COMPUTED[name].make) for name in names if name in COMPUTED]
            plain = []
            for name in names:
                wire = WIRE_NAMES.get(name, name)
                attribute = self.schema.get(wire)
                if name not in COMPUTED and attribute is not None:
                    plain.append((name, wire.lower(), attribute, READERS[attribute.syntax]))
            known = self._known[asked] = (computed, plain)
        return known

    def encode(self, name: str, given: Values) -> list[bytes]:
        """The values on the wire. Raises `ValueError` saying what is wrong, without the value."""
        attribute = self.attribute(name)
        several = given if isinstance(given, tuple) else (given,)
        if len(several) > 1 and not attribute.multi:
            raise ValueError(f"{attribute.name} holds one value, and {len(several)} were given")
        return [encode_value(attribute, value) for value in several]

    def attribute(self, name: str) -> Attribute:
        """The attribute of the schema that can be written under this name. Raises `ValueError`."""
        attribute = self.schema.get(WIRE_NAMES.get(standard(name), name))
        if attribute is None:
            raise ValueError(f"the directory has no attribute {name}; remove it from the mapping")
        if not attribute.writable:
            raise ValueError(f"the directory does not let {attribute.name} be written; remove it from the mapping")
        return attribute


def _reference(raw: bytes) -> Value | None:
    guid, _, plain = names.extended(raw.decode("utf-8"))
    if names.DELETED in plain:
        return None  # Samba with a recycle bin shows the links of deleted objects; Windows hides them
    return Reference(value=guid) if guid else Reference(value=plain, key="dn")


READERS: Mapping[Syntax, Callable[[bytes], Value | None]] = {
    Syntax.TEXT: lambda raw: raw.decode("utf-8") or None,
    Syntax.INTEGER: int,
    Syntax.BOOLEAN: values.from_boolean,
    Syntax.BYTES: lambda raw: bytes(raw) or None,
    Syntax.GENERALIZED: values.from_generalized,
    Syntax.FILETIME: lambda raw: values.from_filetime(int(raw)),
    Syntax.SID: values.sid,
    Syntax.GUID: values.guid,
    Syntax.DN_TEXT: lambda raw: names.extended(raw.decode("utf-8"))[2] or None,
    Syntax.DN: _reference,
}
"""From one value on the wire; None where it stands for "nothing" (a time that means never, a reference to a deleted object)."""


def encode_value(attribute: Attribute, value: Value) -> bytes:
    """One value on the wire. Raises `ValueError`."""
    syntax = attribute.syntax
    match value:
        case Reference() if syntax is Syntax.DN:
            return encode_reference(value).encode()
        case bool() if syntax is Syntax.BOOLEAN:
            return b"TRUE" if value else b"FALSE"
        case int() if syntax is Syntax.INTEGER and not isinstance(value, bool):
            return str(value).encode()
        case bytes() if syntax is Syntax.BYTES:
            return value
        case datetime() if syntax is Syntax.GENERALIZED:
            return values.to_generalized(value)
        case datetime() if syntax is Syntax.FILETIME:
            return str(values.to_filetime(value)).encode()
        case str() if syntax is Syntax.TEXT:
            return (
                value.encode("utf-8", "surrogatepass")
                if not _lone(value)
                else _refuse(attribute.name, "holds half a character (a lone surrogate)")
            )
        case str() if syntax in (Syntax.INTEGER, Syntax.BOOLEAN):
            return _from_text(attribute, value)
        case str() if syntax is Syntax.SID:
            return values.sid_bytes(value)
    return _refuse(attribute.name, f"must be of the type {syntax.value}, not {type(value).__name__}")


def _lone(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _refuse(name: str, why: str) -> bytes:
    raise ValueError(f"the value for {name} {why}; correct it in the mapping")


def _from_text(attribute: Attribute, text: str) -> bytes:
    if attribute.syntax is Syntax.BOOLEAN and text.upper() in ("TRUE", "FALSE"):
        return text.upper().encode()
    if attribute.syntax is Syntax.INTEGER and text.strip().lstrip("+-").isdecimal() and text.isascii():
        return str(int(text)).encode()
    return _refuse(attribute.name, f"is no {attribute.syntax.value}")


def encode_reference(reference: Reference) -> str:
    """A reference as a directory takes it: `<GUID=...>` lives through renames and moves. Raises `ValueError`."""
    if reference.key == "anchor":
        values.guid_bytes(reference.value)
        return f"<GUID={reference.value}>"
    if reference.key == "dn" and names.valid(reference.value):
        return reference.value
    raise ValueError(f"a reference by {reference.key} means nothing to Active Directory; it takes an anchor or a dn")


SAM_LENGTH = 20
"""Of a user's sAMAccountName. The schema says 256, and Samba takes that; Windows does not (MS-SAMR 3.1.1.8.4)."""


def check_length(kind: Kind, name: str, value: Values | None) -> None:
    """Refuse what only Windows would refuse. Raises `ValueError`."""
    if kind is Kind.USER and name.lower() == "samaccountname" and isinstance(value, str) and len(value) > SAM_LENGTH:
        raise ValueError(
            f"a user's sAMAccountName has at most {SAM_LENGTH} characters, and this one has {len(value)}; shorten it in the mapping"
        )


def same(name: str, one: Values | None, other: Values | None) -> bool:
    """Equal to the directory. The order of several values carries no meaning."""
    if name in ("path", "dn") and isinstance(one, str) and isinstance(other, str):
        return names.folded(one) == names.folded(other)
    return _bag(one) == _bag(other)


def _bag(held: Values | None) -> frozenset[Value]:
    several: Sequence[Value] = () if held is None else held if isinstance(held, tuple) else (held,)
    return frozenset(_plain(one) for one in several)


def _plain(value: Value) -> Value:
    if isinstance(value, Reference):
        return Reference(value=value.value.lower(), key=value.key)
    return value
