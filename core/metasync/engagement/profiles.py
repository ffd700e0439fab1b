"""Profiles: from what the schema read to what the engine uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from string import Formatter
from types import MappingProxyType
from typing import Any

from marshmallow import ValidationError

from metasync.contract import Kind, Operation
from metasync.engagement.checker import Checker
from metasync.engagement.defaults import LIMITS
from metasync.engagement.document import KeyPath, one_of
from metasync.engagement.model import (
    Action,
    Approval,
    Cause,
    Leave,
    LeavingStep,
    Limit,
    Mapping_,
    MatchRule,
    Merge,
    Origin,
    Place,
    Profile,
    Returning,
    Scope,
    Several,
    Strength,
)
from metasync.engagement.times import duration
from metasync.expressions import Expression, is_bare

CUT_OVER = "cut over"
"""A state of people in waves, as expressions write it."""
CAN_BE_DISABLED = (Kind.USER, Kind.GUEST)
PLACEHOLDERS = ("value", "local", "domain", "n")
_ALLOWED_STEP = (
    "`keep`, `disable`, `delete`, `{delete: joined}`, `{move: EXPRESSION, of: joined}`, each with `after: 90 days` and `when: EXPRESSION`"
)


@dataclass(kw_only=True)
class Built:
    """One profile, and what was found out while it was checked."""

    profile: Profile
    expressions: dict[str, Expression] = field(default_factory=dict)
    """Text -> compiled: all expressions of the profile."""
    mapped: dict[str, Expression] = field(default_factory=dict)
    """Attribute -> the expression of its mapping."""
    rewrites: set[str] = field(default_factory=set)
    """Every rewrite that it uses, in pipelines or expressions."""


class ProfileBuilder:
    """Checks one profile and builds it."""

    def __init__(self, checker: Checker, name: str, data: Mapping[str, Any]) -> None:
        self.checker, self.name, self.data = checker, name, data
        self.path: KeyPath = ("profiles", name)
        self.source_kind, self.target_kind = data.get("kind", (None, None))
        self.expressions: dict[str, Expression] = {}
        self.mapped: dict[str, Expression] = {}
        self.rewrites: set[str] = set()

    def build(self) -> Built | None:
        """The profile, or None where one of its foundations (kinds, source, target) is wrong."""
        sources, target = self._sources(), self._target()
        scope, match, place = self._scope(), self._match(target), self._place()
        mappings, merge, leaving = self._map(), self._merge(sources, target), self._leaving()
        self._handed_over(mappings, leaving)
        self._standing(sources, target)
        if self.source_kind is None or not sources or target is None:
            return None
        returning = self.data.get("returning", {})
        profile = Profile(
            name=self.name,
            source_kind=self.source_kind,
            target_kind=self.target_kind,
            sources=sources,
            target=target,
            merge=merge,
            scope=scope,
            match=match,
            action=self.data.get("action", Action.CREATE_OR_UPDATE),
            place=place,
            map=MappingProxyType(mappings),
            leaving=MappingProxyType(leaving),
            returning=Returning(
                enable=returning.get("enable", "disabled by us") != "never", rejoin=returning.get("recreated", "rejoin") != "never"
            ),
            limits=MappingProxyType(self._limits()),
            approval=self.data.get("approval", Approval.ALWAYS),
            staging=self.data.get("mode") == "staging",
            schedule=self.data.get("schedule"),
            replaces=self.data.get("replaces"),
            disjoint=self.data.get("disjoint"),
        )
        return Built(profile=profile, expressions=self.expressions, mapped=self.mapped, rewrites=self.rewrites)

    def _expression(self, path: KeyPath, text: str | None) -> Expression | None:
        expression = self.checker.expression(path, text, self.source_kind)
        if expression is not None:
            self.expressions[expression.text] = expression
            self.rewrites.update(expression.functions & self.checker.host.rewrites.keys())
        return expression

    def _sources(self) -> tuple[str, ...]:
        given = self.data.get("source", ())
        listed = isinstance(self.checker.raw((*self.path, "source")), list)
        known: list[str] = []
        for number, name in enumerate(given):
            where: KeyPath = (*self.path, "source", number) if listed else (*self.path, "source")
            if name in known:
                self.checker.add(where, f"`{name}` stands here twice", "each directory once")
            elif self.checker.directory(where, name):
                known.append(name)
        return tuple(known)

    def _target(self) -> str | None:
        return self.checker.directory((*self.path, "target"), self.data.get("target"))

    def _standing(self, sources: tuple[str, ...], target: str | None) -> None:
        """What a profile cannot be about."""
        if target in sources and self.source_kind is not None and self.source_kind is self.target_kind:
            text = f"`{target}` is also a source, for the same kind: objects would be made from themselves"
            self.checker.add((*self.path, "target"), text, "another directory, or a pair of kinds such as `{user: contact}`")
        if self.data.get("action") is Action.UPDATE_ONLY and not self.data.get("match"):
            text = "`update only` without `match` can never find an object"
            self.checker.add((*self.path, "action"), text, "`match:` with at least one rule, or another action")

    def _merge(self, sources: tuple[str, ...], target: str | None) -> tuple[Merge, ...]:
        merges: list[Merge] = []
        for directory, given in self.data.get("merge", {}).items():
            path: KeyPath = (*self.path, "merge", directory)
            known = self.checker.directory(path, directory)
            if known and (directory in sources or directory == target):
                self.checker.add(path, f"`{directory}` is the profile's source or target already", "a further directory")
            calls = self._steps((*path, "rewrite"), given.get("rewrite", ()))
            for key, text in given.get("on", {}).items():
                if self._expression((*path, "on", key), text) and known:
                    merges.append(Merge(directory=directory, key=key, expression=text, rewrite=calls))
        return tuple(merges)

    def _steps(self, path: KeyPath, steps: tuple[tuple[str, Any], ...]) -> tuple[Any, ...]:
        calls = self.checker.rewrites(path, steps)
        self.rewrites.update(call.name for call in calls)
        return calls

    def _scope(self) -> Scope:
        given = self.data.get("scope", {})
        self._expression((*self.path, "scope", "where"), given.get("where"))
        under = tuple(one for one in given.get("under", ()) if one)
        return Scope(under=under, where=given.get("where"), origin=given.get("origin", Origin.NATIVE))

    def _match(self, target: str | None) -> tuple[MatchRule, ...]:
        rules: list[MatchRule] = []
        for number, given in enumerate(self.data.get("match", ())):
            if given:
                rule = self._rule((*self.path, "match", number), dict(given), target)
                if rule:
                    rules.append(rule)
        return tuple(rules)

    def _rule(self, path: KeyPath, given: dict[str, Any], target: str | None) -> MatchRule | None:
        name, skip = given.pop("matcher", "attribute"), given.pop("any_kind", None) == "skip"
        matcher = self.checker.host.matchers.get(name)
        if matcher is None:
            self.checker.unknown((*path, "matcher"), "matchers", name)
            return None
        options = self.checker.options(path, f"matcher `{name}`", matcher.Options, given)
        if options is None:
            return None
        try:
            made = matcher(options)
            sources, targets = tuple(made.sources), tuple(made.targets)
        except (Exception, SystemExit) as error:
            # A plugin's own code may fail in any way.
            self.checker.add(path, f"the matcher `{name}` does not take this rule: {error}")
            return None
        places = {text: (*path, key) for key, text in given.items() if isinstance(text, str)}
        sound = True
        for text in sources:
            sound &= self._side(places.get(text, path), text, foreign={"target"}, allowed="attributes of the source: `source.ATTRIBUTE`")
        own = {"target", target}
        for text in targets:
            foreign = {"source", "mv", "wave", *self.checker.directories} - own
            sound &= self._side(places.get(text, path), text, foreign=foreign, allowed="attributes of the target: `target.ATTRIBUTE`")
        return MatchRule(matcher=name, options=options, skip_other_kinds=skip) if sound else None

    def _side(self, path: KeyPath, text: str, *, foreign: set[Any], allowed: str) -> bool:
        """Law 14: a bare name is an attribute, anything else an expression, and each side reads its own object."""
        if is_bare(text):
            return True
        expression = self._expression(path, text)
        if expression is None:
            return False
        read = sorted({root for root, _ in expression.arguments if root in foreign})
        if read:
            self.checker.add(path, f"this side of the rule reads `{read[0]}`, which it does not know", allowed)
        if not expression.arguments:
            self.checker.add(path, "this side of the rule reads no attribute, so that all objects would match", allowed)
        return not read and bool(expression.arguments)

    def _place(self) -> Place | None:
        given = self.data.get("place")
        if given is None:
            return None
        self._expression(self._short(("place",), "expression"), given.get("expression"))
        return Place(
            mirror=MappingProxyType(dict(given.get("mirror", {}))),
            expression=given.get("expression"),
            move_existing=given.get("existing") == "move",
        )

    def _short(self, below: KeyPath, key: str) -> KeyPath:
        """The place of a value that may stand without its key."""
        path: KeyPath = (*self.path, *below)
        return (*path, key) if isinstance(self.checker.raw(path), Mapping) else path

    def _map(self) -> dict[str, Mapping_]:
        return {attribute: self._mapping(attribute, given) for attribute, given in self.data.get("map", {}).items() if given}

    def _mapping(self, attribute: str, given: Mapping[str, Any]) -> Mapping_:
        path: KeyPath = (*self.path, "map", attribute)
        expression = self._expression(self._short(("map", attribute), "from"), given.get("from_"))
        if expression is not None:
            self.mapped[attribute] = expression
        self._expression((*path, "when"), given.get("when"))
        listed = isinstance(self.checker.raw((*path, "unique")), list)
        for number, pattern in enumerate(given.get("unique", ())):
            if pattern:
                self._pattern((*path, "unique", number) if listed else (*path, "unique"), pattern)
        strength = Strength.ONCE if given.get("once") else Strength.FILL if given.get("fill") else Strength.ENFORCED
        return Mapping_(
            attribute=attribute,
            expression=given.get("from_", ""),
            rewrite=self._steps((*path, "rewrite"), given.get("rewrite", ())),
            unique=tuple(one for one in given.get("unique", ()) if one),
            strength=strength,
            values=given.get("values", Several.REPLACE),
            authoritative=given.get("authoritative", False),
            when=given.get("when"),
        )

    def _pattern(self, path: KeyPath, pattern: str) -> None:
        allowed = "text with " + ", ".join(f"`{{{name}}}`" for name in PLACEHOLDERS)
        try:
            parts = list(Formatter().parse(pattern))
        except ValueError:
            self.checker.add(path, f"`{pattern}` has a brace without its partner", allowed)
            return
        names = [name for _, name, _, _ in parts if name is not None]
        for _, name, form, conversion in parts:
            if name is not None and (name not in PLACEHOLDERS or form or conversion):
                self.checker.add(path, f"`{{{name}}}` is not a placeholder", one_of((f"{{{one}}}" for one in PLACEHOLDERS), f"{{{name}}}"))
                return
        if not {"value", "local"} & set(names):
            self.checker.add(path, f"`{pattern}` holds nothing of the value", "`{value}` or `{local}` in every pattern")

    def _leaving(self) -> dict[Cause, tuple[LeavingStep, ...]]:
        leaving: dict[Cause, tuple[LeavingStep, ...]] = {cause: (LeavingStep(action=Leave.KEEP),) for cause in Cause}
        for cause, given in self.data.get("leaving", {}).items():
            path: KeyPath = (*self.path, "leaving", str(cause))
            listed = isinstance(self.checker.raw(path), list)
            steps: list[LeavingStep] = []
            for number, raw in enumerate(given):
                where: KeyPath = (*path, number) if listed else path
                step = self._leaving_step(where, raw)
                if step is not None:
                    self._in_order(where, steps, step)
                    steps.append(step)
            leaving[cause] = tuple(steps)
        return leaving

    def _handed_over(self, mappings: Mapping[str, Mapping_], leaving: Mapping[Cause, tuple[LeavingStep, ...]]) -> None:
        """Old accounts are disabled and deleted once their people are cut over: is the new one to follow?"""
        conditions = {name: mapping.when for name, mapping in mappings.items() if mapping.when}
        if not any(CUT_OVER in text for text in conditions.values()):
            return
        for cause, steps in leaving.items():
            left_alone = cause is Cause.DISABLED and "enabled" in conditions
            if not left_alone and any(step.action is not Leave.KEEP and step.when is None for step in steps):
                self.checker.notice(
                    (*self.path, "leaving", cause.value),
                    f"is done also for whoever is cut over, whose old account is disabled or deleted one day; if the new one shall not "
                    f"follow it, add `when: 'wave.state != \"{CUT_OVER}\"'` to each step",
                )

    def _leaving_step(self, path: KeyPath, raw: Any) -> LeavingStep | None:
        given = dict(raw) if isinstance(raw, Mapping) else {raw: None} if isinstance(raw, str) else {}
        after = self._after(path, given.pop("after", None))
        of, when = given.pop("of", None), given.pop("when", None)
        if when is not None and self._condition((*path, "when"), when) is None:
            return None
        named = [key for key in given if key in set(Leave)]
        stray = [key for key in given if key not in named]
        if len(named) != 1 or stray:
            said = f"`{stray[0]}` is not a step" if stray else "is not one step"
            self.checker.add(path, said, one_of(Leave, stray[0]) if stray else _ALLOWED_STEP)
            return None
        action, value = Leave(named[0]), given[named[0]]
        if action is Leave.MOVE:
            return self._move(path, value, of, after, when)
        where: KeyPath = (*path, action) if isinstance(raw, Mapping) else path
        # `disable` reaches everybody unless `created` is said, a delete only what we made unless `joined` is said (law 5).
        reach = value if value is not None else of if of is not None else "joined" if action is Leave.DISABLE else "created"
        if (value is not None and of is not None) or reach not in ("created", "joined") or (action is Leave.KEEP and (value or of or when)):
            self.checker.add(where, f"`{action}` cannot say this", "`created` or `joined`" if action is not Leave.KEEP else "`keep` alone")
            return None
        if action is Leave.DISABLE and self.target_kind is not None and self.target_kind not in CAN_BE_DISABLED:
            self.checker.add(where, f"a {self.target_kind} cannot be disabled", "`keep`, `move` or `delete`")
            return None
        return LeavingStep(action=action, after=after, only_created=action is Leave.KEEP or reach == "created", when=when)

    def _condition(self, path: KeyPath, text: Any) -> Any:
        if not isinstance(text, str) or not text.strip():
            self.checker.add(path, "the step says no condition", 'an expression, such as `wave.state != "cut over"`')
            return None
        return self._expression(path, text)

    def _move(self, path: KeyPath, text: Any, of: Any, after: timedelta, when: str | None) -> LeavingStep | None:
        if not isinstance(text, str) or not text.strip():
            self.checker.add(path, "the move says no place", "`{move: EXPRESSION}`, such as `{move: '\"OU=Leavers,DC=example,DC=test\"'}`")
            return None
        if of not in (None, "created", "joined"):
            self.checker.add((*path, "of"), f"`{of}` is not known here", one_of(("created", "joined"), of))
            return None
        if self._expression((*path, "move"), text) is None:
            return None
        return LeavingStep(action=Leave.MOVE, place=text, after=after, only_created=of != "joined", when=when)

    def _after(self, path: KeyPath, value: Any) -> timedelta:
        if value is None:
            return timedelta(0)
        try:
            return duration(value)
        except ValidationError as error:
            self.checker.add_faults((*path, "after"), error.messages)
            return timedelta(0)

    def _in_order(self, path: KeyPath, before: list[LeavingStep], step: LeavingStep) -> None:
        if not before:
            return
        if Leave.KEEP in (step.action, before[-1].action):
            self.checker.add(path, "`keep` stands beside other steps", "`keep` alone, or other steps")
        elif before[-1].action is Leave.DELETE and before[-1].only_created <= step.only_created:
            self.checker.add(path, "nothing can follow the delete before it", "the delete as the last step")
        elif step.after < before[-1].after:
            self.checker.add(path, "comes earlier than the step before it", "steps in the order of their `after`")

    def _limits(self) -> dict[Operation, Limit]:
        given = self.data.get("limits", {})
        return {
            operation: Limit(count=given[operation].get("count"), percent=given[operation].get("percent"))
            if given.get(operation)
            else default
            for operation, default in LIMITS.items()
        }
