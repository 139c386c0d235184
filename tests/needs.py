"""Tests that need a tool which pip cannot bring, and a list of what therefore did not run.

    @pytest.mark.needs("strace")

skips the test where the tool is missing; the run then ends with a section NOT RUN that says which
tools, how many tests and how to get each. With IRMEXPORT_NOTHING_SKIPPED=1 (CI) any test that was
skipped or expected to fail, for whatever reason, fails the run.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

AZURITE = Path(sys.prefix) / "azurite/node_modules/azurite/package.json"
EVERYTHING_RUNS = "IRMEXPORT_NOTHING_SKIPPED"


def find_python(version: str) -> str | None:
    """The path of a Python of that version that starts and can make a venv.

    A pyenv shim of a version that is not activated is on PATH but does not start: each is tried.
    """
    installed = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
    for candidate in (shutil.which(f"python{version}"), *map(str, sorted(installed))):
        if candidate is not None and _starts_as(candidate, version):
            return candidate
    return None


def _starts_as(python: str, version: str) -> bool:
    ask = "import ensurepip, sys; print('{}.{}'.format(*sys.version_info))"
    try:
        answer = subprocess.run([python, "-c", ask], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version


@dataclass(frozen=True)
class Tool:
    """Something a test needs that is no Python package."""

    find: Callable[[], str | None]
    how_to_get_it: str


def _can_mount() -> str | None:
    """Where `unshare` is, if a process of ours may mount a disk in a namespace of its own."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return None
    mount = "mount -t tmpfs -o size=1m none /mnt"
    tried = subprocess.run(
        [unshare, "--map-root-user", "--mount", "sh", "-c", mount], capture_output=True, check=False
    )
    return unshare if tried.returncode == 0 else None


def _is_root() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


TOOLS = {
    "root": Tool(
        lambda: "root" if sys.platform == "linux" and os.geteuid() == 0 else None, "run as root on Linux"
    ),
    "strace": Tool(lambda: shutil.which("strace"), "apt-get install strace"),
    "libmagic": Tool(lambda: ctypes.util.find_library("magic"), "apt-get install libmagic1"),
    "tmpfs": Tool(_can_mount, "run as root, or allow unprivileged user namespaces (Linux, util-linux)"),
    "azurite": Tool(
        lambda: str(AZURITE) if AZURITE.exists() else None, "make .venv/.azurite (`make test` does it)"
    ),
    "chromium": Tool(lambda: shutil.which("chromium"), "apt-get install chromium"),
    "python3.9": Tool(lambda: find_python("3.9"), "pyenv install 3.9, or python3.9 on PATH"),
    "python3.13": Tool(lambda: find_python("3.13"), "pyenv install 3.13, or python3.13 on PATH"),
}


class NotRun:
    """Skips what cannot run, and remembers everything that was skipped."""

    def __init__(self, *, everything_runs: bool) -> None:
        self.everything_runs = everything_runs
        self.tests_without: Counter[str] = Counter()
        self.for_other_reasons: list[str] = []
        self._is_here: dict[str, bool] = {}

    def _missing(self, item: pytest.Item) -> list[str]:
        wanted = [name for mark in item.iter_markers("needs") for name in mark.args]
        for name in wanted:
            if name not in self._is_here:
                self._is_here[name] = TOOLS[name].find() is not None
        return [name for name in wanted if not self._is_here[name]]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        missing = self._missing(item)
        if missing:
            # The properties travel with the report, also from xdist's workers.
            item.user_properties.extend(("missing tool", name) for name in missing)
            pytest.skip(f"needs {', '.join(missing)}")

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        for mark in item.iter_markers("needs"):
            unknown = [name for name in mark.args if name not in TOOLS]
            if unknown or not mark.args:
                message = (
                    f"{item.nodeid}: needs({', '.join(map(repr, mark.args))}) must name tools of "
                    f"tests/needs.py: {', '.join(sorted(TOOLS))}"
                )
                raise pytest.UsageError(message)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not (report.skipped or hasattr(report, "wasxfail")):
            return
        missing = [str(name) for what, name in report.user_properties if what == "missing tool"]
        self.tests_without.update(missing)
        if not missing:
            self._remember(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._remember(report)

    def _remember(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if hasattr(report, "wasxfail"):
            reason = f"marked xfail: {report.wasxfail}"
        elif isinstance(report.longrepr, tuple):
            reason = report.longrepr[2]
        else:
            reason = str(report.longrepr)
        self.for_other_reasons.append(f"{report.nodeid}: {reason}")

    @property
    def _fails_the_run(self) -> bool:
        return self.everything_runs and bool(self.tests_without or self.for_other_reasons)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        harmless = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self._fails_the_run and session.exitstatus in harmless:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not (self.tests_without or self.for_other_reasons):
            return
        terminalreporter.section("NOT RUN", red=self._fails_the_run, yellow=True)
        for name, tests in sorted(self.tests_without.items()):
            how = TOOLS[name].how_to_get_it
            terminalreporter.line(f"{name} is missing, tests: {tests}. To get it: {how}")
        for line in sorted(self.for_other_reasons):
            terminalreporter.line(line)
        if self._fails_the_run:
            terminalreporter.line(f"{EVERYTHING_RUNS}=1: the run fails because of these.")


def pytest_configure(config: pytest.Config) -> None:
    """The marker, and the plugin with what the environment asks for."""
    config.addinivalue_line(
        "markers", "needs(*tools): skip where a tool of tests/needs.py is missing, and say so"
    )
    everything_runs = os.environ.get(EVERYTHING_RUNS) == "1"
    config.pluginmanager.register(NotRun(everything_runs=everything_runs), "irmexport-not-run")
