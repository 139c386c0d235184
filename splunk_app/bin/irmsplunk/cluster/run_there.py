"""What became of a run of this search head in the cluster's outbox, for the user who made it."""

from __future__ import annotations

from irmcore.counts import Counts
from irmcore.errors import StoreAway
from irmcore.intake.promotion import result_there
from irmcore.intake.run_result import RunResult
from irmcore.operations.shared import name_there
from irmcore.outbox import Outbox

from irmsplunk.cluster.cluster import Cluster
from irmsplunk.export.run_status import NOT_PROMOTED, RunStatus, run_status


def status_there(cluster: Cluster, own: Outbox, run: str, user: str) -> RunStatus:
    """The status of a run that ``own``, the connector's directory on this search head, has accepted.

    It says nothing about a run of another user.
    """
    promoted = result_there(own, run)
    if promoted is None or promoted.user != user:
        return RunStatus("queued", reason=NOT_PROMOTED)
    result = RunResult(run, promoted.batches, promoted.sizes, Counts(), {}, 0, promoted.rejects)
    try:
        replica = cluster.address.replica(name_there(own))
        replica.refresh()
        return run_status(replica, result)
    except StoreAway as error:
        rows = sum(promoted.sizes)
        return RunStatus("queued", queued=rows, reason="store-away", next_step=error.next_step)
