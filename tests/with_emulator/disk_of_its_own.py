"""A process with a small file system of its own (tmpfs in a mount namespace), which it fills up.

    unshare --map-root-user --mount python disk_of_its_own.py DIRECTORY

Prints JSON that the test reads.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from irmcore.disk import PosixDisk
from irmcore.errors import OutboxFull

from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, row
from tests.fakes.transport import FakeTransport

SIZE = "72m"  # a little more than the outbox leaves free for states and receipts


def refused(connector: Connector, number: int) -> str:
    """The message of a run that must not be accepted."""
    try:
        connector.accept([row(number)])
    except OutboxFull as error:
        return error.what
    return "accepted"


def main(directory: Path) -> None:
    """Fill the disk up at each step, and report what happened to the rows."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "none", directory], check=True)
    connector = Connector(PosixDisk(), FakeClock(), root=str(directory))
    connector.accept(row(number) for number in range(6))
    results: dict[str, object] = {}

    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    results["a limit on the size of files"] = refused(connector, 7)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            results["free"] = os.statvfs(directory).f_bavail
    results["new work"] = refused(connector, 8)
    service = FakeTransport()
    results["sent"] = [connector.drain(service).sent for _ in range(3)]
    results["states"] = sorted(connector.states().values())
    ballast.unlink()
    results["sent after"] = connector.drain(service).sent
    results["states after"] = sorted(connector.states().values())
    results["skipped"] = connector.accept(row(number) for number in range(9)).counts.skipped
    results["sent in the end"] = connector.drain(service).sent
    print(json.dumps(results))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main(Path(sys.argv[1]))
