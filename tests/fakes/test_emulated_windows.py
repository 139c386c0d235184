"""The emulated Windows (tests/fakes/windows) does what the documentation of Python and of Windows says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WINDOWS = Path(__file__).parent / "windows"


def windows_path(path: Path) -> str:
    """An absolute path of this machine as the emulated Windows has it."""
    return "C:" + str(path).replace("/", "\\")


def environment(home: Path) -> dict[str, str]:
    """The environment of a child process on the emulated Windows, whose user's files are in ``home``."""
    processes = home / "processes"
    processes.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(WINDOWS),
        "IRMEXPORT_TEST_WINDOWS": str(processes),
        "USERPROFILE": windows_path(home),
        "APPDATA": windows_path(home / "Roaming"),
        "LOCALAPPDATA": windows_path(home / "Local"),
        "TEMP": windows_path(home),
        "USERNAME": "sarad",
    }


Script = Callable[[str], Any]


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory whose path is short, as Windows limits it."""
    with tempfile.TemporaryDirectory(prefix="w") as directory:
        yield Path(directory).resolve()


@pytest.fixture
def on_windows(home: Path) -> Script:
    """Run statements there, in ``home``; returns ``found``, which they set. ``error`` names an error."""
    before = """
import json, os, pathlib, shutil, sys
def error(action):
    try: return repr(action())
    except Exception as raised: return type(raised).__name__
"""

    def run(text: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", f"{before}\n{text}\nprint(json.dumps(found))"],
            cwd=home,
            env=environment(home),
            capture_output=True,
            encoding="cp1252",
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


#: "Availability: Unix" in docs.python.org/3.11/library/os.html, signal.html and time.html; os.fchmod since
#: 3.13 also on Windows. O_BINARY, startfile and the like: "Availability: Windows".
ABSENT = [
    *(
        "chown",
        "fchdir",
        "fchmod",
        "fchown",
        "fork",
        "fwalk",
        "geteuid",
        "getuid",
        "getxattr",
        "killpg",
        "mkfifo",
    ),
    *(
        "nice",
        "pread",
        "pwrite",
        "register_at_fork",
        "sched_getaffinity",
        "setsid",
        "statvfs",
        "sync",
        "uname",
    ),
    *("O_CLOEXEC", "O_DIRECTORY", "O_DSYNC", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "O_PATH", "O_SYNC"),
]
PRESENT = [
    *(
        "O_APPEND",
        "O_BINARY",
        "O_CREAT",
        "O_EXCL",
        "O_NOINHERIT",
        "O_RDWR",
        "O_TRUNC",
        "access",
        "chmod",
        "close",
    ),
    *(
        "cpu_count",
        "dup2",
        "fsync",
        "getlogin",
        "getpid",
        "kill",
        "link",
        "listdir",
        "lseek",
        "mkdir",
        "pipe",
    ),
    *("read", "rename", "replace", "scandir", "stat", "symlink", "umask", "unlink", "utime", "waitpid"),
]


def test_names_are_those_of_windows(on_windows: Script) -> None:
    """Names that the documentation gives to Unix alone are absent, the others are there."""
    absent, present, modules = on_windows(
        f"found = [[n for n in {ABSENT} if hasattr(os, n)], [n for n in {PRESENT} if not hasattr(os, n)],"
        "[error(lambda: __import__(n)) for n in ('fcntl', 'grp', 'pwd', 'resource', 'termios')]]"
    )
    assert (absent, present, set(modules)) == ([], [], {"ModuleNotFoundError"})
    assert on_windows(
        "import signal, time\n"
        "found = [hasattr(signal, 'SIGKILL'), hasattr(signal, 'SIGTERM'), hasattr(time, 'tzset')]"
    ) == [False, True, False]


def test_paths_are_those_of_windows(on_windows: Script, home: Path) -> None:
    """A path has a drive and backslashes; / also separates; reserved characters and names are refused."""
    found = on_windows(
        r"""
