"""Find damage in an outbox before a drain does, each with the command that repairs it. Changes nothing.

Not found: lines removed from the end of the audit log, unless an earlier head of it is given, and a whole
batch or reject file that was deleted.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from irmcore.delivery import connection
from irmcore.errors import BatchDenied, DamageError, IrmError
from irmcore.intake.ledger.recovery import read_ledger
from irmcore.operations import retention
from irmcore.outbox import Batch, Manifest, Outbox, audit_log, states
from irmcore.outbox.audit_chain import Head
from irmcore.outbox.batch_files import read_manifest, read_payload
from irmcore.outbox.outbox import AUDIT_LOG, KEY_FILES
from irmcore.outbox.rowkeys import Damaged

#: Bytes for a verification of everything.
EVERYTHING = 1 << 62


class Damage(NamedTuple):
    """A damaged file, and what to do now."""

    where: str
    what: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.next_step}"


def format_trouble(outbox: Outbox) -> str:
    """Why this version cannot read the outbox, or ""."""
    try:
        outbox.check_format()
    except IrmError as error:
        return str(error)
    return ""


def use_trouble(outbox: Outbox) -> str:
    """Why nothing is accepted or sent here, or ""."""
    try:
        outbox.check_place()
        outbox.load_keyring()
    except IrmError as error:
        return str(error)
    return ""


def damages(outbox: Outbox, limit: int, noted: Head | None = None) -> Iterator[Damage]:
    """The damaged files of an outbox of this format.

    ``limit``: bytes of batches to read; the rest is left. ``EVERYTHING`` also reads ``done/``, the audit
    log and the row ledger. ``noted`` is an earlier head that the log must contain.
    """
    yield from _of_the_connector(outbox)
    if any(outbox.keyrings().values()):
        left = limit
        for batch in outbox.ready() if limit < EVERYTHING else outbox.all_batches():
            if left <= 0:
                break
            if batch.folder != "quarantine" and not batch.unknown and not batch.denied:
                found, size = _of_batch(outbox, batch)
                left -= size
                if outbox.disk.exists(batch.path):  # otherwise the sender moved it meanwhile
                    yield from found
    if limit >= EVERYTHING:
        if any(outbox.keyrings().values()):
            yield from _of_the_log(outbox, noted)
        yield from _of_rejects(outbox)
        if outbox.has_ledger:
            yield from _of_ledger(outbox)


def _of_the_connector(outbox: Outbox) -> Iterator[Damage]:
    lost = [name for name, found in outbox.keyrings().items() if found is None]
    if len(lost) < len(KEY_FILES):
        for name in lost:
            step = "The next `irmexport drain` restores it from the other copy."
            yield Damage(f"{outbox.path}/{name}", "a copy of the key is missing or damaged", step)
    used = bool(outbox.count_ready())
    if connection.settings_of(outbox) is None and (used or outbox.read_file(connection.FILE) is not None):
        step = (
            "Run `irmexport send FILE --profile PROFILE` once, with its profile, to write them again, or "
            "for a collector `irmexport sentinel collect --once`."
        )
        where = f"{outbox.path}/{connection.FILE}"
        yield Damage(where, "the connector's settings are missing or damaged, so nothing is sent", step)


def _of_batch(outbox: Outbox, batch: Batch) -> tuple[list[Damage], int]:
    """The damaged files of a batch, and how many bytes were read."""
    found, size = [], 0
    ended = batch.folder == "done" or (batch.state is not None and batch.state.name in states.ENDED)
    no_step = "The batch has ended, so nothing needs to be done. Keep it for the record."
    if batch.damaged:
        step = (
            "The next `irmexport drain` quarantines it. Then run `irmexport requeue "
            f"{batch.id[:12]} --why REASON`."
        )
        found.append(Damage(f"{batch.path}/state", "a state record is damaged", no_step if ended else step))
    try:
        manifest = read_manifest(outbox, batch)
        size = manifest.payload_bytes
        if not _keys_match(outbox, batch, manifest):
            step = (
                f"Run `irmexport outbox repair {outbox.name}`, which restores them if the row ledger has "
                "all of them, with one date, and the batch is no half of another. Otherwise restore the file "
                "from a backup, or do not send its rows again."
            )
            what = "the row keys are missing or damaged: its rows may be accepted again"
            found.append(Damage(f"{batch.path}/rowkeys", what, step))
        if batch.folder == "ready" or outbox.disk.exists(f"{batch.path}/payload"):
            read_payload(outbox, batch, manifest)
    except BatchDenied:
        return found, size  # shown as a batch of its own
    except DamageError as error:
        found.append(Damage(error.where or batch.path, error.what, no_step if ended else error.next_step))
    return found, size


def _keys_match(outbox: Outbox, batch: Batch, manifest: Manifest) -> bool:
    path = f"{batch.path}/rowkeys"
    data = outbox.disk.read(path) if outbox.disk.exists(path) else b""
    if not data and batch.folder == "done" and not outbox.has_ledger:
        age = outbox.clock.now() - manifest.accepted
        return age > retention.periods_of(outbox).rowkeys  # they were deleted after their time
    return hashlib.sha256(data).hexdigest() == manifest.rowkeys_sha256


def _of_the_log(outbox: Outbox, noted: Head | None) -> Iterator[Damage]:
    """What is wrong with the audit log, and whether ``connector.json`` is what it says."""
    path = f"{outbox.path}/{AUDIT_LOG}"
    for line, what in audit_log.verify(outbox, noted):
        step = "Keep a copy of the file, and compare it with a backup or with what was exported."
        yield Damage(f"{path}:{line}", what, step)
    known = audit_log.settings_on_record(outbox)
    settings = outbox.read_file(connection.FILE)
    if known and settings is not None and hashlib.sha256(settings).hexdigest() not in known:
        step = (
            "Run `irmexport send FILE --profile PROFILE` with its profile, which writes the settings again."
        )
        where = f"{outbox.path}/{connection.FILE}"
        yield Damage(where, "the connector's settings were changed by something other than irmexport", step)


def _of_rejects(outbox: Outbox) -> Iterator[Damage]:
    # The last one counts: an erasure rewrites a file.
    checks = {str(event.get("rejects")): event.get("rejects_check") for event in audit_log.read(outbox)}
    for path, check in checks.items():
        known = check and outbox.disk.exists(path)
        if known and outbox.keyring.keyed(hashlib.sha256(outbox.disk.read(path)).hexdigest()) != check:
            step = "Run the same input again to write another one, or remove it."
            yield Damage(path, "the file of refused rows is damaged", step)


def _of_ledger(outbox: Outbox) -> Iterator[Damage]:
    try:
        ledger = read_ledger(outbox)
        if ledger is not None:
            deque(ledger.records(), maxlen=0)
    except Damaged:
        step = (
            f"`irmexport outbox repair {outbox.name}` rebuilds it, and so does the next run that "
            "accepts rows."
        )
        yield Damage(f"{outbox.path}/ledger", "the row ledger is damaged", step)
