"""What Insider Risk Management says about the test account, by source: the times of its alerts' changes, and
those at which its activities reached the workspace.

Only an alert that is about the account, and about nobody else, counts, and any activity of the account. That
they come from the canary's row is not known: Microsoft publishes no sign of that, joins new insights into
existing alerts, may write pseudonyms in place of names, which are not found here, and does not say whether
activities include the connector's rows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from irmcore import alert_list

from irmsentinel.content import artefacts
from irmsentinel.kql import calls

if TYPE_CHECKING:
    from irmsentinel.azure.workspace import Workspace
    from irmsentinel.collector.graph_alerts import GraphAlerts

#: The name of Microsoft Graph as a source; the others are tables of a workspace.
GRAPH = "Microsoft Graph"
#: Tables of activities that the collector may have filled.
_ACTIVITIES = ("IRMDataSecurityEvents_CL", "IRMDataSecurityBehaviors_CL")
#: Seconds by which a service's clock may be ahead of this machine's.
_AHEAD = 86_400


def of_graph(feed: GraphAlerts, account: str, since: float, now: float) -> dict[str, list[float]]:
    """The times at which the account's alerts were last updated, since ``since``. Raises as `GraphAlerts`."""
    items = feed.content(int(since), int(now) + _AHEAD)
    mine = [item for item in items if alert_list.user_of(*feed.records(item, attempts=1)) == account]
    return {GRAPH: [item.created for item in mine]}


def of_workspace(workspace: Workspace, account: str, since: float) -> dict[str, list[float]]:
    """The times of the versions of the account's alerts in `IRMAlerts`, and those at which its activities
    arrived, by table, of tables that have some.

    Raises as `Workspace.query`.
    """
    user = calls.quoted(account)
    start = datetime.fromtimestamp(int(since), UTC).isoformat()
    call = calls.text(artefacts.load().named("IRMAlerts"), {"starttime": start, "include_history": "true"})
    alerts = workspace.query(
        f"{call}\n| where UserPrincipalName =~ {user} and isempty(PossibleUsers)"
        "\n| where isnotnull(LastUpdated)\n| distinct SourceTable, LastUpdated"
    )
    # The row's own time is a little before its receipt; older activities that arrive late are none of it.
    legs = ", ".join(
        f"({table} | where AccountUpn =~ {user} and Timestamp > datetime({start}) - 1h"
        f" | project SourceTable = '{table}', LastUpdated = ingestion_time())"
        for table in _ACTIVITIES
    )
    nothing = "(datatable(SourceTable:string, LastUpdated:datetime)[])"
    activities = workspace.query(f"union isfuzzy=true {nothing}, {legs}\n| distinct SourceTable, LastUpdated")
    found: dict[str, list[float]] = {}
    for table, updated in [*alerts.rows, *activities.rows]:
        moment = updated if isinstance(updated, datetime) else datetime.fromisoformat(str(updated))
        found.setdefault(str(table), []).append(moment.timestamp())
    return found
