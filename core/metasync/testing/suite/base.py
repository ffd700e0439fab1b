"""How the suite's tests say what they need, and how those that do not apply to a connector are left out with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from metasync.contract import CAPABILITIES
from metasync.testing.context import TestContext
from metasync.testing.suite.bench import Bench
from metasync.testing.suite.harness import Harness as AnyHarness

Test = TypeVar("Test", bound=Callable[..., None])


def needs(*protocols: type[Any], named: tuple[str, ...] = (), able: tuple[str, ...] = ()) -> Callable[[Test], Test]:
    """A test applies where the connector implements the protocols, the harness names something, and overrides the methods `able`."""

    def mark(test: Test) -> Test:
        test.__dict__["needs"] = (protocols, named, able)
        return test

    return mark


def why_not(harness: type[AnyHarness], test: Any) -> str | None:
    """Why a test does not apply to this harness, or None."""
    protocols, named, able = getattr(test, "needs", ((), (), ()))
    for protocol in protocols:
        if not issubclass(harness.connector, protocol):
            capability = next((name for name, known in CAPABILITIES.items() if known is protocol), protocol.__name__)
            return f"{harness.connector.__name__} does not implement {protocol.__name__} ({capability})"
    for name in named:
        if getattr(harness, name) is None:
            return f"{harness.__name__}.{name} is None: the directory has nothing of the sort"
    for name in able:
        if getattr(harness, name) is getattr(AnyHarness, name):
            return f"{harness.__name__} does not override {name}"
    return None


class Suite:
    """Fixtures of all parts of the suite. A subclass that names its `Harness` keeps the tests that apply to it."""

    Harness: ClassVar[type[AnyHarness]]
    left_out: ClassVar[dict[str, str]] = {}
    """The tests that do not apply, each with its reason."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "Harness"):
            return
        cls.left_out = {}
        for name in dir(cls):
            test = getattr(cls, name)
            if name.startswith("test_") and test is not None and (reason := why_not(cls.Harness, test)):
                cls.left_out[name] = reason
                setattr(cls, name, None)  # what is not promised is not collected; a skip would say that a promise was not tried

    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[AnyHarness]:
        """An empty directory. Override it where one needs more than a folder."""
        harness = self.Harness(tmp_path)
        yield harness
        harness.dispose()

    @pytest.fixture
    def bench(self, harness: AnyHarness) -> Iterator[Bench]:
        """The directory with a connector; after each test nothing secret must have been said."""
        context = TestContext("conformance", secrets=harness.secrets, settings=harness.settings)
        bench = Bench(harness, context)
        try:
            yield bench
        finally:
            bench.close()
        assert not context.leaks(*bench.said), "a secret or a password stands in a result, in a log line or in a progress report"
