"""The checker finds what it is there to find: literal artefacts and the findings they must give."""

import shutil
import sys
from pathlib import Path

import pytest
from irmcore.errors import ConfigurationError, DataError
from irmsentinel.content import artefacts as content
from irmsentinel.content import rules, workbooks
from irmsentinel.kql import checker

NODE = Path(sys.executable).with_name("node")
MODULES = Path(sys.prefix) / "kql"
HEAD = "// Something.\n//\n// parameters: starttime:datetime\n// returns: TimeGenerated:datetime\n"

#: artefact → path:line:column and code of each finding, and a part of its text.
BAD = {
    "a stray semicolon": (
        HEAD + "SigninLogs;\n| project TimeGenerated",
        [("6:1", "KS198", "")],
    ),
    "an unknown column inside a function's body": (
        HEAD + "SigninLogs\n| where Nope > 1\n| project TimeGenerated",
        [("6:9", "KS142", "Nope")],
    ),
    "an unknown column of a table that is needed": (
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
    "another column than promised": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | project When = TimeGenerated",
        [("5:1", "OC1", "promises TimeGenerated:datetime; the query gives When:datetime")],
    ),
    "another type than promised": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | project TimeGenerated = tostring(TimeGenerated)",
        [("5:1", "OC1", "TimeGenerated:string")],
    ),
    "a table that may be missing": (
        HEAD + "SigninLogs | project TimeGenerated",
        [("5:1", "KS204", "`needs`")],
    ),
    "a join that does not say its kind": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | join (SigninLogs | project UserId) on UserId | project TimeGenerated",
        [("6:14", "HR1", "innerunique")],
    ),
    "a join with hints alone": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | join hint.strategy=broadcast (SigninLogs | project UserId) on UserId"
        " | project TimeGenerated",
        [("6:14", "HR1", "innerunique")],
    ),
    "a text asked whether it is null": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | where isnull(UserId) | project TimeGenerated",
        [("6:20", "HR2", "isempty")],
    ),
    "the other sign of being unequal": (
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
    "an argument of another type": (
        HEAD + "let f = (when:datetime) { print TimeGenerated = when };\nf('yesterday')",
        [("6:3", "XT2", "wants datetime as when, not string")],
    ),
    "a named argument of another type": (
        HEAD + "let f = (when:datetime) { print TimeGenerated = when };\nf(when=1d)",
        [("6:3", "XT2", "wants datetime as when, not timespan")],
    ),
    "a table that there is not": (
        HEAD.replace("returns", "needs: SigninLog\n// returns") + "print TimeGenerated = starttime",
        [("4:1", "HR8", "did you mean SigninLogs?")],
    ),
    "an empty text compared": (
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
    "a join with a hint and its kind": (
        HEAD.replace("returns", "needs: SigninLogs\n// returns")
        + "SigninLogs | join hint.strategy=broadcast kind=inner (SigninLogs | project UserId) on UserId"
        " | project TimeGenerated"
    ),
    "a leg of a table that is missing, with its types": (
        HEAD.replace("TimeGenerated:datetime", "TimeGenerated:datetime, UserId:string")
        + "union isfuzzy=true (datatable(TimeGenerated:datetime, UserId:string)[]),"
        " (SigninLogs | project TimeGenerated, UserId)"
    ),
    "a list, an argument and a number of the right family": (
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
    """The tables and the checker of the project, and these artefacts: Case0, Case1, …"""
    for part in ("tables", "checker"):
        shutil.copytree(content.root() / part, folder / part)
    (folder / "parsers").mkdir()
    for number, text in enumerate(texts):
        (folder / "parsers" / f"Case{number}.kql").write_text(text, encoding="utf-8")
    return content.load(folder)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What is found in each example, bad or good: place, code and message."""
    folder = tmp_path_factory.mktemp("content")
    names = [*BAD, *GOOD]
    loaded = content_with(folder, [*(text for text, _ in BAD.values()), *GOOD.values()])
    said: dict[str, list[str]] = {name: [] for name in names}
    for finding in checker.check(loaded, NODE, MODULES):
        file, _, rest = str(finding).partition(":")
        said[names[int(Path(file).stem.removeprefix("Case"))]].append(rest)
    return said


@pytest.mark.parametrize("name", BAD)
def test_a_finding_has_file_line_and_column(found: dict[str, list[str]], name: str) -> None:
    """Each is found where it is."""
    for place, code, part in BAD[name][1]:
        assert any(said.startswith(f"{place}: {code} ") and part in said for said in found[name]), found[name]


@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_is_passed(found: dict[str, list[str]], name: str) -> None:
    """Nothing is found where nothing is wrong."""
    assert found[name] == []


def test_a_finding_is_said_once(found: dict[str, list[str]]) -> None:
    """An unknown column is found in every workspace, and printed once, without the bare one's advice."""
    (finding,) = found["an unknown column of a table that is needed"]
    assert "`needs`" not in finding


def test_each_query_is_tried_in_a_workspace_of_what_it_needs_alone(tmp_path: Path) -> None:
    """What another query needs is no help."""
    texts = [
        HEAD.replace("returns", f"needs: {table}\n// returns") + "SigninLogs | project TimeGenerated"
        for table in ("AuditLogs", "SigninLogs")
    ]
    (finding,) = checker.check(content_with(tmp_path, texts), NODE, MODULES)
    assert (Path(finding.path).name, finding.code) == ("Case0.kql", "KS204")


@pytest.mark.timeout(400)  # all of the content: a busy machine takes its time
def test_the_content_has_nothing_to_find() -> None:
    """`make kql`, as a test."""
    loaded = workbooks.with_queries(rules.with_rules(content.load()))
    assert [str(finding) for finding in checker.check(loaded, NODE, MODULES)] == []


def test_a_missing_parser_says_how_to_get_it(tmp_path: Path) -> None:
    """Rather than a failure of Node."""
    with pytest.raises(ConfigurationError, match="make kql"):
        checker.check(content.load(), NODE, tmp_path)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("SigninLogs", ":1", "does not say"),
        ("// Something.\nSigninLogs", ":1", "returns"),
        ("// Something.\n//\n// parameters: id:guid\n// returns: A:guid\nprint A = id", ":3", "id:guid"),
        ("// Something.\n//\n// parameters: when:date\n// returns: A:string\nprint A = ''", ":3", "datetime"),
        ("// Something.\n//\n// retruns: A:string\nSigninLogs", ":3", "Did you mean `returns`"),
    ],
)
def test_a_header_that_is_none_is_refused(tmp_path: Path, text: str, where: str, what: str) -> None:
    """With file, line and the nearest right field."""
    with pytest.raises(DataError, match=what) as refused:
        content_with(tmp_path, [text])
    assert str(refused.value.where).endswith(f"Case0.kql{where}")
