"""Options are data: a marshmallow schema is the one source of the document, the command line, the form and the docs.

A field's `metadata` holds `title` and `help` (required), `group`, `advanced`, `secret`, and `path`: True where it names a file, so that a
relative one is taken from the document's folder. An option that holds a secret is a `Secret` field: a literal is refused, `{secret: NAME}`
becomes a `SecretReference` that `Context.secret` resolves at the moment of use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, missing


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretReference:
    """The name of a secret, never the secret."""

    name: str


class Secret(fields.Field[SecretReference]):
    """`{secret: NAME}` in the document; a literal is refused."""

    def __init__(
        self,
        *,
        title: str,
        help: str,  # noqa: A002 - the word that the metadata uses
        required: bool = False,
        **metadata: Any,
    ) -> None:
        super().__init__(
            required=required,
            load_default=missing if required else None,
            metadata={"title": title, "help": help, "secret": True, **metadata},
        )

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> SecretReference:
        if isinstance(value, SecretReference):
            return value
        if isinstance(value, Mapping) and set(value) == {"secret"} and isinstance(value["secret"], str) and value["secret"]:
            return SecretReference(name=value["secret"])
        raise ValidationError("a secret is written as a reference, {secret: NAME}; set it with `metasync secrets set NAME`")

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else {"secret": value.name}


class Options(Schema):
    """Base of every options schema: unknown keys are refused."""

    class Meta:
        unknown = RAISE


def option(
    field: Any,
    *,
    title: str,
    help: str,  # noqa: A002 - the word that the metadata uses
    group: str = "",
    advanced: bool = False,
) -> Any:
    """Give a marshmallow field its title, help, group and whether it is advanced."""
    field.metadata.update({"title": title, "help": help, "group": group, "advanced": advanced})
    return field
