"""Generates the pages of docs/ that come from code: `make docs`. A test compares them with the files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from irmcli.main import main
from irmcore.profile.load import PROFILE
from irmcore.profile.published_limits import LIMITS
from irmsentinel.content import artefacts as contents
from irmsentinel.content import rules, samples, workbooks
from irmsentinel.content.defender import Defender
from irmsentinel.content.rules import Rule
from irmsentinel.kql import cost

HERE = Path(__file__).parent
MUTANTS = HERE.parent / "mutants" / "content_run.json"
WIDTH = 100


def commands() -> str:
    """docs/commands.md: the help of every command."""
    widths = {"max_content_width": WIDTH, "terminal_width": WIDTH}
    context = click.Context(main, info_name="irmexport", **{**main.context_settings, **widths})
    parts = ["# Commands", "", "Generated from the code by `make docs`.", "", "## irmexport", ""]
    parts += ["```", main.get_help(context), "```", ""]
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        if command is not None:
            parts += _command(command, name, context)
    return "\n".join(parts) + "\n"


def _command(command: click.Command, name: str, parent: click.Context) -> list[str]:
    context = click.Context(
        command, info_name=name, parent=parent, max_content_width=WIDTH, terminal_width=WIDTH
    )
    title = context.command_path
    parts = [f"## {title}", "", "```", command.get_help(context), "```", ""]
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                parts += _command(found, inner, context)
    return parts


def profile() -> str:
    """docs/profile.md: every key of a profile, from the published schema."""
    parts = [
        "# Profile",
        "",
        "A profile is one YAML file that describes a connector completely. `make docs` generates this page",
        "from the published JSON Schema, `common/irmcore/profile/profile.schema.json`, which irmexport also",
        "uses to check profiles. To use the schema in your editor, put",
        "`# yaml-language-server: $schema=PATH` on the first line. Start from a shipped profile:",
        "`irmexport profile list`, then `irmexport profile show NAME > my-profile.yaml`.",
        "",
        "| key | meaning | values |",
        "|---|---|---|",
        *_rows(PROFILE.schema, ""),
    ]
    return "\n".join(parts) + "\n"


def _rows(node: dict[str, Any], path: str) -> list[str]:
    required = set(node.get("required", ()))
    rows = []
    for key, raw in node["properties"].items():
        value = {**_resolved(raw), **raw}
        name = f"{path}{key}"
        mark = " (required)" if key in required else ""
        rows.append(f"| `{name}`{mark} | {value.get('description', '')} | {_values(value)} |")
        inner = _resolved(value.get("items", {})) if value.get("type") == "array" else value
        if "properties" in inner:
            rows += _rows(inner, f"{name}[]." if value.get("type") == "array" else f"{name}.")
    return rows


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        found: dict[str, Any] = PROFILE.schema["definitions"][node["$ref"].rsplit("/", 1)[1]]
        return found
    return node


def _values(value: dict[str, Any]) -> str:
    text = " · ".join(f"`{choice}`" for choice in value.get("enum", ())) or str(value.get("type", ""))
    return f"{text}, default `{value['default']}`" if "default" in value else text


#: Microsoft's rule or query, what covers its situation here, and the fixtures that show it.
COUNTERPARTS = (
    (
        "Insider Risk: Microsoft 365 IRM Alert Observed",
        "`IRMNewHighSeverityAlert`; other severities by `IRMDistinctAlerts`",
        "analytic_rules/IRMNewHighSeverityAlert",
    ),
    (
        "High User Security Alert Correlations",
        "`IRMAlertsOtherAlerts`, `IRMManyIncidentsOneUser`",
        "enrichment/IRMAlertsOtherAlerts",
    ),
    (
        "High User Security Incidents Correlation",
        "`IRMManyIncidentsOneUser`, which needs two products or an IRM alert",
        "hunting/IRMManyIncidentsOneUser",
    ),
    (
        "Risky User Access By Application",
        "`IRMAlertAndRiskySignin`: risk and an open alert, not an application",
        "analytic_rules/IRMAlertAndRiskySignin",
    ),
    (
        "Sensitive Data Access Outside Organizational Geo-location",
        "partly: `IRMSigninAnomaliesAroundTrigger`, with the user's own countries and without labels",
        "hunting/IRMSigninAnomaliesAroundTrigger",
    ),
    (
        "Entity Anomaly Followed by IRM Alert",
        "`IRMAnomaliesAroundAlert`, with the order in time",
        "hunting/IRMAnomaliesAroundAlert",
    ),
    (
        "ISP Anomaly to Exfil",
        "`IRMSigninAnomaliesAroundTrigger`: a network that is new for the user",
        "hunting/IRMSigninAnomaliesAroundTrigger",
    ),
    (
        "Multiple Entity-Based Anomalies",
        "`IRMAnomaliesAroundAlert` (two findings or more), `IRMLeaverAnomalies`",
        "hunting/IRMLeaverAnomalies",
    ),
    (
        "Possible Sabotage",
        "`IRMMassDeletionAroundAlert` (Azure and files), `IRMNewAccountsOrClearedLogsAroundAlert`",
        "hunting/IRMMassDeletionAroundAlert",
    ),
    (
        "Sign In Risk Followed By Sensitive Data Access",
        "partly: `IRMAlertAndRiskySignin` and `IRMFirstTimeAccessBeforeAlert`, which no query joins",
        "hunting/IRMFirstTimeAccessBeforeAlert",
    ),
)
#: What docs/content.md says of a result, in order.
TRIAGE = ("why", "falsePositives", "next")


def _mutants(run: dict[str, Any]) -> Iterator[str]:
    """The last whole run of `make mutants-content`."""
    everything = run["counts"]["all"]
    outcomes = ("killed", "survived", "equivalent", "does not run")
    yield from (
        "## What the fixtures would miss",
        "",
        f"`make mutants-content` draws {sum(everything.values())} of {run['sites']:,} changes of the queries",
        f"with the seed {run['seed']}, and runs the fixture of each changed query. A change that no row of",
        "the fixture finds survives. One that the engine refuses is not counted, nor one that is proven",
        "equivalent: no rows can tell it from the query.",
        "",
        f"| kind of change | {' | '.join(outcomes)} |",
        f"|---|{'---|' * len(outcomes)}",
    )
    for kind, counts in run["counts"].items():
        yield f"| {kind} | {' | '.join(str(counts.get(outcome, 0)) for outcome in outcomes)} |"
    share = everything.get("survived", 0) / (everything["killed"] + everything.get("survived", 0))
    yield from ("", f"Of those counted, {share:.1%} survive; at most 3 % may.", "")
    yield from _changes("survived", "", run["survived"])
    yield from _changes("equivalent", " why |", run["equivalent"])


def _changes(title: str, last: str, changes: list[list[str]]) -> Iterator[str]:
    """A table of changed lines; nothing without changes."""
    if changes:
        yield from (f"| {title} | before | after |{last}", f"|---|---|---|{'---|' if last else ''}")
    for query, before, after, *why in changes:
        lines = (f"`{line.replace('|', chr(92) + '|')}`" for line in (before, after))
        yield f"| `{query}` | {' | '.join([*lines, *why])} |"
    if changes:
        yield ""


def _in_defender(defender: Defender, found: Sequence[Rule]) -> Iterator[str]:
    """What there is of the rules and hunting queries in Defender, and why some are not there."""
    yield from (
        "## In Defender",
        "",
        "Rules and hunting queries that need no workspace are also written for Defender's own tables, as",
        "custom detections and advanced hunting queries ([deploy.md](deploy.md#in-defender)), from the",
        "same files, by the mapping of tables and columns in `sentinel/defender/mapping.json`. A",
        "detection runs once a day, because Defender fixes the look-back by the frequency and only the daily",
        "one reaches 30 days. Defender keeps 30 days, and its alerts have no status. A query needs every",
        "table that it reads: where the product behind one is not deployed, Defender may not know the",
        "table. Microsoft's parser bound each query against Defender's published tables, and the local",
        "engine ran it on the rows of fixtures and on the story of this page, in Defender's columns.",
        "**Nothing was run in Defender.**",
        "",
        "| rule or query | there as | reads | not read, because it is in the workspace only |",
        "|---|---|---|---|",
    )
    there = {rule.name: defender.edition(rule) for rule in found if defender.why_not(rule) is None}
    for rule in (rule for rule in found if rule.name in there):
        kind = "custom detection" if rule.folder == rules.ANALYTIC else "hunting query"
        edition = there[rule.name]
        yield f"| `{rule.name}` | {kind} | {', '.join(edition.reads)} | {', '.join(edition.left_out)} |"
    yield from ("", "| not there | why |", "|---|---|")
    yield from (f"| `{rule.name}` | {defender.why_not(rule)} |" for rule in found if rule.name not in there)
    yield ""


def content() -> str:
    """docs/content.md: every function, rule, hunting query and workbook, from their files."""
    loaded = contents.load()
    found = rules.load()
    narrow = [f"[{book.name}](pictures/workbook-{book.name}-390.png)" for book in workbooks.load()]
    parts = [
        "# Content for Microsoft Sentinel",
        "",
        "Generated from the files of `sentinel/` by `make docs`. [deploy.md](deploy.md) describes how to",
        "deploy this content, [kql.md](kql.md) how to extend it. Microsoft's parser checked every query, and",
        "a local engine ran each one on synthetic rows that it must find and rows that it must not.",
        "**Nothing was deployed to a live workspace.**",
        "",
        "## Analytic rules",
        "",
        "| rule | reports | severity | every | looks back | ATT&CK |",
        "|---|---|---|---|---|---|",
        *(
            f"| `{rule.name}`: {rule.fields['name']} | {rule.fields['description']} "
            f"| {rule.fields['severity']} "
            f"| {rule.fields['queryFrequency']} | {rule.fields['queryPeriod']} "
            f"| {', '.join(rule.fields['relevantTechniques'])} |"
            for rule in found
            if rule.folder == rules.ANALYTIC
        ),
        "",
        "## Hunting queries",
        "",
        "| query | finds | ATT&CK |",
        "|---|---|---|",
        *(
            f"| `{rule.name}`: {rule.fields['name']} | {rule.fields['description']} "
            f"| {', '.join(rule.fields['relevantTechniques'])} |"
            for rule in found
            if rule.folder == rules.HUNTING
        ),
        "",
        "## What a result means",
        "",
        "| rule or query | why it matters | false positives | what to do next |",
        "|---|---|---|---|",
        *(
            f"| `{rule.name}` | {' | '.join(rule.fields['triage'][key] for key in TRIAGE)} |"
            for rule in found
        ),
        "",
        "## A month of one company",
        "",
        "`irmexport sentinel samples DIR` writes the synthetic tables of a made-up company: a leaver (Sara),",
        "an administrator who destroys (Megan), two colleagues with smaller alerts (Brad, Ivan), and people",
        "who do similar things without an alert (Noah). Run at the given time, each rule, query and",
        "aggregation finds exactly these people or hosts and nobody else",
        "(`tests/sentinel/irmsentinel/content/test_samples.py`). An aggregation reads 21 October to",
        "20 November.",
        "",
        "| rule, query or aggregation | run at (UTC) | finds | why |",
        "|---|---|---|---|",
        *(
            f"| `{name}` | {part.at:%d %b %H:%M} | {', '.join(who.partition('@')[0] for who in part.who)} "
            f"| {part.why} |"
            for name, part in samples.story(contents.root()).items()
        ),
        "",
        "## What a query reads",
        "",
        "By a model of a workspace with 10 million rows in 90 days, `irmexport sentinel check --cost` counts",
        "the rows that a query reads and those that its first joins and aggregations take. The cheapest way",
        "reads each table once, for no longer than the query needs, and joins only the rows of the alerts'",
        "users. More than 3 times that is an error. The sizes of the tables and the share of users with an",
        "alert are assumptions, and the model says nothing of seconds.",
        "",
        "| rule or query | reads | at least | joins | at least | times the cheapest way |",
        "|---|---|---|---|---|---|",
        *(
            f"| `{Path(each.name).stem}` | {each.reads:,} | {each.reads_at_least:,} | {each.joins:,} "
            f"| {each.joins_at_least:,} | {each.times:.2f} |"
            for each in cost.of_all(loaded, [rule.artefact for rule in found])
        ),
        "",
        *_in_defender(Defender.of(loaded), found),
        *(_mutants(json.loads(MUTANTS.read_text(encoding="utf-8"))) if MUTANTS.exists() else ()),
        "## Next to Microsoft's own solution",
        "",
        "The situations of Microsoft's solution `MicrosoftPurviewInsiderRiskManagement` 3.0.6",
        "(<https://github.com/Azure/Azure-Sentinel/tree/master/Solutions/MicrosoftPurviewInsiderRiskManagement>).",
        "",
        "| its rule or query | here | shown by |",
        "|---|---|---|",
        *(
            f"| {theirs} | {ours} | {', '.join(f'`tests/sentinel/{fixture}.yaml`' for fixture in fixtures)} |"
            for theirs, ours, *fixtures in COUNTERPARTS
        ),
        "",
        "## Workbooks",
        "",
        "| workbook | shows | parts |",
        "|---|---|---|",
        *(
            f"| `{book.name}`: {book.title} | {book.about} | {'; '.join(book.queries)} |"
            for book in workbooks.load()
        ),
        "",
        "The pictures are irmexport's own drawing of the workbooks' files on synthetic rows, with one tab",
        "below the other; Azure's renderer was not run.",
        *(f"\n![{book.title}](pictures/workbook-{book.name}-1280.png)" for book in workbooks.load()),
        "",
        f"In a window 390 pixels wide: {', '.join(narrow)}.",
        "",
        "## Functions",
        "",
        "| function | returns |",
        "|---|---|",
        *(f"| `{each.name}({each.signature})` | {each.summary} |" for each in loaded.functions),
    ]
    return "\n".join(parts) + "\n"


#: The test of each published limit: the end of its path, and its name.
LIMIT_TESTS = {
    "custom indicators": "profile/test_published_limits.py::test_a_profile_may_need_ten_indicators",
    "indicator fields": "profile/test_published_limits.py::test_an_indicator_has_twenty_fields",
    "custom triggers": "profile/test_published_limits.py::test_a_days_rows",
    "HR signals": "profile/test_published_limits.py::test_a_days_rows",
    "triggers": "profile/test_published_limits.py::test_a_days_rows",
    "look-back": "shaping/test_row_counts.py::test_rows_before_the_look_back_are_counted",
    "users": "profile/test_published_limits.py::test_the_templates_that_people_come_into_scope_of",
    "rows: insider-risk-indicators": "profile/test_scenarios.py::test_the_limits_follow_the_kind",
    "rows: hr": "intake/test_scenarios.py::test_more_rows_than_a_file_may_have_make_two_batches",
    "Remarks": "intake/test_scenarios.py::test_a_row_that_does_not_fit_its_scenario_is_refused",
    "Rating": "intake/test_scenarios.py::test_a_row_that_does_not_fit_its_scenario_is_refused",
    "Employee profile": "profile/test_published_limits.py::test_employee_profiles_that_lapse",
}
_BEGIN, _END = "<!-- Generated by `make docs`. -->\n", "<!-- The end of what is generated. -->\n"


def connectors() -> str:
    """docs/connectors.md: its text as it is, with the table of published limits."""
    text = (HERE / "connectors.md").read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    rows = ["| limit | at most | checked by | test | from |", "|---|---|---|---|---|"]
    for limit in LIMITS.values():
        test = LIMIT_TESTS.get(limit.name.partition(": ")[0], LIMIT_TESTS.get(limit.name, ""))
        named = f"`{test}`" if test else ""
        source = f"[page]({limit.source}), {limit.read}"
        rows.append(f"| {limit.what} | {limit.most:,} | {limit.checked} | {named} | {source} |")
    return before + _BEGIN + "\n".join(["", *rows, "", ""]) + _END + rest.partition(_END)[2]


PAGES = {"commands.md": commands, "connectors.md": connectors, "content.md": content, "profile.md": profile}

if __name__ == "__main__":
    for page, made in PAGES.items():
        (HERE / page).write_text(made(), encoding="utf-8")
