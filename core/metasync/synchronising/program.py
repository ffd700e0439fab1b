"""A program is a profile compiled for one of its sources: straight Python from our own templates, made once, run for every object.

What users write enters as constants (attribute names by `repr`, expressions as functions bound by name), never as code. The source text is
registered in `linecache`, so that a traceback shows it. `interpret` computes the same slowly, with reasons; a test holds the two equal.
"""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from metasync.contract import Allow, AttributeSchema, KindSchema, Lookup, Matcher, MetasyncError, Role, Schema, Type
from metasync.dn import mirrored
from metasync.engagement.model import LeavingStep, Strength
from metasync.expressions import KEEP, Expression, ExpressionError, compile_expression, is_bare, rewrite_pipeline, tidy
from metasync.store import codec
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.fit import shaper
from metasync.synchronising.needs import canonical, kind_schema, standardised

if TYPE_CHECKING:
    from metasync.engagement.model import Engagement, Mapping_, MatchRule, Merge, Profile
    from metasync.host import Host

Environment = Mapping[str, Mapping[str, Any]]
"""root -> attribute -> value: `source`, `target`, `mv`, `wave`, and each directory by name."""

Run = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any], Mapping[str, Any], Environment], Any]
"""What the template makes: (source, target, mv, wave, environment) -> wanted values, in the order of `Program.expressions`."""

