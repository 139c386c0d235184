"""Draws the overview dashboard with Splunk's own dashboard framework, for docs/pictures.

The view is the app's; its searches are replaced by synthetic results with the fields that they return. The
packages are large (540 MB) and only needed here, so they have a lock of their own and no test needs them.
`make pictures` runs this.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, expect, sync_playwright

import bundle
from tests.splunk_app.test_dashboard import definition

HERE = Path(__file__).parent
ORIGIN = "http://localhost"
PAGE = """<!doctype html><title>Overview</title><script>
$C = {LOCALE: 'en-US', SPLUNKD_PATH: '/splunkd/__raw', MRSPARKLE_ROOT_PATH: '', SERVER_ZONEINFO:
'### SERIALIZED TIMEZONE FORMAT 1.0;Y0 N 55 54 43;Y0 N 55 54 43;@-2147483648 0;'};
</script>"""
_DAYS = [f"2026-11-{day:02}T00:00:00.000+00:00" for day in range(20, 30)]
_STATUS = "host connector mode reason queued rows_queued oldest_seconds held rows_held others"
_SEARCHES = "connector search runs read shaped refused skipped sent"
SENDER = "queued, sender not running"
_REPLIES = "connector event code count last rows status"

#: The results of each search by its data source: the fields, then the rows.
RESULTS: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "ds_connectors": ("connector", [("daily-activities",), ("leavers",)]),
    "ds_totals": ("sent refused spread skipped", [(42_935, 37, 112, 960)]),
    "ds_sent": (
        "_time daily-activities leavers",
        [(day, 4000 + 97 * at % 700, 20 + 31 * at % 40) for at, day in enumerate(_DAYS)],
    ),
    "ds_latency": ("_time median p95", [(day, 4, 7 + 5 * at % 9) for at, day in enumerate(_DAYS)]),
    "ds_status": (_STATUS, [("sh1", "leavers", "open", "", 0, 0, 0, 1, 24, 0)]),
    "ds_senders": ("host connector since problem", [("sh2", "leavers", "2026-11-29 06:00:11", SENDER)]),
    "ds_reasons": (
        "reason column connector rows",
        [
            ("upn-without-domain", "UserPrincipalName", "leavers", 29),
            ("user-ambiguous", "UserPrincipalName", "leavers", 8),
        ],
    ),
    "ds_searches": (
        _SEARCHES,
        [
            ("daily-activities", "irmexport - daily - Box", 10, 43_411, 43_411, 0, 960, 42_451),
            ("leavers", "(ad hoc)", 3, 545, 508, 37, 0, 484),
        ],
    ),
    "ds_replies": (_REPLIES, [("leavers", "hold", "reset-after-commit", 1, "2026-11-29 10:12:41", 24, "")]),
}


def with_results(dashboard: dict[str, Any]) -> dict[str, Any]:
    """The definition with literal results in place of its searches."""
    for name, source in dashboard["dataSources"].items():
        fields, rows = RESULTS[name]
        columns = [[str(cell) for cell in column] for column in zip(*rows, strict=True)]
        source["type"] = "ds.test"
        source["options"] = {"data": {"fields": [{"name": f} for f in fields.split()], "columns": columns}}
    return dashboard


def draw(page: Page, script: str, width: int, into: Path) -> None:
    """Take the picture once every panel shows its results."""
    page.set_viewport_size({"width": width, "height": 1540})

    def answer(route: Route) -> None:
        if route.request.url == f"{ORIGIN}/":
            route.fulfill(content_type="text/html", body=PAGE)
        else:
            route.fulfill(json={"entry": [{"name": "", "content": {"capabilities": []}}]})

    page.route("**/*", answer)
    page.goto(f"{ORIGIN}/")
    page.evaluate("definition => { window.DEFINITION = definition; }", with_results(definition()))
    page.evaluate(script)
    expect(page.get_by_text("Last 24 hours").first).to_be_visible(timeout=60_000)
    expect(page.locator(".highcharts-series-group")).to_have_count(2, timeout=60_000)
    expect(page.get_by_text("reset-after-commit")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("42,935")).to_be_visible(timeout=60_000)
    page.screenshot(path=into / f"overview-{width}.png")


def main() -> None:
    """Write overview-1280.png and overview-390.png into the folder that is the only argument."""
    modules = bundle.packages(HERE)
    with tempfile.TemporaryDirectory() as temporary:
        bundle.esbuild(modules, "overview=overview.jsx", Path(temporary), "--define:global=window", cwd=HERE)
        script = (Path(temporary) / "overview.js").read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for width in (1280, 390):
            draw(browser.new_page(locale="en-US", timezone_id="UTC"), script, width, Path(sys.argv[1]))
        browser.close()


if __name__ == "__main__":
    main()
