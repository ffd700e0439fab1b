"""Tables that several verbs share: imports, plans, changes, states."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from rich.table import Table
from rich.text import Text

from metasync import service
from metasync.cli.output import Output, clean, shown, styled
from metasync.cli.session import Exit, Session
from metasync.contract import Operation, Reference
from metasync.words import counted, listed, writes

ALARMING = frozenset({Operation.DELETE, Operation.DISABLE, Operation.CLEAR, Operation.MEMBER_REMOVE})
GOOD = ("confirmed", "written")
BAD = ("rejected", "stale", "not_reimported")


def imports_table(out: Output, done: service.RunOutcome) -> None:
    """What became of each import."""
    rows = []
    for one in done.imports:
        what = ", ".join(f"{count} {word}" for word, count in one.counts.items() if count) or "nothing changed"
        if one.error is not None:
            rows.append((one.directory, styled("not complete", "error"), one.error))
        else:
            rows.append((one.directory, Text("full" if one.full else "delta"), what))
    if rows:
        out.table(("Directory", "Import", "Result"), rows)


def settle(session: Session, done: service.RunOutcome) -> None:
    """The exit code that an outcome asks for."""
    for why in dict.fromkeys(done.left_out.values()):
        names = [name for name in done.left_out if done.left_out[name] == why]
        session.out.say(f"{listed(names)} {'was' if len(names) == 1 else 'were'} left out: {why}", "warning")
    for directory, why in done.unwritable.items():
        session.out.say(f"{directory} could not be written, its changes wait for the next export: {why}", "error")
    if done.errors:
        session.out.say(f"{counted(done.errors, 'new error')} of single objects; see `metasync problems --severity error`", "error")
    if done.failed or done.errors or done.state == "failed":
        session.worse(Exit.FAILED)
    if done.state == "waiting":
        session.worse(Exit.WAITING)
    if done.unavailable:
        session.worse(Exit.UNAVAILABLE)


def states_line(out: Output, what: str, states: Mapping[str, int]) -> None:
    """How many writes stand in each state, in one line."""
    style = "error" if any(state in BAD for state in states) else "good" if all(state in GOOD for state in states) else "notice"
    if not out.as_json:
        out.results.print(Text(f"{what}: ").append_text(styled(writes(states), style)), soft_wrap=True)


def plan_table(out: Output, plans: Iterable[service.PlanSummary]) -> None:
    """One row per plan: counts by operation, and the limits that it passes."""
    rows: list[Sequence[object]] = []
    for one in plans:
        counts = _counts(one)
        state = "limit" if one.exceeded and one.state == "planned" else one.state
        style = {"limit": "error", "approved": "good", "exported": "good", "empty": "good", "planned": "warning"}.get(state, "dim")
        profile = one.profile if one.purpose == "synchronise" else f"{one.profile} ({_purpose(one)})"
        limits = "".join(f"\npasses a limit: {limit.words}" for limit in one.exceeded)
        rows.append((one.id, profile, styled(state, style), one.changes, counts + limits))
    if rows:
        out.table(("Plan", "Profile", "State", "Changes", "Operations"), rows, right=("Plan", "Changes"))


def show_plan(out: Output, found: service.ShownPlan, changes: Iterable[service.ShownChange], matching: Callable[[], int]) -> None:
    """A plan: counts, limits, then its changes with before, after and rule, as they come. `matching`: how many there are; asked for at the
    end."""
    plan = found.plan
    out.line(f"Plan {plan.id} of {plan.profile}" + ("" if plan.purpose == "synchronise" else f" ({_purpose(plan)})"), "heading")
    rows: list[tuple[str, object]] = [
        ("state", plan.state),
        ("made", f"{found.created}, revision {plan.revision}, hash {plan.hash[:16]}"),
        ("changes", _counts(plan) if len(plan.counts) < 2 else f"{plan.changes}: {_counts(plan)}"),
        ("joined", plan.joined),
    ]
    rows += [("writes", _writes(plan, found.states))] if found.states else []
    rows += [("takes", _takes(found))] if found.takes else []
    rows += [("approved by", found.approved_by)] if found.approved_by else []
    rows += [("note", plan.note)] if plan.note else []
    out.pairs(rows)
    for limit in plan.exceeded:
        out.line(f"passes a limit: {limit.words}; it is written only with --beyond {_quoted(limit.operation.value)}", "error")
    number = 0
    for number, one in enumerate(changes, 1):
        if number == 1:
            out.line()
        _print_change(out, found, one)
    if number:
        out.line()
    left = matching() - number
    if left > 0:
        out.line(f"{counted(left, 'write')} more: `metasync show plan {plan.id} --all`, or narrow it with --operation and --object")
    if found.problems:
        out.line(f"{counted(found.problems, 'problem')} of this profile: `metasync problems --of {_quoted(plan.profile)}`", "warning")


def say_takes(out: Output, plans: Iterable[service.ShownPlan]) -> None:
    """Which of the plans take long."""
    for one in plans:
        if one.takes and one.takes.lasts.total_seconds() >= 60:
            out.line(f"plan {one.plan.id} takes {_takes(one)}", "notice")


def _takes(found: service.ShownPlan) -> str:
    assert found.takes is not None
    minutes = math.ceil(found.takes.lasts.total_seconds() / 60)
    hours = f"{minutes // 60} h {minutes % 60} min" if minutes > 90 else counted(minutes, "minute")
    return f"{'at least ' + hours if minutes > 1 else 'less than a minute'}: {found.takes.words}"


def plan_as_json(workspace: service.Workspace, found: service.ShownPlan, changes: Iterator[service.ShownChange]) -> dict[str, Any]:
    """plan, hash, revision, counts by operation, problems, changes with before, after, rule; the last two are read as they are written."""
    plan = found.plan
    return {
        "plan": plan.id,
        "profile": plan.profile,
        "purpose": plan.purpose,
        "state": plan.state,
        "hash": plan.hash,
        "revision": plan.revision,
        "undoes": plan.undoes,
        "note": plan.note,
        "counts": plan.counts,
        "writes": found.states,
        "joined": plan.joined,
        "limits passed": [limit.words for limit in plan.exceeded],
        "approved by": found.approved_by or None,
        "takes": {"seconds": found.takes.lasts.total_seconds(), "words": found.takes.words} if found.takes else None,
        "problems": (
            {
                "severity": one.severity,
                "area": one.area,
                "object": one.object,
                "label": one.label,
                "attribute": one.attribute,
                "code": one.code,
                "text": one.text,
            }
            for one in service.problems(workspace, of=[plan.profile])
        ),
        "changes": (
            {
                "id": one.row.id,
                "operation": one.row.operation,
                "kind": one.row.kind,
                "label": one.row.label,
                "source": one.row.source,
                "anchor": one.row.anchor,
                "before": one.row.before,
                "after": one.row.after,
                "rule": one.row.rules,
                "state": one.row.state,
                "error": one.row.error,
            }
            for one in changes
        ),
    }


def _print_change(out: Output, found: service.ShownPlan, one: service.ShownChange) -> None:
    """What is done to whom, then a line per attribute: before, after, and the rule that decided."""
    change, named = one.row, partial(_named, found.target, one.names)
    head = Text()
    head.append_text(styled(change.operation.value, "error" if change.operation in ALARMING else "heading"))
    head.append(f" {clean(change.kind.value)} {clean(change.label)}")
    head.append_text(styled(f"  {change.source or change.anchor or ''}", "dim"))
    if change.state not in ("planned", "approved"):
        head.append_text(styled(f"  {change.state.replace('_', ' ')}", "good" if change.state in GOOD else "error"))
    out.results.print(head, soft_wrap=True)
    if change.error:
        out.line(f"  {change.error}", "error")
    grid = Table.grid(padding=(0, 1), expand=True)
    for ratio in (4, 6, 7):
        grid.add_column(ratio=ratio, overflow="fold")
    for name in dict.fromkeys([*change.before, *change.after]):
        before, after = change.before.get(name), change.after.get(name)
        value = Text()
        if name in change.before:
            value.append_text(styled(named(before), "dim")).append(" → " if name in change.after else " goes")
        if name in change.after:
            value.append(clean(named(after)) if after is not None else "(cleared)")
        rule = change.rules.get(name, "").removeprefix(f"{found.plan.profile}: ")
        grid.add_row(Text(f"  {clean(name)}"), value, styled(rule, "dim"))
    out.grid(grid)


def _named(target: str, names: Mapping[str, str], value: Any) -> str:
    """A value for people; objects that it refers to by their names."""
    if isinstance(value, tuple):
        return " | ".join(_named(target, names, one) for one in value) or "(nothing)"
    if isinstance(value, Reference):
        name = service.reference_name(value, target)
        return names.get(name, name)
    return shown(value)


def _counts(plan: service.PlanSummary) -> str:
    return ", ".join(f"{count} {operation.value}" for operation, count in plan.counts.items()) or "no changes"


def _writes(plan: service.PlanSummary, states: Mapping[str, int]) -> str:
    """The plan's rows in the ledger. Where they are more than its changes, why."""
    more = sum(states.values()) > plan.changes
    return writes(states) + (" (references are written by themselves, once everybody is there)" if more else "")


def _purpose(plan: service.PlanSummary) -> str:
    return (f"undo of run {plan.undoes}" if plan.undoes is not None else plan.note) if plan.purpose == "undo" else plan.purpose


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text
