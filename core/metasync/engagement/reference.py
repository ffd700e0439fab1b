"""The reference of the document, read from its schemas: every key, what it means, what is allowed there. The docs are generated from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from metasync.engagement.defaults import LIMITS
from metasync.engagement.fields import Many, OneOrMany, Part, Section, Table
from metasync.engagement.schema import DocumentSection


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceRow:
    """One key, as the reference in the docs shows it."""

    key: str
    title: str
    help: str
    form: str
    """What is allowed."""
    required: bool
    advanced: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceSection:
    """One part of the document."""

    path: str
    """Where it stands: `profiles.NAME.map.NAME`."""
    title: str
    rows: tuple[ReferenceRow, ...]


def reference() -> list[ReferenceSection]:
    """The whole language, part by part from the outside in; the docs are generated from it."""
    return [*_sections(DocumentSection, ""), _limits()]


def _sections(schema: type[Section], path: str) -> Iterator[ReferenceSection]:
    rows: list[ReferenceRow] = []
    below: list[tuple[type[Section], str]] = []
    for name, field in schema().fields.items():
        key = field.data_key or name
        below.extend((part, f"{path}.{key}{steps}".lstrip(".")) for part, steps in _parts(field))
        rows.append(
            ReferenceRow(
                key=key,
                title=field.metadata["title"],
                help=field.metadata["help"],
                form=getattr(field, "form", ""),
                required=field.required,
                advanced=bool(field.metadata.get("advanced")),
            )
        )
    yield ReferenceSection(path=path, title=schema.title, rows=tuple(rows))
    for part, where in below:
        yield from _sections(part, where)


def _parts(field: Any) -> Iterator[tuple[type[Section], str]]:
    if isinstance(field, Part):
        yield field.schema, ""
    elif isinstance(field, Table) and field.inner is not None:
        yield from ((part, f".NAME{steps}") for part, steps in _parts(field.inner))
    elif isinstance(field, (Many, OneOrMany)):
        yield from ((part, f"[]{steps}") for part, steps in _parts(field.inner))


def _limits() -> ReferenceSection:
    """The defaults of `limits:`."""
    rows = tuple(
        ReferenceRow(
            key=operation,
            title=operation,
            help=", ".join(
                text
                for text in (
                    f"count {limit.count}" if limit.count is not None else "",
                    f"percent {limit.percent:g}" if limit.percent is not None else "",
                )
                if text
            ),
            form="`{count: NUMBER, percent: NUMBER}`",
            required=False,
            advanced=False,
        )
        for operation, limit in LIMITS.items()
    )
    return ReferenceSection(path="profiles.NAME.limits", title="default limits", rows=rows)
