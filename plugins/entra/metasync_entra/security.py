"""Custom security attributes: values of users in sets of the tenant's own, read and written by a permission of their own.

They are assigned by changing a user, never with a create. Whether a delta tells of them is not documented.
Source: https://learn.microsoft.com/graph/custom-security-attributes-examples
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from metasync.contract import AttributeSchema, Type
from metasync_entra.attributes import Known

SELECT = "customSecurityAttributes"
NAME = re.compile(r"(?P<set>[A-Za-z][A-Za-z0-9_]{0,31})/(?P<name>[A-Za-z][A-Za-z0-9_]{0,31})")
"""As the options write it: the set, and the attribute in it."""
TYPES = ("string", "strings", "integer", "integers", "boolean")
_TYPES = {"string": Type.STRING, "strings": Type.STRING, "integer": Type.INTEGER, "integers": Type.INTEGER, "boolean": Type.BOOLEAN}
_SET = "#Microsoft.DirectoryServices.CustomSecurityAttributeValue"
_ANNOTATIONS = {
    (Type.STRING, True): "#Collection(String)",
    (Type.INTEGER, False): "#Int32",
    (Type.INTEGER, True): "#Collection(Int32)",
}
"""What JSON does not say of a value by itself."""


def called(name: str) -> str:
    """What the document calls the attribute of an option."""
    return f"security_{name.replace('/', '_')}"


def attribute(name: str, kind: str) -> Known:
    """One attribute, of the type that the document says."""
    of_set, _, own = name.partition("/")
    many = kind.endswith("s")
    length = 64 if kind in ("string", "strings") else None
    schema = AttributeSchema(name=called(name), type=_TYPES[kind], multi=many, max_length=length, help=f"{own} of the set {of_set}.")
    return Known(schema, SELECT, inside=own, within=of_set)


def place(made: dict[str, Any], known: Known, plain: Any) -> None:
    """Put a value into the body of a request, where others of the same set may stand already."""
    values = made.setdefault(SELECT, {}).setdefault(known.within, {"@odata.type": _SET})
    annotation = _ANNOTATIONS.get((known.schema.type, known.schema.multi))
    if annotation is not None and plain not in (None, []):
        values[f"{known.inside}@odata.type"] = annotation
    values[str(known.inside)] = plain


def apart(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What goes in one request each: they take a permission of their own, the lack of which must not keep the rest from being written."""
    security = {name: value for name, value in body.items() if name == SELECT}
    rest = {name: value for name, value in body.items() if name != SELECT}
    return [one for one in (rest, security) if one]
