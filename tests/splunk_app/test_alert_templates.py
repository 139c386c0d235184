"""The alert templates search for what the app logs: they are run on a log of the built app."""

from __future__ import annotations

import ast
import json
import re

import pytest
from irmcore.delivery.replies import Action
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator

from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_input import Input
from tests.needs import find_python
from tests.splunk_app import spl
from tests.splunk_app.conftest import Searches
from tests.splunk_app.test_command import HEADER, ROW
from tests.splunk_app.test_content import SEARCHES
from tests.splunk_app.test_settings import GLUE

TEMPLATES = {
    name: stanza["search"]
    for name, stanza in SEARCHES.items()
    if stanza["search"].startswith("index=_internal")
}
#: The fields that Splunk adds to each event.
SPLUNK_FIELDS = {"host", "_time"}
#: The functions of the app that log an event, and the position of the event's name.
WRITERS = {"write": 1, "_log": 0, "report": 2}


def filters(search: str) -> dict[str, set[str]]:
    """The fields in a template's first command, each with its values."""
    first = spl.commands(search)[0]
    found = {key: {value} for key, value in re.findall(r'(\w+)="?([\w:-]+)"?', first)}
    for key, values in re.findall(r"(\w+) IN \(([^)]*)\)", first):
        found[key] = set(re.findall(r'"([^"]+)"', values))
    assert found.pop("index") == {"_internal"}
    assert found.pop("sourcetype") == {"irmexport:log"}
    return found


def fields(search: str) -> set[str]:
    """The fields that its stats command reads: the aggregated ones and those after BY."""
    (stats,) = [command for command in spl.commands(search) if command.startswith("stats ")]
    aggregated, by = stats.split(" BY ")
    return {
        *re.findall(r"\w+\((\w+)\)", aggregated),
        *(field.strip() for field in by.split(",")),
    } - SPLUNK_FIELDS


def events_of_the_code() -> set[str]:
    """Every event that the code can log: literals, and the names of actions."""
    found = {action.value for action in Action}
    for file in GLUE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                at = WRITERS.get(name)
                if at is not None and len(node.args) > at:
                    argument = node.args[at]
                    if isinstance(argument, ast.Constant):
                        found.add(str(argument.value))
    return found


def test_the_four_templates() -> None:
    """They are: export failed, held, nothing exported for a day, sender silent. Another reads a lookup."""
    assert [name.rpartition(" - ")[2] for name in TEMPLATES] == [
        "export failed",
        "held",
        "nothing exported for a day",
        "sender silent",
    ]
    (other,) = {name for name in SEARCHES if " - alert - " in name} - set(TEMPLATES)
    assert spl.commands(SEARCHES[other]["search"])[0] == "inputlookup irmexport_identities"


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_searches_for_events_of_the_code(name: str) -> None:
    """The code can log each event that a template names."""
    assert filters(TEMPLATES[name])["event"] <= events_of_the_code()


@pytest.mark.needs("python3.13")
@pytest.mark.parametrize("python", [find_python("3.13")], ids=["3.13"])
def test_a_template_finds_its_events(
    python: str, searches: Searches, home: SplunkHome, emulator: PurviewEmulator
) -> None:
    """In a log with all of its events, each template finds some, and they have its fields."""
    emulator.faults.next(Fault(reset_after_last_byte=True))
    with Input(python, home, searches.splunkd):
        wait = ("profile=leavers", "wait=60")
        searches.run(HEADER + ROW, args=wait)
        searches.run(HEADER + ROW.replace(b"sarad", b"bradh"), args=wait)
        searches.run(HEADER + ROW, args=("profile=nothing",))
    log = [json.loads(line) for line in home.log.read_text().splitlines()]
    for name, search in TEMPLATES.items():
        wanted = filters(search)
        found = [line for line in log if all(line.get(key) in values for key, values in wanted.items())]
        assert found, name
        filled = set(re.findall(r"\w+", next((c for c in spl.commands(search) if "fillnull" in c), "")))
        for line in found:
            assert fields(search) - filled <= set(line), name


def test_filters_and_fields_of_a_template_are_found() -> None:
    """The helpers read both from a search."""
    search = (
        'index=_internal sourcetype="irmexport:log" event="x" part="y" | stats sum(rows) AS r BY host, why'
    )
    assert filters(search) == {"event": {"x"}, "part": {"y"}}
    assert fields(search) == {"rows", "why"}
