"""docs/splunk.md matches the app: messages, options, parameters, searches."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from irmsplunk.search.alert_payload import PARAMS
from irmsplunk.search.getinfo import OPTIONS
from irmsplunk.search.search_job import DEFAULT_MAX_RESULTS

from tests.splunk_app.test_content import DAILY, SEARCHES, activities
from tests.splunk_app.test_settings import APP, GLUE, ROOT, conf

PAGE = (ROOT / "docs" / "splunk.md").read_text(encoding="utf-8")
MESSAGES = re.findall(
    r"^\| `([^`]+)` \|", PAGE.split("## When something is wrong", 1)[1].split("\n## ", 1)[0], re.MULTILINE
)


def texts(folder: Path) -> list[str]:
    """Every string of the code, with … for what is formatted in."""
    found = []
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(p.value) if isinstance(p, ast.Constant) else "…" for p in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


TEXTS = [*texts(GLUE), *texts(ROOT / "common" / "irmcore")]


def in_code(message: str) -> bool:
    """Whether a string of the code contains the message."""
    wanted = re.compile(".*".join(map(re.escape, message.split("…"))), re.DOTALL)
    return any(wanted.search(text) for text in TEXTS)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_table_is_one_of_the_code(message: str) -> None:
    """Each message that the page explains is in the code."""
    assert in_code(message)


def test_a_message_that_is_not_in_the_code_is_found() -> None:
    """The table has entries, and a wrong one would fail."""
    assert len(MESSAGES) > 15
    assert not in_code("the flux capacitor is empty")


def test_every_option_is_in_the_page_and_in_splunks_help() -> None:
    """docs/splunk.md, searchbnf.conf and the command have the same options."""
    help_of = conf(APP / "default" / "searchbnf.conf")["irmexport-command"]
    section = PAGE.split("## Send", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^\| `(\w+)=", section, re.MULTILINE)) == set(OPTIONS)
    assert set(re.findall(r"(\w+)=", help_of["syntax"].replace('"<header>=<field>', ""))) == set(OPTIONS)
    for example in (help_of["example1"], help_of["example2"], help_of["example3"]):
        used = set(re.findall(r" (\w+)=", re.sub(r'"[^"]*"', "", example)))
        assert used
        assert used <= set(OPTIONS)


def test_every_parameter_of_the_alert_action_is_in_the_page() -> None:
    """The table of parameters lists those of the action."""
    section = PAGE.split("## Alerts and Enterprise Security", 1)[1].split("\n## ", 1)[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == PARAMS
    assert f"{DEFAULT_MAX_RESULTS:,}" in section


def test_every_search_is_in_the_page_with_its_activities() -> None:
    """The table lists the daily searches with activities, delay and connector; the text names the others."""
    section = PAGE.split("## Included searches", 1)[1].split("\n## ", 1)[0]
    row = r"^\| ([A-Z][\w ]+) \| [^|]+ \| ([\w, ]+) \| (\d) \| `([\w-]+)` \|$"
    named = {
        name: (set(kinds.split(", ")), *rest) for name, kinds, *rest in re.findall(row, section, re.MULTILINE)
    }
    assert named == {
        name.rpartition(" - ")[2]: (
            activities(name),
            (re.findall(r"-(\d)d", stanza["dispatch.latest_time"]) or ["0"])[0],
            stanza["action.irmexport.param.profile"],
        )
        for name, stanza in DAILY.items()
    }
    text = " ".join(section.split())
    for name in SEARCHES.keys() - DAILY.keys():
        assert name.rpartition(" - ")[2] in text


VERIFY = (ROOT / "docs" / "splunk-verify.md").read_text(encoding="utf-8")


def test_the_checks_for_a_real_splunk_name_what_exists() -> None:
    """Endpoints, settings, log events, reply keys and messages that the page expects are the app's."""
    endpoints = {stanza.get("match") for stanza in conf(APP / "default" / "restmap.conf").values()}
    assert {f"/{name}" for name in re.findall(r"services/(\w+)", VERIFY)} <= endpoints
    assert set(re.findall(r"/conf-(\w+)", VERIFY)) == {path.stem.partition(".")[0] for path in OWN_SPECS}
    assert set(re.findall(r"event=(\w+)", VERIFY)) <= set(TEXTS)
    for key in re.findall(r'`"(\w+)":', VERIFY):
        assert key in TEXTS, key
    for message in ("the client secret was saved for another destination", "sent: the connector accepted"):
        assert message in " ".join(VERIFY.split())
        assert in_code(message)
    inputs = conf(APP / "default" / "inputs.conf")
    assert "`disabled = 0`" in VERIFY
    assert inputs["irmexport://main"]["disabled"] == "0"


OWN_SPECS = list((APP / "README").glob("irmexport_*.conf.spec"))
