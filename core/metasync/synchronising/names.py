"""Every attribute that a profile names must be one that its directory has (law 1): what no import can ever bring is a slip of the pen, and
would be taken for empty. Only the directories know, so this is asked once each was imported; what may grow columns has every attribute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from metasync.contract import Kind, KindSchema, Schema
from metasync.expressions import compile_expression, is_bare
from metasync.expressions.errors import meant
from metasync.synchronising.needs import PEOPLE, kind_schema, prepare_matchers, standardised
from metasync.synchronising.pairing import ANCHOR, pairing_attributes

if TYPE_CHECKING:
    from metasync.engagement.model import Engagement, Profile
    from metasync.host import Host

ALWAYS = frozenset({"anchor", "privileged"})
"""What every object has, whatever its directory calls it."""


def unknown_names(engagement: Engagement, host: Host, schemas: Mapping[str, Schema], profile: Profile) -> list[str]:
    """What a profile names and its directories do not have, each in words behind its key in the document, in the document's order."""
    found: dict[str, None] = {}
    for key, directory, kinds, attribute in _named(engagement, host, schemas, profile):
        if wrong := _unknown(schemas, directory, kinds, attribute):
            found[f"profiles.{profile.name}.{key}: {wrong}"] = None
    return list(found)


def unknown_keys(engagement: Engagement, schemas: Mapping[str, Schema]) -> list[str]:
    """Waves by an attribute that none of their people's directories has, each in words behind its key in the document."""
    sources = dict.fromkeys(name for one in engagement.profiles.values() if one.source_kind in PEOPLE for name in one.sources)
    found = []
    for wave in engagement.waves.values():
        wrong = [_unknown(schemas, name, PEOPLE, wave.key) for name in sources if name in schemas]
        if wrong and all(wrong):
            found.append(f"waves.{wave.name}.key: {'; '.join(wrong)}")
    return found


def unknown(schema: KindSchema, directory: str, attribute: str) -> str:
    """That the directory has no such attribute of this kind, in words; "" where it has. `attribute` may be an alias."""
    return "" if _has(schema, attribute) else f"{directory} has no attribute {attribute} of a {schema.kind}{_meant([schema], attribute)}"


def _unknown(schemas: Mapping[str, Schema], directory: str, kinds: tuple[Kind, ...], attribute: str) -> str:
    known = [one for kind in kinds if (one := kind_schema(schemas, directory, kind)) is not None]
    if not known or any(_has(one, attribute) for one in known):
        return ""  # a kind that the directory does not have is named elsewhere
    if len(known) == 1:
        return unknown(known[0], directory, attribute)
    return f"{directory} has no attribute {attribute}{_meant(known, attribute)}"


def _has(schema: KindSchema, attribute: str) -> bool:
    return schema.open or attribute in ALWAYS or attribute in schema.attributes or attribute in standardised(schema).attributes


def _meant(schemas: list[KindSchema], attribute: str) -> str:
    return meant(attribute, sorted({name for one in schemas for name in (*one.attributes, *standardised(one).attributes)}))


def _named(
    engagement: Engagement, host: Host, schemas: Mapping[str, Schema], profile: Profile
) -> Iterator[tuple[str, str, tuple[Kind, ...], str]]:
    """(key in the profile, directory, kinds of which one must have it, attribute)."""
    for key, text in _expressions(profile):
        yield from _read(engagement, host, schemas, profile, key, text)
    for merge in profile.merge:
        yield f"merge.{merge.directory}.on", merge.directory, (profile.source_kind,), merge.key
    for number, (rule, matcher) in enumerate(prepare_matchers(profile, host)):
        key = f"match[{number}]"
        for text in matcher.sources:
            yield from _read(engagement, host, schemas, profile, key, f"source.{text}" if is_bare(text) else text)
        kinds = tuple(schemas[profile.target].kinds) if rule.skip_other_kinds and profile.target in schemas else (profile.target_kind,)
        for text in matcher.targets:
            for _, attribute in [("target", text)] if is_bare(text) else _arguments(engagement, host, text):
                yield key, profile.target, kinds, attribute
    if (pair := pairing_attributes(engagement, profile.target)) is not None:
        source, target = pair
        for directory in profile.sources if source != ANCHOR else ():
            yield "joins", directory, (profile.source_kind,), source
        if target != ANCHOR:
            yield "joins", profile.target, (profile.target_kind,), target
    for attribute in profile.map:
        yield f"map.{attribute}", profile.target, (profile.target_kind,), attribute


def _expressions(profile: Profile) -> Iterator[tuple[str, str]]:
    """(key in the profile, expression), but those of `match:`."""
    if profile.scope.where:
        yield "scope.where", profile.scope.where
    for merge in profile.merge:
        yield f"merge.{merge.directory}.on.{merge.key}", merge.expression
    for attribute, mapping in profile.map.items():
        yield f"map.{attribute}", mapping.expression
        if mapping.when:
            yield f"map.{attribute}.when", mapping.when
    if profile.place and profile.place.expression:
        yield "place", profile.place.expression
    for cause, steps in profile.leaving.items():
        for step in steps:
            for text in step.texts:
                yield f"leaving.{cause.value}", text


def _arguments(engagement: Engagement, host: Host, text: str) -> tuple[tuple[str, str], ...]:
    return tuple(compile_expression(text, rewrites=host.rewrites, roots=engagement.roots).arguments)


def _read(
    engagement: Engagement, host: Host, schemas: Mapping[str, Schema], profile: Profile, key: str, text: str
) -> Iterator[tuple[str, str, tuple[Kind, ...], str]]:
    for root, attribute in _arguments(engagement, host, text):
        if root == "mv":
            ranking = engagement.metaverse.get(profile.source_kind, {}).get(attribute)
            for directory, one in ranking.contributors if ranking else ():
                yield key, directory, (profile.source_kind,), one
        elif root == "source":
            for directory in profile.sources:
                yield key, directory, (profile.source_kind,), attribute
        elif root in profile.sources:
            yield key, root, (profile.source_kind,), attribute
        elif root in ("target", profile.target):
            yield key, profile.target, (profile.target_kind,), attribute
        elif root in schemas:
            yield key, root, tuple(schemas[root].kinds), attribute
