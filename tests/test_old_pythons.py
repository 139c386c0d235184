"""The core runs where Splunk runs it: Python 3.9 and 3.13.

The tests under tests/common/irmcore stand on nothing but the core, its locked packages and
tests/fakes, so they run there as they are. Tests that need the emulator or the command line live
elsewhere in tests/.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import find_python

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements" / "core-tests-py39.txt"

OLD_PYTHONS = [
    pytest.param("3.9", marks=pytest.mark.needs("python3.9")),
    pytest.param("3.13", marks=pytest.mark.needs("python3.13")),
]


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command run from the root of the tree, free of what this pytest has set."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHON"))}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def interpreter(version: str) -> str:
    """The Python of that version, which `needs` has found before."""
    found = find_python(version)
    assert found is not None
    return found


def python_with_the_locked_packages(version: str) -> Path:
    """A venv of that version, kept under .cache/ until the lock or the interpreter changes."""
    base = interpreter(version)
    venv = ROOT / ".cache" / f"py{version}"
    python = venv / "bin" / "python"
    stamp = venv / "made-from"
    lock_hash = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    made_from = f"{base}\n{run(base, '-VV').stdout}{lock_hash}\n"
    if not stamp.exists() or stamp.read_text() != made_from:
        made = run(base, "-m", "venv", "--clear", venv)
        assert made.returncode == 0, made.stderr
        pip = (python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install")
        locked = ("--require-hashes", "--no-deps", "--only-binary=:all:", "-r", LOCK)
        installed = run(*pip, "-qq", *locked)
        assert installed.returncode == 0, installed.stderr
        stamp.write_text(made_from)
    return python


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("version", OLD_PYTHONS)
def test_the_cores_tests_pass(version: str) -> None:
    """Every test of the core passes with the versions that the Splunk app ships."""
    python = python_with_the_locked_packages(version)
    tests = run(
        *(python, "-m", "pytest", "-o", f"cache_dir={python.parent.parent / 'pytest-cache'}"),
        "tests/common/irmcore",
        PYTHONPATH="common",
    )
    assert tests.returncode == 0, tests.stdout + tests.stderr
    sys.stdout.write(tests.stdout.splitlines()[-1])


@pytest.mark.parametrize("version", OLD_PYTHONS)
def test_the_core_compiles(version: str, tmp_path: Path) -> None:
    """Every module of the core parses, also one that no test imports."""
    compiled = run(
        *(interpreter(version), "-X", f"pycache_prefix={tmp_path}", "-W", "error"),
        *("-m", "compileall", "-q", "common/irmcore"),
    )
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    assert list(tmp_path.rglob("*.pyc")), "nothing was compiled"
