"""The overview dashboard: valid for Splunk's own packages, and it reads only fields that the app logs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator

import bundle
from tests.fakes.splunkd_input import Input
from tests.needs import find_python
from tests.splunk_app.conftest import COLUMNS, Searches

ROOT = Path(__file__).parent.parent.parent
VIEWS = ROOT / "splunk_app" / "default" / "data" / "ui" / "views"
#: Commands, functions and keywords of SPL.
SPL = {
    *("as", "by", "or", "and", "not", "in", "where", "eval", "fields", "fillnull", "sort", "stats", "value"),
    *("timechart", "count", "sum", "latest", "perc50", "perc95", "if", "isnull", "strftime", "values", "max"),
    *("null", "coalesce"),
}
#: The fields of every event in Splunk.
SPLUNK_FIELDS = {"_time", "host", "index", "sourcetype"}


def definition() -> dict[str, Any]:
    """The definition in the view."""
    root = ElementTree.parse(VIEWS / "overview.xml").getroot()  # noqa: S314 - the app's own
    assert (root.tag, root.get("version")) == ("dashboard", "2")
    found: dict[str, Any] = json.loads(root.findtext("definition", ""))
    return found


def queries(found: dict[str, Any]) -> dict[str, str]:
    """Every search of the dashboard: data sources and drill-downs."""
    found_queries = {name: source["options"]["query"] for name, source in found["dataSources"].items()}
    for name, shown in found["visualizations"].items():
        for handler in shown.get("eventHandlers", ()):
            if "query" in handler["options"]:
                found_queries[f"{name} drill-down"] = handler["options"]["query"]
    return found_queries


def fields_of(query: str) -> set[str]:
    """The fields that a search reads and does not create itself."""
    query = re.sub(r"\$[\w.|]+\$", "x", query)
    values = re.sub(r'"[^"]*"', " ", query)
    values = re.sub(r"\bIN \([^)]*\)", " ", values)
    values = re.sub(r"=\s*[\w*]+", " ", values)
    made = set(re.findall(r"\bAS (\w+)", values))
    for assignments in re.findall(r"\beval ([^|]*)", query):
        made |= set(re.findall(r"(?:^|, )(\w+)=", assignments))
    names = set(re.findall(r"[A-Za-z_][\w.]*", values))
    return {name for name in names if name.lower() not in SPL} - made


def errors(definition: dict[str, Any]) -> list[str]:
    """The errors that Splunk's packages find in a definition."""
    node = Path(sys.executable).with_name("node")
    command = [str(node), str(Path(__file__).with_name("dashboard.cjs"))]
    ran = subprocess.run(
        command,
        input=json.dumps(definition),
        env={"NODE_PATH": str(bundle.packages())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_splunks_own_packages_find_no_error() -> None:
    """Both @splunk/dashboard-definition and @splunk/visualization-schemas accept it with every option."""
    assert errors(definition()) == []


def test_an_invalid_definition_is_found() -> None:
    """A mistyped option, an unknown visualization and a search without a type are errors."""
    broken = definition()
    broken["visualizations"]["viz_sent"]["options"]["majorValeu"] = "1"
    broken["visualizations"]["viz_rows"]["type"] = "splunk.colum"
    del broken["dataSources"]["ds_sent"]["type"]
    found = errors(broken)
    for part in ("majorValeu", "splunk.colum", "ds_sent"):
        assert any(part in line for line in found), part


def test_every_reference_of_the_dashboard_resolves() -> None:
    """Each data source is used, panels do not overlap, and each link leads to a view."""
    found = definition()
    parts = {**found["visualizations"], **found["inputs"]}
    sources = {name for part in parts.values() for name in part.get("dataSources", {}).values()}
    assert sources == set(found["dataSources"])
    assert {item["item"] for item in found["layout"]["structure"]} == set(found["visualizations"])
    taken: set[tuple[int, int]] = set()
    for item in found["layout"]["structure"]:
        x, y, width, height = (item["position"][key] for key in "xywh")
        cells = {(a, b) for a in range(x, x + width, 20) for b in range(y, y + height, 20)}
        assert not cells & taken, item["item"]
        assert x + width <= found["layout"]["options"]["width"]
        taken |= cells
    assert set(found["layout"]["globalInputs"]) == set(found["inputs"])
    handlers = [handler for part in parts.values() for handler in part.get("eventHandlers", ())]
    links = [handler["options"]["url"] for handler in handlers if "url" in handler["options"]]
    assert links
    for link in links:
        assert (VIEWS / f"{link.removeprefix('/app/irmexport/')}.xml").exists()
    tokens = {token for query in queries(found).values() for token in re.findall(r"\$(\w+)", query)}
    assert tokens <= {"connector", "row"}


@pytest.fixture
def logged(on_3_13: Searches, emulator: PurviewEmulator) -> set[str]:
    """Every field of a log that has all events of the dashboard."""
    python = find_python("3.13")
    assert python is not None
    head = ",".join(COLUMNS).encode() + b"\n"
    rows = b"sarad@contoso.com,2023-04-24T05:52:56Z,9,M1\nbradh,2023-04-24T05:52:57Z,3,M1\n"
    args = ("profile=leavers", "wait=60", "output=summary")
    with Input(python, on_3_13.home, on_3_13.splunkd):
        on_3_13.run(head + rows, args=args)
    emulator.faults.next(Fault(reset_after_last_byte=True))
    with Input(python, on_3_13.home, on_3_13.splunkd):
        on_3_13.run(head + rows.replace(b"sarad", b"carol"), args=args)
    found: set[str] = set()
    events: set[str] = set()
    for line in on_3_13.home.log.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        events.add(event["event"])
        found |= set(event) | {f"counts.{name}" for name in event.get("counts", ())}
    assert {"queued", "refused", "sent", "hold", "status"} <= events
    return found


@pytest.mark.needs("python3.13")
def test_the_app_logs_each_field_of_a_search(logged: set[str]) -> None:
    """With KV_MODE = json the keys of a log line are fields; those of an inner object have a dotted name."""
    for name, query in queries(definition()).items():
        fields = fields_of(query)
        assert fields, name
        assert fields - SPLUNK_FIELDS <= logged, name


def test_the_fields_that_a_search_reads_are_found() -> None:
    """Created fields, values and keywords do not count."""
    query = 'index=_internal event IN (a, b) name="x y" | stats sum(counts.read) AS n BY host who | where n>0'
    assert fields_of(query) == {"index", "event", "name", "counts.read", "host", "who"}
