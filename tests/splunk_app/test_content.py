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

import pytest
from irmcore.outbox import Origin
from irmcore.profile import parse, shipped_names, shipped_text
from irmsplunk.export.queueing import connector_outbox, queue_rows
from irmsplunk.export.spool import Spool
from irmsplunk.splunk.connectors import of_stanza

from tests.fakes.clock import FakeClock
from tests.splunk_app import spl, spl_run
from tests.splunk_app.test_settings import APP, conf

MACROS = {name: dict(stanza) for name, stanza in conf(APP / "default" / "macros.conf").items() if name != "-"}
SEARCHES = {
    name: dict(stanza) for name, stanza in conf(APP / "default" / "savedsearches.conf").items() if name != "-"
}
DAILY = {name: stanza for name, stanza in SEARCHES.items() if name.startswith("irmexport - daily - ")}
SOURCES = ("Salesforce", "Dropbox", "Box", "Web proxy", "DLP", "Endpoint USB", "Badge", "Code repositories")
#: Fields of the Common Information Model's datasets that the searches use, from its reference tables.
CIM = {
    "Web.Web": {"action", "bytes_out", "category", "dest", "http_method", "user"},
    "DLP.DLP_Incidents": {"signature", "src_user"},
    "Endpoint.Filesystem": {"action", "dest", "file_path", "file_size", "user"},
}
#: The commands, options and functions of Splunk's oldest and newest version that the app supports.
KNOWN = json.loads(Path(__file__).with_name("spl_commands.json").read_text(encoding="utf-8"))
#: The macros that an administrator may switch to.
ALTERNATIVES = {"irmexport_from_es", "irmexport_es_upn"}
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
        rows, int(stanza["max_matches"]), stanza["case_sensitive_match"] == "true", **settings
    )


#: The lookups as the app ships them.
LOOKUPS = {name: lookup_of(name) for name in ("irmexport_accounts", "irmexport_identities")}


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
    assert name in {call for text in texts for call in spl.calls(text)} | ALTERNATIVES


@pytest.mark.parametrize("switched", [{}, {"irmexport_directory": "`irmexport_from_es`"}], ids=["own", "es"])
@pytest.mark.parametrize("name", SEARCHES)
def test_commands_options_and_functions_are_those_of_splunk(name: str, switched: dict[str, str]) -> None:
    """Splunk 9.3 and 10.2 have each of them."""
    text = search(name, **switched)
    subsearches = re.findall(r"\[\s*\|([^\[\]]*)\]", spl.masked(text))
    for step in [*spl.commands(text), *(part for found in subsearches for part in found.split("|"))]:
        command, _, rest = step.strip().partition(" ")
        if "=" in command or command.startswith(("index", "`")):
            continue  # the search at the beginning
        known = KNOWN["commands"][command]
        assert known["versions"] == "all"
        if command in ("lookup", "inputlookup"):
            options = set(re.findall(r"\b(\w+)=", rest))
            assert {known["options"][option] for option in options} <= {"all"}
    bare = spl.masked(text)
    keywords = {"AND", "OR", "NOT", "IN", "BY", "AS"}
    functions = set(re.findall(r"\b([a-z]\w*)\(", bare)) - keywords
    assert functions <= set(KNOWN["eval_functions"]) | set(KNOWN["stats_functions"])


def test_the_lookups_ship_empty_with_their_columns() -> None:
    """An upgrade or a fresh install has no names; the columns are those that the macros read."""
    assert not any(lookup.rows for lookup in LOOKUPS.values())
    stanzas = conf(APP / "default" / "transforms.conf")
    for name, columns in (
        ("irmexport_accounts", "name,user_principal_name"),
        ("irmexport_identities", "name,user_principal_name,kind,valid_from,valid_to,holders"),
    ):
        file = APP / "lookups" / stanzas[name]["filename"]
        assert file.read_text(encoding="utf-8") == f"{columns}\n"
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
    assert [field.strip() for field in last.removeprefix("table ").split(",")] == profile_columns(name)


@pytest.mark.parametrize("name", DAILY)
def test_the_time_of_a_row_is_its_days_start(name: str) -> None:
    """The search covers whole days by event time, and is deterministic."""
    stanza, text = DAILY[name], search(name)
    assert re.fullmatch(r"-\d+d@d", stanza["dispatch.earliest_time"])
    assert stanza["dispatch.latest_time"] == "@d"
    assert not NOT_DETERMINISTIC.search(text), text
    steps = spl.commands(text)
    cut = [
        at for at, step in enumerate(steps) if re.search(r"\bBY\b.*_time span=1d$|^bin _time span=1d$", step)
    ]
    taken = [at for at, step in enumerate(steps) if "ActivityDate=_time" in step]
    grouped = [at for at, step in enumerate(steps) if re.search(r"^stats .* BY .*\b_time\b", step)]
    assert len(cut) == len(taken) == 1
    assert cut[0] < grouped[0] <= grouped[-1] < taken[0]
    assert len(grouped) == sum(step.startswith("stats ") for step in steps)
    assert all("_time=" not in re.sub(r"ActivityDate=_time", "", step) for step in steps)


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
    assert kinds <= {"eval", "rename", "where", "bin"}
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


