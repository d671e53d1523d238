"""For every test: what was skipped is told, and in CI a skip that is not on the list is a failure.

A test that is skipped everywhere protects nothing, and nobody notices. So with the variable ``CI`` set (to anything but
``false`` or ``0``) the session fails when a test was skipped that ``allowed_skips.toml`` does not name.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says nothing on a machine that is shared; and a red build should be red again.
hypothesis.settings.register_profile("holdfast", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "holdfast")

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.toml")


@dataclass(eq=False)  # pluggy keeps plugins in sets
class SkipReport:
    """Collects the skips of a session; where tests run in several processes, in the one that the others report to."""

    strict: bool
    allowed: list[dict[str, str]]
    skipped: dict[str, str] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
            self.skipped[report.nodeid] = str(report.longrepr[2]).removeprefix("Skipped: ")

    def unexpected(self) -> dict[str, str]:
        return {
            test: reason
            for test, reason in self.skipped.items()
            if not any(fnmatchcase(test, entry["id"]) and entry["reason"] in reason for entry in self.allowed)
        }

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.strict and self.unexpected() and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        unexpected = self.unexpected()
        if not self.strict or not unexpected:
            return
        terminalreporter.section("skipped in CI, and not in tests/allowed_skips.toml: this fails the run", red=True)
        for test, reason in sorted(unexpected.items()):
            terminalreporter.line(f"{test}: {reason}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist reports to the process that started it
        return
    allowed = tomllib.loads(ALLOWED_SKIPS.read_text(encoding="utf-8"))["allowed"]
    strict = os.environ.get("CI", "").lower() not in {"", "0", "false"}
    config.pluginmanager.register(SkipReport(strict=strict, allowed=allowed), "holdfast-skips")
