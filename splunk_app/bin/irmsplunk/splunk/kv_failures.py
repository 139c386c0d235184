"""What a failed request to the KV store means to a user: it is away, or somebody has to change something.

The states are those that splunkd publishes at `kvstore/status` (REST API Reference, KV store endpoints); the
HTTP statuses come from public apps. What a member replies while the captain changes is unverified. So any
other reply means "away", for the reason that `kvstore/status` gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from irmcore.errors import StoreAway, StoreRefused

from irmsplunk.splunk.splunkd import Splunkd, SplunkdRefused

_STATUS = "/services/kvstore/status"
_WHERE = "KV store, collection irmexport_outbox"
_LATER = "Nothing is lost, and it is tried again."
_SEE = f"Run `splunk show kvstore-status` there, and see mongod.log and splunkd.log. {_LATER}"
_VERBS = {"create": "write", "get": "read", "keys": "list", "delete": "delete"}


class _Meaning(NamedTuple):
    """What happened and what to do. The words in braces are filled in by ``translate``."""

    what: str
    next_step: str
    kind: type[StoreAway | StoreRefused] = StoreAway


_HERE = "KV store on this search head"
_LIMITS = _Meaning(
    "KV store refuses to {verb} (HTTP {status})",
    "See splunkd.log, and set the limits of [kvstore] in limits.conf back to Splunk's defaults.",
    StoreRefused,
)
_STARTING = _Meaning("KV store is starting on this search head", _LATER)
#: By HTTP status, whatever the state of the KV store is.
_STATUSES: Mapping[int, _Meaning] = {
    400: _LIMITS,
    401: _Meaning(
        "the Splunk session of this process has ended", f"The sender starts again within a minute. {_LATER}"
    ),
    403: _Meaning(
        "Splunk does not let the system user {verb}",
        "Remove [collections/irmexport_outbox] and [collections] from metadata/local.meta of the app, and "
        "kvstore_*.deny_list of the role splunk-system-role from authorize.conf.",
        StoreRefused,
    ),
    413: _LIMITS,
}
#: By `current.status`, and if that is `ready`, by `current.replicationStatus`.
_STATES: Mapping[str, _Meaning] = {
    "starting": _STARTING,
    "Startup": _STARTING,
    "shuttingdown": _Meaning("KV store is stopping on this search head", _LATER),
    "failed": _Meaning("KV store has failed on this search head", _SEE),
    "unknown": _Meaning("the state of the KV store on this search head is unknown", _SEE),
    "disabled": _Meaning(
        "KV store is disabled on this search head",
        "Remove `disabled = true` from [kvstore] in server.conf, and restart Splunk.",
        StoreRefused,
    ),
    "Initial Sync": _Meaning(f"{_HERE} is copying the data of another member", _LATER),
    "Recovering": _Meaning(f"{_HERE} is catching up with the other members", _LATER),
    "Rollback": _Meaning(
        f"{_HERE} is rolling back writes that it had acknowledged",
        "Look for held batches on the page Queue afterwards; docs/delivery.md says what a rollback can do.",
    ),
    "Down": _Meaning("KV store is down on this search head", _SEE),
    "Removed": _Meaning(
        "this search head is not part of the cluster's KV store",
        f"If that does not change, run `splunk resync kvstore` on the captain. {_SEE}",
    ),
    "Unknown status": _Meaning(f"{_HERE} has lost the other members", _SEE),
}
#: By HTTP status, if the state says nothing.
_OTHERS: Mapping[int, _Meaning] = {
    0: _Meaning(
        "{what}, or did not answer in time",
        f"Check that the other members of the cluster are up: replication may be slow. {_LATER}",
    ),
    404: _Meaning(
        "the collection does not exist on this search head",
        "Install the app irmexport here. If you have just done so, restart Splunk.",
        StoreRefused,
    ),
}
_BUSY = _Meaning(
    "KV store could not {verb} (HTTP {status}): its captain may be changing, or replication is slow",
    f"If it lasts, check that more than half of the members are up. {_SEE}",
)


def translate(refused: SplunkdRefused, verb: str, splunkd: Splunkd) -> StoreAway | StoreRefused:
    """The error for a refusal of a verb. Asks splunkd for the state of its KV store."""
    status = refused.status
    found = _STATUSES.get(status) or _STATES.get(_state(splunkd)) or _OTHERS.get(status, _BUSY)
    what = found.what.format(verb=_VERBS[verb], status=status, what=refused.what)
    return found.kind(what, where=_WHERE, next_step=found.next_step)


def _state(splunkd: Splunkd) -> str:
    """The state of the KV store of this search head; "" if splunkd does not say."""
    try:
        (entry,) = splunkd.get(_STATUS)["entry"]
        current = entry["content"]["current"]
        found = str(current.get("status", ""))
        return found if found != "ready" else str(current.get("replicationStatus", ""))
    except (SplunkdRefused, KeyError, TypeError, ValueError):
        return ""


def unusable(verb: str) -> StoreAway:
    """For a reply that is not what was asked for."""
    return StoreAway(
        f"splunkd's reply to a request to {_VERBS[verb]} cannot be used",
        where=_WHERE,
        next_step=f"See splunkd.log. {_LATER}",
    )


def late(seconds: float) -> StoreAway:
    """For a change of this process that this member does not show."""
    return StoreAway(
        f"replication is slow: this search head has not shown a write of its own for {seconds:.0f} seconds",
        where=_WHERE,
        next_step=_SEE,
    )


def too_small(megabytes: int) -> StoreRefused:
    """For limits with which not every value could be read."""
    return StoreRefused(
        "the limits of the KV store are too small",
        where="limits.conf [kvstore]",
        next_step=f"Set max_size_per_result_mb to {megabytes} or more, and max_rows_per_query to 1 or more "
        "(Splunk's defaults are 50 and 50000).",
    )
