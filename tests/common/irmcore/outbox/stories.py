"""Histories of a connector, each with the moments at which the power may fail. ``New`` makes a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from irmcore.http.outcome import Failure, Reply
from irmcore.operations import operations
from irmcore.outbox.rowkeys import RECORD
from irmcore.outbox.state_file import RECORD_BYTES

from tests.common.irmcore.outbox.outages import Moment, Story, root
from tests.fakes.connector import ROOT, row
from tests.fakes.medium import Medium
from tests.fakes.powerloss import Killed, PowerLossDisk

New = Callable[[Medium], PowerLossDisk]

FIRST = [row(0), row(1), row(2)]
SECOND = [row(1), row(2), row(3), row(4), row(5, day=21)]
ANSWERS = (
    Reply(503),
    Reply(413),
    Reply(200),
    Reply(400),
    Failure("reset", committed=False),
    Failure("reset", committed=True),
)


def queue(rows: int) -> Story:
    """A connector with this many rows in durable batches of two."""
    story = Story(root())
    story.accept(row(number) for number in range(rows))
    return story


def enqueue(new: New) -> Iterator[Moment]:
    """Two runs that share rows, on a new outbox."""
    story = Story(new(root().medium))
    story.accept(FIRST)
    story.accept(SECOND)
    yield from story.moments


def deliver(new: New) -> Iterator[Moment]:
    """A drain that gets every kind of reply: a retry, a split, a refusal, a doubt, a receipt."""
    before = queue(12)
    story = Story(new(before.disk.synced().medium), before=before)
    story.drain(*ANSWERS)
    yield from story.moments


def withdraw(new: New) -> Iterator[Moment]:
    """Refused batches, including a half of a split one, are withdrawn, and their rows are accepted again."""
    story = Story(new(root().medium))
    story.accept(FIRST)
    story.drain(Reply(413), Reply(400), Reply(200), Reply(400))
    story.withdraw_dead()
    story.accept(FIRST[2:])  # the same batch again
    story.accept(FIRST)
    story.drain()
    yield from story.moments


def rebuild(new: New) -> Iterator[Moment]:
    """A run that finds a damaged file of the ledger and rebuilds the ledger."""
    before = queue(3)
    before.disk.watch = None
    before.accept(SECOND)
    path = f"{ROOT}/small/ledger/days/2026/2026-11-20.rows"
    before.disk.write_at(path, RECORD.size // 2, b"damage")
    story = Story(new(before.disk.synced().medium), before=before)
    story.accept([*SECOND, row(6)])
    yield from story.moments


def requeue_dead(new: New) -> Iterator[Moment]:
    """A person requeues a refused batch."""
    before = queue(2)
    before.drain(Reply(400))
    (batch,) = before.connector.outbox.ready()
    story = Story(new(before.disk.synced().medium), before=before)
    story.do(lambda outbox: operations.requeue(outbox, batch.id, who="me", why="put right"))
    yield from story.reported()


def requeue_quarantined(new: New) -> Iterator[Moment]:
    """A batch with a damaged state record was quarantined; a person requeues it."""
    before = queue(2)
    (batch,) = before.connector.outbox.ready()
    before.disk.write_at(f"{batch.path}/state", 3 * RECORD_BYTES, b"damage")
    before.drain()
    story = Story(new(before.disk.synced().medium), before=before)
    story.do(lambda outbox: operations.requeue(outbox, batch.id, who="me", why="mended"))
    yield from story.reported()


def withdraw_unreadable(new: New) -> Iterator[Moment]:
    """A batch whose state cannot be read is withdrawn, and its rows are accepted again."""
    before = queue(2)
    (batch,) = before.connector.outbox.ready()
    before.disk.write_at(f"{batch.path}/state", 0, b"damage")
    before.drain()
    story = Story(new(before.disk.synced().medium), before=before)
    story.acknowledged.clear()
    story.do(lambda outbox: operations.resolve(outbox, batch.id, "withdraw", who="me", why="lost"))
    yield from story.reported()


def resume(new: New) -> Iterator[Moment]:
    """A person resumes a connector that the service refuses."""
    before = queue(2)
    before.drain(Reply(403))
    story = Story(new(before.disk.synced().medium), before=before)
    story.do(lambda outbox: operations.resume(outbox, who="me", why="put right"))
    yield from story.reported()


def refuse(new: New) -> Iterator[Moment]:
    """A run with a refused row, which is in the reject file that the run's record names."""
    story = Story(new(root().medium))
    story.connector.accept([row(1), row(2).replace("@contoso.com", "")])
    story.offered.append(row(1))
    story.acknowledged.append(row(1))
    story.report("acknowledged")
    yield from story.reported()


def _killed(start: Callable[[], Story], operation: Callable[[Story], None]) -> Iterator[Story]:
    """The same history, killed at the first operation, at the second, and so on."""
    number = 0
    while True:
        number += 1
        story = start()
        story.disk.watch = None
        story.disk.kill_at = number
        try:
            operation(story)
        except Killed:
            yield story
        else:
            return


def enqueue_killed(new: New) -> Iterator[Moment]:
    """Two runs, killed at each operation. The next processes send and accept, then the power fails."""

    def operation(story: Story) -> None:
        story.accept(FIRST)
        story.accept(SECOND)

    for story in _killed(lambda: Story(new(root().medium)), operation):
        yield from _next(story, [FIRST])
        yield from _next(story, [SECOND], drain=False)


def deliver_killed(new: New) -> Iterator[Moment]:
    """A drain, killed at each operation. The next one sends what it may, then the power fails."""
    before = queue(12)
    medium = before.disk.synced().medium
    for story in _killed(lambda: Story(new(medium), before=before), lambda story: story.drain(*ANSWERS)):
        yield from _next(story, [])


def withdraw_killed(new: New) -> Iterator[Moment]:
    """A withdrawal, killed at each operation. Its rows are accepted again, then the power fails."""
    before = queue(3)
    before.drain(Reply(400), Reply(200))
    medium = before.disk.synced().medium
    for story in _killed(lambda: Story(new(medium), before=before), Story.withdraw_dead):
        yield from _next(story, [FIRST])


def _next(killed: Story, runs: list[list[str]], *, drain: bool = True) -> list[Moment]:
    """What the next processes report on the disk of one that was killed."""
    story = Story(killed.disk.fork(), before=killed)
    story.disk.watch = None
    story.clock.advance(7200.0)
    if drain and story.connector.outbox.exists():
        story.drain()
    for lines in runs:
        story.accept(lines)
    if drain and story.connector.outbox.exists():
        story.drain()
    # Nobody was told what the killed process left in the page cache.
    ends = [moment for moment in story.moments if moment.where not in ("body", "tail")]
    return [moment._replace(reported={}, records=(), breaker=None) for moment in ends]


STORIES: Mapping[str, Callable[[New], Iterator[Moment]]] = {
    story.__name__: story
    for story in (
        *(enqueue, deliver, withdraw, rebuild, enqueue_killed, deliver_killed, withdraw_killed),
        *(requeue_dead, requeue_quarantined, withdraw_unreadable, resume, refuse),
    )
}
