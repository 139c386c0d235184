"""Kill producers, senders and people's commands at random moments, and count what became of their rows.

    python -m tests.with_emulator.kill_trial --kills 1500 --seed 20261130 [--store azurite [--without state]]

In each round two producers, one sender and one person work on one outbox, in processes of their own, and are
killed (SIGKILL). The emulator answers over HTTPS, now and then with 400, 413 or 503, or late. The person
resolves, withdraws, requeues, resumes and cleans up; whether a held batch arrived is known from the emulator.
The seed decides the moments, the order and the faults, but not what the system's scheduler makes of them.

With ``--store``, the outbox is on a store, and each producer and each of two senders is on a machine of its
own; both producers submit the same rows. Azurite loses writes when it is killed, so it never is. The clocks
of each round are ahead of the last one's by more than a lease, or an upload that committed, lasts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from irmcore.outbox import Outbox, audit_log
from irmemulator.faults import Fault

from tests.fakes.cloud_servers import AWS, Azurite, MotoS3
from tests.fakes.unguarded import LOG, STATE
from tests.with_emulator.connector import Rig
from tests.with_emulator.nursery import Nursery, repeats, rows_of

#: The first row of each producer: they add different rows.
PRODUCERS = (0, 1_000_000)
ROWS = 3
#: Seconds in which a process of a round is killed; on a store it takes longer to do anything.
LATEST, LATEST_ON_STORE = 1.0, 4.0
#: Seconds by which the clocks of a round are ahead of those of the round before, on a store.
AHEAD = 1_000.0
FAULTS = (
    *(Fault(status=400), Fault(status=413), Fault(status=503, retry_after=0)),
    *[Fault(delay=0.3)] * 3,  # so that kills fall between COMMIT and the reply
)


@dataclass
class Figures:
    """What a trial counted. ``in_doubt`` kills fell between COMMIT and the reply; ``held`` batches ever."""

    kills: int = 0
    rows: int = 0
    actions: int = 0
    in_doubt: int = 0
    held: int = 0
    lost: int = 0
    repeated: int = 0
    unrecorded: int = 0

    def wrong(self) -> list[str]:
        """What breaks the promise."""
        broken = [name for name in ("lost", "repeated", "unrecorded") if getattr(self, name)]
        return broken + ["held"] * (self.held > self.in_doubt)


def trial(nursery: Nursery, kills: int, *, seed: int, seconds: float = 1e9) -> Figures:
    """Kill ``kills`` processes, at least, or as many as in ``seconds``, and then let the rest be sent."""
    end = time.monotonic() + seconds
    rng = random.Random(seed)  # noqa: S311 - moments, not secrets
    figures = Figures()
    known = nursery.directory / "known.json"
    before: dict[str, str] = {}
    doubts: set[tuple[str, int]] = set()
    while figures.kills < kills and time.monotonic() < end:
        # Only what was held at the end of two rounds, so that the service has surely ended with it.
        held = _outcomes(nursery)
        known.write_text(json.dumps({name: held[name] for name in before if name in held}))
        before = held
        nursery.rig.emulator.faults.clear()
        for fault in rng.choices(FAULTS, k=rng.randrange(4)):
            nursery.rig.emulator.faults.next(fault)
        _round(nursery, rng, known)
        figures.kills += len(PRODUCERS) + 2 + nursery.on_store
        ready = nursery.outbox().ready()
        doubts.update((batch.id, batch.number) for batch in ready if _state(batch) == "COMMIT")
    figures.in_doubt = len(doubts)
    nursery.rig.emulator.faults.clear()
    _finish(nursery)
    _count(nursery, nursery.outbox(), figures)
    return figures


def _state(batch: object) -> str:
    state = getattr(batch, "state", None)
    return state.name if state else ""


def _round(nursery: Nursery, rng: random.Random, known: Path) -> None:
    acknowledged = nursery.acknowledged()
    ends = (*PRODUCERS[1:], 1 << 60)
    firsts = [
        max((row for row in acknowledged if first <= row < end), default=first - 1) + 1
        for first, end in zip(PRODUCERS, ends, strict=True)
    ]
    if nursery.on_store:
        firsts = [min(firsts)] * len(firsts)
    nursery.ahead += AHEAD
    hosts = nursery.hosts(len(PRODUCERS))
    pids = [nursery.spawn("produce", first, ROWS, **host) for first, host in zip(firsts, hosts, strict=True)]
    pids += [nursery.spawn("send", **host) for host in (hosts if nursery.on_store else hosts[:1])]
    pids.append(nursery.spawn("decide", rng.randrange(1 << 30), str(known), **hosts[0]))
    rng.shuffle(pids)
    moments = sorted(rng.uniform(0.0, LATEST_ON_STORE if nursery.on_store else LATEST) for _ in pids)
    begin = time.monotonic()
    try:
        for pid, moment in zip(pids, moments, strict=True):
            time.sleep(max(0.0, begin + moment - time.monotonic()))  # the random moment is the test
            os.kill(pid, signal.SIGKILL)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)  # also if this was interrupted: they would work forever
    ends_of = [nursery.wait(pid) for pid in pids]
    if ends_of != [-signal.SIGKILL] * len(pids):
        raise AssertionError([words for words in nursery.told() if words[0] == "failed"])


def _outcomes(nursery: Nursery) -> dict[str, str]:
    """The held batches, and which outcome is right: whether the emulator has their rows."""
    outbox = nursery.outbox()
    held = [batch for batch in outbox.ready() if _state(batch) == "HELD"] if outbox.exists() else []
    kept = nursery.kept() if held else {}
    return {batch.id: "sent" if rows_of(outbox, batch) <= set(kept) else "resend" for batch in held}


def _finish(nursery: Nursery) -> None:
    """What people do at last: requeue and resume; and the producers submit all of their rows again."""
    if not nursery.acknowledged():
        _run(nursery, "accept", 0, ROWS)  # every producer was killed before it had got anywhere
    _run(nursery, "drain")
    for batch in nursery.outbox().ready():
        if _state(batch) == "DEAD":
            _run(nursery, "requeue_dead")
            break
    acknowledged = nursery.acknowledged()
    for first in PRODUCERS:
        rows = [row for row in acknowledged if first <= row < first + 1_000_000]
        if rows:
            _run(nursery, "again", first, max(rows) - first + 1)
    _run(nursery, "act", "resume")
    _run(nursery, "drain")


def _run(nursery: Nursery, operation: str, *given: object) -> None:
    nursery.ahead += AHEAD
    nursery.run(operation, *given, **nursery.hosts(1)[0])


def _count(nursery: Nursery, outbox: Outbox, figures: Figures) -> None:
    acknowledged, kept = nursery.acknowledged(), nursery.kept()
    figures.rows = len(acknowledged)
    figures.lost = len(acknowledged - set(kept) - nursery.held())
    figures.repeated = sum(times > 1 for times in kept.values()) + len(repeats(nursery.rig))
    done = [words[1:] for words in nursery.told() if words[0] == "did" and words[2] != "-"]
    figures.actions = sum(words[0] == "did" for words in nursery.told())
    recorded: dict[str, int] = {}
    histories = audit_log.histories(outbox)
    for batch in outbox.all_batches():
        events = histories.get(batch.id, [])
        # A kill may have cost one of the two lines.
        ended = sum(str(event["event"]).startswith("resolved-") for event in events)
        figures.held += max(sum(e["event"] == "hold" for e in events), ended + (_state(batch) == "HELD"))
        by_me = sum(event.get("by") == "me" and event.get("why") == "so" for event in events)
        recorded[batch.id] = max(by_me, recorded.get(batch.id, 0))
    for name in {name for _, name in done}:
        figures.unrecorded += max(0, sum(other == name for _, other in done) - recorded.get(name, 0))


@contextmanager
def server(kind: str | None, directory: Path) -> Iterator[dict[str, str]]:
    """A store, and the settings of workers that use it; none without a ``kind``."""
    if kind is None:
        yield {}
        return
    place = directory / "store"
    place.mkdir()
    os.environ.update(AWS)
    with Azurite(place) if kind == "azurite" else MotoS3(place) as found:
        yield {"store": found.address("trial"), "store_ca": str(found.ca_file)}


def main(arguments: Sequence[str]) -> int:
    """Run a trial and print its figures; 1 if the promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1_500)
    parser.add_argument("--seed", type=int, default=20261130)
    parser.add_argument("--store", choices=("azurite", "s3"), help="put the outbox on this store")
    parser.add_argument("--without", choices=(STATE, LOG), help="take out this guard of an outbox on a store")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no round after these")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory, server(options.store, Path(directory)) as store:
        rig = Rig(Path(directory), lifetime=6 * 3600)
        rig.start()
        without = {"without": options.without} if options.without else {}
        nursery = Nursery(rig, {**store, **without})
        begin = time.monotonic()
        try:
            figures = trial(nursery, options.kills, seed=options.seed, seconds=options.seconds)
        finally:
            nursery.close()
            rig.emulator.stop()
    print(json.dumps({"seed": options.seed, **vars(figures), "seconds": round(time.monotonic() - begin)}))  # noqa: T201
    return 1 if figures.wrong() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
