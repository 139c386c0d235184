"""The app's searches: their macros, times and columns, and the rows that they yield.

They are not run by Splunk. ``spl`` and ``spl_run`` implement what the checks need of SPL.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Origin
from irmcore.profile import parse, shipped_names, shipped_text
from irmsplunk.export.queueing import connector_outbox, queue_rows
from irmsplunk.export.spool import Spool
from irmsplunk.splunk.connectors import of_stanza

from tests.fakes.clock import FakeClock
from tests.splunk_app import spl, spl_run
from tests.splunk_app.events import (
    ANA,
    DAY,
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
    okta,
    removable,
    salesforce,
    slack,
    snowflake,
    web,
)
from tests.splunk_app.test_settings import APP, conf

MACROS = {name: dict(stanza) for name, stanza in conf(APP / "default" / "macros.conf").items() if name != "-"}
SEARCHES = {
    name: dict(stanza) for name, stanza in conf(APP / "default" / "savedsearches.conf").items() if name != "-"
}
DAILY = {name: stanza for name, stanza in SEARCHES.items() if name.startswith("irmexport - daily - ")}
SOURCES = (
    *("Salesforce", "Dropbox", "Box", "Web proxy", "DLP", "Endpoint USB", "Windows USB", "Personal mail"),
    *("Mail forwarding", "Google Drive", "Slack", "Snowflake", "Code repositories", "AWS", "Okta", "Badge"),
)
#: Fields of the Common Information Model's datasets that the searches use, from its reference tables.
CIM = {
    "Web.Web": {"action", "bytes_out", "category", "dest", "http_method", "user"},
    "DLP.DLP_Incidents": {"signature", "src_user"},
    "Endpoint.Filesystem": {"action", "dest", "file_path", "file_size", "user"},
    "Email.All_Email": {"action", "recipient_domain", "size", "src_user"},
}
#: The commands, options and functions of Splunk's oldest and newest version that the app supports.
KNOWN = json.loads(Path(__file__).with_name("spl_commands.json").read_text(encoding="utf-8"))
#: Functions that the file lacks, because searchbnf.conf does: Search Reference, Comparison and conditional
#: functions (`in`) and stats (`eval`); percentiles, of which the file has only the beginning, `perc`.
FUNCTIONS = {
    "in",
    "eval",
    "perc50",
    "perc95",
    *KNOWN["eval_functions_10.2.3"],
    *KNOWN["stats_functions_10.2.3"],
}
#: The macros that an administrator may switch to.
ALTERNATIVES = {"irmexport_from_es", "irmexport_es_upn"}
#: The macro for searches of one's own (docs/splunk.md).
OFFERED = {"irmexport_irm_alerts"}
#: Functions whose result depends on when the search runs or on the order of events.
NOT_DETERMINISTIC = re.compile(
    r"\b(now|time|random|relative_time|latest|earliest|first|last|list)\(|_indextime|\b(dedup|head|tail)\b"
)


def search(name: str, **switched: str) -> str:
    """A search with its macros expanded; ``switched`` are definitions in local/macros.conf."""
    return spl.expanded(SEARCHES[name]["search"], macros(**switched))


def macros(**switched: str) -> dict[str, Mapping[str, str]]:
    """The macros, with those that an administrator switched."""
    return {**MACROS, **{name: {**MACROS[name], "definition": text} for name, text in switched.items()}}


def lookup_of(name: str, lines: str | None = None, **settings: Any) -> spl_run.Lookup:
    """A lookup of transforms.conf, with the shipped lines or with these."""
    stanza = conf(APP / "default" / "transforms.conf")[name]
    text = (APP / "lookups" / stanza["filename"]).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text + (lines or ""))))
    return spl_run.Lookup(
        rows,
        int(stanza.get("max_matches", "100")),
        stanza.get("case_sensitive_match") != "false",
        **settings,
    )


#: The lookups as the app ships them.
LOOKUPS = {
    name: lookup_of(name) for name in ("irmexport_accounts", "irmexport_identities", "irmexport_leavers")
}
DASHBOARD = (APP / "default" / "data" / "ui" / "views" / "overview.xml").read_text(encoding="utf-8")


def thresholds_of(search: str, people: str = "10", now: str = "-") -> str:
    """The search of the dashboard Thresholds, with macros expanded."""
    text = str(FORM.findtext("./row/panel/table/search/query"))
    for name, value in {"search": search, "people": people, "now": now}.items():
        text = text.replace(f"${name}$", value)
    return spl.expanded(text, MACROS)


FORM = ElementTree.parse(APP / "default" / "data" / "ui" / "views" / "thresholds.xml").getroot()  # noqa: S314 - ours
#: Every search that the app ships: with each directory of people, and those of the dashboard.
SHIPPED = {
    **{f"{name} (own)": spl.expanded(stanza["search"], MACROS) for name, stanza in SEARCHES.items()},
    **{
        f"{name} (es)": spl.expanded(
            stanza["search"],
            {**MACROS, "irmexport_directory": {"definition": "`irmexport_from_es`"}},
        )
        for name, stanza in SEARCHES.items()
    },
    **{
        f"dashboard {number}": re.sub(r"\$[^$\s]+\$", "x", json.loads(f'"{query}"'))
        for number, query in enumerate(re.findall(r'"query": "((?:[^"\\]|\\.)*)"', DASHBOARD))
    },
    "searches of Thresholds": str(FORM.findtext(".//input/search/query")),
    **{f"{name} in Thresholds": thresholds_of(stanza["search"]) for name, stanza in DAILY.items()},
}


def profile_columns(name: str) -> list[str]:
    """The input fields of the profile that a search sends its rows to."""
    profile = parse(shipped_text(SEARCHES[name]["action.irmexport.param.profile"]), name)
    return [column.field for column in profile.columns]


def test_each_source_has_its_search() -> None:
    """Every search is disabled until it is set up."""
    assert [name.removeprefix("irmexport - daily - ") for name in DAILY] == list(SOURCES)
    assert {stanza["disabled"] for stanza in SEARCHES.values()} == {"1"}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_is_complete(name: str) -> None:
    """Its macros are defined with as many arguments, and its quotes and brackets are balanced."""
    assert len(spl.commands(search(name))) > 1


@pytest.mark.parametrize("name", MACROS)
def test_a_macro_is_used_and_uses_its_arguments(name: str) -> None:
    """Its name has the number of its arguments, its definition uses each, and some search uses it."""
    arguments = [argument.strip() for argument in MACROS[name].get("args", "").split(",") if argument]
    assert name.partition("(")[2].removesuffix(")") == (str(len(arguments)) if arguments else "")
    for argument in arguments:
        assert f"${argument}$" in MACROS[name]["definition"]
    texts = [stanza["search"] for stanza in SEARCHES.values()]
    texts += [macro["definition"] for macro in MACROS.values()]
    texts.append(str(FORM.findtext("./row/panel/table/search/query")))
    assert name in {call for text in texts for call in spl.calls(text)} | ALTERNATIVES | OFFERED


def unknown_to_splunk(text: str) -> set[str]:
    """The commands, options and functions of a search that Splunk 9.3 or 10.2 lacks."""
    bare = spl.masked(text)
    subsearches = re.findall(r"\[\s*\|([^\[\]]*)\]", bare)
    unknown = set(re.findall(r"\b([a-z]\w*)\(", bare)) - FUNCTIONS
    for step in [*spl.commands(bare), *(part for found in subsearches for part in found.split("|"))]:
        command, _, rest = step.strip().partition(" ")
        if "=" in command:
            continue  # the search at the beginning
        known = KNOWN["commands"].get(command, {"versions": None})
        if known["versions"] != "all":
            unknown.add(command)
        elif command not in ("eval", "where", "search"):
            # Options are outside of brackets, and in tstats before the condition.
            outside = re.sub(r"\([^()]*\)", "", re.sub(r"\([^()]*\)", "", rest)).partition(" WHERE ")[0]
            options = set(re.findall(r"\b(\w+)=", outside))
            unknown |= {f"{command} {option}" for option in options if known["options"].get(option) != "all"}
    return unknown


@pytest.mark.parametrize("name", SHIPPED)
def test_commands_options_and_functions_are_those_of_splunk(name: str) -> None:
    """Splunk 9.3 and 10.2 have each of them."""
    assert unknown_to_splunk(SHIPPED[name]) == set()


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("index=a | statz count", "statz"),
        ("index=a | eval b=lowr(c)", "lowr"),
        ("index=a | lookup locale=true t a AS b OUTPUT c", "lookup locale"),
        ("| tstats sumariesonly=true count FROM datamodel=a WHERE b=1 BY c", "tstats sumariesonly"),
        ("index=a | collapse", "collapse"),
        ("index=a | eval b=[| inputlookup mox=1 t | return $b]", "inputlookup mox"),
    ],
)
def test_what_splunk_lacks_is_found(text: str, unknown: str) -> None:
    """A misspelt command, option or function, one in a subsearch, and one of a single version."""
    assert unknown_to_splunk(text) == {unknown}


def test_the_lookups_ship_empty_with_their_columns() -> None:
    """An upgrade or a fresh install has no names; the columns are those that the macros read."""
    assert not any(lookup.rows for lookup in LOOKUPS.values())
    stanzas = conf(APP / "default" / "transforms.conf")
    for name, columns in (
        ("irmexport_accounts", "name,user_principal_name"),
        ("irmexport_identities", "name,user_principal_name,kind,valid_from,valid_to,holders"),
        ("irmexport_leavers", "name,resignation_date,last_working_date"),
    ):
        file = APP / "lookups" / stanzas[name]["filename"]
        assert file.read_text(encoding="utf-8") == f"{columns}\n"
        if name == "irmexport_leavers":
            continue
        (used,) = re.findall(rf"lookup local=true {name} name AS irm_name OUTPUT ([^|]+)", everything())
        outputs = {part.split(" AS ")[0].strip() for part in used.split(",")}
        assert outputs | {"name"} == set(columns.split(","))


def everything() -> str:
    """The definitions of all macros."""
    return "\n".join(stanza["definition"] for stanza in MACROS.values())


def test_unbalanced_text_is_found() -> None:
    """An open quote, bracket or backtick, or a variable without a value, is an error."""
    for text in ('a "b', "a (b", "a b)", "a [b)", "a `b", "a $b$", "a (b]"):
        with pytest.raises(spl.Unbalanced):
            spl.commands(text)
    with pytest.raises(KeyError):
        spl.expanded("`none(1)`", {"none": {"definition": ""}})
    assert spl.commands('a "|(" | b [| c]') == ['a "|("', "b [| c]"]
    assert spl.commands("eval a=[| b | return $c]") == ["eval a=[| b | return $c]"]
    with pytest.raises(spl.Unbalanced):
        spl.commands("eval a=[| b | return $c$]")


@pytest.mark.parametrize("name", DAILY)
def test_a_daily_search_yields_the_profiles_columns(name: str) -> None:
    """Its last command is a table of them, in their order, and the profile ships with the app."""
    assert DAILY[name]["action.irmexport"] == "1"
    assert DAILY[name]["action.irmexport.param.profile"] in shipped_names()
    last = spl.commands(search(name))[-1]
    assert last.startswith("table ")
    assert set(YIELDS) == set(SOURCES)
    assert [field.strip() for field in last.removeprefix("table ").split(",")] == profile_columns(name)


@pytest.mark.parametrize("name", DAILY)
def test_the_time_of_a_row_is_its_days_start(name: str) -> None:
    """Days are cut in UTC, whoever owns the search, and the search is deterministic."""
    text = search(name)
    # now() only stands in for the end of a search over all time.
    assert not NOT_DETERMINISTIC.search(text.replace("coalesce(tonumber(info_max_time), now())", "")), text
    steps = spl.commands(text)
    cut = [at for at, step in enumerate(steps) if step == "eval _time=floor(_time/86400)*86400"]
    taken = [at for at, step in enumerate(steps) if "ActivityDate=_time" in step]
    grouped = [at for at, step in enumerate(steps) if re.search(r"^stats .* BY .*\b_time\b", step)]
    assert len(cut) == (2 if name.endswith("Windows USB") else 1)
    assert len(taken) == 1
    assert cut[0] < grouped[0] <= grouped[-1] < taken[0]
    assert len(grouped) == sum(step.startswith("stats ") for step in steps)
    kept = [step for step in steps if "_time=" in re.sub(r"ActivityDate=_time|info_m.._time", "", step)]
    assert kept == [steps[where] for where in cut]


@pytest.mark.parametrize("text", ["eval x=now()", "stats latest(_time)", "dedup user", "where _indextime>0"])
def test_nondeterministic_functions_are_found(text: str) -> None:
    """The pattern matches each kind."""
    assert NOT_DETERMINISTIC.search(text)


@pytest.mark.parametrize("name", DAILY)
def test_the_work_is_done_where_the_events_are(name: str) -> None:
    """It begins with tstats, or has only streaming commands before stats, so the indexers do the work."""
    steps = spl.commands(search(name))
    before = steps[: next(at for at, step in enumerate(steps) if step.startswith("stats "))]
    kinds = {step.split()[0] for step in before[1:]}
    if before[0].startswith("tstats "):  # the rows are counted already, so few names are left to look up
        kinds -= {"lookup"}
    assert kinds <= {"eval", "rename", "where"}
    assert before[0].startswith("tstats ") or re.match(r"index=\w+ sourcetype", before[0])
    names = [step for step in steps if step.startswith("lookup ")]
    assert names
    assert all(step.startswith("lookup local=true ") for step in names)


@pytest.mark.parametrize("name", [n for n in DAILY if "tstats" in DAILY[n]["search"]])
def test_the_fields_are_those_of_the_data_model(name: str) -> None:
    """The dataset and its fields are in the Common Information Model."""
    (dataset,) = re.findall(r"FROM datamodel=([\w.]+)", search(name))
    node = dataset.partition(".")[2]
    used = set(re.findall(rf"\b{node}\.(\w+)", search(name).replace(f"datamodel={dataset}", "")))
    assert used
    assert used <= CIM[dataset]


@pytest.mark.parametrize("profile", ["daily-activities", "daily-cloud", "daily-access"])
def test_the_activities_are_those_of_the_profile(profile: str) -> None:
    """Searches use exactly the values that their profile lists for the wizard."""
    source = parse(shipped_text(profile), "it").column("source")
    assert source
    mine = [name for name, stanza in DAILY.items() if stanza["action.irmexport.param.profile"] == profile]
    assert {value for name in mine for value in activities(name)} == set(source.related_values)


def activities(name: str) -> set[str]:
    """The values that a search assigns to Activity."""
    (assigned,) = [step for step in spl.commands(search(name)) if re.search(r"\bActivity=", step)]
    values = assigned.partition("Activity=")[2]
    return set(re.findall(r'(?:^|, )"([A-Z][a-z]+[A-Z]\w+)"', values))


HEADER = "UserPrincipalName,ActivityDate,Activity,ActivityCount,VolumeMB,Details"


def at(hour: float, *events: Event) -> list[Event]:
    """The events at this hour of the day."""
    return [{**one, "_time": DAY + int(hour * 3600)} for one in events]


def twice(given: Event) -> Event:
    """The event as a Splunk that extracts its JSON twice has it."""
    return {name: value if name == "_time" else spl_run.values_of(value) * 2 for name, value in given.items()}


def door(action: str, hour: int, location: str = "Server room", weekday: str = "wednesday") -> Event:
    """An access attempt at an hour of the door's own time."""
    return badge(
        user="ana@contoso.com", action=action, location=location, date_hour=str(hour), date_wday=weekday
    )


