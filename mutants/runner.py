"""Runs the tests of a mutant in a copy of the tree, in a process that already has pytest loaded.

cosmic-ray's own runner starts one fixed command for each mutant: it can choose neither the tests of the
changed line nor a process that is ready. This one needs about half a second for a mutant that dies.
"""

from __future__ import annotations

import compileall
import functools
import importlib
import itertools
import math
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from mutants.sample import Mutant

#: A test hangs if it takes so many seconds, and ten times what it took unchanged; more on a busy machine.
LEAST_PATIENCE = 20.0
#: What a mutant may allocate, and write to one file: an endless loop must not take the machine down.
MEMORY, FILE_SIZE = 4 << 30, 1 << 30

#: Tests that read or load all modules, and so run no line of the one that was changed.
RULES = "tests/common/irmcore/test_values.py"
#: How long the last two stages of a mutant's tests may take each (`Tests.stages`).
LINE_SECONDS, REST_SECONDS = 60.0, 15.0
#: What most tests import and no mutant changes.
PRELOADED = ("requests", "msal", "yaml", "fastjsonschema", "click")

KILLED, HUNG, SURVIVED = "killed", "hung", "survived"


@dataclass(frozen=True)
class Tests:
    """``lines`` has the tests of each line of each file, ``seconds`` how long each takes."""

    seconds: Mapping[str, float]
    lines: Mapping[str, Mapping[str, Sequence[str]]]

    def stages(self, mutant: Mutant) -> Iterator[list[str]]:
        """The tests to run, most promising first: those that mirror the file, of the line, of the file.

        The last are for what no test of the line can see: a constant, what ran in a process of its own. Of
        these and of the line's only the fastest are run: that slow ones might kill one counts against us.
        """
        lines = self.lines.get(mutant.file, {})
        of_line = set(lines.get(str(mutant.line), ()))
        of_file = {test for tests in lines.values() for test in tests}
        mirror = f"/test_{Path(mutant.file).stem}.py::"
        mirrored = {test for test in of_line or of_file if mirror in test}
        yield self._fastest(mirrored)
        yield self._fastest({test for test in self.seconds if test.startswith(RULES)})
        yield self._fastest(of_line - mirrored, LINE_SECONDS)
        beside = f"tests/common/irmcore/{mutant.package}/"
        blind = {test for test in self._blind if test.startswith(beside)}
        yield self._fastest(of_file - of_line - mirrored | blind, REST_SECONDS)

    @functools.cached_property
    def _blind(self) -> set[str]:
        """Tests that run no line here: they start a process for it."""
        seen = (tests for lines in self.lines.values() for tests in lines.values())
        return set(self.seconds).difference(*seen)

    def _fastest(self, tests: set[str], limit: float = math.inf) -> list[str]:
        """As many of the tests as run within ``limit`` seconds, the fastest first."""
        ordered = sorted(tests, key=lambda test: (self.seconds[test], test))
        spent = itertools.accumulate(self.seconds[test] for test in ordered)
        return [test for test, seconds in zip(ordered, spent, strict=True) if seconds < limit]


class Copy:
    """A copy of the tracked files in which mutants live; the working tree is never changed."""

    def __init__(self, root: Path, into: Path) -> None:
        self.path = into
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=root, check=True, capture_output=True).stdout.decode()
        for name in filter(None, names.split("\0")):
            if (root / name).is_file():
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, into / name, follow_symlinks=False)
        for compiled in ("common", "tests"):
            compileall.compile_dir(into / compiled, quiet=2)

    def environment(self) -> dict[str, str]:
        """The environment of a process that imports from the copy, and writes no .pyc.

        A .pyc holds the second in which its source was written, and two mutants may be written in one.
        """
        ours = [str(self.path / part) for part in ("common", "sentinel", "splunk_app/bin", ".")]
        found = filter(None, [*ours, os.environ.get("PYTHONPATH")])
        return os.environ | {"PYTHONPATH": os.pathsep.join(found), "PYTHONDONTWRITEBYTECODE": "1"}

    def enter(self) -> None:
        """Make this process, and those it starts, import from the copy."""
        os.environ.update(self.environment())
        sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)
        sys.dont_write_bytecode = True
        os.chdir(self.path)
        for package in PRELOADED:
            importlib.import_module(package)

    def outcome(self, mutant: Mutant, tests: Tests) -> tuple[str, str]:
        """Killed, hung or survived, and the test that found it."""
        source = self.path / mutant.file
        unchanged = source.read_bytes()
        written = source.stat()
        source.write_text(mutant.source, encoding="utf-8")
        try:
            for chosen in tests.stages(mutant):
                found, test = _run(chosen, tests.seconds) if chosen else (SURVIVED, "")
                if found != SURVIVED:
                    return found, test
            return SURVIVED, ""
        finally:
            source.write_bytes(unchanged)
            os.utime(source, ns=(written.st_atime_ns, written.st_mtime_ns))


class _Plugin:
    """Writes the name of each test into a pipe as it starts; lets Hypothesis stop at its first failure."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def pytest_sessionstart(self) -> None:
        settings = hypothesis.settings
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        settings.register_profile("mutants", parent=settings(), phases=phases, database=None)
        settings.load_profile("mutants")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        os.write(self._pipe, f"{nodeid}\n".encode())


def _run(tests: Sequence[str], seconds: Mapping[str, float]) -> tuple[str, str]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _child(tests, writing)
    os.close(writing)
    last, hung = "", False
    with os.fdopen(reading, "rb", buffering=0) as names:
        while True:
            busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
            patience = max(LEAST_PATIENCE, 10 * seconds.get(last, 0))
            if not select.select([names], [], [], busy * patience)[0]:
                hung = True
                break
            data = names.read(65536)
            if not data:
                break
            last = data.decode().splitlines()[-1]
    if hung:
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not hung:
        _end_group(child)
    if hung:
        return HUNG, last
    return (SURVIVED if status == 0 else KILLED), last


def _end_group(leader: int) -> None:
    """End what a test of the mutant started and left."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _child(tests: Sequence[str], pipe: int) -> None:
    code = 70
    try:
        os.setsid()
        os.set_inheritable(pipe, False)  # noqa: FBT003 -- os's own signature
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
        options = ["-x", "-q", "--tb=no", "--assert=plain", "-p", "no:xdist", "--hypothesis-seed=0"]
        code = int(pytest.main([*options, *tests], plugins=[_Plugin(pipe)]))
    finally:
        os._exit(code)
