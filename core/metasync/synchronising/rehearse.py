"""What the expressions of a document make of the objects that were imported: a warning for each that fails, or is null, for more than
one object in a hundred. `metasync check` shows them, so that a misspelt attribute is seen before a plan is.

Only what a source object decides by itself is tried: expressions that read the target, the metaverse, waves or references wait for a plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from metasync.contract import KindSchema, Schema, Type
from metasync.engagement.model import Engagement, Profile
from metasync.expressions import Expression, ExpressionError, compile_expression
from metasync.store import looking
from metasync.synchronising.names import unknown_keys, unknown_names
from metasync.synchronising.needs import canonical, kind_schema

if TYPE_CHECKING:
    from metasync.host import Host

SHARE = 0.01
MOST = 50_000
"""Objects of one directory that are tried at most: enough to know a share, and quick."""


@dataclass(kw_only=True, slots=True)
class _Tried:
    """One expression, and what became of it."""

    key: str
    expression: Expression
    attributes: tuple[str, ...]
    tried: int = 0
    failed: int = 0
    null: int = 0
    why: str = ""
    first: str = ""

    def ask(self, attributes: Mapping[str, Any], anchor: str) -> Any:
        """The value; an error is None, and counted."""
        self.tried += 1
        try:
            value = self.expression.call(*(attributes.get(name) for name in self.attributes))
        except ExpressionError as error:
            self.failed += 1
            self.why, self.first = self.why or str(error), self.first or anchor
            return None
        self.null += value is None
        return value

    def warnings(self, profile: str, source: str, *, null_matters: bool) -> Iterator[str]:
        """In words, where there are too many."""
        where = f"profiles.{profile}.{self.key}"
        if self.failed > self.tried * SHARE:
            share, example = _percent(self.failed, self.tried), f"{source}/{self.first}"
            yield f"{where}: `{self.expression.text}` fails for {share} of the objects of {source}, such as {example}: {self.why}"
        if null_matters and self.null > self.tried * SHARE:
            yield f"{where}: `{self.expression.text}` is null for {_percent(self.null, self.tried)} of the objects of {source} in scope"


def rehearse(
    connection: Connection, engagement: Engagement, host: Host, directory_ids: Mapping[str, int], schemas: Mapping[str, Schema]
) -> list[str]:
    """The warnings for every profile whose source was imported."""
    found = unknown_keys(engagement, schemas)
    for profile in engagement.profiles.values():
        found += unknown_names(engagement, host, schemas, profile)
        for source in profile.sources:
            schema = kind_schema(schemas, source, profile.source_kind)
            if source in directory_ids and schema is not None:
                found += _of_source(connection, engagement, host, profile, source, directory_ids[source], schema)
    return found


def _of_source(
    connection: Connection, engagement: Engagement, host: Host, profile: Profile, source: str, directory_id: int, schema: KindSchema
) -> Iterator[str]:
    def tried(key: str, text: str) -> _Tried | None:
        expression = compile_expression(text, rewrites=host.rewrites, roots=engagement.roots)
        if any(root not in ("source", source) for root, _ in expression.arguments):
            return None
        names = tuple(canonical(schema, attribute) for _, attribute in expression.arguments)
        references = (schema.attributes.get(name) for name in names)
        if any(known is not None and known.type is Type.REFERENCE for known in references):
            return None
        return _Tried(key=key, expression=expression, attributes=names)

    scope = tried("scope.where", profile.scope.where) if profile.scope.where else None
    wanted = {f"map.{name}": mapping.expression for name, mapping in profile.map.items()}
    if profile.place is not None and profile.place.expression:
        wanted["place"] = profile.place.expression
    mappings = [one for key, text in wanted.items() if (one := tried(key, text)) is not None]
    for _, anchor, attributes in islice(looking.images(connection, directory_id, profile.source_kind.value), MOST):
        if scope is None or scope.ask(attributes, anchor) is True:
            for one in mappings:
                one.ask(attributes, anchor)
    if scope is not None:
        yield from scope.warnings(profile.name, source, null_matters=False)
    for one in mappings:
        yield from one.warnings(profile.name, source, null_matters=True)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}%" if part < whole else "all"