def grants(change: str, **to: str) -> Event:
    """Who gets or loses access to a snapshot or image. Form: Amazon EC2, ModifySnapshotAttribute."""
    return {change: {"items": [to]}}


def access(group: str | None) -> Event:
    """A bucket's list of grants, to its owner and perhaps to a group. Form: Amazon S3, PutBucketAcl."""
    uri = f"http://acs.amazonaws.com/groups/{'global/' + group if group else 's3/LogDelivery'}"
    return {"AccessControlList": {"Grant": [{"Grantee": {"ID": "1"}}, {"Grantee": {"URI": uri}}]}}


AVA = {**ANA, "login": "Ana@contoso.com"}
IAM = {"type": "IAMUser", "userName": "ana@contoso.com"}
#: AWS accounts: one of the organization's (irmexport_own_account), and another.
OWN, OTHER = "111122223333", "444455556666"
AWS_SHARES = "ModifyDBSnapshotAttribute; ModifyImageAttribute; ModifySnapshotAttribute; PutBucketAcl"
RIGHTS, FACTOR, TOKEN = "group.privilege.grant", "user.mfa.factor.reset_all", "system.api_token.create"
DROPBOX_SHARES = "shared_content_add_member; shared_link_change_visibility"
CATEGORIES = '"Cloud, personal; Storage; Webmail"'
GOOGLE_SHARES = "change_document_visibility; change_user_access"
#: For each search: events that count, and events that must not, some of them beside the day.
EVENTS: dict[str, tuple[list[Event], list[Event]]] = {
    "Salesforce": (
        [
            event
            for hour in range(14)
            for event in at(hour, salesforce("ReportExport", USER_NAME="C\\Ana@contoso.com"))
        ],
        [salesforce("Login", USER_NAME="ana@contoso.com")],
    ),
    "Dropbox": (
        [
            *[dropbox(MEMBER)] * 120,
            dropbox(MEMBER, "shared_content_add_member", outside=True),
            dropbox(MEMBER, "shared_link_change_visibility", new_value={".tag": "public"}),
        ],
        [
            dropbox(MEMBER, "login_success"),
            dropbox(MEMBER, "shared_content_add_member"),
            dropbox(MEMBER, "shared_link_create"),
            dropbox(MEMBER, "shared_link_change_visibility", new_value={".tag": "team_only"}),
        ],
    ),
    "Box": (
        [*[box(AVA, "ITEM_SHARED_CREATE")] * 3, box(ANA, "COLLABORATION_INVITE")],
        [box(ANA, "LOGIN"), box(ANA, "COLLABORATION_INVITE", "cem@CONTOSO.com")],
    ),
    "Web proxy": (
        [
            *[web(user="ana@contoso.com", category=["Cloud, personal", "Storage"], bytes_out=42_598_400)]
            * 10,
            *[web(user="ana@contoso.com", bytes_out=13_312_000)] * 32,
        ],
        [
            web(user="ana@contoso.com", bytes_out=500),
            web(user="ana@contoso.com", bytes_out=90_000_000, http_method="GET"),
            web(user="ana@contoso.com", bytes_out=90_000_000, action="blocked"),
            web(user="unknown", bytes_out=90_000_000),
        ],
    ),
    "DLP": (
        [
            incident(src_user=user, signature=["Credit cards", "IBAN"])
            for user in ("ana@contoso.com", "ANA@contoso.com")
        ],
        [incident(src_user="unknown", user="hr@contoso.com")],
    ),
    "Endpoint USB": (
        [
            *[file(user="ana@contoso.com", file_size=6765)] * 309,
            file(user="ana@contoso.com", file_path="/media/a/x"),
        ],
        [
            file(user="ana@contoso.com", file_path="E:\\report.xlsx"),
            file(user="ana@contoso.com", file_path="D:\\report.xlsx"),
            file(user="ana@contoso.com", file_path="/home/ana/x"),
            file(user="ana@contoso.com", action="deleted"),
        ],
    ),
    "Windows USB": (
        [removable("a.docx"), removable("a.docx", AccessMask="0x4"), removable("b.docx", AccessMask="0x6")],
        [removable(Task="12800"), removable(AccessMask="0x1"), removable(EventCode="4656")],
    ),
    "Personal mail": (
        [
            mail(src_user="ana@contoso.com"),
            mail(src_user="Ana@contoso.com", recipient_domain="gmx.de", size=1_047_552),
        ],
        [
            mail(src_user="ana@contoso.com", recipient_domain="contoso.com"),
            mail(src_user="ana@contoso.com", action="blocked"),
        ],
    ),
    "Mail forwarding": (
        [
            mailbox("New-InboxRule", Name="x", ForwardTo="cem@elsewhere.example"),
            mailbox("New-InboxRule", ForwardTo="dia@contoso.com", RedirectTo="cem@elsewhere.example"),
            mailbox("New-InboxRule", ForwardTo="cem@elsewhere.example;dia@contoso.com"),
            mailbox("New-InboxRule", ForwardTo='"Cem Ok" [SMTP:cem@elsewhere.example]'),
            mailbox("Set-Mailbox", ForwardingSmtpAddress="smtp:cem@elsewhere.example"),
        ],
        [
            mailbox("New-InboxRule", Name="x", MoveToFolder="Archive"),
            mailbox("Set-InboxRule", ForwardTo="dia@contoso.com"),
            mailbox(
                "Set-InboxRule",
                ForwardTo='"Dia" [SMTP:Dia@contoso.com];ben@contoso.com',
                RedirectTo="Ben Noor",
            ),
            mailbox("Set-Mailbox", ForwardingSmtpAddress="smtp:cem@elsewhere.example", result="False"),
            mailbox("Set-Mailbox", ForwardingSmtpAddress=""),
            mailbox("New-MailboxSearch", ForwardTo="cem@elsewhere.example"),
        ],
    ),
    "Google Drive": (
        [
            google(),
            google("change_user_access", "external"),
            google("change_document_visibility", "external"),
        ],
        [google("view"), google("change_user_access"), google("change_user_access", "internal")],
    ),
    "Slack": (
        [slack(), slack(), slack("file_public_link_created")],
        [slack("file_shared"), slack("file_downloaded", app={"id": "A1", "name": "eDiscovery"})],
    ),
    "Snowflake": (
        [snowflake(), snowflake(QUERY_TYPE="GET_FILES", OUTBOUND_DATA_TRANSFER_BYTES="0")],
        [snowflake(QUERY_TYPE="SELECT"), snowflake(EXECUTION_STATUS="FAIL")],
    ),
    "Code repositories": (
        [
            *[clone("ana@contoso.com")] * 8,
            {**clone("ana@contoso.com"), "repo": "contoso/billing"},
            *[{**clone(""), "actor": "svc-build"}] * 900,
        ],
        [
            github("repo.create", actor="ana-x"),
            {**github("repo.create", actor="ana-x"), "action": "git.clone"},
        ],
    ),
    "AWS": (
        [
            cloudtrail("CreateAccessKey", IAM),
            cloudtrail("GetSecretValue", IAM, errorCode="success"),
            cloudtrail("ModifySnapshotAttribute", IAM, createVolumePermission=grants("add", userId=OTHER)),
            cloudtrail("ModifyImageAttribute", IAM, launchPermission=grants("add", group="all")),
            cloudtrail("ModifyDBSnapshotAttribute", IAM, valuesToAdd=[OTHER, OWN]),
            cloudtrail("PutBucketAcl", IAM, **{"x-amz-acl": ["public-read"]}),
            cloudtrail("PutBucketAcl", IAM, AccessControlPolicy=access("AllUsers")),
        ],
        [
            cloudtrail("GetSecretValue", IAM, errorCode="AccessDenied"),
            cloudtrail("ListBuckets", IAM),
            cloudtrail("ModifySnapshotAttribute", IAM, createVolumePermission=grants("remove", userId=OTHER)),
            cloudtrail("ModifySnapshotAttribute", IAM, createVolumePermission=grants("add", userId=OWN)),
            cloudtrail("ModifyDBSnapshotAttribute", IAM, valuesToRemove=[OTHER]),
            cloudtrail("PutBucketAcl", IAM, **{"x-amz-acl": ["private"]}),
            cloudtrail("PutBucketAcl", IAM, AccessControlPolicy=access(None)),
        ],
    ),
    "Okta": (
        [okta(RIGHTS), okta(FACTOR), okta(TOKEN)],
        [okta(RIGHTS, "FAILURE"), okta("user.session.start"), okta(TOKEN, actor="SystemPrincipal")],
    ),
    "Badge": (
        [
            door("failure", 9),
            door("success", 3, "Main entrance"),
            door("success", 22),
            door("success", 10, "Main entrance", "sunday"),
        ],
        [door("success", 9)],
    ),
}
#: The rows that each search yields, as Splunk writes them: numbers as text, an empty cell for null.
YIELDS = {
    "Salesforce": ["ana@contoso.com,1700006400,SalesforceReportExport,14,,ReportExport"],
    "Dropbox": [
        "ana@contoso.com,1700006400,DropboxDownload,120,,file_download",
        f"ana@contoso.com,1700006400,DropboxExternalShare,2,,{DROPBOX_SHARES}",
    ],
    "Box": [
        "ana@contoso.com,1700006400,BoxExternalShare,1,,COLLABORATION_INVITE",
        "ana@contoso.com,1700006400,BoxSharedLink,3,,ITEM_SHARED_CREATE",
    ],
    "Web proxy": [f"ana@contoso.com,1700006400,WebUpload,42,812.5,{CATEGORIES}"],
    "DLP": ["ana@contoso.com,1700006400,DlpIncident,2,,Credit cards; IBAN"],
    "Endpoint USB": ["ana@contoso.com,1700006400,UsbCopy,310,2041.4,LAPTOP-7"],
    "Windows USB": ["ana,1700006400,UsbCopy,2,,LAPTOP-7"],
    "Personal mail": ["ana@contoso.com,1700006400,PersonalMail,2,1.0,contoso.com; gmail.com; gmx.de"],
    "Mail forwarding": ["ana@contoso.com,1700006400,MailForwarding,5,,New-InboxRule; Set-Mailbox"],
    "Google Drive": [
        "ana@contoso.com,1700006400,GoogleDriveDownload,1,,download",
        f"ana@contoso.com,1700006400,GoogleDriveExternalShare,2,,{GOOGLE_SHARES}",
    ],
    "Slack": [
        "ana@contoso.com,1700006400,SlackDownload,2,,file_downloaded",
        "ana@contoso.com,1700006400,SlackPublicLink,1,,file_public_link_created",
    ],
    "Snowflake": ["ana@contoso.com,1700006400,SnowflakeUnload,2,1.0,GET_FILES; UNLOAD"],
    "Code repositories": [
        "ana@contoso.com,1700006400,CodeClone,9,,contoso/billing; contoso/web",
        "github/svc-build,1700006400,CodeClone,900,,contoso/web",
    ],
    "AWS": [
        "ana@contoso.com,1700006400,AwsAccessKey,1,,CreateAccessKey",
        f"ana@contoso.com,1700006400,AwsDataShared,5,,{AWS_SHARES}",
        "ana@contoso.com,1700006400,AwsSecretRead,1,,GetSecretValue",
    ],
    "Okta": [
        "ana@contoso.com,1700006400,OktaFactorRemoved,1,,user.mfa.factor.reset_all",
        "ana@contoso.com,1700006400,OktaRightsGranted,1,,group.privilege.grant",
        "ana@contoso.com,1700006400,OktaTokenCreated,1,,system.api_token.create",
    ],
    "Badge": [
        "ana@contoso.com,1700006400,BadgeAccessRefused,1,,Server room",
        "ana@contoso.com,1700006400,BadgeOutsideHours,3,,Main entrance; Server room",
    ],
}