NOTHING: Mapping[str, Any] = {}
MEMBERS = "members"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceMapping:
    """A mapping whose values are references: they follow identities, not names."""

    attribute: str
    contributors: tuple[tuple[str, str], ...]
    """(root, attribute), all of whose links count (a union), or the first that has any."""
    union: bool
    mapping: Mapping_
    condition: Expression | None = None
    """Where it is not true, the references are left alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchProgram:
    """One rule of `match:`."""

    rule: MatchRule
    matcher: Matcher
    sources: tuple[Expression, ...]
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeProgram:
    """One entry of `merge:`."""

    merge: Merge
    expression: Expression
    pipeline: Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where things are now: containers that the document names, after they may have been renamed."""

    under: tuple[str, ...] = ()
    mirror: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Program:
    """One profile, ready to run for objects of one source directory."""

    profile: Profile
    source: str
    source_schema: KindSchema | None
    target_schema: KindSchema
    places: Places
    where: Expression | None
    place: Expression | None
    matches: tuple[MatchProgram, ...]
    merges: tuple[MergeProgram, ...]
    expressions: Mapping[str, Expression]
    """Per target attribute, of the scalar mappings."""
    pipelines: Mapping[str, Callable[[Any], Any]]
    conditions: Mapping[str, Expression]
    references: tuple[ReferenceMapping, ...]
    leaving: Mapping[str, Expression]
    """By their text: where `leaving:` moves to, and when it does."""
    mappings: Mapping[str, Mapping_]
    """By the target's standard attribute names."""
    text: str = ""
    run: Run = field(init=False, repr=False)
    sought: Run = field(init=False, repr=False)
    """Per rule of `match:`, the values that it looks for: (source, target, mv, wave, environment) -> a list of lists."""
    shape: Callable[[Sequence[Any]], dict[str, Any]] = field(init=False, repr=False)
    """Brings the wanted values of scalar mappings into the target's types: from what `run` gives, by attribute. Raises `ObjectError`."""
    unique: tuple[tuple[str, AttributeSchema, Mapping_], ...] = field(init=False, repr=False)
    """The scalar mappings of what may stand only once."""
    refused: frozenset[str] = field(init=False, repr=False)
    """What no new object may be given."""
    needed: tuple[AttributeSchema, ...] = field(init=False, repr=False)
    """What no new object can do without: its place, its name, and its anchor where it is chosen by whoever creates."""
    roots: frozenset[str] = field(init=False, repr=False)
    """What its expressions read, but those of `match:` and `leaving:`."""
    kept: str = field(init=False, repr=False)
    """Digest of how values are kept and compared: the same values may mean something else under another document or schema."""
    words: dict[str, str] = field(default_factory=dict, repr=False)
    """Per attribute, the mapping that decides about it: what `rule` has said."""

    def __post_init__(self) -> None:
        schema = self.target_schema
        self.shape = shaper(schema, {name: bool(self.mappings[name].unique) for name in self.expressions})
        known = {name: schema.attributes.get(name) or AttributeSchema(name=name) for name in self.expressions}
        self.unique = tuple((name, one, self.mappings[name]) for name, one in known.items() if one.unique or self.mappings[name].unique)
        read = [*self.expressions.values(), *self.conditions.values(), *(one for one in (self.where, self.place) if one is not None)]
        self.roots = frozenset(root for one in read for root, _ in one.arguments)
        how = [(name, one.strength, one.values, one.unique) for name, one in sorted(self.mappings.items())]
        described = codec.encode_schema(Schema(kinds={schema.kind: schema}))
        self.kept = hashlib.sha256(repr(how).encode() + described).hexdigest()
        self.refused = frozenset(name for name, one in known.items() if Allow.CREATE not in one.allow)
        self.needed = tuple(
            one
            for one in schema.attributes.values()
            if one.role in (Role.PATH, Role.NAME) or (one.role is Role.ANCHOR and Allow.CREATE in one.allow)
        )

    def rule(self, name: str) -> str:
        """The mapping that decides about an attribute, in words."""
        words = self.words.get(name)
        if words is None:
            words = self.words[name] = self._rule(name)
        return words

    def _rule(self, name: str) -> str:
        mapping = self.mappings.get(name)
        if mapping is None:
            return "place" if name == "path" else ""
        steps = "".join(f" | {call.name}" for call in mapping.rewrite)
        strength = "" if mapping.strength is Strength.ENFORCED else f" ({mapping.strength.value})"
        return f"{self.profile.name}: {mapping.expression}{steps}{strength}"

    def in_where(self, environment: Environment) -> bool:
        """Does the object satisfy `where:`? Raises `ObjectError`: an error in a scope never means "left"."""
        if self.where is None:
            return True
        answer = evaluate(self.where, environment, "scope", self.source_schema)
        if answer is None:
            return False
        if not isinstance(answer, bool):
            raise ObjectError("scope", f"`where` must yield true or false, and yields {type(answer).__name__} here: {self.where.text}")
        return answer

    def leaves_by(self, step: LeavingStep, environment: Environment) -> bool:
        """Is this step of leaving to be taken? Raises `ObjectError`: an error is no answer to that."""
        return step.when is None or evaluate(self.leaving[step.when], environment, "leaving", self.source_schema) is True

    def lookups(self, environment: Environment) -> list[Sequence[Lookup]]:
        """What each rule looks for, in the order of the rules. Empty keys never match."""
        get = environment.get
        values = self.sought(environment["source"], get("target", NOTHING), get("mv", NOTHING), get("wave", NOTHING), environment)
        return [
            [lookup for lookup in match.matcher.lookups(of_rule) if tidy(lookup.value) is not None]
            for match, of_rule in zip(self.matches, values, strict=True)
        ]

    def merge_key(self, merge: MergeProgram, environment: Environment) -> Any:
        """The value that the further source's key must have, or None."""
        value = evaluate(merge.expression, environment, "merge", self.source_schema)
        try:
            return tidy(merge.pipeline(value))
        except ExpressionError as error:
            raise ObjectError("merge", str(error)) from error

    def new_place(self, environment: Environment) -> str | None:
        """Where a new object belongs, or None where the profile does not say."""
        if self.place is not None:
            value = tidy(evaluate(self.place, environment, "place", self.source_schema))
            if value is None or isinstance(value, str):
                return value
            raise ObjectError("place", f"`place` must yield one path, and yields {type(value).__name__} here")
        if not self.places.mirror:
            return None
        path = environment["source"].get("path")
        if not isinstance(path, str):
            raise ObjectError("place", "the object has no path to mirror")
        for base in sorted(self.places.mirror, key=len, reverse=True):
            place = mirrored(path, base, self.places.mirror[base])
            if place is not None:
                return place
        raise ObjectError("place", f"{path} lies below none of the paths that `place: mirror:` names")

    def desired(self, environment: Environment) -> Sequence[Any]:
        """For each of `expressions`: a value, None (nothing), CLEAR or KEEP. Raises `ObjectError`."""
        get = environment.get
        values: Sequence[Any] = self.run(
            environment["source"], get("target", NOTHING), get("mv", NOTHING), get("wave", NOTHING), environment
        )
        return values