def test_the_activities_are_those_of_the_profile() -> None:
    """Searches use exactly the values that the profile lists for the wizard."""
    profile = parse(shipped_text("daily-activities"), "it")
    source = profile.column("source")
    assert source
    named = {value for name in DAILY for value in activities(name)}
    assert named == set(source.related_values)


def activities(name: str) -> set[str]:
    """The values that a search assigns to Activity."""
    (assigned,) = [step for step in spl.commands(search(name)) if re.search(r"\bActivity=", step)]
    return set(re.findall(r'(?:\bActivity=|, )"([A-Z][a-z]+[A-Z]\w+)"', assigned))


HEADER = "UserPrincipalName,ActivityDate,Activity,ActivityCount,VolumeMB,Details"
#: The rows that each search yields, as Splunk writes them: numbers as text, an empty cell for null.
YIELDS = {
    "Salesforce": ("ana@contoso.com,1700006400,SalesforceReportExport,14,,ReportExport",),
    "Dropbox": ("ana@contoso.com,1700006400,DropboxDownload,120,,file_download",),
    "Box": ("ana@contoso.com,1700006400,BoxSharedLink,3,,ITEM_SHARED_CREATE",),
    "Web proxy": ('ana@contoso.com,1700006400,WebUpload,42,812.5,"Cloud, personal; Webmail"',),
    "DLP": ("ana@contoso.com,1700006400,DlpIncident,2,,Credit card numbers",),
    "Endpoint USB": ("ana@contoso.com,1700006400,UsbCopy,310,2048.0,LAPTOP-7",),
    "Badge": (
        "ana@contoso.com,1700006400,BadgeAccessRefused,1,,Server room",
        "ana@contoso.com,1700006400,BadgeOutsideHours,2,,Main entrance; Server room",
    ),
    "Code repositories": (
        "ana@contoso.com,1700006400,CodeClone,9,,contoso/billing; contoso/web",
        "github/svc-build,1700006400,CodeClone,900,,contoso/web",
    ),
}
#: The lines that would be uploaded. The row alone determines where in its second a time is moved.
EXPECTED = {
    "Salesforce": [
        "ana@contoso.com,2023-11-15T00:00:00.222702+00:00,SalesforceReportExport,14,,ReportExport"
    ],
    "Dropbox": ["ana@contoso.com,2023-11-15T00:00:00.882660+00:00,DropboxDownload,120,,file_download"],
    "Box": ["ana@contoso.com,2023-11-15T00:00:00.531392+00:00,BoxSharedLink,3,,ITEM_SHARED_CREATE"],
    "Web proxy": [
        'ana@contoso.com,2023-11-15T00:00:00.344285+00:00,WebUpload,42,812.5,"Cloud, personal; Webmail"'
    ],
    "DLP": ["ana@contoso.com,2023-11-15T00:00:00.459755+00:00,DlpIncident,2,,Credit card numbers"],
    "Endpoint USB": ["ana@contoso.com,2023-11-15T00:00:00.283717+00:00,UsbCopy,310,2048,LAPTOP-7"],
    "Badge": [
        "ana@contoso.com,2023-11-15T00:00:00.427818+00:00,BadgeAccessRefused,1,,Server room",
        "ana@contoso.com,2023-11-15T00:00:00.193547+00:00,BadgeOutsideHours,2,,Main entrance; Server room",
    ],
    "Code repositories": [  # a login that is nobody's name is refused
        "ana@contoso.com,2023-11-15T00:00:00.283175+00:00,CodeClone,9,,contoso/billing; contoso/web"
    ],
}


DAY = 1700006400


def at(hour: int, **fields: object) -> dict[str, object]:
    """An event at this hour of a Wednesday."""
    return {"_time": DAY + hour * 3600 + len(fields), **fields}


def sfdc(kind: str, user: str, hour: int) -> dict[str, object]:
    """An entry of the event log of Salesforce."""
    return at(hour, index="salesforce", sourcetype="sfdc:logfile", EVENT_TYPE=kind, USER_NAME=user)


def dropbox(tag: str, user: str) -> dict[str, object]:
    """An entry of the team log of Dropbox."""
    fields = {"index": "dropbox", "sourcetype": "dropbox:events", "event_type..tag": tag}
    return at(9, **fields, **{"actor.user.email": user})


def box(kind: str, user: str) -> dict[str, object]:
    """An enterprise event of Box."""
    fields = {"index": "box", "sourcetype": "box:events", "event_type": kind, "created_by.login": user}
    return at(10, **fields)


def web(user: str, category: str, sent: int, method: str = "POST") -> dict[str, object]:
    """A request in the data model Web."""
    fields = {
        "user": user,
        "category": category,
        "bytes_out": sent,
        "http_method": method,
        "action": "allowed",
    }
    return at(11, **{f"Web.{key}": value for key, value in fields.items()})


