"""Read the files of a batch, and verify that they are what was accepted.

Damage is BatchDamaged, missing permission is BatchDenied; any other OSError concerns the whole disk.
"""

from __future__ import annotations

import os
from typing import Any

from irmcore.disk import BAD_FILE_ERRNOS
from irmcore.errors import BatchDamaged, BatchDenied
from irmcore.outbox import audit_log, rowkeys
from irmcore.outbox import manifest as manifests
from irmcore.outbox.batch import Batch
from irmcore.outbox.manifest import Manifest
from irmcore.outbox.outbox import Outbox


def read_manifest(outbox: Outbox, batch: Batch) -> Manifest:
    """The manifest, with its MAC checked if the key is not missing.

    Raises BatchDamaged, BatchDenied, UnknownFormat, OSError.
    """
    path = f"{batch.path}/manifest.json"
    data = _read(outbox, path)
    if data is None:
        raise BatchDamaged(
            "the manifest is missing",
            where=path,
            next_step=f"The batch is quarantined. Run `irmexport show {batch.id[:12]}` to see what is "
            "left of it.",
        )
    found = manifests.decode(data, path, audit_log.keyring_of(outbox))
    if found.id != batch.id:
        raise BatchDamaged(
            "the manifest belongs to another batch", where=path, next_step="The batch is quarantined."
        )
    return found


def read_payload(outbox: Outbox, batch: Batch, manifest: Manifest) -> bytes:
    """The payload, whose keyed hash must be the batch's id.

    Raises BatchDamaged, BatchDenied, KeyMissing, OSError.
    """
    path = f"{batch.path}/payload"
    data = _read(outbox, path) or b""
    if manifests.batch_id(outbox.keyring, manifest.destination, manifest.content_type, data) != batch.id:
        raise BatchDamaged(
            "the payload is not what was accepted (its hash differs)",
            where=path,
            next_step="The batch is quarantined. Send its rows again from their source.",
        )
    return data


def _read(outbox: Outbox, path: str) -> bytes | None:
    """A file of a batch, or None if there is none. Raises BatchDamaged, BatchDenied, OSError."""
    try:
        return outbox.disk.read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise BatchDenied(
            "this user may not read a file of the batch",
            where=path,
            next_step="Make the user who runs irmexport the owner of the outbox "
            "(files 0600, directories 0700).",
        ) from None
    except OSError as error:
        if error.errno not in BAD_FILE_ERRNOS:
            raise
        raise BatchDamaged(
            f"the disk cannot read it ({error.strerror})",
            where=path,
            next_step="The batch is quarantined. Check the disk; once the file can be read, "
            f"run `irmexport requeue {os.path.basename(os.path.dirname(path))[:12]} --why REASON`.",
        ) from None


def read_rowkeys(outbox: Outbox, batch: Batch) -> bytes:
    """The records in the batch's ``rowkeys`` file. Raises Damaged, KeyMissing, OSError."""
    path = f"{batch.path}/rowkeys"
    return rowkeys.unseal(outbox.keyring, outbox.disk.read(path) if outbox.disk.exists(path) else b"")


def find_with_rowkeys(outbox: Outbox, name: str) -> tuple[Batch, bytes] | None:
    """The batch of this id with its ``rowkeys`` file, even while the sender moves it; None without one."""
    tries = 3
    while (batch := outbox.find(name)) is not None:
        tries -= 1
        try:
            return batch, outbox.disk.read(f"{batch.path}/rowkeys")
        except (FileNotFoundError, NotADirectoryError):
            if not tries:
                return batch, b""
    return None


def read_history(outbox: Outbox, batch: Batch) -> list[dict[str, Any]]:
    """The batch's events, oldest first. For several batches, ``audit_log.histories`` reads the log once."""
    return audit_log.histories(outbox).get(batch.id, [])
