"""An exporter carries something across that is not an attribute: passwords, SID history.

It is a step of its own behind the attributes, with a cursor and per-pair state of its own. It yields changes without payload, which are
planned, limited, approved and journalled like all others; the secret is fetched inside `write` and kept nowhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from metasync.contract.connector import Connector, Context
from metasync.contract.model import Kind, Operation, Result, Values
from metasync.contract.options import Options


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A source object and the target object that stands for the same identity."""

    id: str
    kind: Kind
    source: str
    """Its anchor."""
    target: str
    """Its anchor."""
    label: str
    source_attributes: Mapping[str, Values] = field(default_factory=dict)
    target_attributes: Mapping[str, Values] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    """Attributes of either side that changed since `since`."""
    state: str | None = None
    """What this exporter last kept for this pair with `Intent.state`, once applied."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """What an exporter wants to do to one pair. It holds no secret."""

    pair: Pair
    operation: Operation
    after: Mapping[str, Values] = field(default_factory=dict)
    """What a person sees in the plan (`password: "as in contoso"`)."""
    reason: str = ""
    state: str | None = None
    """Kept for the pair once this is applied."""


class Exporter(ABC):
    """Registered once, by `metasync_register_exporters`."""

    name: ClassVar[str]
    """Its key under `exporters:`."""
    title: ClassVar[str]
    Options: ClassVar[type[Options]]
    operations: ClassVar[frozenset[Operation]]
    attributes: ClassVar[frozenset[str]] = frozenset()
    """Attributes that it wants in `Pair.source_attributes` and `Pair.target_attributes`."""
    needs: ClassVar[tuple[type[Any], type[Any]]]
    """The protocols that the source's and the target's connector must implement."""
    commit_size: ClassVar[int] = 1

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        self.options = options
        self.context = context

    @abstractmethod
    def plan(self, pairs: Iterator[Pair], since: str | None) -> Iterator[Intent]:
        """What to do, page by page. `since` is what `cursor` gave at the end of the last plan."""

    @property
    def cursor(self) -> str | None:
        """Where the next plan may start, asked once `plan` has ended."""
        return None

    @abstractmethod
    def write(self, intents: Sequence[tuple[str, Intent]], source: Connector, target: Connector) -> Iterator[Result]:
        """Carry it across; (change id, intent) in, exactly one result each. Raises `Unavailable` as `Writes.write` does."""
