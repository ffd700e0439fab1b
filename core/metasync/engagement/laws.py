"""Law 4, one authority: no attribute of one kind in one directory is enforced from two sides, unless it is said who decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from metasync.contract import Kind
from metasync.engagement.checker import Checker
from metasync.engagement.model import Several, Strength
from metasync.engagement.profiles import Built

Spot: TypeAlias = tuple[str, Kind, str]
"""(directory, kind, attribute in lower case: directories do not tell case apart in names)."""


def one_authority(checker: Checker, profiles: Mapping[str, Built]) -> None:
    """Refuse two profiles that enforce one attribute, also in opposite directions, however many profiles lie between."""
    _same_target(checker, profiles)
    _round_trips(checker, profiles)


def _enforced(built: Built) -> Iterator[tuple[str, str]]:
    """(attribute as written, in lower case) of what a profile keeps as it wants it."""
    for attribute, mapping in built.profile.map.items():
        if mapping.strength is Strength.ENFORCED:
            yield attribute, attribute.lower()


def _same_target(checker: Checker, profiles: Mapping[str, Built]) -> None:
    seen: dict[Spot, list[tuple[Built, str]]] = {}
    for name, built in profiles.items():
        profile = built.profile
        for attribute, folded in _enforced(built):
            earlier = seen.setdefault((profile.target, profile.target_kind, folded), [])
            rival = next((other for other, theirs in earlier if not _agree(checker, other, theirs, built, attribute)), None)
            if rival:
                text = f"the profile {rival.profile.name} enforces `{attribute}` of {profile.target}'s {profile.target_kind}s too"
                checker.add(("profiles", name, "map", attribute), text, _allowed(rival, built))
            earlier.append((built, attribute))
        if profile.place and profile.place.move_existing:
            movers = seen.setdefault((profile.target, profile.target_kind, "\0place"), [])
            rival = next((other for other, _ in movers if not _disjoint(other, built)), None)
            if rival:
                text = f"the profile {rival.profile.name} moves {profile.target}'s {profile.target_kind}s too"
                checker.add(("profiles", name, "place", "existing"), text, _allowed(rival, built))
            movers.append((built, ""))


def _agree(checker: Checker, one: Built, ours: str, other: Built, theirs: str) -> bool:
    if _disjoint(one, other):
        return True
    # Two that only add never take away what the other one gave.
    if one.profile.map[ours].values is Several.ADD and other.profile.map[theirs].values is Several.ADD:
        return True
    first, second = (_ranked(checker, built, attribute) for built, attribute in ((one, ours), (other, theirs)))
    return first is not None and first == second


def _disjoint(one: Built, other: Built) -> bool:
    return one.profile.disjoint is not None and one.profile.disjoint == other.profile.disjoint


def _ranked(checker: Checker, built: Built, attribute: str) -> tuple[Kind, str] | None:
    """The metaverse's attribute that a mapping takes over as it is, its rank deciding."""
    expression = built.mapped.get(attribute)
    if expression is None or expression.plain is None or expression.plain[0] != "mv":
        return None
    return built.profile.source_kind, expression.plain[1]


def _allowed(one: Built, other: Built) -> str:
    said = {built.profile.name: built.profile.disjoint for built in (one, other) if built.profile.disjoint}
    if len(said) == 1:
        name, group = next(iter(said.items()))
        return f"`disjoint: {group}` in both (only {name} says it), `mv.ATTRIBUTE` in both, `once: true` or `fill: true`"
    return "`disjoint: NAME` of one group in both, `mv.ATTRIBUTE` in both with a rank in `metaverse`, `once: true` or `fill: true`"


def _round_trips(checker: Checker, profiles: Mapping[str, Built]) -> None:
    """A value that is enforced along a way which leads back to where it came from never comes to rest."""
    steps: dict[Spot, dict[Spot, tuple[str, str]]] = {}
    for name, built in profiles.items():
        for attribute, folded in _enforced(built):
            if built.profile.map[attribute].values is Several.ADD:
                continue
            for read in _reads(built, attribute):
                steps.setdefault(read, {}).setdefault((built.profile.target, built.profile.target_kind, folded), (name, attribute))
    told: set[frozenset[tuple[str, str]]] = set()
    for start in steps:
        way = _way_back(steps, start)
        involved = frozenset(way)
        if way and involved not in told:
            told.add(involved)
            name, attribute = way[-1]
            others = ", ".join(f"{profile} (`{mapped}`)" for profile, mapped in way[:-1])
            text = f"together with {others} this leads the value back to where it came from" if others else "takes its value from itself"
            checker.add(("profiles", name, "map", attribute), text, "one direction, or `mv.ATTRIBUTE` in both with a rank in `metaverse`")


def _reads(built: Built, attribute: str) -> Iterator[Spot]:
    """What the mapping takes its value from, but the object itself."""
    profile, expression = built.profile, built.mapped.get(attribute)
    for root, name in expression.arguments if expression else ():
        if root == "source":
            yield from ((source, profile.source_kind, name.lower()) for source in profile.sources)
        elif root not in ("target", "mv", "wave", profile.target):
            yield root, profile.source_kind, name.lower()


def _way_back(steps: Mapping[Spot, Mapping[Spot, tuple[str, str]]], start: Spot) -> Sequence[tuple[str, str]]:
    """The mappings on a shortest way from a spot back to itself; empty where there is none."""
    seen: set[Spot] = set()
    border: list[tuple[Spot, tuple[tuple[str, str], ...]]] = [(start, ())]
    while border:
        following: list[tuple[Spot, tuple[tuple[str, str], ...]]] = []
        for spot, way in border:
            for reached, mapping in steps.get(spot, {}).items():
                if reached == start:
                    return (*way, mapping)
                if reached not in seen:
                    seen.add(reached)
                    following.append((reached, (*way, mapping)))
        border = following
    return ()
