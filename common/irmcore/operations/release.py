"""Release by a second person: batches in PROPOSED are sent only after somebody else than the proposer agreed.

Promised: nobody releases what a run under the same account name proposed, and both names are in the audit log
before the state changes. Not promised: that two accounts are two people, or that somebody who may write to
the outbox and read its key (root, and the account it belongs to) follows these rules.
"""

from __future__ import annotations

import csv
import io
from itertools import islice

from irmcore.errors import OperatorError
from irmcore.operations.operations import no_sender, recorded_of, require, withdraw
from irmcore.outbox import Batch, Outbox, states
from irmcore.outbox.batch_files import read_manifest, read_payload
from irmcore.outbox.manifest import Manifest
from irmcore.outbox.transitions import write_state


def proposed(outbox: Outbox) -> list[Batch]:
    """The batches that wait for their release, oldest first."""
    return [batch for batch in outbox.ready() if batch.state and batch.state.name == states.PROPOSED]


def release(outbox: Outbox, name: str, *, who: str, why: str) -> Batch:
    """Let a proposed batch be sent. ``who`` is the account that asks for it.

    Raises OperatorError if it is not proposed, or was proposed by the same account; BatchDamaged, OutboxBusy.
    """
    with no_sender(outbox):
        batch = outbox.get(name)
        require(batch, (states.PROPOSED,))
        manifest = read_manifest(outbox, batch)
        read_payload(outbox, batch, manifest)
        require_second_person(batch, manifest, who)
        with recorded_of(outbox, batch, "released", who, why, proposed_by=manifest.origin.user):
            return write_state(outbox, batch, name=states.READY, reason="released")


def require_second_person(batch: Batch, manifest: Manifest, who: str) -> None:
    """Raises OperatorError if ``who`` proposed the batch, or is unknown (empty)."""
    proposer = manifest.origin.user
    if not who or proposer.casefold() == who.casefold():
        raise OperatorError(
            f"batch {batch.id[:12]} was proposed by {proposer}, and must be released by somebody else",
            where=batch.path,
            next_step="Ask a second person, who signs in with an account of their own, to run "
            f"`irmexport release {batch.id[:12]} --why REASON`.",
        )


def reject(outbox: Outbox, name: str, *, who: str, why: str) -> Batch:
    """Withdraw a proposed batch. Anybody may do so, also who proposed it.

    Raises OperatorError if it is not proposed, OutboxBusy, OutboxFull.
    """
    with no_sender(outbox):
        batch = outbox.get(name)
        require(batch, (states.PROPOSED,))
        return withdraw(outbox, batch, who, why)


def preview(outbox: Outbox, batch: Batch, rows: int) -> list[list[str]]:
    """The header and the first ``rows`` rows, with pseudonyms for users if the profile asks for them.

    Raises OperatorError if the batch is not proposed, DamageError, OSError.
    """
    require(batch, (states.PROPOSED,))
    manifest = read_manifest(outbox, batch)
    text = read_payload(outbox, batch, manifest).decode("utf-8")
    found = list(islice(csv.reader(io.StringIO(text, newline="")), rows + 1))
    if manifest.profile.get("preview") == "pseudonyms":
        user = found[0].index(manifest.profile["user_column"])
        for row in found[1:]:
            row[user] = outbox.keyring.pseudonym(row[user])
    return found
