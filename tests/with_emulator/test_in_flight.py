"""Several uploads at once: they overlap, each batch is sent once, and trouble reduces them to one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from irmcore.http.outcome import Failure, Outcome, Reply
from irmcore.http.upload import Transport, Upload
from irmcore.profile import Limits

from tests.with_emulator.connector import Rig, row

MOST = 4


class Together:
    """Holds uploads until as many as wanted have started, then forwards them, and counts them."""

    def __init__(self, rest: Transport, *, wanted: int = 1) -> None:
        self._rest = rest
        self._wanted = wanted
        self._here = threading.Condition()
        self.now = self.most = 0
        self.posts: list[str] = []

    def post(self, upload: Upload, commit: Callable[[], None]) -> Outcome:
        with self._here:
            self.posts.append(upload.file_name)
            self.now += 1
            self.most = max(self.most, self.now)
            self._here.notify_all()
            if len(self.posts) > 1 and not self._here.wait_for(lambda: self.most >= self._wanted, 20):
                raise AssertionError("the other uploads did not start")
        try:
            return self._rest.post(upload, commit)
        finally:
            with self._here:
                self.now -= 1


class Answers:
    """A service that gives these replies, then 200s; each upload is committed first."""

    def __init__(self, *answers: Outcome) -> None:
        self._answers = list(answers)
        self._lock = threading.Lock()

    def post(self, upload: Upload, commit: Callable[[], None]) -> Outcome:
        commit()
        with self._lock:
            return self._answers.pop(0) if self._answers else OK


OK = Reply(status=200, request_id="1", text="", page=False, wait=None, committed=True)
LOST = Failure("reset", committed=True)


@pytest.fixture
def queue(rig: Rig) -> Rig:
    """A connector with nine batches of one row in its outbox."""
    rig.profile = replace(rig.profile, limits=Limits(1, 1_000_000))
    rig.accept(row(number) for number in range(9))
    return rig


def test_uploads_overlap_once_one_was_accepted(queue: Rig) -> None:
    """The first upload runs alone, then four at once; each row is kept once."""
    together = Together(queue.sender()._service.transport, wanted=MOST)  # noqa: SLF001 - the real transport
    report = queue.sender(transport=together, in_flight=MOST).drain()
    assert (report.sent, report.rows_sent, report.queued, report.trouble) == (9, 9, 0, "")
    assert together.most == MOST
    assert len(set(together.posts)) == len(together.posts) == 9
    assert queue.kept() == [f"user{number}@contoso.com" for number in range(9)]
    assert queue.batches() == []


def test_one_at_a_time_by_default(queue: Rig) -> None:
    """Without a setting in the profile, no two uploads overlap."""
    together = Together(Answers())
    assert queue.sender(transport=together).drain().sent == 9
    assert together.most == 1


def test_an_outage_from_the_start_holds_two(queue: Rig) -> None:
    """Before the first upload was accepted, an outage holds no more than with single uploads."""
    together = Together(Answers(*[LOST] * 9))
    report = queue.sender(transport=together, in_flight=MOST).drain()
    assert (report.sent, report.held, report.queued) == (0, 2, 7)
    assert together.most == 1


def test_an_outage_holds_no_more_than_the_uploads_in_flight(queue: Rig) -> None:
    """If the service fails during four uploads, those are in doubt, and no further one begins."""
    together = Together(Answers(OK, *[LOST] * 8), wanted=MOST)
    report = queue.sender(transport=together, in_flight=MOST).drain()
    assert (report.sent, report.held, report.queued) == (1, MOST, 8 - MOST)
    assert len(together.posts) == 1 + MOST
    assert queue.sender(transport=Answers()).drain().sent == 0  # the breaker has tripped


def test_a_pause_stops_what_has_not_begun(queue: Rig) -> None:
    """After a 403 no further upload begins, and the running ones end."""
    refused = Reply(status=403, request_id="", text="", page=False, wait=None, committed=True)
    together = Together(Answers(OK, *[refused] * 8), wanted=MOST)
    report = queue.sender(transport=together, in_flight=MOST).drain()
    assert (report.sent, report.queued, report.dead, report.held) == (1, 8, 0, 0)
    assert len(together.posts) == 1 + MOST


def test_a_full_disk_is_reported_after_all_uploads_ended(queue: Rig) -> None:
    """A disk error is raised after all running uploads have ended."""

    class Full(Answers):
        def post(self, upload: Upload, commit: Callable[[], None]) -> Outcome:
            if len(together.posts) == 3:
                raise OSError(28, "No space left on device")
            return super().post(upload, commit)

    together = Together(Full())
    with pytest.raises(OSError, match="No space"):
        queue.sender(transport=together, in_flight=MOST).drain()
    assert together.now == 0
    assert queue.drain().trouble == ""
    assert queue.batches() == []
