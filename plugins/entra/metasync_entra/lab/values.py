"""What may be written into a property: type, length, and the rules of single values. Rules of whole objects stand in users and groups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from metasync_entra.lab.messages import Refused, bad_request
from metasync_entra.lab.rules import (
    EXTENSION,
    IMMUTABLE_ID,
    MAIL_NICKNAME,
    NOT_CLEARED,
    ONE_PHONE,
    PROPERTY,
    PROPERTY_TYPE,
    READ_ONLY,
    TOO_LONG,
    UPN_CHARACTERS,
    UPN_DOMAIN,
    USAGE_LOCATION,
)
from metasync_entra.lab.schema import EXTENSION_ATTRIBUTES, Property, Schema
from metasync_entra.lab.schema import NOT_CLEARED as KEPT
from metasync_entra.lab.state import Directory

_UPN = re.compile(r"[A-Za-z0-9'.\-_!#^~]{1,64}@[A-Za-z0-9.\-]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")
_TYPES: Mapping[str, tuple[type, ...]] = {"text": (str,), "flag": (bool,), "time": (str,), "number": (int,), "thing": (dict,)}


def check(directory: Directory, kind: str, content: Mapping[str, Any], *, synchronised: bool) -> dict[str, Any]:
    """The values as they are kept. Annotations (`@odata.type`) are left out."""
    kept: dict[str, Any] = {}
    for name, value in content.items():
        if "@" in name:
            continue
        property_ = _find(directory.schema, kind, name)
        if property_.writable == "never":
            raise bad_request(READ_ONLY, f"Property '{name}' is read-only and cannot be set.")
        if property_.writable == "cloud" and synchronised:
            continue  # the caller refuses the whole request
        kept[name] = _checked(directory, kind, property_, value)
    return kept


def _find(schema: Schema, kind: str, name: str) -> Property:
    property_ = schema.find(kind, name)
    if property_ is None:
        rule = EXTENSION if name.startswith("extension_") else PROPERTY
        message = (
            f"The property '{name}' does not exist on type 'microsoft.graph.{kind}'."
            " Make sure to only use property names that are defined by the type."
        )
        raise bad_request(rule, message)
    return property_


def _checked(directory: Directory, kind: str, property_: Property, value: Any) -> Any:
    if value is None:
        if property_.name in KEPT:
            raise _invalid(NOT_CLEARED, property_.name)
        return [] if property_.many else None
    values = value if property_.many else [value]
    if not isinstance(values, list) or not all(_is(property_, one) for one in values):
        message = f"Cannot convert the literal of property '{property_.name}' to the expected type '{_edm(property_)}'."
        raise bad_request(PROPERTY_TYPE, message)
    if property_.longest and any(len(one) > property_.longest for one in values):
        message = f"Invalid value specified for property '{property_.name}' of resource '{kind.capitalize()}'. It is longer than"
        raise bad_request(TOO_LONG, f"{message} {property_.longest}.")
    _single(directory, kind, property_.name, value)
    return value


def _is(property_: Property, value: Any) -> bool:
    if isinstance(value, bool) and property_.type != "flag":
        return False
    if property_.type == "time":
        return isinstance(value, str) and _TIME.fullmatch(value) is not None
    return isinstance(value, _TYPES[property_.type])


def _edm(property_: Property) -> str:
    names = {"text": "Edm.String", "flag": "Edm.Boolean", "time": "Edm.DateTimeOffset", "number": "Edm.Int32", "thing": "a complex type"}
    return f"Collection({names[property_.type]})" if property_.many else names[property_.type]


def _single(directory: Directory, kind: str, name: str, value: Any) -> None:
    """The rules of one value."""
    if name == "userPrincipalName":
        _principal_name(directory, value)
    elif name == "usageLocation" and not re.fullmatch("[A-Z]{2}", value):
        raise _invalid(USAGE_LOCATION, name)
    elif name == "businessPhones" and len(value) > 1:
        raise _invalid(ONE_PHONE, name)
    elif name == "onPremisesImmutableId" and re.search(r"[$_]", value):
        raise _invalid(IMMUTABLE_ID, name)
    elif name == "displayName" and not value.strip():
        raise _invalid(NOT_CLEARED, name)
    elif name == "mailNickname" and (not value or (kind == "group" and re.search(r"[@()\\\[\]\";:.<>, ]", value)) or not value.isascii()):
        raise _invalid(MAIL_NICKNAME, name)
    elif name == "onPremisesExtensionAttributes":
        for inner, text in value.items():
            if inner not in EXTENSION_ATTRIBUTES or not isinstance(text, (str, type(None))):
                raise bad_request(
                    PROPERTY, f"The property '{inner}' does not exist on type 'microsoft.graph.onPremisesExtensionAttributes'."
                )


def _principal_name(directory: Directory, value: str) -> None:
    if not _UPN.fullmatch(value) or value.split("@")[0].endswith("."):
        raise _invalid(UPN_CHARACTERS, "userPrincipalName")
    domain = directory.domains.get(value.rpartition("@")[2].casefold())
    if domain is None or not domain["isVerified"]:
        message = (
            "The domain portion of the userPrincipalName property is invalid."
            " You must use one of the verified domain names in your organization."
        )
        raise bad_request(UPN_DOMAIN, message, details=[{"target": "userPrincipalName", "code": "InvalidValue"}])


def _invalid(rule: Any, name: str) -> Refused:
    """The text that most single values are refused with."""
    return bad_request(
        rule, f"Invalid value specified for property '{name}' of resource.", details=[{"target": name, "code": "InvalidValue"}]
    )
