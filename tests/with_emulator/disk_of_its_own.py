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
from collections.abc import Callable
from pathlib import Path

from irmcore.disk import PosixDisk
from irmcore.errors import OutboxFull
from irmcore.http.outcome import Failure, Outcome, Reply
from irmcore.operations import operations, reconciliation
from irmcore.outbox import Outbox

from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, row
from tests.fakes.transport import FakeTransport

LOST = Failure("reset", committed=True)
SIZE = "72m"  # a little more than the outbox leaves free for states and receipts


def refused(connector: Connector, number: int) -> str:
    """The message of a run that must not be accepted."""
    try:
        connector.accept([row(number)])
    except OutboxFull as error:
        return error.what
    return "accepted"


#: Each action, and the reply that makes its batch need it.
ACTIONS: dict[str, tuple[Outcome, Callable[[Outbox, str], object]]] = {
    "sent": (LOST, lambda outbox, name: operations.resolve(outbox, name, "sent", who="me", why="so")),
    "resend": (LOST, lambda outbox, name: operations.resolve(outbox, name, "resend", who="me", why="so")),
    "withdraw": (LOST, lambda outbox, name: operations.resolve(outbox, name, "withdraw", who="me", why="so")),
    "requeue": (Reply(400), lambda outbox, name: operations.requeue(outbox, name, who="me", why="so")),
    "resume": (Reply(403), lambda outbox, _: operations.resume(outbox, who="me", why="so")),
    "reconcile": (
        LOST,
        lambda outbox, name: reconciliation.record(outbox, name, 1, rows=1, who="me"),
    ),
}


def acted(connector: Connector, name: str, action: Callable[[Outbox, str], object]) -> str:
    """What an action fails with, or "done"."""
    try:
        action(connector.outbox, name)
    except OutboxFull as error:
        return error.what
    return "done"


def actions(directory: Path, ballast: Path) -> dict[str, object]:
    """Each action on the full disk, and again once there is space: its results, and the states after both."""
    results: dict[str, object] = {}
    connectors: dict[str, tuple[Connector, str]] = {}
    for name, (answer, _) in ACTIONS.items():
        (directory / name).mkdir(mode=0o700)
        connector = Connector(PosixDisk(), FakeClock(), root=str(directory / name))
        connector.accept([row(1)])
        connector.drain(FakeTransport(answer))
        (batch,) = connector.outbox.ready()
        # A log that ends with a page, so that one more line needs a byte that the disk does not have.
        log = Path(connector.outbox.path, "audit.log")
        log.write_bytes(log.read_bytes().ljust(4095) + b"\n")
        connectors[name] = connector, batch.id
    fill(ballast)
    for name, (connector, batch_id) in connectors.items():
        before = connector.states()
        results[name] = [acted(connector, batch_id, ACTIONS[name][1]), connector.states() == before]
    ballast.unlink()
    for name, (connector, batch_id) in connectors.items():
        results[f"{name} again"] = acted(connector, batch_id, ACTIONS[name][1])
    return results


def fill(ballast: Path) -> None:
    """Take every free byte."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return


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
    fill(ballast)
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
    results["actions"] = actions(directory, ballast)
    print(json.dumps(results))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main(Path(sys.argv[1]))