def evaluate(expression: Expression, environment: Environment, at: str, source_schema: KindSchema | None) -> Any:
    """The value of an expression, for places where speed does not count."""
    try:
        return expression.call(*(value_of(environment, root, attribute, source_schema) for root, attribute in expression.arguments))
    except ExpressionError as error:
        raise ObjectError(at, str(error)) from error


def value_of(environment: Environment, root: str, attribute: str, source_schema: KindSchema | None) -> Any:
    """One value that an expression names; an absent attribute, and an absent partner's, is None."""
    return environment.get(root, NOTHING).get(canonical(source_schema, attribute) if root == "source" else attribute)


def compile_program(
    engagement: Engagement, host: Host, schemas: Mapping[str, Schema], profile: Profile, source: str, places: Places
) -> Program:
    """Compile a profile for one of its sources. The document was checked when it was loaded; what only the directories know is checked
    here."""
    roots = engagement.roots
    target_schema = kind_schema(schemas, profile.target, profile.target_kind)
    if target_schema is None:
        raise MetasyncError(f"{profile.target} has no objects of the kind {profile.target_kind}, which the profile {profile.name} writes")
    source_schema = kind_schema(schemas, source, profile.source_kind)

    def compiled(text: str) -> Expression:
        return compile_expression(text, rewrites=host.rewrites, roots=roots)

    mappings = {canonical(target_schema, name): mapping for name, mapping in profile.map.items()}
    target_schema = standardised(target_schema)
    references = [
        found for name, mapping in mappings.items() if (found := _reference(engagement, profile, target_schema, name, mapping, compiled))
    ]
    by_reference = {one.attribute for one in references}
    scalar = {name: mapping for name, mapping in mappings.items() if name not in by_reference}
    matches = []
    for rule in profile.match:
        matcher = host.matchers[rule.matcher](rule.options)
        words = ", ".join(f"{one} = {other}" for one, other in zip(matcher.sources, matcher.targets, strict=False))
        sources = tuple(compiled(f"source.{text}" if is_bare(text) else text) for text in matcher.sources)
        matches.append(MatchProgram(rule=rule, matcher=matcher, sources=sources, words=words))
    program = Program(
        profile=profile,
        source=source,
        source_schema=source_schema,
        target_schema=target_schema,
        places=places,
        where=compiled(profile.scope.where) if profile.scope.where else None,
        place=compiled(profile.place.expression) if profile.place and profile.place.expression else None,
        matches=tuple(matches),
        merges=tuple(
            MergeProgram(merge=merge, expression=compiled(merge.expression), pipeline=rewrite_pipeline(merge.rewrite, host.rewrites))
            for merge in profile.merge
        ),
        expressions={name: compiled(mapping.expression) for name, mapping in scalar.items()},
        pipelines={name: rewrite_pipeline(mapping.rewrite, host.rewrites) for name, mapping in scalar.items() if mapping.rewrite},
        conditions={name: compiled(mapping.when) for name, mapping in scalar.items() if mapping.when},
        references=tuple(references),
        leaving={text: compiled(text) for steps in profile.leaving.values() for step in steps for text in step.texts},
        mappings=mappings,
    )
    _generate(program)
    return program


