"""The core runs on the Pythons that Splunk ships: 3.9 and 3.13.

The tests under tests/common/irmcore need only the core, its locked packages and tests/fakes, so they run
there unchanged. Tests that need the emulator or the command line live elsewhere in tests/. Each folder
is a test of its own here, so that xdist's workers share the work. What a power loss or a fault of the disk
leaves is decided by the order of system calls: `make faults` runs those long tests here.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import find_python

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements" / "core-tests-py39.txt"

CORE_TESTS = Path("tests/common/irmcore")
#: The folders with tests of the core, and each test file that lies beside them.
PARTS = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / CORE_TESTS).iterdir()
    if (path.is_dir() and any(path.rglob("test_*.py"))) or path.match("test_*.py")
)
#: The tests of power losses and disk faults.
DISK = [str(CORE_TESTS / "outbox" / name) for name in ("test_disk_faults.py", "test_power_loss.py")]
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
    """The path of that Python, which the `needs` mark has already found."""
    found = find_python(version)
    assert found is not None
    return found


def python_with_the_locked_packages(version: str) -> Path:
    """A venv of that version, kept under .cache/ until the lock or the interpreter changes."""
    base = interpreter(version)
    venv = ROOT / ".cache" / f"py{version}"
    venv.parent.mkdir(exist_ok=True)
    with venv.with_name(f"{venv.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return made(venv, base)


def made(venv: Path, base: str) -> Path:
    """The Python of ``venv``, which is made from the interpreter ``base`` if it is missing or stale."""
    python = venv / "bin" / "python"
    stamp = venv / "made-from"
    lock_hash = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    made_from = f"{base}\n{run(base, '-VV').stdout}{lock_hash}\n"
    if not stamp.exists() or stamp.read_text() != made_from:
        created = run(base, "-m", "venv", "--clear", venv)
        assert created.returncode == 0, created.stderr
        pip = (python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install")
        locked = ("--require-hashes", "--no-deps", "--only-binary=:all:", "-r", LOCK)
        installed = run(*pip, "-qq", *locked)
        assert installed.returncode == 0, installed.stderr
        stamp.write_text(made_from)
    return python


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", [*PARTS, *(pytest.param(part, marks=pytest.mark.faults) for part in DISK)])
@pytest.mark.parametrize("version", OLD_PYTHONS)
def test_the_cores_tests_pass(version: str, part: str) -> None:
    """Every test of the core passes on each version that the Splunk app supports."""
    python = python_with_the_locked_packages(version)
    cache = python.parents[1] / "pytest-cache" / part  # the parts run at the same time
    left_out = [f"--ignore={file}" for file in DISK if file != part]
    command = (python, "-m", "pytest", "-q", "-o", f"cache_dir={cache}", *left_out, part)
    tests = run(*command, PYTHONPATH="common")
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