def lines_of(source: str, events: list[Event], **span: Any) -> list[str]:
    """The rows of a search as lines of CSV."""
    found = spl_run.run(search(f"irmexport - daily - {source}"), events, LOOKUPS, **span)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([["" if cell is None else cell for cell in row.values()] for row in found])
    return text.getvalue().splitlines()


@pytest.mark.parametrize("source", SOURCES)
def test_the_events_of_a_day_become_the_rows(source: str) -> None:
    """Run by ``spl_run``, not by Splunk, a search yields these literal rows, in any order of events."""
    counted, others = EVENTS[source]
    for events in ([*counted, *others], [*others, *counted[::-1]]):
        assert lines_of(source, events) == YIELDS[source]


@pytest.mark.parametrize("source", [name for name in SOURCES if "index" in EVENTS[name][0][0]])
def test_a_field_that_is_extracted_twice_counts_once(source: str) -> None:
    """Each event is in one row, with the same counts."""
    counted, others = EVENTS[source]
    assert lines_of(source, [twice(given) for given in (*counted, *others)]) == YIELDS[source]


@pytest.mark.parametrize("source", SOURCES)
def test_a_day_is_one_of_utc_and_whole(source: str) -> None:
    """Events of the days before and after make rows of those days, if the time range has the whole day."""
    (counted, _), day = EVENTS[source], 86_400
    beside = [{**given, "_time": DAY + more} for given in counted for more in (-1, day)]
    assert lines_of(source, [*counted, *beside], span=(DAY - 3600, DAY + day + 3600)) == YIELDS[source]
    days = {line.split(",")[1] for line in lines_of(source, [*counted, *beside])}
    assert days == {str(DAY - day), str(DAY), str(DAY + day)}


