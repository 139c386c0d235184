"""A fault: one thing that is to go wrong with one request.

Promised: a fault that exists can be carried out. `fault_queue` decides which request it spoils, and
`http_connection` carries it out. Not promised: that a client sees the fault in one fixed way. After an RST,
the client's system drops what it has not delivered yet, so the client may see it while it writes or while it
reads.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from email.utils import format_datetime

from irmemulator.http_messages import Reply, json_reply

_KINDS = (
    "status",
    "early_status",
    "reset_after_bytes",
    "reset_before_last_byte",
    "reset_after_last_byte",
    "close_without_reply",
)
_WITH_TEXT = ("status", "early_status")
_KEEP_ALLOWED = ("status", "reset_after_last_byte", "close_without_reply")
_LOWEST_STATUS, _HIGHEST_STATUS = 200, 599
_LONGEST_DELAY_S = 3_600.0
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong with one request to the endpoint ``on``. Raises ValueError if it cannot.

    At most one kind (`status` … `close_without_reply`) is set. `delay` and `drip` are set alone, and
    then only slow down the true reply, or together with a kind that has a reply.

    Args:
        status: Reply with this status (200-599) after the body was read.
        early_status: Reply with this status before the body is read, then close.
        body: The body for `status` and `early_status`; None: a short JSON object. So are `headers`.
        retry_after: Retry-After: seconds, a text to send as it is, or an aware datetime (an HTTP-date).
        location: Location, for a 3xx.
        delay: Seconds to wait before the reply (or the reset, or the close), after the records were kept.
        drip: Seconds between two bytes of the reply.
        reset_after_bytes: Reset the connection (RST) after this many bytes of the body were read.
        reset_before_last_byte: Reset when all of the body but its last byte was read.
        reset_after_last_byte: Read all, keep the records, and reset: the client cannot know the outcome.
        close_without_reply: Read all of the body, then close the connection in order.
        keep: Whether the records are kept although the reply is an error, or there is none; goes with
            `status`, `reset_after_last_byte` (None: kept) and `close_without_reply`.
        linger: Seconds for which, after `early_status`, the rest of the body is thrown away before the close,
            so that the reply is not lost to an RST.
        matching: A regular expression that is found in the query string of the request.
    """

    on: str = "upload"
    status: int | None = None
    early_status: int | None = None
    body: str | bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    retry_after: int | str | datetime | None = None
    location: str | None = None
    delay: float = 0.0
    drip: float = 0.0
    reset_after_bytes: int | None = None
    reset_before_last_byte: bool = False
    reset_after_last_byte: bool = False
    close_without_reply: bool = False
    keep: bool | None = None
    linger: float = 1.0
    matching: str = ""

    def __post_init__(self) -> None:
        """Refuse what could not be carried out."""
        chosen = self._chosen
        if len(chosen) > 1:
            raise ValueError(f"Fault: set only one of {', '.join(chosen)}")
        if not chosen and not self.delay and not self.drip:
            raise ValueError("Fault: nothing would go wrong")
        if self.drip and self._replies_nothing:
            raise ValueError("Fault.drip needs a reply")
        if self.keep is not None and self.kind not in _KEEP_ALLOWED:
            raise ValueError(f"Fault.keep goes with {', '.join(_KEEP_ALLOWED)} only")
        self._check_ranges()
        self._check_texts()

    def _check_ranges(self) -> None:
        for name in _WITH_TEXT:
            status = getattr(self, name)
            if status is not None and not _LOWEST_STATUS <= status <= _HIGHEST_STATUS:
                raise ValueError(f"Fault.{name} must be from 200 to 599")
        for name in ("delay", "drip", "linger"):
            if not 0 <= getattr(self, name) <= _LONGEST_DELAY_S:
                raise ValueError(f"Fault.{name} must be from 0 to {_LONGEST_DELAY_S:.0f} seconds")
        if self.reset_after_bytes is not None and self.reset_after_bytes < 0:
            raise ValueError("Fault.reset_after_bytes must not be negative")

    def _check_texts(self) -> None:
        extra = self.body is not None or self.headers or self.location is not None
        if (extra or self.retry_after is not None) and self.kind not in _WITH_TEXT:
            raise ValueError("Fault: body, headers, retry_after and location need status or early_status")
        if isinstance(self.retry_after, datetime) and self.retry_after.tzinfo is None:
            raise ValueError("Fault.retry_after: a datetime must be aware of its zone")
        for name, text in self._extra_headers():
            # isprintable also refuses CR and LF, which would begin a header of their own.
            if not _HEADER_NAME.fullmatch(name) or not (text.isprintable() and text.isascii()):
                raise ValueError("Fault: headers must be printable ASCII")
        if isinstance(self.body, str):
            self.body.encode()  # raise ValueError for a lone surrogate here, and not in a connection's thread
        try:
            re.compile(self.matching)
        except re.error as error:
            raise ValueError("Fault.matching is not a regular expression") from error

    @property
    def _chosen(self) -> tuple[str, ...]:
        # By identity: reset_after_bytes=0 is set, although it equals False.
        values = ((name, getattr(self, name)) for name in _KINDS)
        return tuple(name for name, value in values if value is not None and value is not False)

    @property
    def _replies_nothing(self) -> bool:
        return self.kind is not None and ("reset" in self.kind or self.kind == "close_without_reply")

    @property
    def kind(self) -> str | None:
        """The name of what goes wrong; None for a fault that only slows the reply down."""
        chosen = self._chosen
        return chosen[0] if chosen else None

    @property
    def label(self) -> str:
        """The fault in one word, for the log of uploads."""
        return self.kind or ("delay" if self.delay else "drip")

    @property
    def takes_effect(self) -> bool:
        """Whether the service acts on the spoiled request all the same, and so keeps an upload's records."""
        if self.kind is None:
            return True
        return self.reset_after_last_byte if self.keep is None else self.keep

    @property
    def replied_status(self) -> int | None:
        """The status of the fault's own reply; None if it has none."""
        reply = self.reply()
        return None if reply is None else reply.status

    def stops_after(self, content_length: int) -> int | None:
        """After how many bytes of a body to reset; None: not while the body is being read."""
        if self.reset_after_bytes is not None:
            return min(self.reset_after_bytes, content_length)
        return max(content_length - 1, 0) if self.reset_before_last_byte else None

    def reply(self) -> Reply | None:
        """The reply to send in place of the true one; None if there is none."""
        status = self.early_status if self.status is None else self.status
        if status is None:
            return None
        if self.body is None:
            text = f"emulated fault: status {status}"
            plain = json_reply(status, {"error": "emulated", "error_description": text})
        else:
            kind = ("Content-Type", "text/plain; charset=utf-8")
            plain = Reply(status, (kind,), self.body.encode() if isinstance(self.body, str) else self.body)
        return plain.with_headers(*self._extra_headers())

    def _extra_headers(self) -> tuple[tuple[str, str], ...]:
        extra = list(self.headers)
        if isinstance(self.retry_after, datetime):
            moment = self.retry_after.astimezone(UTC)
            extra.append(("Retry-After", format_datetime(moment, usegmt=True)))
        elif self.retry_after is not None:
            extra.append(("Retry-After", str(self.retry_after)))
        if self.location is not None:
            extra.append(("Location", self.location))
        return tuple(extra)

    def to_json(self) -> dict[str, object]:
        """The fault as the control path takes it: only what differs from the defaults."""
        plain = {field.name: field.default for field in fields(self)}
        given = {name: value for name, value in asdict(self).items() if value != plain[name]}
        if isinstance(self.retry_after, datetime):
            given["retry_after"] = format_datetime(self.retry_after.astimezone(UTC), usegmt=True)
        if self.headers:
            given["headers"] = dict(self.headers)
        if isinstance(self.body, bytes):
            given["body"] = self.body.decode("utf-8", "replace")
        return {"on": self.on, **given}
