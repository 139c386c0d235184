"""The promise on a disk that loses power, fills up, fails or is killed at each operation.

``stories`` has the histories, ``outages`` what must hold afterwards, ``tests.fakes.powerloss`` the disk.
"""

from __future__ import annotations

import ast
import errno
from functools import partial
from pathlib import Path

import irmcore
import pytest
from irmcore.errors import OutboxFull
from irmcore.http.outcome import Failure, Reply
from irmcore.outbox import state_file

from tests.common.irmcore.outbox.outages import Story, Survivors, problems_after, root
from tests.common.irmcore.outbox.stories import ANSWERS, FIRST, SECOND, STORIES, deliver, enqueue, queue
from tests.fakes.connector import notes, notes_of
from tests.fakes.medium import Medium
from tests.fakes.powerloss import Careless, Killed, PowerLossDisk

#: States after a power loss at one moment: all of them if there are no more.
LIMITS = {"enqueue_killed": 3, "deliver_killed": 3, "withdraw_killed": 100}


#: Stories of a single moment, and one of few syncs.
FEW = {
    **dict.fromkeys(("requeue_dead", "requeue_quarantined", "withdraw_unreadable", "resume", "refuse"), 0),
    "rebuild": 80,
}


@pytest.mark.parametrize("story", STORIES)
def test_nothing_is_lost_and_nothing_goes_twice(story: str) -> None:
    """Whenever the power fails, each acknowledged row is sent once or its batch needs a person."""
    survivors = Survivors()
    found = survivors.problems(STORIES[story](PowerLossDisk), LIMITS.get(story, 12))
    assert next(found, None) is None
    assert survivors.states > FEW.get(story, 150)


def test_resend_loses_nothing_either() -> None:
    """With the policy `resend` a row may be sent twice, but none is lost or held."""
    before = queue(6)
    story = Story(before.disk.synced(), in_doubt="resend", before=before)
    story.drain(Failure("reset", committed=True), Reply(200))
    found = Survivors().problems(story.moments, 16, in_doubt="resend")
    assert next(found, None) is None


#: Every sync: the function that calls it, and for what → the story that goes wrong without it.
SYNCS = {
    "discard: *": "withdraw_killed",
    "_replace_checksums: days": "enqueue_killed",
    "accept: ready": "enqueue_killed",
    "move_to_ready: ready": "requeue_quarantined",
    "announce: *": "withdraw_killed",
    "announce: pending": "withdraw_killed",
    "create: ledger": "enqueue",
    "_try_to_create: outbox": "enqueue_killed",
    "create: small": "enqueue_killed",
    "make_shards: done": "withdraw_killed",
    "write_ended: *": "withdraw_unreadable",
    "write_ended: state WITHDRAWN": "withdraw_unreadable",
    "save_file: rejects": "refuse",
    "save_file: *": "refuse",
    "repair: state READY": "requeue_quarantined",
    "append: audit.log": "deliver",
    "prepare: *": "enqueue_killed",
    "prepare: manifest.json": "enqueue_killed",
    "prepare: payload": "enqueue_killed",
    "prepare: rowkeys": "enqueue_killed",
    "prepare: state READY": "enqueue_killed",
    "replace_file: *": "enqueue",
    "replace_file: small": "enqueue",
    "sync_state: state SENT": "deliver_killed",
    "sync_state: state SPLIT": "deliver_killed",
    "sync_state: state WITHDRAWN": "withdraw_killed",
    "sync_ready: ready": "enqueue_killed",
    "write: breaker": "deliver",
    "write: state COMMIT": "deliver",
    "write: state DEAD": "deliver",
    "write: state HELD": "deliver",
    "write: state INTENT": "deliver",
    "write: state READY": "requeue_dead",
    "write: state RETRY": "deliver",
    "write: state SENT": "deliver_killed",
    "write: state SPLIT": "deliver",
    "write: state WITHDRAWN": "withdraw",
}


def state_name(data: bytes) -> str:
    """The name of the state in a state file."""
    record = state_file.decode(data, "").record
    return str(record["name"]) if record is not None else "none"


def careless(medium: Medium, *, without: str, sites: set[str]) -> PowerLossDisk:
    """A disk that forgets the syncs of one site."""
    return Careless(medium, without, sites, state_name)


