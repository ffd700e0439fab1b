"""Plans of exporters: what they want to carry across becomes changes without payload, under the same limits and approval as all others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from metasync.contract import Exporter, Intent, MetasyncError, Operation
from metasync.engagement.model import ExporterUse, Limit
from metasync.exporting import pairs
from metasync.store import exporters as exporter_rows
from metasync.workspace import Workspace

if TYPE_CHECKING:
    from metasync.planning.freezer import Freezer
    from metasync.planning.plan import PlanSummary

KEPT = "state to keep"
"""Among a change's rules: what the exporter keeps for the pair once this is written."""
LIMITS: dict[Operation, Limit] = {Operation.PASSWORD: Limit(count=5000), Operation.SID: Limit(count=5000)}
"""Exporters have no profile that could say otherwise."""


def exporter_of(workspace: Workspace, name: str) -> ExporterUse | None:
    """The use of an exporter by its plan's name."""
    return next((use for use in workspace.engagement.exporters if pairs.use_name(use) == name), None)


def exporter_configuration(workspace: Workspace, use: ExporterUse) -> str:
    """Digest of what an approval of its plans binds: its options and the plugins' versions."""
    versions = {plugin.name: plugin.version for plugin in workspace.host.plugins}
    content = [use.name, use.source, use.target, use.when, use.options, versions]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def make_exporter(workspace: Workspace, use: ExporterUse) -> Exporter:
    """The exporter itself; its directories must be able to do what it needs."""
    chosen = workspace.host.exporters.get(use.name)
    if chosen is None:
        raise MetasyncError(f"no plugin offers an exporter {use.name!r}; allow the one that does under `plugins:`")
    for directory, protocol in zip((use.source, use.target), chosen.needs, strict=True):
        if not issubclass(workspace.connector_class(directory), protocol):
            raise MetasyncError(f"{directory} cannot take part in {use.name}: its connector lacks {protocol.__name__}")
    return chosen(use.options, workspace.context(use.target))


def freeze_exporter(workspace: Workspace, run_id: int, use: ExporterUse) -> PlanSummary:
    """Ask the exporter what it would carry across, and freeze it as a plan."""
    from metasync.planning.plan import NewPlan, frozen  # they know each other: a plan's approval asks for an exporter's configuration

    exporter = make_exporter(workspace, use)
    name = pairs.use_name(use)
    cursors: list[str | None] = []
    seen = 0

    def fill(connection: Connection, freezer: Freezer) -> None:
        nonlocal seen
        since, since_run = _cursor(connection, workspace, name)
        found = pairs.pages(workspace, connection, use, exporter.attributes, since_run=since_run, problems=freezer.problems)

        def counted() -> Iterator[Any]:
            nonlocal seen
            for pair in found:
                seen += 1
                yield pair

        intents = iter(exporter.plan(counted(), since))
        while portion := list(islice(intents, 500)):
            _add(workspace, connection, freezer, use, portion)
            workspace.report(seen, None, f"planning {name}")
        cursors.append(exporter.cursor)

    def keep_cursor(connection: Connection, plan_id: int) -> None:
        # It counts only once the plan is written: what is not written is asked for again.
        content = json.dumps({"cursor": cursors[0], "run": run_id})
        exporter_rows.keep_exporter_state(connection, workspace.engagement_id, name, f"plan {plan_id}", content)

    new = NewPlan(
        profile=name,
        purpose="exporter",
        directory=use.target,
        configuration=exporter_configuration(workspace, use),
        limits=LIMITS,
        joined=lambda connection: seen,
        fill=fill,
        after=keep_cursor,
    )
    return frozen(workspace, run_id, new)


def advance_cursor(workspace: Workspace, connection: Connection, name: str, plan_id: int) -> None:
    """Everything of this plan is written: the next one may start behind it."""
    key = f"plan {plan_id}"
    kept = exporter_rows.exporter_states(connection, workspace.engagement_id, name, [key]).get(key)
    if kept:
        exporter_rows.keep_exporter_state(connection, workspace.engagement_id, name, pairs.CURSOR, kept)


def _cursor(connection: Connection, workspace: Workspace, name: str) -> tuple[str | None, int]:
    kept = exporter_rows.exporter_states(connection, workspace.engagement_id, name, [pairs.CURSOR]).get(pairs.CURSOR)
    if not kept:
        return None, 0
    fields = json.loads(kept)
    return fields["cursor"], fields["run"]


def _add(workspace: Workspace, connection: Connection, freezer: Freezer, use: ExporterUse, portion: list[Intent]) -> None:
    from metasync.planning.freezer import Draft, Subject

    sources = exporter_rows.object_ids(connection, workspace.directory_ids[use.source], [one.pair.source for one in portion])
    targets = exporter_rows.object_ids(connection, workspace.directory_ids[use.target], [one.pair.target for one in portion])
    for intent in portion:
        pair = intent.pair
        rules = {"": intent.reason} if intent.reason else {}
        if intent.state is not None:
            rules[KEPT] = intent.state
        subject = Subject(
            object_id=sources.get(pair.source, 0),
            source=f"{use.source}/{pair.source}",
            identity_id=int(pair.id.partition("/")[0]),
            kind=pair.kind,
            target_id=targets.get(pair.target),
            anchor=pair.target,
            label=pair.label,
        )
        freezer.add(subject, [Draft(operation=intent.operation, after=intent.after, rules=rules)])
