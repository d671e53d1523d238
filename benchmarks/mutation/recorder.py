"""Which lines of the core each test runs: a pytest session under coverage, in a process of its own.

Usage::

    python -m benchmarks.mutation.recorder OUT.json TEST_FILE...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import coverage
import pytest

from benchmarks.mutation import layout
from benchmarks.mutation.session import Quick, arguments

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Recorder"]


class Recorder:
    """A pytest plugin that tells coverage which test is running.

    Attributes:
        seconds: how long each test took, under coverage.
    """

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, None]:
        """What runs now is run by ``item``."""
        self._measured.switch_context(item.nodeid)
        yield
        self._measured.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the time of one phase."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def main(out: str, files: list[str]) -> None:
    """Run ``files`` and write ``{"tests": {id: {"seconds", "lines"}}, "imported", "modules"}`` to ``out``."""
    measured = coverage.Coverage(
        data_file=None, config_file=False, branch=False, include=[f"{layout.CORE}/*"], concurrency="thread"
    )
    measured.start()
    recorder = Recorder(measured)
    ended = pytest.main([*arguments(), *files], plugins=[Quick(), recorder])
    if ended not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        raise SystemExit(int(ended))  # they cannot be collected
    measured.stop()
    data = measured.get_data()
    tests: dict[str, Any] = {test: {"seconds": seconds, "lines": {}} for test, seconds in recorder.seconds.items()}
    imported: dict[str, list[int]] = {}
    for path in data.measured_files():
        source = Path(path).name
        for line, contexts in sorted(data.contexts_by_lineno(path).items()):
            for context in contexts:
                if context:
                    tests[context]["lines"].setdefault(source, []).append(line)
                else:
                    imported.setdefault(source, []).append(line)
    modules = [
        name
        for name in sys.modules
        if name.partition(".")[0] not in {"__main__", "holdfast", "tests", "benchmarks", "conftest", "coverage"}
    ]
    Path(out).write_text(json.dumps({"tests": tests, "imported": imported, "modules": modules}), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