pathlib.Path("a/b").mkdir(parents=True)
(pathlib.Path.cwd() / "a" / "b" / "c.txt").write_bytes(b"1")
found = [
    os.name, sys.platform, str(pathlib.Path("a/b/c.txt").absolute()), os.listdir(r"a\b"),
    [entry.path for entry in os.scandir("a")], os.path.isfile("A:/x"),
    *(error(lambda: open(name, "w")) for name in ("ab:c", "what?", "NUL.txt", "com1")),
]
"""
    )
    here = windows_path(home)
    assert found == [
        "nt",
        "win32",
        f"{here}\\a\\b\\c.txt",
        ["c.txt"],
        ["a\\b"],
        False,
        *["OSError"] * 4,
    ]
    assert (home / "a" / "b" / "c.txt").read_bytes() == b"1"


def test_a_path_has_at_most_259_characters(on_windows: Script, home: Path) -> None:
    """MAX_PATH counts the NUL; a directory leaves twelve characters for a name of 8.3."""
    longest = 259 - len(windows_path(home)) - 1
    assert on_windows(
        f"found = [error(lambda: open('x' * n, 'w').close()) for n in ({longest}, {longest + 1})]"
        f" + [error(lambda: os.mkdir('y' * n)) for n in ({longest - 12}, {longest - 11})]"
    ) == ["None", "FileNotFoundError", "None", "FileNotFoundError"]


def test_an_open_file_can_be_neither_replaced_nor_deleted(on_windows: Script) -> None:
    """Also by its directory, and also if another process has it open."""
    found = on_windows(
        """
import subprocess
os.mkdir("d")
for name in ("d/open", "other"): pathlib.Path(name).write_bytes(b"1")
actions = {
    "delete": lambda: os.unlink("d/open"),
    "rename": lambda: os.rename("d/open", "d/new"),
    "replace": lambda: os.replace("other", "d/open"),
    "rename its directory": lambda: os.rename("d", "e"),
    "delete its directory": lambda: shutil.rmtree("d"),
}
with open("d/open"):
    mine = [error(action) for action in actions.values()]
theirs = subprocess.Popen(
    [sys.executable, "-c", "file = open('d/open'); print('open', flush=True); input()"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
)
theirs.stdout.readline()
others = [error(action) for action in actions.values()]
theirs.communicate(b"\\n")
found = [mine, others, error(actions["replace"])]
"""
    )
    assert found == [["PermissionError"] * 5, ["PermissionError"] * 5, "None"]


def test_directories_and_modes_are_those_of_windows(on_windows: Script) -> None:
    """A directory cannot be opened; rename replaces nothing; fsync needs a writer; no owners."""
    found = on_windows(
        """
pathlib.Path("a").write_bytes(b"1"); pathlib.Path("b").write_bytes(b"2"); os.chmod("a", 0o600)
reader = os.open("a", os.O_RDONLY)
found = [
    error(lambda: os.open(".", os.O_RDONLY)), error(lambda: open(".")), error(lambda: os.rename("b", "a")),
    error(lambda: os.fsync(reader)), error(lambda: os.stat("a", dir_fd=3)),
    oct(os.stat("a").st_mode & 0o777), oct(os.fstat(reader).st_mode & 0o777), os.stat("a").st_uid,
    [entry.stat().st_ino for entry in os.scandir(".") if entry.name == "a"], os.stat("a").st_ino > 0,
]
"""
    )
    assert found == [
        *("PermissionError", "PermissionError", "FileExistsError", "OSError", "NotImplementedError"),
        *("0o666", "0o666", 0, [0], True),
    ]


def test_text_has_crlf_and_the_ansi_code_page(on_windows: Script) -> None:
    """Also in a descriptor without O_BINARY, as C's run-time opens it; a binary file is left alone."""
    found = on_windows(
        """
with open("t", "w") as file: file.write("\\u00e9\\n")
for name, flags in (("d", 0), ("b", os.O_BINARY)):
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | flags)
    written = os.write(descriptor, b"1\\n2\\n")
    os.close(descriptor)
found = [list(pathlib.Path(name).read_bytes()) for name in "tdb"] + [written, sys.stdout.encoding]
"""
    )
    assert found == [[0xE9, 13, 10], list(b"1\r\n2\r\n"), list(b"1\n2\n"), 4, "cp1252"]


def test_msvcrt_locks_bytes_of_a_file(on_windows: Script) -> None:
    """Bytes that need not exist, against every other descriptor, until it is closed or unlocks them."""
    found = on_windows(
        """
import msvcrt, subprocess
one, two = (os.open("lock", os.O_RDWR | os.O_CREAT | os.O_BINARY) for _ in "12")
def lock(descriptor, start, mode=msvcrt.LK_NBLCK):
    os.lseek(descriptor, start, 0)
    return error(lambda: msvcrt.locking(descriptor, mode, 2))
other = [sys.executable, "-c",
    "import msvcrt, os; msvcrt.locking(os.open('lock', os.O_RDWR), msvcrt.LK_NBLCK, 1)"]
def another(): return subprocess.run(other, stderr=subprocess.DEVNULL).returncode
found = [lock(one, 0), lock(two, 1), lock(two, 2), another(), os.path.getsize("lock")]
lock(one, 0, msvcrt.LK_UNLCK)
found += [lock(two, 0), another()]
os.close(two)
found += [another()]
"""
    )
    assert found == ["None", "PermissionError", "None", 1, 0, "None", 1, 0]
