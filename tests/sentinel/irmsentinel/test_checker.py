"""The checker finds what it is there to find: literal artefacts and the findings they must give."""

import shutil
import sys
from pathlib import Path

import pytest
from irmcore.errors import ConfigurationError, DataError
from irmsentinel import checker, content

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


def content_with(tmp_path: Path, text: str) -> content.Content:
    """The tables and the checker of the project, and one artefact."""
    for part in ("tables", "checker"):
        shutil.copytree(content.root() / part, tmp_path / part)
    (tmp_path / "parsers").mkdir()
    (tmp_path / "parsers" / "Bad.kql").write_text(text, encoding="utf-8")
    return content.load(tmp_path)


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD.keys())
def test_a_finding_has_file_line_and_column(
    tmp_path: Path, text: str, expected: list[tuple[str, str, str]]
) -> None:
    """Each is found where it is."""
    found = checker.check(content_with(tmp_path, text), NODE, MODULES)
    for place, code, part in expected:
        assert any(
            str(finding).startswith(f"{tmp_path}/parsers/Bad.kql:{place}: {code} ")
            and part in finding.message
            for finding in found
        ), found


def test_the_content_has_nothing_to_find() -> None:
    """`make kql`, as a test."""
    assert [str(finding) for finding in checker.check(content.load(), NODE, MODULES)] == []


def test_a_missing_parser_says_how_to_get_it(tmp_path: Path) -> None:
    """Rather than a failure of Node."""
    with pytest.raises(ConfigurationError, match="make kql"):
        checker.check(content.load(), NODE, tmp_path)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("SigninLogs", ":1", "does not say"),
        ("// Something.\nSigninLogs", ":1", "returns"),
        ("// Something.\n//\n// retruns: A:string\nSigninLogs", ":3", "Did you mean `returns`"),
    ],
)
def test_a_header_that_is_none_is_refused(tmp_path: Path, text: str, where: str, what: str) -> None:
    """With file, line and the nearest right field."""
    with pytest.raises(DataError, match=what) as refused:
        content_with(tmp_path, text)
    assert str(refused.value.where).endswith(f"Bad.kql{where}")
