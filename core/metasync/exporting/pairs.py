"""Pairs: what exporters plan with. A source object and the target object that stands for the same identity, page by page."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from metasync.contract import Kind, MetasyncError, Pair
from metasync.engagement.model import ExporterUse
from metasync.expressions import Expression, ExpressionError, compile_expression
from metasync.store import codec, waves
from metasync.store import exporters as exporter_rows
from metasync.workspace import Workspace

ROOTS = frozenset({"wave", "source", "target"})
CURSOR = ""
"""The name under which an exporter's cursor is kept among the states of its pairs."""
KINDS = (Kind.USER, Kind.GUEST)
"""Kinds that have what exporters carry: passwords, security identifiers."""


def use_name(use: ExporterUse) -> str:
    """What a plan of this exporter is called: `passwords: contoso -> fabrikam`."""
    return f"{use.name}: {use.source} -> {use.target}"


def pair_id(identity_id: int, kind: Kind | str) -> str:
    """How a pair is known from one plan to the next."""
    return f"{identity_id}/{Kind(kind).value}"


def pages(
    workspace: Workspace,
    connection: Connection,
    use: ExporterUse,
    attributes: Collection[str],
    *,
    since_run: int,
    problems: list[dict[str, Any]],
) -> Iterator[Pair]:
    """Every pair that `when` lets through. A pair whose condition cannot be evaluated is a problem, and is left out.

    `Pair.changed` names all wanted attributes of an object that an import changed after `since_run`: it may name too many, never too few.
    """
    when = compile_expression(use.when, rewrites=workspace.host.rewrites, roots=ROOTS) if use.when else None
    book = waves.book(connection, workspace.engagement_id) if when is not None else waves.Book()
    after = 0
    name = use_name(use)
    while rows := exporter_rows.pairs(
        connection,
        workspace.engagement_id,
        source=workspace.directory_ids[use.source],
        target=workspace.directory_ids[use.target],
        kinds=[kind.value for kind in KINDS],
        after_id=after,
    ):
        after = rows[-1].id
        states = exporter_rows.exporter_states(
            connection, workspace.engagement_id, name, [pair_id(row.identity_id, row.kind) for row in rows]
        )
        for row in rows:
            source, target = codec.decode(row.source_blob), codec.decode(row.target_blob) if row.target_blob else {}
            try:
                wave = book.of(row.identity_id, row.source_id)
                if when is not None and not _holds(when, {"source": source, "target": target, "wave": wave}):
                    continue
            except MetasyncError as error:
                problems.append(_problem(row, str(error)))
                continue
            identity = pair_id(row.identity_id, row.kind)
            yield Pair(
                id=identity,
                kind=Kind(row.kind),
                source=row.source_anchor,
                target=row.target_anchor,
                label=row.label,
                source_attributes=_only(source, attributes),
                target_attributes=_only(target, attributes),
                changed=_changed(row, source, target, attributes, since_run),
                state=states.get(identity),
            )


def _holds(when: Expression, environment: Mapping[str, Mapping[str, Any]]) -> bool:
    try:
        answer = when.call(*(environment[root].get(attribute) for root, attribute in when.arguments))
    except ExpressionError as error:
        raise MetasyncError(f"`when: {when.text}` failed: {error}") from error
    if answer is None:
        return False
    if not isinstance(answer, bool):
        raise MetasyncError(f"`when: {when.text}` must yield true or false, and yields {type(answer).__name__} here")
    return answer


def _changed(
    row: exporter_rows.PairRow, source: Mapping[str, Any], target: Mapping[str, Any], attributes: Collection[str], since_run: int
) -> frozenset[str]:
    found: set[str] = set()
    if (row.source_run or 0) > since_run:
        found |= set(attributes) & set(source)
    if (row.target_run or 0) > since_run:
        found |= set(attributes) & set(target)
    return frozenset(found)


def _only(image: Mapping[str, Any], attributes: Collection[str]) -> dict[str, Any]:
    return {name: image[name] for name in attributes if name in image}


def _problem(row: exporter_rows.PairRow, text: str) -> dict[str, Any]:
    return {
        "object_id": row.source_id,
        "anchor": row.source_anchor,
        "code": "expression",
        "text": f"{row.label}: {text}; the pair is left out",
        "severity": "error",
    }