def usb(path: str, size: int, action: str = "created") -> dict[str, object]:
    """A file in the data model Endpoint."""
    fields = {"user": "ana@contoso.com", "dest": "LAPTOP-7", "file_path": path, "file_size": size}
    return at(12, **{f"Filesystem.{key}": value for key, value in {**fields, "action": action}.items()})


def badge(hour: int, action: str, location: str) -> dict[str, object]:
    """An access attempt at a door."""
    where = {"index": "badge", "sourcetype": "badge:access"}
    return at(hour, **where, user="ana@contoso.com", action=action, location=location)


def code(action: str, repo: str, **who: object) -> dict[str, object]:
    """An entry of the audit log of GitHub."""
    return at(13, index="github", sourcetype="github:cloud:audit", action=action, repo=repo, **who)


EVENTS = {
    "Salesforce": [
        *[sfdc("ReportExport", "CONTOSO\\Ana@contoso.com", hour) for hour in range(14)],
        sfdc("Login", "ana@contoso.com", 3),
    ],
    "Dropbox": [
        *[dropbox("file_download", "ana@contoso.com")] * 120,
        dropbox("login_success", "ana@contoso.com"),
    ],
    "Box": [*[box("ITEM_SHARED_CREATE", "Ana@contoso.com")] * 3, box("LOGIN", "ana@contoso.com")],
    "Web proxy": [
        *[web("ana@contoso.com", "Cloud, personal", 42_598_400)] * 10,
        *[web("ana@contoso.com", "Webmail", 13_312_000)] * 32,
        web("ana@contoso.com", "News", 500),
        web("ana@contoso.com", "News", 90_000_000, "GET"),
        web("unknown", "News", 90_000_000),
    ],
    "DLP": [
        at(
            14,
            **{
                "DLP_Incidents.src_user": user,
                "DLP_Incidents.user": "hr@contoso.com",
                "DLP_Incidents.signature": "Credit card numbers",
            },
        )
        for user in ("ana@contoso.com", "unknown", "ANA@contoso.com")
    ],
    "Endpoint USB": [
        *[usb("E:\\report.xlsx", 6_927_365)] * 309,
        usb("/media/ana/plan.docx", 6_927_863),
        usb("C:\\temp\\x", 10),
        usb("E:\\x", 10, "deleted"),
    ],
    "Badge": [
        badge(9, "failure", "Server room"),
        badge(9, "success", "Main entrance"),
        badge(3, "success", "Main entrance"),
        badge(22, "success", "Server room"),
    ],
    "Code repositories": [
        *[code("git.clone", "contoso/web", actor="ana-x", external_identity_nameid="ana@contoso.com")] * 8,
        code("git.clone", "contoso/billing", actor="ana-x", external_identity_nameid="ana@contoso.com"),
        code("repo.create", "contoso/new", actor="ana-x"),
        *[code("git.clone", "contoso/web", actor="svc-build")] * 900,
    ],
}


@pytest.mark.parametrize("source", SOURCES)
def test_the_events_of_a_day_become_the_rows(source: str) -> None:
    """Run by ``spl_run``, not by Splunk, a search yields these literal rows, in any order of events."""
    for events in (EVENTS[source], EVENTS[source][::-1]):
        found = spl_run.run(search(f"irmexport - daily - {source}"), events, LOOKUPS)
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerows([["" if cell is None else cell for cell in row.values()] for row in found])
        assert lines.getvalue().splitlines() == list(YIELDS[source])


@pytest.mark.parametrize("source", SOURCES)
def test_the_rows_of_a_search_become_the_connectors_file(source: str, tmp_path: Path) -> None:
    """The rows of a search become these literal lines; a second run adds none."""
    stanza = {"profile": "daily-activities", "job_id": "11111111-1111-1111-1111-111111111111"}
    configured = of_stanza("daily-activities", stanza)
    assert {row.split(",")[2] for row in YIELDS[source]} <= activities(f"irmexport - daily - {source}")
    outbox = connector_outbox(str(tmp_path / "outbox"), configured.connection, FakeClock())
    (tmp_path / "outbox").mkdir()
    accepted = []
    for _ in range(2):
        spool = Spool(str(tmp_path))
        spool.add([("\n".join((HEADER, *YIELDS[source])) + "\n").encode()])
        table = spool.table(profile_columns(f"irmexport - daily - {source}"), "it")
        accepted.append(
            queue_rows(
                table,
                configured.profile,
                outbox,
                configured.connection,
                Origin(user="ana", host="sh", app="splunk", details={}),
            )[0]
        )
    (payload,) = tmp_path.glob("outbox/*/ready/*/payload")
    assert payload.read_text().splitlines()[1:] == EXPECTED[source]
    assert accepted[1].counts.shaped == 0
    assert accepted[1].counts.skipped == len(EXPECTED[source])
