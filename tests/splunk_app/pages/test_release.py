"""Release by a second person on the page Queue."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.fakes.splunk_web import SplunkWeb
from tests.fakes.splunkd_rest import SplunkdRest
from tests.splunk_app.conftest import Searches
from tests.splunk_app.pages.conftest import Open
from tests.splunk_app.pages.test_pages import announced
from tests.splunk_app.test_command import OTHER, ROW
from tests.splunk_app.test_second_person import propose

pytestmark = [pytest.mark.needs("chromium", "python3.13"), pytest.mark.timeout(180)]

RELEASER = ("irmexport_releaser",)


def test_a_second_person_decides_about_proposed_batches(
    visit: Open, web: SplunkWeb, on_3_13: Searches, splunkd: SplunkdRest, axe: Callable[[Any], list[str]]
) -> None:
    """Without the capability, the state is shown; to the proposer, why somebody else must release it."""
    propose(web.handler, on_3_13, ROW, OTHER)
    released, rejected = (batch.name[:12] for batch in on_3_13.batches())
    splunkd.sign_in("second-session", "eve", "irmexport_release", roles=RELEASER)
    splunkd.sign_in("own-session", "ana", "irmexport_release", "irmexport_configure", roles=RELEASER)

    page = visit("queue")
    section = page.get_by_role("region", name="Waits for release")
    expect(section.get_by_role("row").filter(has_text=released)).to_contain_text("ana")
    expect(page.get_by_text("2 batches (2 rows) wait for release.")).to_be_visible()
    expect(section.get_by_role("button")).to_have_count(0)
    expect(section).not_to_contain_text("somebody else")

    visit("queue", "own-session")
    expect(section).to_contain_text(f"batch {released} was proposed by ana, and must be released by somebody")
    expect(section).to_contain_text("to use “Release” on the page Queue.")
    expect(section.get_by_role("button", name="Reject")).to_have_count(2)
    expect(section.get_by_role("button", name="Release")).to_have_count(0)

    visit("queue", "second-session")
    preview = section.get_by_role("button", name=f"Preview {released}")
    preview.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("table", name="Proposed rows")).to_contain_text("user-")
    assert "contoso.com" not in dialog.inner_text()
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(preview).to_be_focused()

    page.set_viewport_size({"width": 390, "height": 900})
    expect(section.get_by_role("listitem")).to_have_count(2)
    page.wait_for_function("document.documentElement.scrollWidth <= 390", timeout=30_000)
    section.get_by_role("button", name=f"Release {released}").click()
    dialog.get_by_role("button", name="Release").click()
    expect(dialog.get_by_label("Reason")).to_have_accessible_description(re.compile("Enter a reason"))
    assert axe(page) == []
    dialog.get_by_label("Reason").fill("checked with HR")
    dialog.get_by_role("button", name="Release").click()
    announced(page, f"{released}: released.")
    section.get_by_role("button", name=f"Reject {rejected}").click()
    dialog.get_by_label("Reason").fill("wrong list")
    dialog.get_by_role("button", name="Reject").click()
    announced(page, f"{rejected}: rejected.")
    expect(section).to_contain_text("Nothing waits for release on this search head.")
    assert [batch.name[:12] for batch in on_3_13.batches()] == [released]
    (log,) = on_3_13.home.outbox.glob("*/audit.log")
    record = log.read_text(encoding="utf-8")
    assert all(text in record for text in ('"checked with HR"', '"wrong list"', '"eve"'))
