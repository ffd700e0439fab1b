"""Who carries changes out: a directory's connector, or an exporter between two of them.

Both give exactly one result per change, or an error.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial

from metasync.blame import answers
from metasync.contract import Change, Connector, Exporter, Found, Intent, MetasyncError, Pair, Result, Writes
from metasync.exporting.pairs import pair_id
from metasync.store.ledger import ChangeRow

Item = tuple[ChangeRow, Change]


class Target(ABC):
    """Carries changes out."""

    name: str
    """For messages."""
    commit_size: int
    lag: timedelta

    @abstractmethod
    def write(self, items: Sequence[Item]) -> Iterator[Result]:
        """Apply at most `commit_size` changes."""

    @abstractmethod
    def find(self, items: Sequence[Item]) -> Iterator[Found] | None:
        """Read the objects of these changes back; None where there is nothing to read, so that it is done again."""


class ConnectorTarget(Target):
    """A directory."""

    def __init__(self, directory: str, connector: Connector) -> None:
        if not isinstance(connector, Writes):
            raise MetasyncError(f"{directory} cannot be written: its connector {connector.name} only reads")
        self.name, self._connector = f"the connector {connector.name}", connector.name
        self.commit_size = max(1, connector.commit_size)
        self.lag = connector.lag
        self._writes: Writes = connector

    def write(self, items: Sequence[Item]) -> Iterator[Result]:
        return self._writes.write([change for _, change in items])

    def find(self, items: Sequence[Item]) -> Iterator[Found] | None:
        return answers(self._connector, partial(self._writes.find, [change for _, change in items]))


class ExporterTarget(Target):
    """An exporter. What it carries cannot be read back, and does no harm when it is carried twice."""

    def __init__(self, exporter: Exporter, source: Connector, target: Connector) -> None:
        self.name = f"the exporter {exporter.name}"
        self.commit_size = max(1, exporter.commit_size)
        self.lag = timedelta(0)
        self._exporter, self._source, self._target = exporter, source, target

    def write(self, items: Sequence[Item]) -> Iterator[Result]:
        return self._exporter.write([(change.id, _intent(row, change)) for row, change in items], self._source, self._target)

    def find(self, items: Sequence[Item]) -> Iterator[Found] | None:
        return None


def _intent(row: ChangeRow, change: Change) -> Intent:
    from metasync.planning.exporters import KEPT

    pair = Pair(
        id=pair_id(row.identity_id or 0, row.kind),
        kind=row.kind,
        source=row.source.partition("/")[2],
        target=change.anchor or "",
        label=row.label,
    )
    after = {name: value for name, value in change.after.items() if value is not None}
    return Intent(pair=pair, operation=change.operation, after=after, reason=row.rules.get("", ""), state=row.rules.get(KEPT))
