"""Every hook, in the order in which an engagement meets them.

*Register* hooks return classes or values, once. *Ask* hooks collect answers. *Tell* hooks report, per run or batch; a plugin that raises
there fails alone. None is called per object or per attribute. A plugin marks its implementations with `hookimpl` and is found by an entry
point of the group `metasync`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pluggy

from metasync.contract.connector import Connector
from metasync.contract.dispatcher import Dispatcher
from metasync.contract.exporter import Exporter
from metasync.contract.matcher import Matcher
from metasync.contract.model import Change
from metasync.contract.notifier import Notifier
from metasync.contract.rewrite import Rewrite
from metasync.contract.secrets import SecretProvider

PROJECT = "metasync"
CONTRACT_VERSION = 1

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Veto:
    """Why a change must not be made."""

    change: str
    """The change's id."""
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunNotice:
    """What the tell hooks report of a run or plan. Counts are by operation or by state."""

    engagement: str
    run: int
    profiles: tuple[str, ...] = ()
    plan: int | None = None
    state: str = ""
    counts: tuple[tuple[str, int], ...] = ()
    text: str = ""


@hookspec
def metasync_register_secret_providers() -> Sequence[type[SecretProvider]]:  # type: ignore[empty-body]
    """Register: providers of secrets."""


@hookspec
def metasync_register_connectors() -> Sequence[type[Connector]]:  # type: ignore[empty-body]
    """Register: connectors."""


@hookspec
def metasync_register_rewrites() -> Sequence[Rewrite]:  # type: ignore[empty-body]
    """Register: rewrites, callable as pipeline steps and as functions."""


@hookspec
def metasync_register_matchers() -> Sequence[type[Matcher]]:  # type: ignore[empty-body]
    """Register: matchers."""


@hookspec
def metasync_register_exporters() -> Sequence[type[Exporter]]:  # type: ignore[empty-body]
    """Register: exporters."""


@hookspec
def metasync_register_dispatchers() -> Sequence[type[Dispatcher]]:  # type: ignore[empty-body]
    """Register: dispatchers."""


@hookspec
def metasync_register_notifiers() -> Sequence[type[Notifier]]:  # type: ignore[empty-body]
    """Register: notifiers."""


@hookspec
def metasync_register_commands() -> Sequence[Any]:  # type: ignore[empty-body]
    """Register: click commands, shown beside the engine's own verbs."""


@hookspec
def metasync_run_started(notice: RunNotice) -> None:
    """Tell: a run began."""


@hookspec
def metasync_veto(engagement: str, profile: str, changes: Sequence[Change]) -> Sequence[Veto]:  # type: ignore[empty-body]
    """Ask: which of a plan's changes must not be made, and why. Asked in portions, while a plan is frozen."""


@hookspec
def metasync_planned(notice: RunNotice) -> None:
    """Tell: a plan was frozen."""


@hookspec
def metasync_approval_needed(notice: RunNotice) -> None:
    """Tell: a plan waits for a person."""


@hookspec
def metasync_written(notice: RunNotice) -> None:
    """Tell: a batch was written."""


@hookspec
def metasync_run_finished(notice: RunNotice) -> None:
    """Tell: a run ended, well or not."""
