"""What an engagement needs of each directory: kinds, attributes, look-up keys, and who must be told when an object changes.

Importing asks this before it reads; synchronising asks it to know that everything it needs was imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from metasync.contract import ELSEWHERE, Kind, KindSchema, Reference, Schema, Type, Unique, Values
from metasync.expressions import Expression, ExpressionError, compile_expression, is_bare
from metasync.store.normalise import normalise
from metasync.synchronising.pairing import ANCHOR, pairing_attributes

if TYPE_CHECKING:
    from metasync.contract import Matcher
    from metasync.engagement.model import Engagement, MatchRule, Profile
    from metasync.host import Host

STANDARD = ("name", "path", "enabled", "displayName", "mail", "privileged", "adminCount")
"""Always wanted where the directory has them: for labels, places, protection and leaving."""

ADDRESSES = "proxyAddresses"
FORMER_NAME = "legacyExchangeDN"
"""What goes over from an object that gives way to another, where the directory has it."""

PEOPLE = (Kind.USER, Kind.GUEST, Kind.CONTACT)
"""Kinds that stand for people, who may move in waves."""

BETWEEN = "\x1f"

KeyFunction = Callable[[Mapping[str, Values]], Sequence[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """A look-up that the index answers: the normalised values that an object is found by."""

    name: str
    """An attribute; `ATTRIBUTE@path` for what is unique per parent; `=` and an expression of the target."""
    kinds: frozenset[Kind] | None
    """None: every kind."""
    function: KeyFunction


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectoryNeeds:
    """What is needed of one directory."""

    kinds: frozenset[Kind]
    attributes: Mapping[Kind, frozenset[str]]
    under: tuple[str, ...]
    keys: tuple[Key, ...]

    def keys_of(self, kind: Kind, attributes: Mapping[str, Values]) -> list[tuple[str, str]]:
        """(key name, normalised value) of one object; empty values never match and are left out."""
        return [
            (key.name, value) for key in self.keys if key.kinds is None or kind in key.kinds for value in key.function(attributes) if value
        ]


def canonical(schema: KindSchema | None, attribute: str) -> str:
    """The standard name of an attribute: `cn` is `name` where the directory says so."""
    known = schema.attributes.get(attribute) if schema else None
    return known.alias if known and known.alias else attribute


def standardised(schema: KindSchema) -> KindSchema:
    """The schema by standard names alone, as images and changes use them."""
    return replace(
        schema,
        attributes={known.alias or name: replace(known, name=known.alias or name, alias=None) for name, known in schema.attributes.items()},
    )


def kind_schema(schemas: Mapping[str, Schema], directory: str, kind: Kind) -> KindSchema | None:
    """The schema of one kind, or None if the directory lacks it or was never asked."""
    schema = schemas.get(directory)
    return schema.kinds.get(kind) if schema else None


def profiles_by_source(engagement: Engagement) -> Mapping[tuple[str, Kind], tuple[str, ...]]:
    """(directory, kind) -> the profiles whose source such objects are."""
    found: dict[tuple[str, Kind], list[str]] = {}
    for profile in engagement.profiles.values():
        for source in profile.sources:
            found.setdefault((source, profile.source_kind), []).append(profile.name)
    return {key: tuple(names) for key, names in found.items()}


def texts_of(profile: Profile) -> list[str]:
    """The expressions of a profile, but those of `match:`, which read its source and its target alone."""
    texts = [merge.expression for merge in profile.merge] + [mapping.expression for mapping in profile.map.values()]
    texts += [mapping.when for mapping in profile.map.values() if mapping.when]
    texts += [profile.scope.where] if profile.scope.where else []
    texts += [profile.place.expression] if profile.place and profile.place.expression else []
    return texts + [text for steps in profile.leaving.values() for step in steps for text in step.texts]


def directories_read(engagement: Engagement, host: Host, profile: Profile) -> tuple[str, ...]:
    """The directories that a profile needs: where it starts and ends, what it merges, and whatever its expressions name."""
    read = [profile.target, *profile.sources, *(merge.directory for merge in profile.merge)]
    return tuple(dict.fromkeys([*read, *(directory for directory, _ in _values_read(engagement, host, profile))]))


def directories_named(engagement: Engagement, host: Host, profile: Profile, schemas: Mapping[str, Schema]) -> tuple[str, ...]:
    """The directories whose objects a profile's references may name (`ELSEWHERE`): what they mean is known once all of these were
    imported. One that no profile reads holds nobody whom they could mean."""
    connectors = {
        engagement.directories[directory].connector
        for directory, attribute in _values_read(engagement, host, profile)
        if directory in schemas
        for schema in map(standardised, schemas[directory].kinds.values())
        if (known := schema.attributes.get(attribute)) is not None and known.elsewhere
    }
    if not connectors:
        return ()
    reading = profiles_reading(engagement, host)
    return tuple(name for name, one in engagement.directories.items() if one.connector in connectors and reading[name])


def _values_read(engagement: Engagement, host: Host, profile: Profile) -> Iterator[tuple[str, str]]:
    """(directory, attribute) of whatever a profile's expressions name."""
    roots, rankings = engagement.roots, engagement.metaverse.get(profile.source_kind, {})
    for text in texts_of(profile):
        for root, attribute in compile_expression(text, rewrites=host.rewrites, roots=roots).arguments:
            if root == "mv" and attribute in rankings:
                yield from rankings[attribute].contributors
            elif root == "source":
                yield from ((source, attribute) for source in profile.sources)
            elif root in engagement.directories:
                yield root, attribute


