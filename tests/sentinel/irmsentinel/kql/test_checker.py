"""The checker reports every kind of problem: literal artefacts and the findings that they must give."""

import shutil
import sys
import uuid
from pathlib import Path

import pytest
from irmcore.errors import ConfigurationError, DataError
from irmsentinel.content import artefacts as content
from irmsentinel.content import catalogue, samples, tables
from irmsentinel.kql import bindings, checker
from irmsentinel.kql.findings import Finding

NODE = Path(sys.executable).with_name("node")
MODULES = Path(sys.prefix) / "kql"
HEAD = "// Something.\n//\n// parameters: starttime:datetime\n// returns: TimeGenerated:datetime\n"

#: name → artefact, and the line:column, code and part of the message of each finding.
BAD = {
    "a stray semicolon": (
        HEAD + "SigninLogs;\n| project TimeGenerated",
        [("6:1", "KS198", "")],
    ),
    "an unknown column inside a function's body": (
        HEAD + "SigninLogs\n| where Nope > 1\n| project TimeGenerated",
        [("6:9", "KS142", "Nope")],
    ),
    "an unknown column of a required table": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | where Nope > 1 | project TimeGenerated",
        [("6:20", "KS142", "Nope")],
    ),
    "a comparison across types": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | where ResultType == 0 | project TimeGenerated",
        [("6:34", "XT1", "string with long")],
    ),
    "a list across types": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | where DurationMs in ('1') | project TimeGenerated",
        [("6:35", "XT1", "long with string")],
    ),
    "a column that `returns` does not promise": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | project When = TimeGenerated",
        [("5:1", "OC1", "promises TimeGenerated:datetime; the query gives When:datetime")],
    ),
    "a type that `returns` does not promise": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | project TimeGenerated = tostring(TimeGenerated)",
        [("5:1", "OC1", "TimeGenerated:string")],
    ),
    "a table that may be missing": (
        HEAD + "SigninLogs | project TimeGenerated",
        [("5:1", "KS204", "`needs`")],
    ),
    "a join without a kind": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | join (SigninLogs | project UserId) on UserId | project TimeGenerated",
        [("6:14", "HR1", "innerunique")],
    ),
    "a join with hints but no kind": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | join hint.strategy=broadcast (SigninLogs | project UserId) on UserId"
        " | project TimeGenerated",
        [("6:14", "HR1", "innerunique")],
    ),
    "isnull of a string": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | where isnull(UserId) | project TimeGenerated",
        [("6:20", "HR2", "isempty")],
    ),
    "the other inequality operator": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | where ResultType <> 0 | project TimeGenerated",
        [("6:34", "XT1", "string with long")],
    ),
    "a dynamic list across types": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "let codes = dynamic([0, 1]);\nSigninLogs | where ResultType in (codes) | project TimeGenerated",
        [("7:35", "XT1", "string with long")],
    ),
    "a column across types": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | where ResultType in ((SigninLogs | project DurationMs)) | project TimeGenerated",
        [("6:35", "XT1", "string with long")],
    ),
    "an argument of the wrong type": (
        HEAD + "let f = (when:datetime) { print TimeGenerated = when };\nf('yesterday')",
        [("6:3", "XT2", "takes datetime as when, not string")],
    ),
    "a named argument of the wrong type": (
        HEAD + "let f = (when:datetime) { print TimeGenerated = when };\nf(when=1d)",
        [("6:3", "XT2", "takes datetime as when, not timespan")],
    ),
    "an unknown table in `needs`": (
        HEAD.replace("returns", "needs: SigninLog\n// returns") + "print TimeGenerated = starttime",
        [("4:1", "HR8", "did you mean SigninLogs?")],
    ),
    "a comparison with an empty string": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + 'SigninLogs | where UserId == "" | project TimeGenerated',
        [("6:27", "HR6", "isempty")],
    ),
    "an allowance that nothing needs": (
        HEAD.replace("returns", "needs: SigninLogs\n// allows: HR1, once\n// returns")
        + "SigninLogs | project TimeGenerated",
        [("5:1", "HR9", "HR1")],
    ),
}


