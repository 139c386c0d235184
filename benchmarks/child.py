"""Run one command and write what it took as JSON: wall and CPU seconds, and peak memory (MiB).

    python child.py RESULT COMMAND…

This is a small process of its own, because Linux counts the memory of the parent at the fork as the child's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def main(result: str, command: list[str]) -> int:
    """Run it with the standard streams of this process."""
    begin = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    taken = {
        "wall": time.perf_counter() - begin,
        "cpu": used.ru_utime + used.ru_stime,
        "rss": used.ru_maxrss / 1024,
    }
    with open(result, "w", encoding="ascii") as file:
        json.dump(taken, file)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