@pytest.mark.parametrize("zone", [-720, -570, -480, -15, 0, 15, 60, 330, 345, 840])
@pytest.mark.parametrize("name", DAILY)
def test_every_owner_reads_one_whole_day(name: str, zone: int) -> None:
    """Whatever time zone (minutes from UTC) the owner has, the time range has exactly one day of UTC."""
    stanza = DAILY[name]
    found = re.fullmatch(r"(?:-(\d)d)?@d-(\d+)m", stanza["dispatch.earliest_time"])
    assert found
    delay, back = int(found[1] or 0), int(found[2])
    assert stanza["dispatch.latest_time"] == (f"-{delay}d@d" if delay else "@d")
    midnight = 1440 * (10 - delay) - zone  # of the owner's day 10, in minutes of UTC
    whole = [day for day in range(12) if midnight - back <= day * 1440 and day * 1440 + 1440 <= midnight]
    assert len(whole) == 1


def test_salesforce_waits_for_its_event_log_files() -> None:
    """They come a day after the events, so their search reads the day before the day before yesterday."""
    assert DAILY["irmexport - daily - Salesforce"]["dispatch.latest_time"] == "-2d@d"


def test_a_run_that_is_missed_is_made_up_for() -> None:
    """Each day that a search sends, and each hour of the log that an alert reads, is read by one run only."""
    present = {
        *("paused or delayed", "queued without a sender", "sender silent", "waiting for release"),
        *("directory too old", "not promoted"),
    }
    skipping = {
        name for name, stanza in SEARCHES.items() if stanza.get("realtime_schedule") not in ("0", "false")
    }
    assert skipping == {f"irmexport - alert - {name}" for name in present}


