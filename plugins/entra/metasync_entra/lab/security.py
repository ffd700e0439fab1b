"""Custom security attributes of users: their permissions, the forms that they are assigned in, and how they are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from metasync_entra.lab.messages import Refused, Request, bad_request
from metasync_entra.lab.permissions import NEEDS, granted
from metasync_entra.lab.rules import SECURITY_DEFINED, SECURITY_HIDDEN, SECURITY_PERMISSION, SECURITY_VALUES, follows
from metasync_entra.lab.schema import Schema

PROPERTY = "customSecurityAttributes"
_SET = "#Microsoft.DirectoryServices.CustomSecurityAttributeValue"
_SHOWN = "#microsoft.graph.customSecurityAttributeValue"
_PYTHON: Mapping[str, type] = {"String": str, "Integer": int, "Boolean": bool}
_SAYS = {("String", True): "#Collection(String)", ("Integer", False): "#Int32", ("Integer", True): "#Collection(Int32)"}


def gate(request: Request, names: Collection[str]) -> None:
    """Refuse who assigns them without the permission for it."""
    if PROPERTY in names and not granted(request, NEEDS["assign security attributes"]):
        raise Refused(SECURITY_PERMISSION, 403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


@follows(SECURITY_HIDDEN)
def hidden(request: Request, names: Collection[str] | None) -> dict[str, None]:
    """What stands in an answer instead of them."""
    named = names is not None and PROPERTY in names
    return {PROPERTY: None} if named and not granted(request, NEEDS["read security attributes"]) else {}


def assigned(schema: Schema, before: Any, content: Any) -> dict[str, Any] | None:
    """What a user has from now on."""
    if not isinstance(content, Mapping):
        raise bad_request(SECURITY_VALUES, f"{PROPERTY} is a complex value.")
    kept: dict[str, Any] = {name: dict(values) for name, values in (before or {}).items()}
    for of_set, values in content.items():
        if not isinstance(values, Mapping) or values.get("@odata.type") != _SET:
            raise bad_request(SECURITY_VALUES, f"The attribute set '{of_set}' lacks its @odata.type.")
        into = kept.setdefault(of_set, {"@odata.type": _SHOWN})
        for name, value in values.items():
            if "@" not in name:
                _assign(schema, into, of_set, name, value, values.get(f"{name}@odata.type"))
        if len(into) == 1:
            del kept[of_set]
    return kept or None


def _assign(schema: Schema, into: dict[str, Any], of_set: str, name: str, value: Any, says: Any) -> None:
    known = schema.security.get((of_set, name))
    if known is None:
        raise bad_request(SECURITY_DEFINED, f"The custom security attribute '{of_set}_{name}' does not exist.")
    type_, many = known
    into.pop(f"{name}@odata.type", None)
    if value is None or value == []:
        into.pop(name, None)
        return
    several = value if many else [value]
    if not isinstance(several, list) or any(type(one) is not _PYTHON[type_] for one in several):
        raise bad_request(SECURITY_DEFINED, f"The value of '{of_set}_{name}' is not of its type.")
    if says != _SAYS.get(known):
        raise bad_request(SECURITY_VALUES, f"The value of '{of_set}_{name}' lacks its @odata.type.")
    if says is not None:
        into[f"{name}@odata.type"] = says
    into[name] = value
