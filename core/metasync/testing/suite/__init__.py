"""The conformance suite: what every connector must keep, proved on a directory of its own.

A connector's whole test file:

    import pytest
    from metasync.testing.suite import ConnectorSuite, Harness

    class FileHarness(Harness):
        connector = FileConnector
        def __init__(self, folder): ...
        def options(self): ...
        def put(self, kind, attributes): ...
        def change(self, anchor, attributes): ...
        def delete(self, anchor): ...

    class TestFile(ConnectorSuite):
        Harness = FileHarness

The tests are derived from the protocols that the connector implements and from what the harness says of the directory. What does not apply
is not collected: `ConnectorSuite.left_out` holds each such test with its reason.
"""

import pytest

for _module in ("base", "bench", "describing", "reading", "following", "writing", "finding", "members", "further", "hostile"):
    pytest.register_assert_rewrite(f"metasync.testing.suite.{_module}")

from metasync.testing.suite.bench import Bench  # noqa: E402  the asserts of what is imported from here on are to be rewritten
from metasync.testing.suite.connector import ConnectorSuite  # noqa: E402
from metasync.testing.suite.harness import Harness, cannot  # noqa: E402

__all__ = ["Bench", "ConnectorSuite", "Harness", "cannot"]