@pytest.mark.parametrize("site", SYNCS)
def test_each_sync_is_needed(site: str) -> None:
    """Without any one of the syncs, there is a power loss that breaks the promise."""
    story = SYNCS[site]
    moments = STORIES[story](partial(careless, without=site, sites=set()))
    assert next(Survivors().problems(moments, max(8, LIMITS.get(story, 0))), None) is not None


def test_all_syncs_are_named() -> None:
    """The table above has each sync that the stories reach, and no other."""
    sites: set[str] = set()
    for story in STORIES.values():
        for _ in story(partial(careless, without="", sites=sites)):
            pass
    assert sites == set(SYNCS)


#: Syncs with a test of their own.
ELSEWHERE = {
    "complete_erasure": "test_person.py",
    "erase_rows": "test_person.py",
    "_rewrite_batch": "test_rewriting.py",
    "_rewrite_files": "test_rewriting.py",
    "write_all_ended": "test_promotion.py",
    "_copy": "test_moving_back.py",
    "sync_all": "test_disk.py",
    "_write": "test_disk.py",  # of the disk of a directory that is lost with its host
    "make_dirs": "test_disk.py",  # a new root of outboxes
    "check_outbox": "nothing depends on it",  # `irmexport doctor` checks that a file can be synced
    "commit": "irmcore/identity",  # the directory of people, which a sync can always make anew
}


def syncs(call: ast.Call) -> bool:
    """Whether a call asks for a sync, by its name or by a constant ``sync=`` (not one passed through)."""
    named = isinstance(call.func, ast.Attribute) and call.func.attr in {"sync", "sync_dir", "sync_all"}
    return named or any(word.arg == "sync" and isinstance(word.value, ast.Constant) for word in call.keywords)


