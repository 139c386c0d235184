"""Events as the add-ons and Splunk's data models have them, each with a target beside the actor.

The docstring of a builder says where its form is published.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.splunk_app import spl_run

#: A Wednesday, 2023-11-15, midnight UTC.
DAY = 1700006400
Event = dict[str, Any]


def fields(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The fields that Splunk extracts from JSON (KV_MODE=json): `a.b` of objects, `a{}.b` of lists."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from fields(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner, f"{name}{{}}")
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    elif value is not None:
        yield name, value


def event(index: str, sourcetype: str, json: Event) -> Event:
    """An event of JSON at 9 o'clock."""
    found: Event = {"index": index, "sourcetype": sourcetype, "_time": DAY + 9 * 3600}
    for name, value in fields(json):
        found[name] = value if name not in found else [*spl_run.values_of(found[name]), value]
    return found


def model(node: str, **values: Any) -> Event:
    """An event of a data model's dataset."""
    return {"_time": DAY + 9 * 3600, **{f"{node}.{name}": value for name, value in values.items()}}


def salesforce(kind: str, **values: str) -> Event:
    """A line of an event log file. Fields: Object Reference, EventLogFile."""
    return event(
        "salesforce", "sfdc:logfile", {"EVENT_TYPE": kind, "LOGIN_KEY": "GeJCsym5eyvtEK2I", **values}
    )


def member(name: str) -> Event:
    """A team member in Dropbox's log. Form: Business API, team_log/get_events, UserLogInfo."""
    return {
        ".tag": "team_member",
        "display_name": name,
        "email": f"{name}@contoso.com",
        "account_id": "dbid:1",
    }


def dropbox(actor: Event, kind: str = "file_download", *, outside: bool = False, **details: Any) -> Event:
    """An entry of Dropbox's log on behalf of Ben, which affects Cem. Form: TeamEvent."""
    return event(
        "dropbox",
        "dropbox:events",
        {
            "event_type": {".tag": kind, "description": "…"},
            "actor": actor,
            "context": member("ben"),
            "participants": [{".tag": "user", "user": member("cem")}],
            "involve_non_team_member": outside,
            "details": {".tag": f"{kind}_details", **details},
        },
    )


def box(created_by: Event | None, kind: str = "DOWNLOAD", invited: str = "cem@elsewhere.example") -> Event:
    """An event on Ben's file, shared with Cem. Form: developer.box.com/reference/resources/event."""
    ben = {"type": "user", "id": "22", "name": "Ben Noor", "login": "ben@contoso.com"}
    json = {
        "event_type": kind,
        "created_by": created_by,
        "source": {"item_type": "file", "item_name": "plan.xlsx", "owned_by": ben},
        "accessible_by": {"type": "user", "id": "23", "name": "Cem Ok", "login": invited},
        "user": (created_by or {}).get("name"),  # the add-on's CIM field: a display name
        "email": (created_by or {}).get("login"),
    }
    return event("box", "box:events", json)


def github(action: str, **values: str) -> Event:
    """An entry of GitHub's audit log. Fields: docs.github.com, Audit log events for your organization.

    The add-on's `action` is CIM's (splunk.github.io/splunk-add-on-for-github-audit-log-monitoring).
    """
    json = {"vendor_action": action, "action": "read", "repo": "contoso/web", **values}
    return event("github", "github:cloud:audit", json)


def clone(nameid: str) -> Event:
    """A clone by the login ana-x."""
    return github("git.clone", actor="ana-x", external_identity_nameid=nameid)


def badge(**values: str) -> Event:
    """A refused entry. Its fields are ours: there is no model and no common sourcetype."""
    time = {"date_hour": "9", "date_wday": "wednesday"}
    json = {"action": "failure", "location": "Server room", **time, **values}
    return event("badge", "badge:access", json)


def google(name: str = "download", visibility_change: str = "none", **values: Any) -> Event:
    """An activity on Ben's document. Form: Reports API, activities.list, Drive audit activity events."""
    json = {
        "actor": {"email": "ana@contoso.com", "profileId": "1"},
        "event": {"type": "access", "name": name},
        "doc_title": "Plan",
        "owner": "ben@contoso.com",
        "target_user": "cem@elsewhere.example",
        "visibility_change": visibility_change,
    }
    return event("gws", "gws:reports:drive", {**json, **values})


