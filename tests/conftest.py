"""Rules for the whole suite: what may be skipped, and the account at the end of what ran and what did not.

Owns no fixture of any part: each folder keeps its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.testbed import needs

settings.register_profile("kvpn", deadline=None, print_blob=True)
settings.load_profile("kvpn")

OUTCOMES = ("passed", "failed", "skipped")


class Account:
    """How many tests ended how, and how long they took, per folder; every skip with its reason."""

    def __init__(self) -> None:
        self.outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.skips: Counter[tuple[str, str]] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the call, and set-up or tear-down where they end otherwise than well."""
        folder = report.nodeid.split("::")[0].rpartition("/")[0]
        self.seconds[folder] += report.duration
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[folder][report.outcome] += 1
        if report.skipped:
            self.skips[report.nodeid.split("[")[0], reason_of(report)] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A whole file that skips itself counts as one skip."""
        if report.skipped:
            self.outcomes[report.nodeid.rpartition("/")[0]]["skipped"] += 1
            self.skips[report.nodeid, reason_of(report)] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What ran per folder; what was skipped and why."""
        terminalreporter.section("what ran")
        for folder in sorted(self.outcomes):
            counts = ", ".join(f"{self.outcomes[folder][name]} {name}" for name in OUTCOMES
                               if self.outcomes[folder][name])
            terminalreporter.line(f"{folder:30} {self.seconds[folder]:7.1f} s  {counts}")
        terminalreporter.section("what was skipped and why")
        for (name, reason), count in sorted(self.skips.items()):
            terminalreporter.line(f"{name}{f' ({count} times)' if count > 1 else ''}: {reason}")
        if not self.skips:
            terminalreporter.line("nothing")


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why this was skipped, or xfailed, in the words of the test."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(getattr(report, "wasxfail", report.longrepr))


def pytest_configure(config: pytest.Config) -> None:
    """Start the account."""
    config.pluginmanager.register(Account(), "kvpn-account")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `root` needs no call of its own."""
    if item.get_closest_marker("root"):
        needs.root()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
        item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a skip by any other way than `needs` fails too; an expected failure stays one."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and needs.in_ci():
        report.longrepr = f"with CI=true nothing may be skipped: {reason_of(report)}"
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
        collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With CI=true a file must not skip itself while it is collected."""
    report = yield
    if report.skipped and needs.in_ci():
        report.longrepr = f"with CI=true nothing may be skipped: {reason_of(report)}"
        report.outcome = "failed"
    return report