@pytest.mark.parametrize("name", DAILY)
def test_a_search_without_results_is_a_run(name: str) -> None:
    """The action also runs if there is no result, so that its receipt says so."""
    assert DAILY[name]["counttype"] == "always"
    assert not {"relation", "quantity"} & set(DAILY[name])


#: The lines that would be uploaded. The row alone determines where in its second a time is moved.
EXPECTED: dict[str, list[str]] = {
    "Salesforce": [
        "ana@contoso.com,2023-11-15T00:00:00.273741+00:00,SalesforceReportExport,14,,ReportExport"
    ],
    "Dropbox": [
        "ana@contoso.com,2023-11-15T00:00:00.935966+00:00,DropboxDownload,120,,file_download",
        f"ana@contoso.com,2023-11-15T00:00:00.473502+00:00,DropboxExternalShare,2,,{DROPBOX_SHARES}",
    ],
    "Box": [
        "ana@contoso.com,2023-11-15T00:00:00.332467+00:00,BoxExternalShare,1,,COLLABORATION_INVITE",
        "ana@contoso.com,2023-11-15T00:00:00.596679+00:00,BoxSharedLink,3,,ITEM_SHARED_CREATE",
    ],
    "Web proxy": [
        f"ana@contoso.com,2023-11-15T00:00:00.068734+00:00,WebUpload,42,812.5,{CATEGORIES}",
    ],
    "DLP": ["ana@contoso.com,2023-11-15T00:00:00.603839+00:00,DlpIncident,2,,Credit cards; IBAN"],
    "Endpoint USB": ["ana@contoso.com,2023-11-15T00:00:00.803643+00:00,UsbCopy,310,2041.4,LAPTOP-7"],
    "Windows USB": [],
    "Personal mail": [
        "ana@contoso.com,2023-11-15T00:00:00.141518+00:00,PersonalMail,2,1,contoso.com; gmail.com; gmx.de"
    ],
    "Mail forwarding": [
        "ana@contoso.com,2023-11-15T00:00:00.750599+00:00,MailForwarding,5,,New-InboxRule; Set-Mailbox"
    ],
    "Google Drive": [
        "ana@contoso.com,2023-11-15T00:00:00.834469+00:00,GoogleDriveDownload,1,,download",
        f"ana@contoso.com,2023-11-15T00:00:00.482187+00:00,GoogleDriveExternalShare,2,,{GOOGLE_SHARES}",
    ],
    "Slack": [
        "ana@contoso.com,2023-11-15T00:00:00.846034+00:00,SlackDownload,2,,file_downloaded",
        "ana@contoso.com,2023-11-15T00:00:00.170287+00:00,SlackPublicLink,1,,file_public_link_created",
    ],
    "Snowflake": ["ana@contoso.com,2023-11-15T00:00:00.282204+00:00,SnowflakeUnload,2,1,GET_FILES; UNLOAD"],
    "Code repositories": [
        "ana@contoso.com,2023-11-15T00:00:00.177207+00:00,CodeClone,9,,contoso/billing; contoso/web"
    ],
    "AWS": [
        "ana@contoso.com,2023-11-15T00:00:00.270951+00:00,AwsAccessKey,1,,CreateAccessKey",
        f"ana@contoso.com,2023-11-15T00:00:00.843504+00:00,AwsDataShared,5,,{AWS_SHARES}",
        "ana@contoso.com,2023-11-15T00:00:00.477423+00:00,AwsSecretRead,1,,GetSecretValue",
    ],
    "Okta": [
        "ana@contoso.com,2023-11-15T00:00:00.646386+00:00,OktaFactorRemoved,1,,user.mfa.factor.reset_all",
        "ana@contoso.com,2023-11-15T00:00:00.714134+00:00,OktaRightsGranted,1,,group.privilege.grant",
        "ana@contoso.com,2023-11-15T00:00:00.076213+00:00,OktaTokenCreated,1,,system.api_token.create",
    ],
    "Badge": [
        "ana@contoso.com,2023-11-15T00:00:00.553412+00:00,BadgeAccessRefused,1,,Server room",
        "ana@contoso.com,2023-11-15T00:00:00.373937+00:00,BadgeOutsideHours,3,,Main entrance; Server room",
    ],
}


