"""The uploads of an outbox, as the service may have received them, and why one differs from the log."""

from collections.abc import Mapping
from typing import Any

from irmcore.delivery.replies import Action
from irmcore.errors import BatchDamaged, DamageError, IrmError
from irmcore.operations.connectors import Connectors, title_of
from irmcore.outbox import Batch, Outbox, audit_log, states
from irmcore.outbox.batch_files import read_manifest, read_payload
from irmcore.profile import Profile

from irmcli.reconcile.matching import Upload, describe_payload, likely_cause
from irmcli.settings import Settings

#: States of batches that the service may have received.
UPLOADED = (states.SENT, states.HELD)
#: Events of attempts without a receipt that are not in doubt.
_REFUSED = [one.value for one in Action if one not in (Action.SENT, Action.HOLD)]
#: Characters of a GUID: an outbox's name ends with the job ID.
GUID = 36


def uploads_of(outbox: Outbox) -> list[Upload]:
    """The batches that the service may have received."""
    events = audit_log.histories(outbox)
    return [
        upload_of(outbox, one, events)
        for one in outbox.all_batches()
        if one.state is not None and one.state.name in UPLOADED
    ]


def refused_by(outbox: Outbox) -> list[Upload]:
    """The attempts that got no receipt and are not in doubt. The log may have an entry of no rows for one."""
    job = outbox.name[-GUID:].lower()
    return [
        Upload(
            str(event["batch"]), outbox.name, job, 0, float(event["at"]), "", event.get("request_id") or "-"
        )
        for event in audit_log.read(outbox)
        if event.get("event") in _REFUSED and "batch" in event
    ]


def upload_of(outbox: Outbox, batch: Batch, events: Mapping[str, list[dict[str, Any]]]) -> Upload:
    """The upload of a batch, at the time its last attempt ended, even if it was resolved later."""
    ends = [
        float(event["at"]) for event in events.get(batch.id, ()) if event.get("event") in ("sent", "hold")
    ]
    state = batch.state
    try:
        manifest = read_manifest(outbox, batch)
        rows, job = manifest.rows, manifest.destination.address.get("job_id", "").lower()
    except DamageError:
        rows, job = 0, ""
    return Upload(
        batch=batch.id,
        connector=title_of(outbox),
        job=job,
        rows=rows,
        at=ends[-1] if ends else (state.at if state else 0.0),
        state=state.name if state else "",
        request_id=(state.request_id if state else "") or "-",
    )


def cause_of(
    connectors: Connectors, settings: Settings, upload: Upload, saved: int, profile_name: str | None
) -> str:
    """The likely cause of a difference (see ``likely_cause``). Raises as reading a profile that was named."""
    outbox, batch = connectors.find_batch(upload.batch)
    profile: Profile | None = None
    found = None
    try:
        manifest = read_manifest(outbox, batch)
        profile = settings.profile(profile_name or manifest.profile["name"])
        found = describe_payload(read_payload(outbox, batch, manifest), profile)
    except BatchDamaged:
        found = None  # its rows were cleaned up; the text says so
    except IrmError:
        if profile_name is not None:
            raise  # the user named it; otherwise the text says that the profile is unknown
    return likely_cause(upload, saved, found, profile)
