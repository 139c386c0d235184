"""Whom an alert of Graph is about, in users_of_alerts.json: one table for Python's rule and for KQL's."""

import json
from pathlib import Path
from typing import Any, NamedTuple


class About(NamedTuple):
    """An alert's evidence; the ``user`` that Python names; the names and object ids that KQL has for it."""

    evidence: list[dict[str, Any]]
    user: str | None
    accounts: list[list[str]]


def _evidence(kind: str, name: str | None, id_: str | None, roles: Any) -> dict[str, Any]:
    account = {"userPrincipalName": name, "azureAdUserId": id_}
    return {"@odata.type": f"#microsoft.graph.security.{kind}", "roles": roles, "userAccount": account}


_CASES = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))["cases"]
ABOUT = {
    what: About(
        [_evidence(case.get("type", "userEvidence"), *one) for one in case["evidence"]],
        case["user"],
        case["accounts"],
    )
    for what, case in _CASES.items()
}
#: An account that is not one, as no row of the table can say it.
ABOUT["an account of another shape"] = About(
    [{**_evidence("userEvidence", None, None, ["policyViolator"]), "userAccount": "ana@contoso.com"}],
    None,
    [["", ""]],
)
