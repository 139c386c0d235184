"""Which tests run which line, and how long each takes: one run of all tests, as a plugin of pytest.

What a test runs in a process that it started is not seen. So a mutant that survives the tests of its line
meets all tests of its file (runner.py).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import coverage
import hypothesis
import pytest


class Recorder:
    """Switches coverage's context for each test."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()

    def pytest_sessionstart(self) -> None:
        """A few examples show the lines of a property test as well as many do, and take less time."""
        settings = hypothesis.settings
        settings.register_profile("few", parent=settings(), max_examples=10)
        settings.load_profile("few")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        started = time.monotonic()
        self._measured.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._measured.switch_context("")
            self.seconds[item.nodeid] = time.monotonic() - started


def main(sources: list[str], tests: list[str], into: Path) -> int:
    """Runs the tests and writes {"seconds": {test: s}, "lines": {file: {line: [test]}}}."""
    measured = coverage.Coverage(data_file=None, source=sources, config_file=False)
    recorder = Recorder(measured)
    measured.start()
    code = pytest.main(["-q", "--tb=line", "-p", "no:xdist", *tests], plugins=[recorder])
    measured.stop()
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return int(code)
    for test in sorted(recorder.failed):
        print(f"not used, as it fails on the program itself: {test}")
        del recorder.seconds[test]
    data = measured.get_data()
    lines = {
        str(Path(file).relative_to(Path.cwd())): {
            line: [test for test in names if test in recorder.seconds]
            for line, names in data.contexts_by_lineno(file).items()
        }
        for file in data.measured_files()
    }
    into.write_text(json.dumps({"seconds": recorder.seconds, "lines": lines}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].split(","), sys.argv[3:], Path(sys.argv[2])))
