"""A row is of the person who acted: each search, on events in the source's form with a target too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from irmcore.reasons import Refused
from irmcore.shaping.upn import canonical

from tests.splunk_app import spl_run
from tests.splunk_app.test_content import APP, DAILY, DAY, LOOKUPS, search

Event = dict[str, Any]


def fields(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The fields that Splunk extracts from JSON (KV_MODE=json): `a.b` of objects, `a{}.b` of lists."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from fields(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner, f"{name}{{}}")
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


def dropbox(actor: Event, kind: str = "file_download") -> Event:
    """An entry of Dropbox's log on behalf of Ben, which affects Cem. Form: TeamEvent."""
    return event(
        "dropbox",
        "dropbox:events",
        {
            "event_type": {".tag": kind, "description": "…"},
            "actor": actor,
            "context": member("ben"),
            "participants": [{".tag": "user", "user": member("cem")}],
            "involve_non_team_member": False,
        },
    )


def box(created_by: Event | None, kind: str = "DOWNLOAD") -> Event:
    """An event on Ben's file, shared with Cem. Form: developer.box.com/reference/resources/event."""
    ben = {"type": "user", "id": "22", "name": "Ben Noor", "login": "ben@contoso.com"}
    json = {
        "event_type": kind,
        "created_by": created_by,
        "source": {"item_type": "file", "item_name": "plan.xlsx", "owned_by": ben},
        "accessible_by": {"type": "user", "id": "23", "name": "Cem Ok", "login": "cem@contoso.com"},
        "user": (created_by or {}).get("name"),  # the add-on's CIM field: a display name
        "email": (created_by or {}).get("login"),
    }
    return event("box", "box:events", json)


def github(action: str, **values: str) -> Event:
    """An entry of GitHub's audit log. Fields: docs.github.com, Audit log events for your organization."""
    return event("github", "github:cloud:audit", {"action": action, "repo": "contoso/web", **values})


def clone(nameid: str) -> Event:
    """A clone by the login ana-x."""
    return github("git.clone", actor="ana-x", external_identity_nameid=nameid)


def download(user: str, nameid: str) -> Event:
    """A download by the login ana-x, with the affected user."""
    return github("repo.download_zip", actor="ana-x", user=user, external_identity_nameid=nameid)


def badge(**values: str) -> Event:
    """A refused entry. Its fields are ours: there is no model and no common sourcetype."""
    return event("badge", "badge:access", {"action": "failure", "location": "Server room", **values})


def web(**values: object) -> Event:
    """An upload. Fields: CIM, Web."""
    return model(
        "Web", action="allowed", http_method="POST", bytes_out=2_000_000, category="Webmail", **values
    )


def incident(**values: str) -> Event:
    """An incident. Fields: CIM, Data Loss Prevention."""
    return model("DLP_Incidents", signature="Credit cards", dlp_type="email", **values)


def file(**values: object) -> Event:
    """A file written to a stick. Fields: CIM, Endpoint, Filesystem."""
    path = "E:\\for ben@contoso.com\\plan.docx"
    return model("Filesystem", action="created", file_path=path, file_size=1, dest="LAPTOP-7", **values)


ANA = {"type": "user", "id": "21", "name": "Ana Kova", "login": "ana@contoso.com"}
#: Events that must name exactly these users, and events in which nobody acted, which must not count.
CASES: dict[str, tuple[list[tuple[Event, str]], list[Event]]] = {
    "Salesforce": (
        [
            (
                salesforce(
                    "ReportExport",
                    USER_ID="0055g00000AbCdE",
                    USER_ID_DERIVED="0055g00000AbCdEAAV",
                    USER_NAME="ana@contoso.com",
                    REPORT_DESCRIPTION="Accounts of ben@contoso.com",
                ),
                "ana@contoso.com",
            ),
            # Without the add-on's lookup there is only the id. It is refused, not dropped.
            (
                salesforce("BulkApi", USER_ID="0055g00000AbCdE", USER_ID_DERIVED="0055g00000AbCdEAAV"),
                "0055g00000abcdeaav",
            ),
        ],
        [
            salesforce("ReportExport"),
            salesforce("ReportExport", USER_NAME="unknown"),
            salesforce("LoginAs", DELEGATED_USER_NAME="ana@contoso.com", USER_NAME="ben@contoso.com"),
        ],
    ),
    "Dropbox": (
        [
            (dropbox({".tag": "user", "user": member("ana")}), "ana@contoso.com"),
            (
                dropbox({".tag": "admin", "admin": member("ana")}, "shared_content_add_member"),
                "ana@contoso.com",
            ),
        ],
        [
            dropbox({".tag": "anonymous"}),
            dropbox({".tag": "dropbox"}),
            dropbox({".tag": "app", "app": {".tag": "team_linked_app", "display_name": "Backup"}}),
        ],
    ),
    "Box": (
        [
            (box(ANA), "ana@contoso.com"),
            (box(ANA, "COLLABORATION_INVITE"), "ana@contoso.com"),
        ],
        [
            box({"type": "user", "id": "2", "name": "Unknown User", "login": ""}),
            box(None),
        ],
    ),
    "Web proxy": (
        [(web(user="ana@contoso.com", url="https://mail.example/?to=ben@contoso.com"), "ana@contoso.com")],
        [web(user="unknown"), web(user="-"), web(user=""), web(user="LAPTOP-7$@CONTOSO.COM"), web()],
    ),
    "DLP": (
        [(incident(src_user="ana@contoso.com", user="hr@contoso.com"), "ana@contoso.com")],
        [
            incident(src_user="unknown", user="hr@contoso.com"),
            incident(src_user="", user="hr@contoso.com"),
            incident(user="hr@contoso.com"),
            incident(src_user="CONTOSO\\LAPTOP-7$", user="hr@contoso.com"),
        ],
    ),
    "Endpoint USB": (
        [(file(user="ana@contoso.com"), "ana@contoso.com")],
        [file(user="unknown"), file(user="CONTOSO\\LAPTOP-7$"), file(user=" "), file()],
    ),
    "Badge": (
        [(badge(user="ana@contoso.com", approver="ben@contoso.com"), "ana@contoso.com")],
        [badge(approver="ben@contoso.com"), badge(user="", approver="ben@contoso.com"), badge(user="-")],
    ),
    "Code repositories": (
        [
            (
                clone("ana@contoso.com"),
                "ana@contoso.com",
            ),
            (
                github(
                    "repo.download_zip",
                    actor="ana-x",
                    user="ana-x",
                    external_identity_nameid="ana@contoso.com",
                ),
                "ana@contoso.com",
            ),
            # The corporate name is the affected user's: only the actor's login is certain.
            (
                github(
                    "repo.download_zip",
                    actor="ana-x",
                    user="ben-y",
                    external_identity_nameid="ben@contoso.com",
                ),
                "github/ana-x",
            ),
            (clone(""), "github/ana-x"),
        ],
        [github("git.clone", actor=""), github("git.clone", user="ben-y")],
    ),
}


