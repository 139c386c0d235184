"""Real processes, killed at any moment and at each system call: nothing is lost or sent twice."""

from __future__ import annotations

import itertools
import os
import random
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from irmemulator.faults import Fault

from tests.fakes.cloud_servers import AWS
from tests.tracing import traced
from tests.with_emulator.connector import Rig
from tests.with_emulator.kill_trial import trial
from tests.with_emulator.nursery import Nursery, repeats
from tests.with_emulator.worker import BATCH_ROWS

KILLS = 200


@pytest.fixture
def nursery(rig: Rig) -> Iterator[Nursery]:
    """Workers for the connector of ``rig``."""
    made = Nursery(rig)
    yield made
    made.close()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kills", [KILLS, pytest.param(1_000, marks=pytest.mark.faults)])
def test_killed_at_random(nursery: Nursery, kills: int, record_property: Any) -> None:
    """After many kills of a process that accepts and sends, each acknowledged row is kept once or held."""
    kill_at_random(nursery, record_property, kills=kills, rows=3)


def test_killed_with_several_in_flight(nursery: Nursery, record_property: Any) -> None:
    """The same with four uploads in flight at the moment of the kill."""
    nursery.run("accept", 0, 16)
    kill_at_random(nursery, record_property, kills=40, rows=16, latest=0.6, in_flight=4)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kills", [40, pytest.param(400, marks=pytest.mark.faults)])
def test_producers_senders_and_people_killed_at_random(
    nursery: Nursery, kills: int, record_property: Any
) -> None:
    """Producers, a sender and a person's commands are killed at random: nothing is lost, repeated or unsaid.

    No more batches are held than kills fell between COMMIT and the reply. `make kills` runs more.
    """
    figures = trial(nursery, kills, seed=20261130)
    assert figures.wrong() == []
    for name, figure in vars(figures).items():
        record_property(name, figure)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        pytest.param("azurite", 15, marks=pytest.mark.needs("azurite")),
        ("s3", 5),
        pytest.param("azurite", 150, marks=[pytest.mark.needs("azurite"), pytest.mark.faults]),
        pytest.param("s3", 150, marks=pytest.mark.faults),
    ],
)
def test_two_machines_with_one_outbox_on_a_store_killed_at_random(  # noqa: PLR0917 - fixtures, and columns
    rig: Rig,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    kills: int,
    record_property: Any,
) -> None:
    """The same with a producer and a sender on each of two machines, both of which submit the same rows."""
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    server = request.getfixturevalue(kind)
    settings = {"store": server.address(secrets.token_hex(8)), "store_ca": str(server.ca_file)}
    nursery = Nursery(rig, settings)
    try:
        figures = trial(nursery, kills, seed=20261130)
    finally:
        nursery.close()
    assert figures.wrong() == []
    for name, figure in vars(figures).items():
        record_property(name, figure)


def kill_at_random(
    nursery: Nursery,
    record_property: Any,
    *,
    kills: int,
    rows: int,
    latest: float = 0.2,
    **worker: int,
) -> None:
    """Kill ``kills`` workers that accept ``rows`` at a time and send.

    Each runs for at most ``latest`` seconds.
    """
    rng = random.Random(20261120)  # noqa: S311 - moments, not secrets
    begin = time.monotonic()
    for _ in range(kills):
        first = max(nursery.acknowledged(), default=-1) + 1
        pid = nursery.spawn("load", first, rows, **worker)
        time.sleep(rng.uniform(0.0, latest))  # the random moment is the test
        os.kill(pid, signal.SIGKILL)
        assert nursery.wait(pid) == -signal.SIGKILL, nursery.told()[-1]
    last = max(nursery.acknowledged())
    nursery.run("again", last + 1, rows, **worker)
    kept, held, acknowledged = nursery.kept(), nursery.held(), nursery.acknowledged()
    assert acknowledged - set(kept) - held == set()
    assert [row for row, times in kept.items() if times > 1] == []
    assert repeats(nursery.rig) == []
    assert acknowledged == set(range(last + 1 + rows))
    record_property("kills", kills)
    record_property("rows acknowledged", len(acknowledged))
    record_property("rows held", len(held))
    record_property("seconds", round(time.monotonic() - begin, 1))


#: The system calls that change something on disk or on the wire (TLS uses read and write).
CALLS = ["openat", "write", "fsync", "rename", "mkdir", "unlink", "rmdir", "flock"]
SEND_CALLS = ["openat", "write", "fsync", "rename", "mkdir", "connect", "read"]