GOOD = {
    "a join with a hint and a kind": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | join hint.strategy=broadcast kind=inner (SigninLogs | project UserId) on UserId"
        " | project TimeGenerated"
    ),
    "a union leg of a missing table, with types": (
        HEAD.replace("TimeGenerated:datetime", "TimeGenerated:datetime, UserId:string")
        + "union isfuzzy=true (datatable(TimeGenerated:datetime, UserId:string)[]),"
        " (SigninLogs | project TimeGenerated, UserId)"
    ),
    "a list, an argument and a number of matching types": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | where ResultType in (dynamic(['0'])) and DurationMs <> 1.5"
        " and TimeGenerated > starttime | project TimeGenerated"
    ),
    "a default with a comma": (
        '// Something.\n//\n// parameters: names:dynamic=dynamic(["a,b","c"]), other:string=\'x,y\'\n'
        "// returns: Names:dynamic\nprint Names = names"
    ),
}


def content_with(folder: Path, texts: list[str]) -> content.Content:
    """The project's tables and checker, and these artefacts: Case0, Case1, …"""
    for part in ("tables", "checker"):
        shutil.copytree(content.root() / part, folder / part)
    (folder / "parsers").mkdir()
    for number, text in enumerate(texts):
        (folder / "parsers" / f"Case{number}.kql").write_text(text, encoding="utf-8")
    return content.load(folder)


NAMES = [*BAD, *GOOD]


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> content.Content:
    """Every example, bad or good."""
    texts = [*(text for text, _ in BAD.values()), *GOOD.values()]
    return content_with(tmp_path_factory.mktemp("content"), texts)


@pytest.fixture(scope="module")
def found(examples: content.Content) -> dict[str, list[str]]:
    """Position, code and message of each finding, by example."""
    return by_example(checker.check(examples, NODE, MODULES))


def by_example(findings: list[Finding]) -> dict[str, list[str]]:
    """Position, code and message of each finding, by example."""
    by_name: dict[str, list[str]] = {name: [] for name in NAMES}
    for finding in findings:
        file, _, rest = str(finding).partition(":")
        by_name[NAMES[int(Path(file).stem.removeprefix("Case"))]].append(rest)
    return by_name


@pytest.mark.parametrize("name", BAD)
def test_a_finding_has_file_line_and_column(found: dict[str, list[str]], name: str) -> None:
    """The checker reports each problem at its position."""
    for place, code, part in BAD[name][1]:
        assert any(finding.startswith(f"{place}: {code} ") and part in finding for finding in found[name]), (
            found[name]
        )


@pytest.mark.parametrize("name", GOOD)
def test_correct_kql_has_no_findings(found: dict[str, list[str]], name: str) -> None:
    """The checker reports nothing in correct KQL."""
    assert found[name] == []


def test_a_finding_is_reported_once(found: dict[str, list[str]]) -> None:
    """An unknown column is an error in every workspace. The report has it once, without advice on `needs`."""
    (finding,) = found["an unknown column of a required table"]
    assert "`needs`" not in finding


def test_a_subset_has_the_findings_of_the_whole(
    examples: content.Content, found: dict[str, list[str]]
) -> None:
    """Checking some artefacts reports what a full check reports for them, and nothing about others."""
    chosen = examples.artefacts[::3]
    some = by_example(checker.check(examples, NODE, MODULES, only=chosen))
    names = {NAMES[int(artefact.name.removeprefix("Case"))] for artefact in chosen}
    assert some == {name: found[name] if name in names else [] for name in NAMES}
    assert any(some.values())


def test_each_query_is_checked_with_only_the_tables_it_needs(tmp_path: Path) -> None:
    """A table that another query needs does not count."""
    texts = [
        HEAD.replace("returns", f"needs: {table}\n// returns") + "SigninLogs | project TimeGenerated"
        for table in ("AuditLogs", "SigninLogs")
    ]
    (finding,) = checker.check(content_with(tmp_path, texts), NODE, MODULES)
    assert (Path(finding.path).name, finding.code) == ("Case0.kql", "KS204")


@pytest.mark.timeout(400)  # the whole content, perhaps on a busy machine
def test_the_content_has_no_findings() -> None:
    """`make kql` passes."""
    assert [str(finding) for finding in checker.check(catalogue.load(), NODE, MODULES)] == []


