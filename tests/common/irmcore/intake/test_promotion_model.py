"""Several machines promote into one store, one call at a time, with a crash or a fault at any call."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from irmcore.errors import OutboxBusy, StoreAway, StoreRefused
from irmcore.intake.accepted_there import AcceptedThere
from irmcore.intake.promotion import promote
from irmcore.outbox import Outbox
from irmcore.outbox.on_store.shared import SharedOutbox
from irmcore.profile import Profile

from tests.common.irmcore.intake.test_promotion import Member, rows_there, times_here
from tests.common.irmcore.profiles import profile
from tests.fakes.actors import Actor
from tests.fakes.powerloss import Killed
from tests.fakes.store import Fault, MemoryService, MemoryStore, no_fault

EXPECTED = (StoreAway, StoreRefused, Killed, OutboxBusy)
#: Rows of two users on two dates. Two pairs of Anna's choose the same time first, which a test proves.
NOTES = ("row26", "row46", "row64", "row73", "row4", "row5")
ROWS = {
    n: f"{'anna' if n < 4 else 'ben'}@contoso.com,2026-01-0{n // 5 + 5}T10:00:00Z,1,{note}\r\n"
    for n, note in enumerate(NOTES)
}
SPREAD: Profile = profile("collisions: {policy: spread, step: 1s}\nlimits: {rows: 2}\n")


class Machines(RuleBasedStateMachine):
    """Three machines, the store between them, and processes that promote."""

    @initialize()
    def begin(self) -> None:
        self.service = MemoryService()
        self.machines = [Member(self.service, name) for name in ("one", "two", "three")]
        self.actors: list[Actor] = []
        self.accepted: set[int] = set()

    @rule(which=st.integers(0, 2), rows=st.sets(st.integers(0, 5), min_size=1), sees=st.booleans())
    def accept(self, which: int, rows: set[int], sees: bool) -> None:  # noqa: FBT001 - drawn
        """A run; ``sees``: it can read the store while it shapes."""
        member = self.machines[which]
        shared = member.shared_with(no_fault if sees else lambda *_: Fault.AWAY)
        member.accept("".join(ROWS[n] for n in sorted(rows)), SPREAD, AcceptedThere(shared))
        self.accepted |= rows
        member.clock.advance(1)

    @rule(which=st.integers(0, 2), lag=st.sampled_from([0, 0, 3]))
    def promote(self, which: int, lag: int) -> None:
        member = self.machines[which]

        def body(store: MemoryStore, _: Actor) -> object:
            outbox = Outbox(member.disk, member.clock, member.outbox.path)
            return promote(outbox, SharedOutbox(store, member.clock, member.shared.where), timeout=0)

        self.actors.append(Actor(self.service, body, lag))

    @rule()
    def index(self) -> None:
        shared = self.machines[0].shared
        body: Any = lambda store, _: SharedOutbox(store, shared.clock, shared.where).log.index()  # noqa: E731
        self.actors.append(Actor(self.service, body, 0))

    @rule(which=st.integers(0, 20), calls=st.integers(1, 15))
    def go_on(self, which: int, calls: int) -> None:
        self._step(which, calls, None)

    @rule(which=st.integers(0, 20), calls=st.integers(0, 15), fault=st.sampled_from(Fault))
    def fail(self, which: int, calls: int, fault: Fault) -> None:
        self._step(which, calls, fault)

    @rule(which=st.integers(0, 20), fault=st.sampled_from(Fault))
    def fail_at_a_commit(self, which: int, fault: Fault) -> None:
        active = [actor for actor in self.actors if not actor.done]
        if active:
            actor = active[which % len(active)]
            while not actor.done and (actor.next_call[0], actor.next_call[1][:4]) != ("create", "log/"):
                actor.step()
            actor.step(fault)

    def _step(self, which: int, calls: int, fault: Fault | None) -> None:
        active = [actor for actor in self.actors if not actor.done]
        if active:
            actor = active[which % len(active)]
            for _ in range(calls):
                actor.step()
            actor.step(fault)

    def teardown(self) -> None:
        if not hasattr(self, "service"):
            return
        for actor in self.actors:
            while not actor.done:
                actor.step()
            if isinstance(actor.outcome, BaseException) and not isinstance(actor.outcome, EXPECTED):
                raise actor.outcome
        for member in self.machines:
            member.shared = member.shared_with(no_fault)
            member.promote()
        found = rows_there(self.machines[0])
        count = Counter(row[3] for row in found)
        assert set(count) == {NOTES[n] for n in self.accepted}, "an accepted row was lost"
        assert set(count.values()) <= {1}, "a row was accepted twice"
        assert len({(row[0], row[1]) for row in found}) == len(found), "two rows have one user and time"


def run_model(examples: int) -> None:
    """Try so many worlds."""
    chosen = settings(
        max_examples=examples,
        phases=(Phase.generate, Phase.shrink),
        stateful_step_count=30,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Machines, settings=chosen)


def test_two_pairs_of_rows_compete_for_a_time() -> None:
    """On machines of their own they get the same one, so that promotion has to tell them apart."""
    times = []
    for n in range(4):
        member = Member(MemoryService(), "alone")
        member.accept(ROWS[n], SPREAD)
        times += times_here(member)
    assert times[0] == times[1] != times[2] == times[3]


def test_every_row_that_a_machine_accepted_is_there_once() -> None:
    """Whatever fails, and in whichever order the calls of all machines come."""
    run_model(25)


@pytest.mark.faults
@pytest.mark.timeout(1_200)
def test_every_row_that_a_machine_accepted_is_there_once_in_many_worlds() -> None:
    """The same for more of them."""
    run_model(600)