def slack(action: str = "file_downloaded", email: str | None = "ana@contoso.com", **context: Any) -> Event:
    """An action on a file of Ben's. Form: docs.slack.dev/admins/audit-logs-api."""
    json = {
        "action": action,
        "actor": {"type": "user", "user": {"id": "W1", "name": "Ana", "email": email}},
        "entity": {"type": "file", "file": {"id": "F1", "title": "Plan of ben@contoso.com"}},
        "context": {"location": {"type": "workspace", "id": "T1"}, **context},
    }
    return event("slack", "slack:audit", json)


def snowflake(**values: str) -> Event:
    """A query. Fields: docs.snowflake.com, QUERY_HISTORY view."""
    json = {
        "QUERY_TYPE": "UNLOAD",
        "QUERY_TEXT": "COPY INTO @stage FROM ben@contoso.com",
        "EXECUTION_STATUS": "SUCCESS",
        "OUTBOUND_DATA_TRANSFER_BYTES": "1048576",
        "USER_NAME": "ANA@CONTOSO.COM",
    }
    return event("snowflake", "snowflake:query_history", {**json, **values})


def cloudtrail(name: str, identity: Event, errorCode: str | None = None, **parameters: Any) -> Event:  # noqa: N803
    """A call that concerns Ben. Form: CloudTrail record contents, userIdentity element."""
    json = {
        "eventName": name,
        "userIdentity": identity,
        "requestParameters": {"userName": "ben@contoso.com", **parameters},
        "errorCode": errorCode,
    }
    return event("aws", "aws:cloudtrail", json)


def okta(kind: str, result: str = "SUCCESS", actor: str = "User") -> Event:
    """An action on Ben. Form: developer.okta.com, System Log, LogEvent."""
    json = {
        "eventType": kind,
        "outcome": {"result": result},
        "actor": {"id": "1", "type": actor, "alternateId": "ana@contoso.com"},
        "target": [{"id": "2", "type": "User", "alternateId": "ben@contoso.com"}],
    }
    return event("okta", "OktaIM2:log", json)


def mailbox(operation: str, result: str = "True", **parameters: str) -> Event:
    """An action on Ben's mailbox. Form: Office 365 Management Activity API, Exchange admin schema."""
    json = {
        "Workload": "Exchange",
        "Operation": operation,
        "ResultStatus": result,
        "UserId": "ana@contoso.com",
        "ObjectId": "ben@contoso.com",
        "Parameters": [{"Name": name, "Value": value} for name, value in parameters.items()],
        **parameters,  # the add-on's own extraction
    }
    return event("o365", "o365:management:activity", json)


def removable(path: str = "for ben@contoso.com.docx", **values: str) -> Event:
    """A write to a stick. Form: learn.microsoft.com, event 4663, as XML."""
    fields = {
        "EventCode": "4663",
        "Task": "12812",
        "Computer": "LAPTOP-7",
        "SubjectUserName": "ana",
        "SubjectDomainName": "CONTOSO",
        "ObjectName": f"\\Device\\HarddiskVolume8\\{path}",
        "AccessMask": "0x2",
    }
    return event("wineventlog", "XmlWinEventLog", {**fields, **values})


def mail(**values: Any) -> Event:
    """A mail. Fields: CIM, Email."""
    given = {"action": "delivered", "size": 1024, "user": "svc-mail@contoso.com", **values}
    given.setdefault("recipient_domain", ["contoso.com", "gmail.com"])
    return model("All_Email", recipient=["ben@contoso.com", "cem@gmail.com"], **given)


def web(**values: object) -> Event:
    """An upload. Fields: CIM, Web."""
    given = {"action": "allowed", "http_method": "POST", "bytes_out": 2_000_000, "category": "Webmail"}
    return model("Web", **{**given, **values})


def incident(**values: str) -> Event:
    """An incident. Fields: CIM, Data Loss Prevention."""
    return model("DLP_Incidents", **{"signature": "Credit cards", "dlp_type": "email", **values})


def file(**values: object) -> Event:
    """A file written to a stick. Fields: CIM, Endpoint, Filesystem."""
    given = {"file_path": "/run/media/ana/STICK/for ben@contoso.com.docx", "action": "created", **values}
    return model("Filesystem", **{"file_size": 1, "dest": "LAPTOP-7", **given})


#: A user of Box, and the same person in Dropbox's log.
ANA = {"type": "user", "id": "21", "name": "Ana Kova", "login": "ana@contoso.com"}
MEMBER: Event = {".tag": "user", "user": member("ana")}
