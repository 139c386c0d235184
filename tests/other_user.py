"""Run Python with this repository as another Unix user, for tests that run as root on Linux.

The interpreter and the repository may be below root's home, which others cannot enter. So the process gets
open directories, and finds them by way of /proc/self/fd.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def run_python(uid: int, *words: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """``python WORDS`` as the user ``uid``, with the group of the same number and no other."""
    folders = (sys.base_prefix, sysconfig.get_paths()["purelib"], str(_ROOT))
    opened = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in folders]
    home, packages, repository = (f"/proc/self/fd/{number}" for number in opened)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    try:
        return subprocess.run(
            [f"{home}/bin/{name}", *words],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONHOME": home,
                "PYTHONPATH": f"{packages}:{repository}/common:{repository}/sentinel",
                "LD_LIBRARY_PATH": f"{home}/lib",
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
            },
            user=uid,
            group=uid,
            extra_groups=[],
            umask=0o022,
            pass_fds=opened,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        for number in opened:
            os.close(number)