def killed(nursery: Nursery, operation: str, call: str, number: int, *given: object, **more: Any) -> bool:
    """Whether a worker was killed at that system call. False if it ended before."""
    pid = nursery.spawn(operation, *given, stopped=True, **more)
    with traced(pid, call, number, nursery.directory / "strace"):
        status = nursery.wait(pid)
    assert status in (0, -signal.SIGKILL), nursery.told(Path(more["log"]))
    return status != 0


@pytest.mark.needs("strace")
@pytest.mark.parametrize("call", CALLS)
def test_killed_at_each_call_of_an_enqueue(nursery: Nursery, call: str, record_property: Any) -> None:
    """A run killed at any system call: what it acknowledged is sent, and its other rows are accepted once."""
    number = 0
    while True:
        number += 1
        first = number * 10
        place = nursery.place(number)
        if not killed(nursery, "accept", call, number, first, 3, **place):
            break
        nursery.run("again", first, 3, **place)
        told = nursery.told(Path(place["log"]))
        assert [words[0] for words in told][-2:] == ["accepted", "drained"]
        rows = {first, first + 1, first + 2}
        assert {row: nursery.kept()[row] for row in rows} == dict.fromkeys(rows, 1)
        assert nursery.held(place["root"]) == set()
    assert number > 1
    record_property(f"kills at {call}", number - 1)


#: Batches of a drain with four in flight: one that is sent alone, and two for each of the four.
MANY = 9
#: Between two calls at which such a drain is killed in `make faults`.
STRIDES = {**dict.fromkeys(SEND_CALLS, 1), "openat": 2, "read": 3}


@pytest.mark.needs("strace")
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("call", "stride"),
    [
        *(("rename", 1), ("fsync", 6)),
        *(pytest.param(*pair, marks=pytest.mark.faults) for pair in STRIDES.items()),
    ],
)
def test_killed_at_each_call_with_four_in_flight(
    nursery: Nursery, call: str, stride: int, record_property: Any
) -> None:
    """A drain with four uploads in flight, killed at any system call: each row is kept once or held.

    No more batches are held than were in flight.
    """
    kills = held = 0
    for number in itertools.count(1, stride):
        first, count = number * 100, MANY * BATCH_ROWS
        place = nursery.place(number)
        nursery.run("accept", first, count, **place)
        if not killed(nursery, "drain", call, number, **place, in_flight=4):
            break
        kills += 1
        nursery.run("again", first, count, **place, in_flight=4)
        waits = nursery.held(place["root"])
        assert len(waits) <= 4 * BATCH_ROWS
        kept = nursery.kept()
        for row in range(first, first + count):
            assert kept[row] == 1 or (row in waits and kept[row] == 0), (number, row)
        held += len(waits) // BATCH_ROWS
    assert kills >= 3
    record_property(f"kills at {call}", kills)
    record_property(f"batches held at {call}", held)


@pytest.mark.needs("strace")
@pytest.mark.parametrize("call", SEND_CALLS)
def test_killed_at_each_call_of_a_send(nursery: Nursery, call: str, record_property: Any) -> None:
    """A drain killed at any system call: each row is kept once, or held and not sent again."""
    number = held = 0
    while True:
        number += 1
        first = number * 10
        place = nursery.place(number)
        nursery.run("accept", first, 1, **place)
        if not killed(nursery, "drain", call, number, **place):
            break
        nursery.run("again", first, 1, **place)
        waits = nursery.held(place["root"]) == {first}
        held += waits
        assert nursery.kept()[first] == 1 or (waits and nursery.kept()[first] == 0)
    assert number > 1
    record_property(f"kills at {call}", number - 1)
    record_property(f"held at {call}", held)


@pytest.mark.parametrize("forget_commit", [False, True])
def test_what_the_commit_point_is_for(nursery: Nursery, *, forget_commit: bool) -> None:
    """A batch whose sender was killed before the reply is held; without COMMIT it would be sent twice."""
    nursery.run("accept", 1, 1)
    nursery.rig.emulator.faults.next(Fault(delay=5.0))
    pid = nursery.spawn("drain", forget_commit=forget_commit)
    while not nursery.kept():
        time.sleep(0.005)  # until the service has the rows
    os.kill(pid, signal.SIGKILL)
    nursery.wait(pid)
    nursery.run("drain", forget_commit=forget_commit)
    if forget_commit:
        assert nursery.kept() == {1: 2}
    else:
        assert (nursery.kept(), nursery.held()) == ({1: 1}, {1})