def test_no_sync_of_the_core_is_forgotten() -> None:
    """Each function of the core that syncs a file or directory is in the table above."""
    callers = set()
    for path in Path(irmcore.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
                if any(map(syncs, calls)):
                    callers.add(node.name)
    assert callers == {site.split(":")[0] for site in SYNCS} | set(ELSEWHERE)


def operations(story: Story) -> int:
    """How many operations a story has taken so far."""
    return story.disk.operations


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_a_failing_operation_of_a_run_is_reported_and_harms_nothing(code: int) -> None:
    """After an error at any operation, a run reports it or is complete; each row is sent once."""
    whole = Story(root())
    whole.accept(FIRST)
    reported = 0
    for number in range(1, operations(whole) + 1):
        story = Story(root())
        story.disk.watch = None
        story.disk.fail_at[number] = code
        try:
            story.accept(FIRST)
        except OutboxFull:
            reported += 1
            assert story.acknowledged == []
        story.report("failed or not")
        moment = story.moments[-1]._replace(reported={}, records=(), breaker=None, offered=tuple(FIRST))
        for disk in [moment.disk, *moment.disk.after_power_loss(4, seed=number)]:
            assert list(problems_after(moment, disk)) == []
    assert reported > 40


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_failing_operation_of_a_drain_sends_nothing_twice(code: int) -> None:
    """After an error at any operation of a drain, the next drains send what is missing, and only that."""
    before = queue(12)
    whole = Story(before.disk.synced(), before=before)
    whole.drain(*ANSWERS)
    for number in range(1, operations(whole) + 1):
        story = Story(before.disk.synced(), before=before)
        story.disk.watch = None
        story.disk.fail_at[number] = code
        try:
            story.drain(*ANSWERS)
        except OSError:
            story.report("failed")
        moment = story.moments[-1]._replace(reported={}, records=(), breaker=None)
        for disk in [moment.disk, *moment.disk.after_power_loss(3, seed=number)]:
            assert list(problems_after(moment, disk)) == []


def test_a_full_disk_does_not_stop_the_drain() -> None:
    """On a full disk, all batches are sent once and their receipts are recorded."""
    before = queue(8)
    story = Story(before.disk.synced(), before=before)
    story.disk.full = True
    story.drain(Reply(200), Failure("reset", committed=True), Reply(413))
    story.drain()
    sent = sorted(note for service in story.services for file in service.kept for note in notes(file))
    assert sent == sorted(notes_of(before.offered))[:4] + sent[4:]
    assert len(sent) == len(set(sent)) == 6
    assert sorted(story.connector.states().values()) == [
        "ready HELD",
        "ready SENT",
        "ready SENT",
        "ready SPLIT",
    ]
    story.disk.full = False
    story.drain()
    after = story.moments[-1]
    assert list(problems_after(after, after.disk)) == []
    assert sorted(set(story.connector.states().values())) == ["done SENT", "done SPLIT", "ready HELD"]


def test_a_breaker_that_cannot_be_written_costs_no_receipt() -> None:
    """An outcome is recorded before the breaker, so an error of the breaker leaves no doubt."""
    before = queue(2)
    story = Story(before.disk.synced(), before=before)

    def fail(kind: str, path: str) -> None:
        if path.endswith("/breaker"):
            story.disk.fail_at[story.disk.operations + 1] = errno.EIO

    story.disk.watch = fail
    with pytest.raises(OSError, match="Input/output"):
        story.drain()
    assert sorted(story.connector.states().values()) == ["done SENT"]


def test_a_read_only_outbox_sends_nothing() -> None:
    """If no state can be written, no byte is sent."""
    before = queue(4)
    story = Story(before.disk.synced(), before=before)
    story.disk.read_only = True
    with pytest.raises(OSError, match="Read-only"):
        story.drain()
    assert story.services[-1].posts == []


def killed_at(where: str) -> Story:
    """A drain of one batch whose process ended when the wire reported ``where``."""
    before = queue(2)
    story = Story(before.disk.synced(), before=before)
    report = story.report

    def die(reported: str) -> None:
        report(reported)
        if reported == where:
            story.disk.dead = True
            raise Killed

    story.report = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        story.drain()
    return Story(story.disk.fork(), before=story)


def test_a_body_that_was_short_is_sent_again() -> None:
    """A process that ended before COMMIT has sent less than Content-Length, so its batch is sent again."""
    story = killed_at("body")
    assert [post.whole for service in story.services for post in service.posts] == [False]
    story.drain()
    assert sorted(story.connector.states().values()) == ["done SENT"]


def test_a_body_that_was_whole_is_held() -> None:
    """A process that ended after COMMIT leaves a batch in doubt: it is held and not sent again."""
    story = killed_at("tail")
    for _ in range(3):
        story.clock.advance(7200.0)
        story.drain()
    assert sum(len(service.posts) for service in story.services) == 1
    assert sorted(story.connector.states().values()) == ["ready HELD"]


def test_a_batch_split_before_its_run_was_merged() -> None:
    """A run killed at any operation, whose batch is split before the ledger has it, accepts no row twice."""
    number = 0
    while True:
        number += 1
        story = Story(root())
        story.disk.watch = None
        story.disk.kill_at = number
        try:
            story.accept(FIRST)
        except Killed:
            after = Story(story.disk.fork(), before=story)
            after.disk.watch = None
            if after.connector.outbox.exists():
                after.drain(Reply(413))
            after.report("split")
            moment = after.moments[-1]._replace(offered=tuple(FIRST[::-1]), reported={}, records=())
            assert list(problems_after(moment, moment.disk)) == []
        else:
            break
    assert number > 40


def test_without_commit_a_row_goes_twice() -> None:
    """The COMMIT state prevents a row from being sent twice: without its writes, one is."""

    class Forgetful(PowerLossDisk):
        def write_at(self, path: str, offset: int, data: bytes, *, sync: bool = False) -> None:
            if b'"name":"COMMIT"' not in data:
                super().write_at(path, offset, data, sync=sync)

    before = queue(2)
    medium = before.disk.synced().medium
    story = Story(Forgetful(medium), before=before)
    story.drain()
    found = Survivors().problems(story.moments, 16)
    assert any("sent twice" in problem for problem in found)


def test_the_stories_come_to_what_they_are_about() -> None:
    """The stories have moments after acknowledgements, during uploads, and in between."""
    runs = {moment.where.split(" ")[0] for moment in enqueue(PowerLossDisk)}
    drains = {moment.where.split(" ")[0] for moment in deliver(PowerLossDisk)}
    assert runs == {"sync", "sync_dir", "acknowledged"}
    assert drains == {"sync", "sync_dir", "body", "tail", "drained"}
    assert [moment.acknowledged for moment in enqueue(PowerLossDisk)][-1] == (*FIRST, *SECOND)
