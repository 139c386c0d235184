"""A service without a network that reads the real body, gives scripted replies and records the uploads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Callable

from irmcore.http.outcome import Failure, Outcome, Reply
from irmcore.http.upload import TAIL_BYTES, Body, Upload

_ACCEPTED = Reply(200)


@dataclass
class Post:
    """One upload: the file's bytes, whether the ``whole`` body arrived, and whether the service kept it."""

    batch: str
    content: bytes = field(repr=False)
    whole: bool = False
    kept: bool = False


def _silent(what: str) -> None:
    return


class FakeTransport:
    """An irmcore.http.upload.Transport. ``answers`` are given in order, then ``then``.

    Rows are kept on a 2xx, and if the reply is lost after the last byte (the worst case, as the
    client cannot know). ``wire`` is called with "body" when only the tail is left, then with "tail".
    """

    def __init__(
        self, *answers: Outcome, then: Outcome = _ACCEPTED, wire: Callable[[str], None] = _silent
    ) -> None:
        self._answers: Iterator[Outcome] = iter(answers)
        self._then = then
        self._wire = wire
        self.posts: list[Post] = []

    def post(self, upload: Upload, commit: Callable[[], None]) -> Outcome:
        answer = next(self._answers, self._then)
        post = Post(upload.file_name, upload.content.read())
        upload.content.seek(0)
        self.posts.append(post)
        body = Body(upload, commit)
        left = len(body)
        while left > TAIL_BYTES:
            left -= len(body.read(left - TAIL_BYTES))
        self._wire("body")
        if isinstance(answer, Failure) and not answer.committed:
            return answer
        while body.read(TAIL_BYTES):
            pass
        post.whole = True
        post.kept = isinstance(answer, Failure) or 200 <= answer.status < 300
        self._wire("tail")
        return answer

    @property
    def kept(self) -> list[bytes]:
        """The files that the service has kept, in order."""
        return [post.content for post in self.posts if post.kept]
