"""Lives of a connector, each with the moments at which its power may go. ``New`` makes the disk of one."""

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
    """A connector with so many rows in durable batches of two."""
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
    """One drain that meets every kind of answer: a retry, a split, a refusal, doubt, a receipt."""
    before = queue(12)
    story = Story(new(before.disk.synced().medium), before=before)
    story.drain(*ANSWERS)
    yield from story.moments


def give_up(new: New) -> Iterator[Moment]:
    """Refused batches, a half of a split one among them, are withdrawn, and their rows come again."""
    story = Story(new(root().medium))
    story.accept(FIRST)
    story.drain(Reply(413), Reply(400), Reply(200), Reply(400))
    story.withdraw_dead()
    story.accept(FIRST[2:])  # the same batch again
    story.accept(FIRST)
    story.drain()
    yield from story.moments


def rebuild(new: New) -> Iterator[Moment]:
    """A run that finds a file of the ledger damaged, and makes the ledger anew."""
    before = queue(3)
    before.disk.watch = None
    before.accept(SECOND)
    path = f"{ROOT}/small/ledger/days/2026/2026-11-20.rows"
    before.disk.write_at(path, RECORD.size // 2, b"damage")
    story = Story(new(before.disk.synced().medium), before=before)
    story.accept([*SECOND, row(6)])
    yield from story.moments


def put_back(new: New) -> Iterator[Moment]:
    """A refused batch is put back into the queue by a person."""
    before = queue(2)
    before.drain(Reply(400))
    (batch,) = before.connector.outbox.ready()
    story = Story(new(before.disk.synced().medium), before=before)
    story.do(lambda outbox: operations.requeue(outbox, batch.id, who="me", why="put right"))
    yield from story.told()


def bring_back(new: New) -> Iterator[Moment]:
    """A batch with a damaged slot was set aside; a person puts it back into the queue."""
    before = queue(2)
    (batch,) = before.connector.outbox.ready()
    before.disk.write_at(f"{batch.path}/state", 3 * RECORD_BYTES, b"damage")
    before.drain()
    story = Story(new(before.disk.synced().medium), before=before)
    story.do(lambda outbox: operations.requeue(outbox, batch.id, who="me", why="mended"))
    yield from story.told()


def give_up_unreadable(new: New) -> Iterator[Moment]:
    """A batch of whose state nothing can be read is given up, and its rows come again."""
    before = queue(2)
    (batch,) = before.connector.outbox.ready()
    before.disk.write_at(f"{batch.path}/state", 0, b"damage")
    before.drain()
    story = Story(new(before.disk.synced().medium), before=before)
    story.acknowledged.clear()
    story.do(lambda outbox: operations.resolve(outbox, batch.id, "withdraw", who="me", why="lost"))
    yield from story.told()


def refuse(new: New) -> Iterator[Moment]:
    """A run of which one row is refused: it stands in the reject file that the run's record names."""
    story = Story(new(root().medium))
    story.connector.accept([row(1), row(2).replace("@contoso.com", "")])
    story.offered.append(row(1))
    story.acknowledged.append(row(1))
    story.tell("acknowledged")
    yield from story.told()


def _killed(start: Callable[[], Story], act: Callable[[Story], None]) -> Iterator[Story]:
    """The same life ended by a kill at its first operation, at its second one, and so on."""
    number = 0
    while True:
        number += 1
        story = start()
        story.disk.watch = None
        story.disk.kill_at = number
        try:
            act(story)
        except Killed:
            yield story
        else:
            return


def enqueue_killed(new: New) -> Iterator[Moment]:
    """Two runs killed at each operation; the next processes send, then accept, then the power goes."""

    def act(story: Story) -> None:
        story.accept(FIRST)
        story.accept(SECOND)

    for story in _killed(lambda: Story(new(root().medium)), act):
        yield from _next(story, [FIRST])
        yield from _next(story, [SECOND], drain=False)


def deliver_killed(new: New) -> Iterator[Moment]:
    """A drain killed at each operation; the next one sends what it may, then the power goes."""
    before = queue(12)
    medium = before.disk.synced().medium
    for story in _killed(lambda: Story(new(medium), before=before), lambda story: story.drain(*ANSWERS)):
        yield from _next(story, [])


def give_up_killed(new: New) -> Iterator[Moment]:
    """A withdrawal killed at each operation; its rows come again, then the power goes."""
    before = queue(3)
    before.drain(Reply(400), Reply(200))
    medium = before.disk.synced().medium
    for story in _killed(lambda: Story(new(medium), before=before), Story.withdraw_dead):
        yield from _next(story, [FIRST])


def _next(killed: Story, runs: list[list[str]], *, drain: bool = True) -> list[Moment]:
    """What the next processes tell on the disk of one that was killed."""
    story = Story(killed.disk.fork(), before=killed)
    story.disk.watch = None
    story.clock.advance(7200.0)
    if drain and story.connector.outbox.exists():
        story.drain()
    for lines in runs:
        story.accept(lines)
    if drain and story.connector.outbox.exists():
        story.drain()
    # What the killed process left in the page cache was told to nobody.
    ends = [moment for moment in story.moments if moment.where not in ("body", "tail")]
    return [moment._replace(told={}, records=(), breaker=None) for moment in ends]


STORIES: Mapping[str, Callable[[New], Iterator[Moment]]] = {
    story.__name__: story
    for story in (
        *(enqueue, deliver, give_up, rebuild, enqueue_killed, deliver_killed, give_up_killed),
        *(put_back, bring_back, give_up_unreadable, refuse),
    )
}