def queued(source: str, rows: list[str], folder: Path, **profile: str) -> RunResult:
    """A run with these rows of a search."""
    name = DAILY[f"irmexport - daily - {source}"]["action.irmexport.param.profile"]
    settings = profile or {"profile": name}
    configured = of_stanza(name, {"job_id": "11111111-1111-1111-1111-111111111111", **settings})
    outbox = connector_outbox(str(folder / "outbox"), configured.connection, FakeClock())
    (folder / "outbox").mkdir(exist_ok=True)
    spool = Spool(str(folder))
    spool.add([("\n".join((HEADER, *rows)) + "\n").encode()])
    table = spool.table(HEADER.split(","), "it")
    origin = Origin(user="ana", host="sh", app="splunk", details={})
    return queue_rows(table, configured.profile, outbox, configured.connection, origin)[0]


@pytest.mark.parametrize("source", SOURCES)
def test_the_rows_of_a_search_become_the_connectors_file(source: str, tmp_path: Path) -> None:
    """The rows of a search become these literal lines; a second run adds none."""
    assert {row.split(",")[2] for row in YIELDS[source]} <= activities(f"irmexport - daily - {source}")
    queued(source, YIELDS[source], tmp_path)
    again = queued(source, YIELDS[source], tmp_path)
    payloads = [path.read_text().splitlines()[1:] for path in tmp_path.glob("outbox/*/ready/*/payload")]
    assert payloads == ([EXPECTED[source]] if EXPECTED[source] else [])
    assert (again.counts.shaped, again.counts.skipped) == (0, len(EXPECTED[source]))


