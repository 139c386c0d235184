import pytest

from tests.needs import EVERYTHING_RUNS, TOOLS, find_python

NEEDS_STRACE = """
    import pytest

    @pytest.mark.needs("strace")
    def test_one(): pass

    @pytest.mark.needs("strace")
    def test_two(): pass

    def test_three(): pass
"""


@pytest.fixture(autouse=True)
def _plugin(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makeconftest('pytest_plugins = ["tests.needs"]')
    monkeypatch.delenv(EVERYTHING_RUNS, raising=False)


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    """A machine that has none of the tools."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("HOME", str(pytester.path))


@pytest.mark.usefixtures("bare_machine")
def test_a_missing_tool_is_named_with_its_tests_and_where_to_get_it(
    pytester: pytest.Pytester,
) -> None:
    """Tests without their tool are skipped, and the run ends by saying so."""
    pytester.makepyfile(NEEDS_STRACE)
    run = pytester.runpytest()
    run.assert_outcomes(passed=1, skipped=2)
    run.stdout.fnmatch_lines(["*NOT RUN*", "strace is missing, tests: 2. To get it: apt-get install strace"])
    assert run.ret == pytest.ExitCode.OK


@pytest.mark.usefixtures("bare_machine")
def test_xdist_tells_the_same(pytester: pytest.Pytester) -> None:
    """What a worker skipped stands in the controller's list."""
    pytester.makepyfile(NEEDS_STRACE)
    run = pytester.runpytest("-n1")
    run.stdout.fnmatch_lines(["*NOT RUN*", "strace is missing, tests: 2.*"])


def test_a_tool_that_is_there_lets_the_test_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the tool on PATH the test runs and nothing is listed."""
    strace = pytester.path / "strace"
    strace.write_text("#!/bin/sh\n")
    strace.chmod(0o755)
    monkeypatch.setenv("PATH", str(pytester.path))
    pytester.makepyfile(NEEDS_STRACE)
    run = pytester.runpytest()
    run.assert_outcomes(passed=3)
    run.stdout.no_fnmatch_line("*NOT RUN*")


SKIPS = {
    "a missing tool": NEEDS_STRACE,
    "a skip": "import pytest\n@pytest.mark.skip(reason='why')\ndef test_it(): pass\n",
    "a skip inside a test": "import pytest\ndef test_it(): pytest.skip('why')\n",
    "an expected failure": "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n",
    "an unexpected pass": "import pytest\n@pytest.mark.xfail\ndef test_it(): pass\n",
    "a skipped module": "import pytest\npytest.skip('why', allow_module_level=True)\n",
    "no parameters": "import pytest\n@pytest.mark.parametrize('a', [])\ndef test_it(a): pass\n",
}


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS.keys())
@pytest.mark.parametrize("flags", [[], ["-n1"]], ids=["alone", "xdist"])
def test_nothing_skipped_fails_a_run_with_any_skip(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str, flags: list[str]
) -> None:
    """In CI, whatever did not run fails the run and is listed."""
    monkeypatch.setenv(EVERYTHING_RUNS, "1")
    pytester.makepyfile(test_sample=source)
    run = pytester.runpytest(*flags)
    assert run.ret == pytest.ExitCode.TESTS_FAILED
    run.stdout.fnmatch_lines(["*NOT RUN*", f"{EVERYTHING_RUNS}=1: the run fails*"])


def test_nothing_skipped_passes_a_run_without_skips(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In CI, a run in which everything ran passes."""
    monkeypatch.setenv(EVERYTHING_RUNS, "1")
    pytester.makepyfile("def test_it(): pass")
    run = pytester.runpytest()
    assert run.ret == pytest.ExitCode.OK


@pytest.mark.parametrize("names", ["'starce'", ""])
def test_a_name_outside_the_table_is_refused(pytester: pytest.Pytester, names: str) -> None:
    """A misspelt tool stops the run, instead of skipping its test for ever."""
    pytester.makepyfile(f"import pytest\n@pytest.mark.needs({names})\ndef test_it(): pass\n")
    run = pytester.runpytest()
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines([f"*must name tools of tests/needs.py: {', '.join(sorted(TOOLS))}"])


@pytest.mark.usefixtures("bare_machine")
def test_a_python_that_does_not_start_is_not_found(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pyenv shim of a version that is not activated is passed over; one that starts is taken."""
    shim = pytester.path / "python3.9"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.9: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(pytester.path))
    assert find_python("3.9") is None

    pyenv = pytester.mkdir(".pyenv") / "versions" / "3.9.18" / "bin"
    pyenv.mkdir(parents=True)
    (pyenv / "python").write_text("#!/bin/sh\necho 3.9\n")
    (pyenv / "python").chmod(0o755)
    assert find_python("3.9") == str(pyenv / "python")
