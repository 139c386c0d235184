"""A row is of the person who acted: each search, on events in the source's form with a target too."""

from __future__ import annotations

import re

import pytest
from irmcore.reasons import Refused
from irmcore.shaping.upn import canonical

from tests.splunk_app import spl_run
from tests.splunk_app.events import (
    ANA,
    MEMBER,
    Event,
    badge,
    box,
    clone,
    cloudtrail,
    dropbox,
    file,
    github,
    google,
    incident,
    mail,
    mailbox,
    member,
    okta,
    removable,
    salesforce,
    slack,
    snowflake,
    web,
)
from tests.splunk_app.test_content import APP, DAILY, LOOKUPS, search

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
            (dropbox(MEMBER), "ana@contoso.com"),
            (
                dropbox({".tag": "admin", "admin": member("ana")}, "shared_content_add_member", outside=True),
                "ana@contoso.com",
            ),
        ],
        [
            dropbox({".tag": "user", "user": {**member("guest"), ".tag": "non_team_member"}}),
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
    "Windows USB": (
        [(removable(), "ana")],
        [removable(SubjectUserName="LAPTOP-7$"), removable(SubjectUserName="-", SubjectDomainName="-")],
    ),
    "Personal mail": (
        [(mail(src_user="ana@contoso.com"), "ana@contoso.com")],
        [mail(src_user="unknown"), mail()],
    ),
    "Mail forwarding": (
        [(mailbox("New-InboxRule", ForwardTo="cem@elsewhere.example"), "ana@contoso.com")],
        [{**mailbox("Set-Mailbox", ForwardingSmtpAddress="smtp:cem@elsewhere.example"), "UserId": ""}],
    ),
    "Google Drive": (
        [(google(), "ana@contoso.com")],
        [google(actor={"profileId": "1"}), google(actor={"email": ""})],
    ),
    "Slack": ([(slack(), "ana@contoso.com")], [slack(email=None)]),
    "Snowflake": ([(snowflake(), "ana@contoso.com")], [snowflake(USER_NAME="")]),
    "AWS": (
        [
            (
                cloudtrail("CreateAccessKey", {"type": "IAMUser", "userName": "ana@contoso.com"}),
                "ana@contoso.com",
            ),
            (
                cloudtrail("GetSecretValue", {"type": "AssumedRole", "principalId": "AROA1:ana@contoso.com"}),
                "ana@contoso.com",
            ),
            (
                cloudtrail("CreateAccessKey", {"type": "Root", "accountId": "123456789012"}),
                "root 123456789012",
            ),
        ],
        [
            cloudtrail("GetSecretValue", {"type": "AWSService", "invokedBy": "lambda.amazonaws.com"}),
            cloudtrail("GetSecretValue", {"type": "IAMUser"}),
        ],
    ),
    "Okta": (
        [(okta("user.account.privilege.grant"), "ana@contoso.com")],
        [okta("user.account.privilege.grant", actor="SystemPrincipal")],
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
    assert "ben" not in user
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
    *(
        "salesforce",
        "dropbox",
        "box",
        "badge",
        "code",
        "web_uploads",
        "dlp_incidents",
        "usb_writes",
        "usb_windows",
    ),
    *("google", "slack", "snowflake", "aws", "okta", "mail_forwarding", "personal_mail"),
)


@pytest.mark.parametrize("name", SOURCE_MACROS)
def test_the_comment_beside_a_macro_cites_who_acted(name: str) -> None:
    """It names the field, and where that is published, or that it is inferred."""
    text = (APP / "default" / "macros.conf").read_text(encoding="utf-8")
    comment = text.split(f"[irmexport_{name}]")[0].rpartition("\n\n")[2].replace("\n# ", " ")
    assert re.search(r"Actor: \w+", comment)
    assert re.search(r"\(CIM, |Object Reference|\w\.(com|dev)[/,]|inferred", comment)


def test_the_page_has_the_field_of_each_search() -> None:
    """docs/identity.md has one row per search, whose first field the search reads."""
    page = (APP.parent / "docs" / "identity.md").read_text(encoding="utf-8")
    section = page.split("### Splunk\n", 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0]
    rows = re.findall(r"^\| (\w[\w ]+) \| `([\w.]+)`[^|]* \| [^|]+ \| ([^|]+) \|$", section, re.MULTILINE)
    fields_of = {name: field for name, field, _ in rows}
    assert {f"irmexport - daily - {name}" for name in fields_of} == set(DAILY)
    for name, field in fields_of.items():
        assert re.search(rf"(?<![\w.]){re.escape(field)}(?![\w.])", search(f"irmexport - daily - {name}"))