def users(source: str, *events: Event) -> list[str]:
    """The users of the rows that a search yields."""
    rows = spl_run.run(search(f"irmexport - daily - {source}"), list(events), LOOKUPS)
    return [row["UserPrincipalName"] for row in rows]


def test_every_search_has_its_cases() -> None:
    """None is left out."""
    assert {f"irmexport - daily - {source}" for source in CASES} == set(DAILY)


@pytest.mark.parametrize(
    ("source", "given", "user"), [(source, *case) for source, (cases, _) in CASES.items() for case in cases]
)
def test_the_row_names_the_actor(source: str, given: Event, user: str) -> None:
    """Never the target, the owner, the recipient or whoever it was done for."""
    people = [value for value in given.values() if re.search(r"ben|cem|hr@", str(value))]
    assert people or source == "Code repositories" or user.startswith("0055")
    assert users(source, given) == [user]


@pytest.mark.parametrize(
    ("source", "given"), [(source, given) for source, (_, missing) in CASES.items() for given in missing]
)
def test_an_event_without_an_actor_is_no_row(source: str, given: Event) -> None:
    """Also if it names a target. Next to another event it adds nothing."""
    assert users(source, given) == []
    other, user = CASES[source][0][0]
    assert users(source, given, other) == [user]


def test_a_user_that_was_extracted_twice_is_one_user() -> None:
    """Several different ones are refused, not dropped."""
    given = box(ANA)
    assert users("Box", {**given, "created_by.login": ["ana@contoso.com", "ana@contoso.com"]}) == [
        "ana@contoso.com"
    ]
    (user,) = users("Box", {**given, "created_by.login": ["ana@contoso.com", "ben@contoso.com"]})
    with pytest.raises(Refused):
        canonical(user)


SOURCE_MACROS = (
    "salesforce",
    "dropbox",
    "box",
    "badge",
    "code",
    "web_uploads",
    "dlp_incidents",
    "usb_writes",
)


@pytest.mark.parametrize("name", SOURCE_MACROS)
def test_the_comment_beside_a_macro_cites_who_acted(name: str) -> None:
    """It names the field, and where that is published, or that it is inferred."""
    text = (APP / "default" / "macros.conf").read_text(encoding="utf-8")
    comment = text.split(f"[irmexport_{name}]")[0].rpartition("\n\n")[2].replace("\n# ", " ")
    assert re.search(r"Actor: \w+", comment)
    assert re.search(r"\(CIM, |Object Reference|\w\.com[/,]|inferred", comment)


def test_the_page_has_the_field_of_each_search() -> None:
    """docs/identity.md has one row per search, whose first field the search reads."""
    page = (APP.parent / "docs" / "identity.md").read_text(encoding="utf-8")
    section = page.split("### Splunk\n", 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0]
    rows = re.findall(r"^\| (\w[\w ]+) \| `([\w.]+)`[^|]* \| [^|]+ \| ([^|]+) \|$", section, re.MULTILINE)
    fields_of = {name: field for name, field, _ in rows}
    assert {f"irmexport - daily - {name}" for name in fields_of} == set(DAILY)
    for name, field in fields_of.items():
        assert re.search(rf"(?<![\w.]){re.escape(field)}(?![\w.])", search(f"irmexport - daily - {name}"))
