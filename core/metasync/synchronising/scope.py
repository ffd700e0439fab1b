"""Is this object in scope? If not: did it leave, and why? An error is never an answer to that (law: an error in a scope never means
"left")."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from metasync.dn import folded, is_under
from metasync.engagement.model import Cause, Origin
from metasync.store.rows import State, Status
from metasync.synchronising.program import Program
from metasync.synchronising.units import Unit

HOLDS_ON = (
    Status.IN_STEP,
    Status.PENDING,
    Status.WAITING,
    Status.PROBLEM,
    Status.IN_FLIGHT,
    Status.HELD,
    Status.UNREAD,
    Status.IGNORED,
)
"""While a profile has an object in one of these, it has not let go of the identity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The answer. `cause` is set where the object is not, or no longer, to be kept in step."""

    inside: bool
    words: str
    cause: Cause | None = None
    status: Status | None = None
    """Where nothing more is to be asked."""


INSIDE = Verdict(inside=True, words="in scope")
DISABLED = Verdict(inside=True, words="in scope, and disabled", cause=Cause.DISABLED)


def judge(unit: Unit, environment: Mapping[str, Mapping[str, Any]], ignored: Mapping[tuple[str, str], str]) -> Verdict:
    """Decide about one object. Raises `ObjectError`."""
    program, source = unit.program, unit.source
    profile = program.profile
    reason = ignored.get((source.directory, source.anchor))
    if reason is not None:
        return Verdict(inside=False, words=f"ignored by hand: {reason}", status=Status.IGNORED)
    if source.state is State.UNREAD:
        return Verdict(
            inside=False,
            words=f"the last import of {source.directory} did not read it; nothing is done until it does",
            status=Status.UNREAD,
        )
    if source.state is State.GONE:
        return Verdict(inside=False, words=f"it was deleted in {source.directory}", cause=Cause.DELETED)
    if source.kind is not profile.source_kind:
        return Verdict(inside=False, words=f"it is a {source.kind} now", cause=Cause.OUT_OF_SCOPE)
    if profile.scope.origin is Origin.NATIVE and _ours(unit):
        return Verdict(inside=False, words="Metasync created it; `origin: native` takes what others made", status=Status.OUT_OF_SCOPE)
    return in_scope(program, source.attributes, environment)


def in_scope(program: Program, attributes: Mapping[str, Any], environment: Mapping[str, Mapping[str, Any]]) -> Verdict:
    """What the attributes of a living object of the right kind and origin say. Raises `ObjectError`."""
    profile = program.profile
    if profile.scope.under and not _is_under(program, attributes.get("path")):
        words = f"it lies in {attributes.get('path') or 'no container'}, below none of {', '.join(profile.scope.under)}"
        return Verdict(inside=False, words=words, cause=Cause.OUT_OF_SCOPE)
    if not program.in_where(environment):
        return Verdict(inside=False, words=f"`{profile.scope.where}` is not true for it", cause=Cause.OUT_OF_SCOPE)
    if attributes.get("enabled") is False:
        return DISABLED
    return INSIDE


def is_named(allowed: Collection[str], anchor: str, attributes: Mapping[str, Any]) -> bool:
    """Does `allow privileged:` name this object, by its anchor or DN? A label would not do: several objects may bear one."""
    dn = attributes.get("dn")
    names = {folded(one) for one in allowed}
    return anchor.casefold() in {one.casefold() for one in allowed} or (isinstance(dn, str) and folded(dn) in names)


def _ours(unit: Unit) -> bool:
    return unit.source.marked or any(row.object_id == unit.id and row.created for row in unit.joins)


def _is_under(program: Program, path: Any) -> bool:
    return isinstance(path, str) and any(is_under(path, base) for base in program.places.under)
