"""Kill runs and senders of two hosts at random calls of one store, with a guard of the outbox taken out.

    python -m tests.common.irmcore.outbox.on_store.guard_trial --kills 2000 --seed 1

In each round a run and a sender of each host are at work, one call at a time, in an order that the seed
decides. Both runs submit the same rows. Calls fail, lose their answers or are late, most often where a run is
committed; processes are killed, or frozen for longer than a lease. A row that all of its runs reported as not
accepted is not submitted again.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from irmcore.delivery.circuit_breaker import LAST_PROBE
from irmcore.errors import OutboxBusy
from irmcore.http.outcome import Outcome
from irmcore.http.upload import Upload
from irmcore.outbox import states
from irmcore.outbox.on_store import records
from irmcore.outbox.on_store.commit_log import CommitLog
from irmcore.outbox.on_store.lease import SECONDS
from irmcore.outbox.on_store.replica import Replica

from tests.common.irmcore.outbox.on_store.test_model import (
    EXPECTED,
    RING,
    Posts,
    Service,
    produce,
    rows_of,
    send,
)
from tests.fakes.actors import Actor
from tests.fakes.shared_outbox import SharedOutbox, Unleased
from tests.fakes.store import Fault, MemoryStore
from tests.fakes.unguarded import LOG, STATE, VOIDS, Unguarded

#: Seconds in which a lease ends, and in which none does.
LONG, SHORT = SECONDS + 1.0, 1.0
LEASE = "lease"
#: The rows of the table: which guard is out ("" is none), and for how long a process may be frozen.
TABLE = (("", LONG), (STATE, LONG), (LOG, LONG), (VOIDS, LONG), ("", SHORT), (LEASE, SHORT))
HOSTS, ROWS = 2, 3
KILLS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
NO_ANSWER = (Fault.AWAY, Fault.LOST, Fault.LATE)
#: Calls of the others while a process is frozen.
FROZEN = 400


@dataclass
class Figures:
    """What a trial counted, rows apart from the first and the last.

    ``denied`` rows are accepted, though their run reported that nothing was. ``in_vain``: uploads that were
    begun and aborted before their last bytes.
    """

    kills: int = 0
    rows: int = 0
    lost: int = 0
    repeated: int = 0
    denied: int = 0
    in_vain: int = 0


class CountingService(Service):
    """A service that counts uploads that were begun in vain."""

    def __init__(self) -> None:
        super().__init__()
        self.in_vain = 0

    def transport(self, actor: Actor | None) -> Posts:
        return _CountingPosts(self, actor)


class _CountingPosts(Posts):
    def __init__(self, service: CountingService, actor: Actor | None) -> None:
        super().__init__(service, actor)
        self._counts = service

    def post(self, upload: Upload, commit: Callable[[], None]) -> Outcome:
        committed = False

        def counted() -> None:
            nonlocal committed
            commit()
            committed = True

        try:
            return super().post(upload, counted)
        finally:
            self._counts.in_vain += not committed


class Trial:
    """The world of one trial. ``frozen``: seconds for which a process may be frozen."""

    def __init__(self, seed: int, without: str = "", *, frozen: float = LONG) -> None:
        self._frozen = frozen
        self._rng = random.Random(seed)  # noqa: S311 - moments, not secrets
        self._without = without
        self._shared, self._service = SharedOutbox(ring=RING), CountingService()
        self._clock = self._shared.clock
        self._results: dict[str, list[str]] = defaultdict(list)
        self._denied: set[str] = set()
        self._figures = Figures()

    def run(self, kills: int) -> Figures:
        """Rounds until so many processes were killed; then the rest is sent."""
        while self._figures.kills < kills:
            self._round()
        self._finish()
        return self._figures

    def _start(self, body: Callable[[Unguarded, Actor], object]) -> Actor:
        return Actor(self._shared.memory, lambda store, actor: body(Unguarded(store, self._without), actor))

    def _round(self) -> None:
        first = len(self._results)
        new = [f"row{first + number}" for number in range(ROWS)]
        # What was denied is given up; what has no known outcome is submitted again.
        rows = [*(row for row, found in self._results.items() if {*found} <= {"unknown"}), *new]
        kind = Unleased if self._without == LEASE else Replica
        runs: list[Actor] = []
        senders: list[Actor] = []
        for host in range(HOSTS):
            name = f"run{first}-{host}"
            runs.append(self._start(lambda store, _, name=name: produce(store, self._clock, name, rows)))
            senders.append(self._start(lambda store, actor: self._send(store, actor, kind, runs)))
        self._work([*runs, *senders])
        for host, actor in enumerate(runs):
            result = _result(actor.outcome)
            for row in rows:
                self._results[row].append(result)
            if result == "denied":
                self._denied.add(f"run{first}-{host}")
        CommitLog(MemoryStore(self._shared.memory), self._clock).index()
        self._clock.advance(LAST_PROBE)  # whatever the circuit breaker says

    def _send(self, store: Unguarded, actor: Actor, kind: type[Replica], runs: Sequence[Actor]) -> None:
        last = False
        while not last:
            last = all(run.done for run in runs)
            with suppress(OutboxBusy):
                send(store, self._clock, self._service, actor, kind)

    def _work(self, actors: Sequence[Actor]) -> None:
        """Step the actors in random order until all have ended."""
        rng = self._rng
        while active := [actor for actor in actors if not actor.done]:
            actor = rng.choice(active)
            verb, key = actor.next_call
            claims = verb == "create" and key.startswith(("log/", "state/"))
            if claims and rng.random() < 0.2:
                self._freeze(actor, active)
            fault = None
            if rng.random() < (0.3 if claims and key.startswith("log/") else 0.001):
                fault = rng.choice(NO_ANSWER)
            elif rng.random() < 0.005:
                fault = rng.choice(KILLS)
                self._figures.kills += 1
            actor.step(fault)
        for actor in actors:
            if isinstance(actor.outcome, BaseException) and not isinstance(actor.outcome, EXPECTED):
                raise actor.outcome

    def _freeze(self, frozen: Actor, active: Sequence[Actor]) -> None:
        """Let the others work for a while."""
        self._clock.advance(self._frozen)
        others = [actor for actor in active if actor is not frozen]
        for actor in self._rng.choices(others, k=FROZEN) if others else []:
            actor.step()

    def _finish(self) -> None:
        store, found, received = MemoryStore(self._shared.memory), self._figures, self._service.received
        for _ in range(8):
            self._clock.advance(LAST_PROBE)
            send(store, self._clock, self._service)
        accepted = {row for row, results in self._results.items() if "accepted" in results}
        found.rows = len(accepted)
        found.lost = len(accepted - set(received) - self._held(store))
        found.repeated = sum(times > 1 for times in received.values())
        found.denied = sum(
            len(rows_of(store, name))
            for entry in CommitLog(store, self._clock).entries()
            if entry.run in self._denied
            for name in entry.batches
        )
        found.in_vain = self._service.in_vain

    def _held(self, store: MemoryStore) -> set[str]:
        held: set[str] = set()
        for entry in CommitLog(store, self._clock).entries():
            for name in entry.batches:
                newest = list(store.keys(f"state/{name}/"))[-1:]
                if newest and records.decode(store.get(newest[0]) or b"")["name"] == states.HELD:
                    held.update(rows_of(store, name))
        return held


def _result(outcome: object) -> str:
    if isinstance(outcome, tuple):
        return "accepted"
    return "denied" if "nothing was accepted" in str(outcome) else "unknown"


def main(arguments: Sequence[str]) -> int:
    """Print a row of a table for each guard."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    for guard, frozen in TABLE:
        found = Trial(options.seed, guard, frozen=frozen).run(options.kills)
        figures = " | ".join(map(str, vars(found).values()))
        print(f"| {guard or 'none'} | {frozen:.0f} s | {figures} |", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
