"""Rows of the workspace's tables as Defender has them, by the mapping that the queries are made with.

An alert becomes a row of AlertInfo, and of AlertEvidence for each account. What Defender cannot hold is
refused: an alert with several versions, with a status, or in two tables.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from irmsentinel.content.defender import Defender

Row = dict[str, Any]
Tables = dict[str, list[Row]]
PRODUCT = "Microsoft Purview Insider Risk Management"
OPEN = {"Active", "New"}


class CannotHold(Exception):
    """Defender's tables cannot hold this."""


def in_defender(defender: Defender, tables: Mapping[str, list[Row]], *, strict: bool = True) -> Tables:
    """The rows in Defender. Raises CannotHold; if not ``strict``, leaves out what has no column there."""
    found: Tables = {}
    alerts = [_of_audit(row) for row in tables.get("Compliance_IRM_AuditGeneral_CL", [])]
    stored = [_of_security_alert(row) for row in tables.get("SecurityAlert", [])]
    if alerts and stored:
        raise CannotHold("an alert in two tables")
    if len({info["AlertId"].lower() for info, _ in alerts + stored}) < len(alerts + stored):
        raise CannotHold("several versions of an alert")
    for info, accounts in alerts + stored:
        found.setdefault("AlertInfo", []).append(info)
        found.setdefault("AlertEvidence", []).extend(accounts)
    for name, rows in tables.items():
        if name in ("Compliance_IRM_AuditGeneral_CL", "SecurityAlert"):
            continue
        if name not in defender.names["tables"]:
            raise CannotHold(name)
        entry = defender.names["tables"][name]
        kept = found.setdefault(entry.get("table", name), [])
        kept += [_row(defender, entry, name, row, strict=strict) for row in rows]
    return found


def _of_audit(row: Row) -> tuple[Row, list[Row]]:
    if row.get("Comments") == "Alert Updated" or row["Status"] not in OPEN:
        raise CannotHold("an alert's status")
    created = row.get("CreationTime", row["TimeGenerated"])
    if row["TimeGenerated"] - created >= timedelta(days=1):
        raise CannotHold("an alert that is stored a day later")
    try:
        data = json.loads(row.get("Data") or "{}")
    except ValueError:
        raise CannotHold("a record that is cut off") from None
    names = (data.get("userPrincipalName") or "", data.get("userId") or "")
    if not row.get("AlertId") or not any(names):
        raise CannotHold("an alert without an id or a user")
    info = {"Timestamp": created, "_IngestionTime": _arrival(row), "AlertId": row["AlertId"]}
    info |= {"Title": row["Name"], "Severity": row["Severity"], "ServiceSource": PRODUCT}
    return info, [_evidence(info, *names, "Impacted")]


def _of_security_alert(row: Row) -> tuple[Row, list[Row]]:
    if row.get("Status", "New") not in OPEN or row.get("ExtendedProperties"):
        raise CannotHold("an alert's status")
    raised = min(row["TimeGenerated"], row.get("ProcessingEndTime", row["TimeGenerated"]))
    info = {"Timestamp": raised, "_IngestionTime": _arrival(row), "Title": row["AlertName"]}
    info |= {
        "AlertId": row.get("VendorOriginalId") or row["SystemAlertId"],
        "Severity": row.get("AlertSeverity", ""),
    }
    product = row["ProductName"]
    info["ServiceSource"] = PRODUCT if "Insider Risk" in product else product
    main = row.get("CompromisedEntity", "").lower()
    accounts = []
    for entity in json.loads(row.get("Entities") or "[]"):
        if entity["Type"].lower() == "account":
            name, suffix, object_id = (entity.get(key) or "" for key in ("Name", "UPNSuffix", "AadUserId"))
            whole = f"{name}@{suffix}" if suffix and "@" not in name else name
            role = "Impacted" if main in {whole.lower(), name.lower(), object_id.lower()} else "Related"
            accounts.append(_evidence(info, whole if "@" in whole else "", object_id, role))
    return info, accounts


def _evidence(info: Row, name: str, object_id: str, role: str) -> Row:
    times = {key: info[key] for key in ("Timestamp", "_IngestionTime", "AlertId")}
    account = {"AccountUpn": name, "AccountObjectId": object_id}
    return {**times, **account, "EntityType": "User", "EvidenceRole": role, "ServiceSource": PRODUCT}


def _arrival(row: Row) -> Any:
    return row.get("_IngestionTime", row["TimeGenerated"])


def _row(defender: Defender, entry: Mapping[str, Any], name: str, row: Row, *, strict: bool) -> Row:
    known = {"_IngestionTime", *(column.name for column in defender.tables[entry.get("table", name)].columns)}
    made: Row = {}
    if "where" in entry:
        made[entry["where"]["column"]] = f'["{entry["where"]["has"]}"]'
    for column, value in row.items():
        place = entry.get("columns", {}).get(column, column if column in known else None)
        if not _put(made, "Timestamp" if column == "TimeGenerated" else place, value) and strict:
            raise CannotHold(f"{name}.{column}")
    return made


def _put(made: Row, place: Any, value: Any) -> bool:
    """Put a value where Defender has it; whether it has a place."""
    if place is None or ("values" in place and value not in place["values"]):
        return not value
    if isinstance(place, str):
        at, _, inner = place.partition(".")
        made.update({at: {**made.get(at, {}), inner: value}} if inner else {at: value})
        return True
    if "values" in place:
        made[place["from"]] = place["values"][value]
        return True
    given = json.loads(value) if isinstance(value, str) else value
    made.update({place["fields"][key]: each for key, each in given.items() if key in place["fields"]})
    return not given.keys() - place["fields"].keys()
