"""`ConnectorSuite`: all parts in one class, for an author to subclass."""

from __future__ import annotations

from metasync.testing.suite.describing import DescribingSuite
from metasync.testing.suite.finding import FindingSuite
from metasync.testing.suite.following import FollowingSuite
from metasync.testing.suite.further import FurtherSuite
from metasync.testing.suite.hostile import HostileSuite
from metasync.testing.suite.members import MembersSuite
from metasync.testing.suite.reading import ReadingSuite
from metasync.testing.suite.writing import WritingSuite


class ConnectorSuite(DescribingSuite, ReadingSuite, FollowingSuite, WritingSuite, MembersSuite, FindingSuite, FurtherSuite, HostileSuite):
    """Subclass it as `Test...` with `Harness = YourHarness`."""
