"""From what is wanted and what is there to operations. One page, no queries: everything it decides, it decides from its arguments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from metasync.contract import Allow, Operation, Role
from metasync.engagement.model import Several, Strength
from metasync.equality import equal
from metasync.expressions import CLEAR, KEEP
from metasync.store.rows import PendingOperation, Problem, Severity
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.fit import allows, attribute_schema, fit
from metasync.synchronising.images import Image
from metasync.synchronising.program import Environment, Program

ENABLED = "enabled"


@dataclass(kw_only=True, slots=True)
class Difference:
    """What one object needs, and what a person should know of it."""

    operations: list[PendingOperation] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    agreed: bool | None = None
    """The value of `enabled` that both sides had when they last agreed."""


def wanted(program: Program, environment: Environment, *, exists: bool) -> tuple[dict[str, Any], str | None]:
    """What the target object shall hold, before unique values are given out, and where it belongs (None: where it is). `exists`: there is
    one. Raises `ObjectError`."""
    found = program.desired(environment)
    move = program.profile.place is not None and program.profile.place.move_existing
    place = program.new_place(environment) if move or not exists else None
    # What is unique is shortened to the attribute's limit, the rest must fit.
    values = program.shape(found)
    if exists and place is not None and "path" not in values:
        values["path"] = fit(program.target_schema, "path", place)
    return values, place


def creation(program: Program, desired: Mapping[str, Any], place: str | None) -> PendingOperation:
    """The operation that creates an object. References follow later, so that creates never depend on each other."""
    after = created(program, desired, place)
    return PendingOperation(operation=Operation.CREATE, before={}, after=after, rules=creation_rules(program, after))


def created(program: Program, desired: Mapping[str, Any], place: str | None) -> dict[str, Any]:
    """What a new object begins with. Raises `ObjectError`."""
    after = {name: value for name, value in desired.items() if value is not None and value is not KEEP and value is not CLEAR}
    if program.refused and (wrong := program.refused & after.keys()):
        name = min(wrong)
        raise ObjectError(name, f"{name} cannot be written in the target; take it out of `map:`")
    for known in program.needed:
        if known.name in after:
            continue
        if known.role is not Role.PATH:
            raise ObjectError(known.name, f"a new object needs {known.name}, and `map:` gives it no value here")
        if place is None:
            raise ObjectError("place", "the profile does not say where a new object belongs: write `place:`")
        after[known.name] = place
    return after


def creation_rules(program: Program, after: Mapping[str, Any]) -> dict[str, str]:
    """What decided about each attribute of a new object."""
    return {name: program.rule(name) if name in program.mappings else "place" for name in after}


def difference(
    program: Program,
    desired: Mapping[str, Any],
    image: Image,
    *,
    held: Collection[str] = (),
    agreed: bool | None = None,
    disabled_by_us: bool = False,
    drift: bool = False,
) -> Difference:
    """What an existing object needs. `desired` is fitted; `held` attributes are left alone; `drift` marks differences that we did not
    cause."""
    out = Difference(agreed=agreed)
    grouped: dict[Operation, PendingOperation] = {}
    attributes, present = program.target_schema.attributes, image.attributes
    for name, value in desired.items():
        if value is KEEP or name in held:
            continue
        known = attributes.get(name) or attribute_schema(program.target_schema, name)
        current = present.get(name)
        if known.role is not Role.ENABLED and value.__class__ is current.__class__ and value == current:
            continue
        if known.role is Role.ENABLED:
            _enabled(program, out, grouped, name, value, current, agreed, disabled_by_us)
            continue
        wanted = _wanted(program, name, value, current)
        if wanted is KEEP or (wanted is None and current is None):
            continue
        if wanted is not None and current is not None and equal(known, wanted, current):
            continue
        operation = _operation(known.role, wanted)
        if wanted is None and operation in (Operation.RENAME, Operation.MOVE):
            raise ObjectError(name, f"{name} cannot be empty, and `map:` gives it no value here")
        if not allows(program.target_schema, name, Allow.CLEAR if wanted is None else Allow.UPDATE):
            doing = "cleared" if wanted is None else "changed"
            raise ObjectError(name, f"{name} cannot be {doing} in the target once it is set; make the mapping `once: true`")
        put(grouped, operation, name, current, wanted, program.rule(name) + (" (drift)" if drift else ""))
    out.operations = list(grouped.values())
    return out


def put(grouped: dict[Operation, PendingOperation], operation: Operation, name: str, before: Any, after: Any, rule: str) -> None:
    """Add one attribute to an operation."""
    known = grouped.get(operation) or PendingOperation(operation=operation)
    grouped[operation] = PendingOperation(
        operation=operation,
        before={**known.before, name: before} if before is not None else known.before,
        after={**known.after, name: after},
        rules={**known.rules, name: rule},
    )


def _wanted(program: Program, name: str, value: Any, current: Any) -> Any:
    """What the attribute shall hold, or KEEP."""
    mapping = program.mappings.get(name)
    strength = mapping.strength if mapping else Strength.ENFORCED
    if strength is Strength.ONCE or (strength is Strength.FILL and current is not None):
        return KEEP
    if value is CLEAR:
        return None
    if value is None:
        return KEEP if strength is Strength.FILL or (mapping and mapping.values is Several.ADD) else None
    if mapping and mapping.values is Several.ADD and current is not None:
        known = attribute_schema(program.target_schema, name)
        if known.multi:
            here = current if isinstance(current, tuple) else (current,)
            missing = tuple(one for one in value if not any(equal(known, (one,), (other,)) for other in here))
            return (*here, *missing) if missing else KEEP
    return value


def _operation(role: Role | None, wanted: Any) -> Operation:
    if role is Role.NAME:
        return Operation.RENAME
    if role is Role.PATH:
        return Operation.MOVE
    if role is Role.SIGN_IN:
        return Operation.SIGN_IN
    return Operation.CLEAR if wanted is None else Operation.UPDATE


def _enabled(
    program: Program,
    out: Difference,
    grouped: dict[Operation, PendingOperation],
    name: str,
    value: Any,
    current: Any,
    agreed: bool | None,
    disabled_by_us: bool,
) -> None:
    """`enabled` is the exception to drift: a change of the source flows, a disable of somebody else's stands (law 4)."""
    mapping = program.mappings.get(name)
    if mapping and mapping.strength is Strength.ONCE:
        return
    if not isinstance(value, bool) or not isinstance(current, bool):
        return
    if value == current:
        out.agreed = value
        return
    if not value and agreed is True:
        put(grouped, Operation.DISABLE, name, current, value, program.rule(name))
    elif value and disabled_by_us:
        put(grouped, Operation.ENABLE, name, current, value, program.rule(name))
    else:
        who = "was disabled in the target by somebody else" if value else "is enabled in the target, though the source says disabled"
        out.problems.append(
            Problem(code="enabled differs", text=f"it {who}; this is shown and never corrected", severity=Severity.NOTICE, attribute=name)
        )