@pytest.mark.parametrize(("on_change", "rows"), [("skip", 1), ("send", 4)])
def test_on_change_applies_to_the_volume_and_details_of_a_day(
    on_change: str, rows: int, tmp_path: Path
) -> None:
    """Late events change a row's number, volume and details: with `skip`, four runs send one row."""
    text = f"{shipped_text('daily-activities')}\non_change: {on_change}\n"
    for late in ("42,812.5,Webmail", "42,813,Webmail", "42,813,Webmail; Storage", "43,813.5,Storage"):
        queued("Web proxy", [f"ana@contoso.com,1700006400,WebUpload,{late}"], tmp_path, profile_yaml=text)
    assert (
        sum(len(path.read_text().splitlines()) - 1 for path in tmp_path.glob("outbox/*/ready/*/payload"))
        == rows
    )


#: Lines of the HR lookup, and what they become: a malformed date is refused, not dropped.
LEAVERS = (
    ("Ana@contoso.com,2023-11-15,2023-12-31", ("ana@contoso.com", 1700006400, 1703980800)),
    ("ben@contoso.com,2023-11-16,", ("ben@contoso.com", 1700092800, None)),
    ("cem@contoso.com,16/11/2023,", ("cem@contoso.com", None, None)),
)


def test_the_dashboard_counts_the_people_of_each_threshold() -> None:
    """Six people with 10 downloads on Wednesday and Thursday, five of them 20 on the Monday after, two 50.

    The week of that Monday is the only whole one, and a week later everybody has one download. A name without
    a domain, which irmexport refuses, counts nowhere, nor does its day. A threshold on no step has no line.
    """
    events: list[Event] = []
    for person in ("p0@", "p1@", "p2@", "p3@", "p4@", "p5@", "p6"):
        at = int(person[1])
        made = {0: 10, 1: 10, 5: 20 if at < 5 else 0, 6: 50 if at < 2 else 0, 12: 1, 20: at // 6}
        for day, number in made.items():
            login = f"{person}contoso.com"
            one = box({"type": "user", "id": "1", "name": "x", "login": login})
            events += [{**one, "_time": DAY + day * 86_400 + n} for n in range(number)]
    search, days = SEARCHES["irmexport - daily - Box"]["search"], (DAY - 50 * 86_400, DAY + 41 * 86_400)
    rows = spl_run.run(thresholds_of(search, "5", "10 / 20/50"), events, LOOKUPS, days)
    odd = spl_run.run(thresholds_of(search, "5", "10/20/125"), events, LOOKUPS, days)
    assert [tuple(row.values()) for row in odd] == [tuple(row.values()) for row in rows[:-1]]
    assert [tuple(row.values()) for row in rows] == [
        ("BoxDownload", 1, "low", "1.9", 6, "5.0", 5, 6),
        ("BoxDownload", 2, "medium", "1.5", 6, "5.0", 5, 6),
        ("BoxDownload", 3, "high", "1.5", 6, "5.0", 5, 6),
        ("BoxDownload", 5, "", "1.5", 6, "5.0", 5, 6),
        ("BoxDownload", 10, "low now", "1.5", 6, "5.0", 5, 6),
        ("BoxDownload", 20, "medium now", "0.5", 5, "5.0", 5, 5),
        ("BoxDownload", 50, "high now", "<5", "<5", "<5", "<5", "<5"),
    ]


def test_people_who_leave_become_rows_of_a_trigger() -> None:
    """The time is the start of the day of notice in UTC; the profile's columns are those of the search."""
    lookups = {
        **LOOKUPS,
        "irmexport_leavers": lookup_of("irmexport_leavers", "\n".join(line for line, _ in LEAVERS)),
    }
    found = spl_run.run(search("irmexport - leavers"), [], lookups)
    assert [tuple(row.values()) for row in found] == [row for _, row in LEAVERS]
    assert list(found[0]) == profile_columns("irmexport - leavers")