def test_a_file_has_its_artefacts() -> None:
    """A workbook has several artefacts, a file of any other kind one."""
    loaded, root = catalogue.load(), content.root()
    for name in (
        "parsers/IRMAuditGeneralRecords.kql",
        "parsers/local_overrides/IRMAuditGeneralRecords.kql",
        "aggregations/okta.yaml",
        "summary_rules/web-proxy.yaml",
        "hunting/IRMRepeatedDismissals.yaml",
    ):
        (artefact,) = catalogue.in_file(loaded, root / name)
        assert artefact.path == root / name
    assert len(catalogue.in_file(loaded, root / "workbooks" / "IRMAlerts.json")) > 1
    assert catalogue.in_file(loaded, root / "parsers" / "Missing.kql") == []


def test_a_missing_parser_says_how_to_get_it(tmp_path: Path) -> None:
    """The message names `make kql`; Node does not run."""
    with pytest.raises(ConfigurationError, match="make kql"):
        checker.check(content.load(), NODE, tmp_path)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("SigninLogs", ":1", "no description"),
        ("// Something.\nSigninLogs", ":1", "returns"),
        ("// Something.\n//\n// parameters: id:guid\n// returns: A:guid\nprint A = id", ":3", "id:guid"),
        ("// Something.\n//\n// parameters: when:date\n// returns: A:string\nprint A = ''", ":3", "datetime"),
        ("// Something.\n//\n// retruns: A:string\nSigninLogs", ":3", "Did you mean `returns`"),
    ],
)
def test_a_malformed_header_is_rejected(tmp_path: Path, text: str, where: str, what: str) -> None:
    """The error has file, line and the nearest valid field."""
    with pytest.raises(DataError, match=what) as refused:
        content_with(tmp_path, [text])
    assert str(refused.value.where).endswith(f"Case0.kql{where}")


def test_only_what_a_query_names_is_bound() -> None:
    """Most of the parser's time goes into tables and functions: a workspace has none that nothing names."""
    loaded = catalogue.load()
    chosen = [loaded.named("IRMLabelDowngradeBeforeAlert")]
    known = tables.load(loaded.root / "tables")
    made = bindings.workspaces(loaded, known, chosen)
    assert [text.workspace for text in bindings.bindings(loaded, known, chosen)] == ["our shape", "only "]
    assert [table["name"] for table in made["our shape"]["tables"]] == [
        "MicrosoftPurviewInformationProtection"
    ]
    assert [function["name"] for function in made["our shape"]["functions"]] == [
        "IRMActivities",
        "IRMDistinctAlerts",
    ]


def test_a_query_is_bound_against_each_shape_of_a_table_that_it_names() -> None:
    """The table of audit records has three, and one of them is wrong in most queries that name a column."""
    loaded = catalogue.load()
    chosen = [loaded.named("IRMAuditGeneralRecords")]
    texts = bindings.bindings(loaded, tables.load(loaded.root / "tables"), chosen)
    assert [text.workspace for text in texts] == ["classic", "migrated", "our shape", "only "]


def test_a_copy_of_a_neighbour_is_checked_and_has_a_part_in_the_story(tmp_path: Path) -> None:
    """A new hunting query is a copied file with an id and a name of its own: nothing else lists it."""
    top = tmp_path / "sentinel"
    shutil.copytree(content.root(), top, ignore=shutil.ignore_patterns("irmsentinel", "story"))
    neighbour = (top / "hunting" / "IRMPrintingAroundAlert.yaml").read_text(encoding="utf-8")
    id_line = neighbour.partition("\n")[0]
    copy = neighbour.replace(id_line, f"id: {uuid.UUID(int=9)}").replace("name: IRM -", "name: Copied -")
    (top / "hunting" / "IRMCopied.yaml").write_text(copy, encoding="utf-8")
    loaded = catalogue.load(top)
    assert checker.check(loaded, NODE, MODULES, only=[loaded.named("IRMCopied")]) == []
    told = samples.story(top)
    assert told["IRMCopied"] == told["IRMPrintingAroundAlert"]
