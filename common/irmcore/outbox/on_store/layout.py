"""Where an outbox on a store has its records, and how they are named.

``docs/decisions/0008-an-outbox-on-a-store.md`` says what each of them is for.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from irmcore.store.numbered import DIGITS

#: The name of a batch: when it was written (µs since 1970), a random number, and the batch's id.
NAME = re.compile(r"(?P<at>[0-9a-f]{14})-[0-9a-f]{16}-(?P<id>[0-9a-f]{64})")
#: The largest part of a payload.
PART_BYTES = 1 << 20
#: The part with all row keys of a batch, in the order of its rows, if they are of several dates.
ALL_ROWKEYS = "rowkeys/all"
_LAST: int = 10**DIGITS - 1


def new_name(now: float, batch: str) -> str:
    """A new name for the batch of this id. Names sort by age, as far as the clocks tell.

    It is random, because an orphan of equal content must not be mistaken for the batch.
    """
    return f"{int(now * 1e6):014x}-{secrets.token_hex(8)}-{batch}"


def host_of(where: str) -> str:
    """What stands for a machine in the identity of an outbox at this address: a copy has another one."""
    return hashlib.sha256(where.encode("utf-8")).hexdigest()


def id_of(name: str) -> str:
    """The id of the batch of this name. Raises ValueError."""
    found = NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"not a name of a batch: {name[:80]!r}")
    return found["id"]


def written_at(name: str) -> float:
    """When the batch of this name was written (seconds since 1970), by the clock of its machine."""
    return int(name[:14], 16) / 1e6


def open_key(name: str, try_: str = "") -> str:
    """The marker of batches without a receipt, of which ``name`` is the first.

    One of those that remain of a marker has a random ``try_``, as its first batch may be the same.
    """
    return f"open/{name}{'.' if try_ else ''}{try_}"


def is_open_key(key: str) -> bool:
    """Whether ``open_key`` made this key."""
    return NAME.fullmatch(key[len("open/") :].partition(".")[0]) is not None


def marked(key: str, marker: Mapping[str, Any]) -> Sequence[str]:
    """The names of the batches of the marker under this key: mostly all of a run."""
    return tuple(marker.get("batches", (key.rpartition("/")[2],)))


def part_key(name: str, part: str) -> str:
    """A part of a batch: ``manifest``, ``payload``, ``payload.1`` …, ``rowkeys/<date>``."""
    return f"batch/{name}/{part}"


def payload_parts(payload: bytes) -> dict[str, bytes]:
    """A payload in parts that a store takes."""
    starts = range(0, max(len(payload), 1), PART_BYTES)
    return {
        f"payload.{number}" if number else "payload": payload[start : start + PART_BYTES]
        for number, start in enumerate(starts)
    }


def date_text(day: int) -> str:
    """The date (``yyyy-mm-dd``) of an event day (since 1970)."""
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat()


def withdrawn_key(date: str, name: str) -> str:
    """The mark of a batch with rows of that date that was withdrawn, if its newest state says so.

    Created before that state, so that a crash between the two leaves no row that counts as accepted for ever.
    """
    return f"withdrawn/{date}/{name}"


def days_prefix(date: str) -> str:
    """The index of the row keys of a date."""
    return f"days/{date}/"


def states_prefix(name: str) -> str:
    """The states of a batch, numbered. It is READY if it has none; number 0 is what its run gave it."""
    return f"state/{name}/"


def connector_key(name: str) -> str:
    """Beside the outboxes under an address: that it has one of this name."""
    return f"connectors/{name}"


def file_prefix(file: str) -> str:
    """The contents of a file of the outbox (``outbox.json``, ``key``, ``connector.json`` …), numbered."""
    return f"files/{file}/"


def first_key(file: str) -> str:
    """Where the first content of a file of the outbox is."""
    return f"{file_prefix(file)}{0:0{DIGITS}}"


def event_key(number: int) -> str:
    """A line of the audit log. The newest comes first, so that finding it does not read the others' keys."""
    return f"audit/{_LAST - number:0{DIGITS}}"


def event_number(key: str) -> int:
    """The number of the line with this key."""
    return _LAST - int(key.rpartition("/")[2])