OPERATIONS = {
    "resolve sent": Fault(reset_after_last_byte=True),
    "resolve resend": Fault(reset_after_last_byte=True, keep=False),
    "resolve withdraw": Fault(status=400),
    "requeue": Fault(status=400),
    "resume": Fault(status=403),
    "clean up": None,
    "split": Fault(status=413),
    "rebuild": None,
}
OPERATION_CALLS = ["openat", "write", "fsync", "rename", "mkdir", "unlink", "rmdir"]
#: The cases that `make test` runs; `make faults` runs all.
SHORT = {("resolve withdraw", "rename"), ("requeue", "fsync"), ("rebuild", "mkdir"), ("split", "rename")}


def operation_cases() -> Iterator[Any]:
    """Every operation with every system call."""
    for operation in OPERATIONS:
        for call in OPERATION_CALLS:
            yield pytest.param(
                operation, call, marks=() if (operation, call) in SHORT else pytest.mark.faults
            )


@pytest.mark.needs("strace")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("operation", "call"), list(operation_cases()))
def test_killed_at_each_call_of_an_operation(
    nursery: Nursery, operation: str, call: str, record_property: Any
) -> None:
    """An operation, split or rebuild, killed at any system call and repeated: each row is kept once."""
    number = 0
    while True:
        number += 1
        first = number * 10
        place = nursery.place(number)
        nursery.run("accept", first, 2, **place)
        fault = OPERATIONS[operation]
        if fault is not None:
            nursery.rig.emulator.faults.next(fault)
        if operation == "split":
            ended = not killed(nursery, "drain", call, number, **place)
            nursery.rig.emulator.faults.clear()
            nursery.run("again", first, 2, **place)
        elif operation == "rebuild":
            nursery.run("drain", **place)
            shutil.rmtree(next(Path(place["root"]).glob("*/ledger")))
            ended = not killed(nursery, "accept", call, number, first, 2, **place)
            nursery.run("again", first, 2, **place)
        else:
            nursery.run("drain", **place)
            ended = not killed(nursery, "act", call, number, operation, **place)
            nursery.run("act_again", operation, first, 2, **place)
        kept, held = nursery.kept(), nursery.held(place["root"])
        for row in (first, first + 1):
            assert kept[row] == 1 or (operation == "split" and row in held and kept[row] == 0), (number, row)
        if ended:
            break
    record_property(f"kills at {call} of {operation}", number - 1)


def test_eight_producers_and_four_senders(nursery: Nursery) -> None:
    """Eight processes accept overlapping rows, one sender hangs until killed, four wait: each row once."""
    stop = nursery.directory / "stop"
    nursery.run("accept", 1000, 1)
    nursery.rig.emulator.faults.next(Fault(delay=3.0))
    hung = nursery.spawn("drain")
    while not nursery.kept():
        time.sleep(0.005)  # until its upload has arrived
    os.kill(hung, signal.SIGSTOP)
    drains = [nursery.spawn("drain_until", str(stop)) for _ in range(4)]
    accepts = [nursery.spawn("accept_many", 5 * number, 10) for number in range(8)]
    assert [nursery.wait(pid) for pid in accepts] == [0] * 8, nursery.told()
    assert nursery.kept() == {1000: 1}, "who hangs keeps the lock"
    os.kill(hung, signal.SIGKILL)
    assert nursery.wait(hung) == -signal.SIGKILL
    stop.touch()
    assert [nursery.wait(pid) for pid in drains] == [0] * 4, nursery.told()
    rows = nursery.acknowledged() - {1000}
    assert rows == set(range(80))
    assert nursery.kept() == dict.fromkeys([*rows, 1000], 1)
    assert nursery.held() == {1000}


def test_an_emulator_that_dies_after_the_last_byte(nursery: Nursery) -> None:
    """Two batches in doubt are held, the breaker trips, and the rest stays queued."""
    nursery.run("accept", 0, 10)
    nursery.rig.emulator.faults.until_cleared(Fault(reset_after_last_byte=True))
    nursery.run("drain")
    nursery.run("drain")
    assert [words for words in nursery.told() if words[0] == "drained"] == [
        ["drained", "0", "2", "3"],
        ["drained", "0", "0", "3"],
    ]
    assert len(nursery.rig.emulator.uploads) == 2
    assert sum(nursery.kept().values()) == 4