def profiles_reading(engagement: Engagement, host: Host) -> Mapping[str, tuple[str, ...]]:
    """directory -> the profiles that must look again at an identity when its object there changes."""
    found: dict[str, set[str]] = {name: set() for name in engagement.directories}
    for profile in engagement.profiles.values():
        for directory in directories_read(engagement, host, profile):
            found[directory].add(profile.name)
    return {directory: tuple(sorted(names)) for directory, names in found.items()}


def profiles_of_waves(engagement: Engagement, host: Host) -> frozenset[str]:
    """The profiles that read `wave`, also where the document names no wave any more: who moves on is looked at again by these."""
    roots = engagement.roots

    def reads(profile: Profile) -> bool:
        texts = texts_of(profile)
        texts += [text for _, matcher in prepare_matchers(profile, host) for text in matcher.sources if not is_bare(text)]
        named = [text for text in texts if "wave" in text]
        return any(root == "wave" for text in named for root, _ in compile_expression(text, rewrites=host.rewrites, roots=roots).arguments)

    return frozenset(name for name, profile in engagement.profiles.items() if reads(profile))


def prepare_matchers(profile: Profile, host: Host) -> list[tuple[MatchRule, Matcher]]:
    """The rules of `match:` with their matchers."""
    return [(rule, host.matchers[rule.matcher](rule.options)) for rule in profile.match]


def target_key(text: str) -> str:
    """The name in the index of a match rule's target side."""
    return text if is_bare(text) else "=" + text


@dataclass(frozen=True, slots=True)
class PlainKey:
    """All values of an attribute."""

    attribute: str

    def __call__(self, attributes: Mapping[str, Values]) -> Sequence[str]:
        value = attributes.get(self.attribute)
        if value is None:
            return ()
        return [normalise(one) for one in value] if isinstance(value, tuple) else [normalise(value)]


def parent_key(attribute: str) -> KeyFunction:
    """All values of an attribute, each behind the object's parent."""
    plain = PlainKey(attribute)

    def values(attributes: Mapping[str, Values]) -> Sequence[str]:
        return [in_parent(attributes.get("path"), value) for value in plain(attributes) if value]

    return values


def in_parent(path: Values | None, folded: str) -> str:
    """The form in which a value that is unique per parent is looked up and reserved."""
    return (normalise(path) if isinstance(path, str) else "") + BETWEEN + folded


def expression_key(expression: Expression) -> KeyFunction:
    """What an expression of the target yields; an object for which it fails is not found by it."""

    def values(attributes: Mapping[str, Values]) -> Sequence[str]:
        try:
            value = expression.call(*(attributes.get(attribute) for _, attribute in expression.arguments))
        except ExpressionError:
            return ()
        many = value if isinstance(value, tuple) else (value,)
        return [normalise(one) for one in many if isinstance(one, (str, int, bytes, Reference))]

    return values