def _reference(
    engagement: Engagement, profile: Profile, schema: KindSchema, name: str, mapping: Mapping_, compiled: Callable[[str], Expression]
) -> ReferenceMapping | None:
    known = schema.attributes.get(name)
    if name != MEMBERS and not (known and known.type is Type.REFERENCE):
        return None
    plain = compiled(mapping.expression).plain
    if plain is None or mapping.rewrite:
        raise MetasyncError(
            f"{profile.name}: {name} holds references, which follow identities: write one attribute, such as `source.{name}`, "
            "without rewrites"
        )
    root, attribute = plain
    ranking = engagement.metaverse.get(profile.source_kind, {}).get(attribute) if root == "mv" else None
    own = ((root, attribute),) if root != "mv" else ()
    return ReferenceMapping(
        attribute=name,
        contributors=ranking.contributors if ranking else own,
        union=bool(ranking and ranking.union),
        mapping=mapping,
        condition=compiled(mapping.when) if mapping.when else None,
    )


def _generate(program: Program) -> None:
    """Write the functions that compute all scalar mappings, and what the rules of `match:` look for."""
    names: dict[str, Any] = {"ExpressionError": ExpressionError, "ObjectError": ObjectError, "KEEP": KEEP, "tidy": tidy, "NOTHING": NOTHING}
    own = {"source", "target", "mv", "wave"}
    matching = [one for match in program.matches for one in match.sources]
    every = (*program.expressions.values(), *program.conditions.values(), *matching)
    others = sorted({root for one in every for root, _ in one.arguments} - own)
    locals_ = {root: f"other{number}" for number, root in enumerate(others)}

    def look_up(root: str, attribute: str) -> str:
        attribute = canonical(program.source_schema, attribute) if root == "source" else attribute
        return f"{locals_.get(root, root)}.get({attribute!r})"

    def call(prefix: str, number: int, expression: Expression) -> str:
        names[f"{prefix}{number}"] = expression.call
        return f"{prefix}{number}({', '.join(look_up(*argument) for argument in expression.arguments)})"

    def tidied(value: str) -> str:
        # Nearly all is text, of which there is nothing to be tidied.
        return f"(found if (found := {value}).__class__ is str and found else tidy(found))"

    begin = [f"    {local} = environment.get({root!r}, NOTHING)" for root, local in locals_.items()]
    lines = ["def desired(source, target, mv, wave, environment):", *begin, "    try:", "        at = ''"]
    for number, (name, expression) in enumerate(program.expressions.items()):
        value = look_up(*expression.plain) if expression.plain else tidied(call("expression", number, expression))
        pipeline = program.pipelines.get(name)
        if pipeline is not None:
            names[f"pipeline{number}"] = pipeline
            value = tidied(f"pipeline{number}({value})")
        condition = program.conditions.get(name)
        if condition is not None:
            value = f"{value} if {call('condition', number, condition)} is True else KEEP"
        if not expression.plain or pipeline or condition:
            lines.append(f"        at = {name!r}")
        lines.append(f"        value{number} = {value}")
    lines += ["    except ExpressionError as error:", "        raise ObjectError(at, str(error)) from error"]
    lines += [f"    return [{', '.join(f'value{number}' for number in range(len(program.expressions)))}]", ""]
    lines += ["def sought(source, target, mv, wave, environment):", *begin, "    try:", "        return ["]
    number = 0
    for match in program.matches:
        values = []
        for expression in match.sources:
            values.append(f"tidy({look_up(*expression.plain) if expression.plain else call('sought', number, expression)})")
            number += 1
        lines.append(f"            [{', '.join(values)}],")
    lines += ["        ]", "    except ExpressionError as error:", "        raise ObjectError('match', str(error)) from error", ""]
    program.text = "\n".join(lines)
    filename = f"<profile {program.profile.name} from {program.source}>"
    linecache.cache[filename] = (len(program.text), None, [line + "\n" for line in lines], filename)
    exec(compile(program.text, filename, "exec"), names)  # noqa: S102 - our own template; users' text is bound as constants
    program.run, program.sought = names["desired"], names["sought"]
