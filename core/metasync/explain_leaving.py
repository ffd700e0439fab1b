"""What becomes of the partner of an object that a profile lets go of, in words: the steps of leaving that were taken, and the next one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from metasync.contract import Operation
from metasync.engagement.model import Cause, Leave, LeavingStep
from metasync.expressions import KEEP
from metasync.store import history
from metasync.store.rows import State, Status
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.leaving import TAKEN_BACK
from metasync.synchronising.program import evaluate
from metasync.synchronising.units import Unit

TOUCHES = {Leave.DISABLE: "enabled", Leave.MOVE: "path"}
"""What a step changes, and a hold may keep."""


def leaving_steps(connection: Connection, unit: Unit, environment: Mapping[str, Mapping[str, Any]], cause: Cause) -> list[str]:
    """The steps that the profile takes for this cause: what was done, when and by which run, and what follows when."""
    profile = unit.program.profile
    there = profile.target
    if unit.target is None:
        return [f"it has no object in {there}, so nothing follows"]
    if unit.target.state is State.GONE:
        by = _written(connection, unit, Operation.DELETE)
        return [f"its object in {there} is gone: {f'deleted by {by}' if by else 'somebody deleted it there'}; nothing follows"]
    if cause is Cause.DISABLED and _keeps_enabled(unit, environment):
        return ["no step of `disabled` is taken, because `map:` leaves `enabled` alone here"]
    steps = [one for one in profile.leaving.get(cause, ()) if one.action is not Leave.KEEP]
    if not steps:
        return [f"its object in {there} is kept as it is, by `leaving: {{{cause}: keep}}`"]
    before = unit.before
    since = before.left_since if before is not None and before.left_cause == cause.value else None
    if since is None:
        if before is not None and before.status == Status.OUT_OF_SCOPE:
            return [f"no step is taken: {before.reason}"]
        lines = [f"the next plan begins with the steps of `{cause}`, unless another profile holds on to it"]
    else:
        lines = [f"it left on {_at(since)}: {cause}"]
    return lines + [_step(connection, unit, environment, step, since) for step in steps]


def _step(
    connection: Connection, unit: Unit, environment: Mapping[str, Mapping[str, Any]], step: LeavingStep, since: datetime | None
) -> str:
    assert unit.target is not None
    words = _words(unit, environment, step)
    if (against := _against(unit, environment, step)) is not None:
        return f"{words}: {against}"
    done = next((one for one in (unit.target_join.done if unit.target_join else ()) if one["action"] == step.action.value), None)
    if done is not None:
        by = _written(connection, unit, Operation(step.action.value)) or f"run {done['run']}"
        after = "somebody took it back since, and it is left alone" if done.get(TAKEN_BACK) else "reversed when it returns"
        return f"{words}: done by {by}; {after}"
    if step.action is not Leave.DISABLE and step.only_created and not unit.created:
        return f"{words}: not done, because Metasync did not create it"
    if "*" in unit.held or TOUCHES.get(step.action) in unit.held:
        return f"{words}: not done before the undo's hold is released"
    if step.action is Leave.DISABLE and unit.target.attributes.get("enabled") is False:
        return f"{words}: nothing to do, it is disabled"
    if since is None:
        return words
    return f"{words}: due on {_at(since + step.after)}" if step.after else f"{words}: due now"


def _keeps_enabled(unit: Unit, environment: Mapping[str, Mapping[str, Any]]) -> bool:
    """Does `map:` leave `enabled` alone?"""
    try:
        found = dict(zip(unit.program.expressions, unit.program.desired(environment), strict=True))
    except ObjectError:
        return False
    return found.get("enabled") is KEEP


def _against(unit: Unit, environment: Mapping[str, Mapping[str, Any]], step: LeavingStep) -> str | None:
    try:
        return None if unit.program.leaves_by(step, environment) else f"not done, because `{step.when}` is not true for it"
    except ObjectError as error:
        return f"not done, because `{step.when}` cannot be computed: {error}"


def _words(unit: Unit, environment: Mapping[str, Mapping[str, Any]], step: LeavingStep) -> str:
    if step.place is None:
        return step.action.value
    try:
        place = evaluate(unit.program.leaving[step.place], environment, "leaving", unit.program.source_schema)
    except ObjectError as error:
        return f"move to `{step.place}`, which cannot be computed: {error}"
    return f"move to {place}"


def _written(connection: Connection, unit: Unit, operation: Operation) -> str:
    """The run that wrote this operation last, and when; empty where none did."""
    past = history.newest_written(connection, unit.program.profile.name, unit.id, operation)
    return f"run {past.run_id} on {_at(past.written_at)}" if past is not None and past.written_at is not None else ""


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"