def directory_needs(engagement: Engagement, host: Host, schema: Schema, directory: str) -> DirectoryNeeds:
    """What the whole engagement needs of this directory, as far as the directory has it."""
    collect = _Collector(engagement, host, schema, directory)
    for profile in engagement.profiles.values():
        collect.profile(profile)
    for kind, attributes in engagement.metaverse.items():
        for ranking in attributes.values():
            collect.read(kind, (attribute for where, attribute in ranking.contributors if where == directory))
    for use in engagement.exporters:
        if directory in (use.source, use.target):
            for kind in tuple(collect.attributes):
                collect.read(kind, host.exporters[use.name].attributes)
    for wave in engagement.waves.values():
        collect.wave(wave.key)
    return collect.result()


class _Collector:
    """Gathers kinds, attributes and keys of one directory over all profiles."""

    def __init__(self, engagement: Engagement, host: Host, schema: Schema, directory: str) -> None:
        self.engagement, self.host, self.schema, self.directory = engagement, host, schema, directory
        self.standard = {kind: standardised(known) for kind, known in schema.kinds.items()}
        self.roots = engagement.roots
        self.attributes: dict[Kind, set[str]] = {}
        self.named = {attribute for ranked in engagement.metaverse.values() for one in ranked.values() for _, attribute in one.contributors}
        """What the document reads of any directory."""
        self.keys: dict[str, tuple[set[Kind] | None, KeyFunction]] = {}

    def expression(self, text: str) -> Expression:
        return compile_expression(text, rewrites=self.host.rewrites, roots=self.roots)

    def read(self, kind: Kind, attributes: Iterable[str]) -> None:
        schema = self.schema.kinds.get(kind)
        if schema is None:
            return
        wanted = self.attributes.setdefault(kind, set())
        for attribute in attributes:
            name = canonical(schema, attribute)
            known = self.standard[kind].attributes.get(name)
            if name != "anchor" and (schema.open or known):
                wanted.add(name)
            if known and known.fixed:
                wanted.add(known.fixed)

    def key(self, name: str, kinds: Iterable[Kind] | None, function: KeyFunction) -> None:
        known = self.keys.get(name)
        if known is None:
            self.keys[name] = (None if kinds is None else set(kinds), function)
        elif known[0] is not None:
            self.keys[name] = (None if kinds is None else known[0] | set(kinds), known[1])

    def profile(self, profile: Profile) -> None:
        as_source, as_target = self.directory in profile.sources, self.directory == profile.target
        merges = [merge for merge in profile.merge if merge.directory == self.directory]
        if as_source:
            self.kind(profile.source_kind)
        if as_target:
            self.kind(profile.target_kind)
        if merges:
            self.kind(profile.source_kind)
        if (as_source and (profile.scope.under or profile.place)) or (as_target and profile.place):
            self.kind(Kind.CONTAINER)
        if as_target and any(rule.skip_other_kinds for rule in profile.match):
            for kind in self.schema.kinds:
                self.kind(kind)
        for text in texts_of(profile):
            self.reads(profile, text)
        for merge in merges:
            self.read(profile.source_kind, [merge.key])
            self.key(merge.key, [profile.source_kind], PlainKey(canonical(self.schema.kinds.get(profile.source_kind), merge.key)))
        for rule, matcher in prepare_matchers(profile, self.host):
            for text in matcher.sources:
                self.reads(profile, f"source.{text}" if is_bare(text) else text)
            if as_target:
                self.match_targets(profile, matcher.targets, every_kind=rule.skip_other_kinds)
        if (pair := pairing_attributes(self.engagement, profile.target)) is not None:
            self.pair(profile, *pair, as_source=as_source, as_target=as_target)
        if as_target and (replaced := self.engagement.profiles.get(profile.replaces or "")) is not None:
            self.kind(Kind.GROUP)
            self.read(Kind.GROUP, ["members"])
            self.read(profile.target_kind, [ADDRESSES])
            self.read(replaced.target_kind, [ADDRESSES, FORMER_NAME])
        if as_target:
            self.read(profile.target_kind, profile.map)
            self.unique(profile)

    def wave(self, attribute: str) -> None:
        """People are found by what the files of waves name."""
        kinds = [kind for kind in PEOPLE if kind in self.attributes and self.knows(kind, attribute)]
        for kind in kinds:
            self.read(kind, [attribute])
        if kinds:
            self.key(attribute, kinds, PlainKey(canonical(self.schema.kinds[kinds[0]], attribute)))

    def knows(self, kind: Kind, attribute: str) -> bool:
        """Can an object of this kind have the attribute?"""
        schema = self.schema.kinds[kind]
        return attribute != ANCHOR and (schema.open or canonical(schema, attribute) in self.standard[kind].attributes)

    def pair(self, profile: Profile, source: str, target: str, *, as_source: bool, as_target: bool) -> None:
        """What a pairing file names."""
        if as_source and source != ANCHOR:
            self.read(profile.source_kind, [source])
        if as_target and target != ANCHOR:
            self.match_targets(profile, [target], every_kind=False)

    def kind(self, kind: Kind) -> None:
        schema = self.schema.kinds.get(kind)
        if schema is not None:
            directory = self.engagement.directories[self.directory]
            mark, by_name = directory.mark, kind is Kind.CONTAINER or directory.allow_privileged
            self.read(kind, [*STANDARD, *([mark] if mark else []), *(["dn"] if by_name else [])])

    def reads(self, profile: Profile, text: str) -> None:
        for root, attribute in self.expression(text).arguments:
            self.named.add(attribute)
            if root == self.directory or (root == "source" and self.directory in profile.sources):
                self.read(profile.source_kind, [attribute])
            if self.directory == profile.target and root in ("target", self.directory):
                self.read(profile.target_kind, [attribute])

    def match_targets(self, profile: Profile, targets: Sequence[str], *, every_kind: bool) -> None:
        kinds = list(self.schema.kinds) if every_kind else [profile.target_kind]
        for text in targets:
            if is_bare(text):
                for kind in kinds:
                    self.read(kind, [text])
                self.key(text, kinds, PlainKey(canonical(self.schema.kinds.get(profile.target_kind), text)))
            else:
                expression = self.expression(text)
                for kind in kinds:
                    self.read(kind, [attribute for _, attribute in expression.arguments])
                self.key("=" + text, kinds, expression_key(expression))

    def unique(self, profile: Profile) -> None:
        """What must be unique is looked up over every kind that is imported: a group may hold the name that a user wants."""
        schema = self.schema.kinds.get(profile.target_kind)
        for attribute, mapping in profile.map.items():
            name = canonical(schema, attribute)
            known = self.standard[profile.target_kind].attributes.get(name) if schema else None
            where = known.unique if known else None
            if where is None and mapping.unique:
                where = Unique.DIRECTORY
            if where is Unique.PARENT:
                self.key(f"{name}@path", None, parent_key(name))
            elif where is Unique.DIRECTORY:
                self.key(name, None, PlainKey(name))

    def elsewhere(self) -> None:
        """What other directories name objects of this one by, where the document reads such references."""
        schemas = self.standard.values()
        names = {one.elsewhere for schema in schemas for one in schema.attributes.values() if one.elsewhere and one.name in self.named}
        for name in sorted(names):
            for kind in [kind for kind in self.attributes if self.knows(kind, name)]:
                self.read(kind, [name])
                self.key(f"{ELSEWHERE}{name}", None, PlainKey(canonical(self.schema.kinds[kind], name)))

    def result(self) -> DirectoryNeeds:
        # A value that stands only once may be held by an object of any kind.
        once = {
            name
            for kind, names in self.attributes.items()
            for name in names
            if (known := self.standard[kind].attributes.get(name)) and known.unique is Unique.DIRECTORY
        }
        for kind in tuple(self.attributes):
            if kind is not Kind.CONTAINER:
                self.read(kind, once)
        for kind, attributes in self.attributes.items():
            for name in attributes:
                known = self.standard[kind].attributes.get(name)
                if known and known.unique is Unique.DIRECTORY and known.type is not Type.REFERENCE:
                    self.key(name, None, PlainKey(name))
        self.elsewhere()
        return DirectoryNeeds(
            kinds=frozenset(self.attributes),
            attributes={kind: frozenset(names) for kind, names in self.attributes.items()},
            under=(),
            keys=tuple(
                Key(name=name, kinds=None if kinds is None else frozenset(kinds), function=function)
                for name, (kinds, function) in sorted(self.keys.items())
            ),
        )
