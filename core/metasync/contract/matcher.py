"""A matcher turns a rule of `match:` into exact look-ups that the engine's index answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from metasync.contract.model import Values
from metasync.contract.options import Options


@dataclass(frozen=True, kw_only=True, slots=True)
class Lookup:
    """One thing to look for: an object of the target whose `key` has this value. Values are compared by `normalise`."""

    key: str
    """One of the matcher's `targets`."""
    value: Values


class Matcher(ABC):
    """One rule, prepared once when the document is compiled."""

    name: ClassVar[str]
    """What a rule says after `matcher:`; without it, `attribute`."""
    title: ClassVar[str]
    Options: ClassVar[type[Options]]
    """The rule's keys. Expressions among them are given in `sources` and `targets`."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    @property
    @abstractmethod
    def sources(self) -> Sequence[str]:
        """Attributes or expressions of the source that are evaluated for `lookups`, in order."""

    @property
    @abstractmethod
    def targets(self) -> Sequence[str]:
        """Attributes or expressions of the target that the engine indexes."""

    @abstractmethod
    def lookups(self, values: Sequence[Values | None]) -> Sequence[Lookup]:
        """What to look for, given the values of `sources`. Nothing to look for: an empty sequence. All objects that any look-up finds are
        candidates."""
