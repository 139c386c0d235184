"""The note of a machine's last promotion: which batches of its own outbox were on their way to a shared one.

Written before the first try. A batch that it names and that is still in ``ready/`` may be in the shared
outbox as well, and sent from there: only the next promotion knows. So it MUST NOT be sent from here before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from irmcore.outbox import sealed
from irmcore.outbox.outbox import Outbox

_FILE = "promotion.json"
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


def begun(outbox: Outbox) -> frozenset[str]:
    """The ids of the batches whose promotion was begun; whether it ended, their states say."""
    return frozenset(read(outbox).get("batches", ())) if outbox.has_ledger else frozenset()


def forget(outbox: Outbox, batch: str) -> None:
    """A person has decided that the batch with this id is sent from here. Raises OSError."""
    if batch in begun(outbox):
        note = read(outbox)
        write(outbox, {**note, "batches": [name for name in note["batches"] if name != batch]})
