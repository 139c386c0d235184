"""The note of a machine's last promotion: which batches of its own outbox were on their way to a shared one.

Written before the first try. A batch that it names and that has not ended here may be in the shared outbox as
well, and sent from there: only the next promotion knows. So it MUST NOT be sent from here before. Those of
earlier runs of which this is true, such as quarantined ones, stay in the note.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from irmcore.outbox import sealed
from irmcore.outbox.outbox import Outbox

_FILE = "promotion.json"
#: The machine sends by itself again, and others do not know which rows.
_ALONE = "alone"
#: Why a batch that the note names is HELD. The next promotion moves it as if it were not.
BEGUN = "promotion-begun"


def exists(outbox: Outbox) -> bool:
    """Whether anything was ever promoted from ``outbox``, or begun to be."""
    return outbox.read_file(_FILE) is not None


def read(outbox: Outbox) -> dict[str, Any]:
    """The note; nothing if it is missing or damaged."""
    try:
        return sealed.decode(outbox.read_file(_FILE) or b"")
    except ValueError:
        return {}


def write(outbox: Outbox, note: Mapping[str, Any]) -> None:
    """Replace the note durably. Raises OSError."""
    outbox.replace_file(_FILE, sealed.encode(dict(note)))


def with_earlier(outbox: Outbox, note: Mapping[str, Any]) -> dict[str, Any]:
    """A note that is to replace the one there, with what must be kept of that one."""
    before, names = read(outbox), begun(outbox).difference(note["batches"])
    earlier = sorted(name for name in names if outbox.folder_of(name) in ("ready", "quarantine"))
    alone = {_ALONE: True} if _ALONE in before else {}
    return {**note, **alone, "earlier": earlier}


def begun(outbox: Outbox) -> frozenset[str]:
    """The ids of the batches whose promotion was begun; whether it ended, their states say."""
    note = read(outbox) if outbox.has_ledger else {}
    return frozenset([*note.get("batches", ()), *note.get("earlier", ())])


def add(outbox: Outbox, batch: str, new: str) -> None:
    """The batch ``new`` takes the place of ``batch``. Raises OSError."""
    if batch in begun(outbox):
        note = read(outbox)
        write(outbox, {**note, "earlier": [*note.get("earlier", ()), new]})


def forget(outbox: Outbox, batch: str) -> None:
    """A person has decided that the batch with this id is sent from here. Raises OSError."""
    if batch in begun(outbox):
        note = read(outbox)
        left = {key: [name for name in note.get(key, ()) if name != batch] for key in ("batches", "earlier")}
        write(outbox, {**note, **left})


def is_known_there(outbox: Outbox) -> bool:
    """Whether others know which rows this machine has sent by itself."""
    return exists(outbox) and _ALONE not in read(outbox)


def set_alone(outbox: Outbox, *, alone: bool) -> None:
    """Whether rows are sent from ``outbox`` itself of which others do not know, if it was ever promoted from.

    The caller holds the sender's lock. Raises OSError.
    """
    if alone == is_known_there(outbox) and outbox.has_ledger:
        note = {name: value for name, value in read(outbox).items() if name != _ALONE}
        write(outbox, {**note, _ALONE: True} if alone else note)
