"""A pytest plugin for CI: a skipped test fails the run, and is named with its reason. `script/test --no-skips` loads it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


class _Skips:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.seen.append((report.nodeid, _reason(report)))

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.seen.append((report.nodeid, _reason(report)))

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        # Workers of xdist hand their reports to the controller, which alone decides.
        if self.seen and not hasattr(session.config, "workerinput") and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        yield

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.seen:
            terminalreporter.section("skipped tests, which must not be here")
            for name, reason in self.seen:
                terminalreporter.line(f"{name}: {reason}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Skips())
