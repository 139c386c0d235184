"""The rows that are queued, as files of the service's form. Needs no key, so it works without one."""

from __future__ import annotations

from collections.abc import Iterator

from irmcore.errors import DamageError, UnknownFormat
from irmcore.outbox import Outbox, states
from irmcore.outbox.batch_files import read_manifest

_QUEUED = (states.PROPOSED, states.READY, states.INTENT, states.RETRY, states.SPLIT)


def queued_payloads(outbox: Outbox, *, held: bool = False) -> Iterator[bytes]:
    """The payloads of queued batches, oldest first; with ``held`` those that are in doubt or dead, too.

    A payload is not verified, as its check is keyed. A batch whose manifest is damaged is left out, as is a
    batch that was split if its halves are queued. Raises UnknownFormat, OSError.
    """
    try:
        outbox.check_format()
    except UnknownFormat:
        raise
    except DamageError:
        pass  # nothing else says what is queued in a damaged outbox
    wanted = (*_QUEUED, states.COMMIT, *states.NEEDS_PERSON) if held else _QUEUED
    batches = [batch for batch in outbox.ready() if batch.state is not None and batch.state.name in wanted]
    split = set()
    for batch in batches:
        try:
            split.add(read_manifest(outbox, batch).profile.get("split_from"))
        except DamageError:
            continue
    for batch in batches:
        if batch.id not in split and outbox.disk.exists(f"{batch.path}/payload"):
            yield outbox.disk.read(f"{batch.path}/payload")


def joined(payloads: Iterator[bytes]) -> Iterator[bytes]:
    """CSV files as one: the header is left out where it repeats that of the file before."""
    header = b""
    for payload in payloads:
        first, _, rest = payload.partition(b"\n")
        yield rest if first == header else payload
        header = first
