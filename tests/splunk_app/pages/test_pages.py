"""An administrator's work in the browser, from the first connector to the last held batch.

The views of all releases run the same script (test_mounting.py), so these use the dashboards of Splunk 9.3.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Any

import pytest
from irmcore.profile import shipped_text
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator
from playwright.sync_api import Page, Route, expect

from tests.fakes.splunk_web import SplunkWeb
from tests.fakes.splunkd_input import Input
from tests.fakes.splunkd_rest import SplunkdRest
from tests.needs import find_python
from tests.splunk_app.conftest import APP_ID, COLUMNS, JOB, SECRET, TENANT, Searches, save_secret
from tests.splunk_app.pages.conftest import Open
from tests.splunk_app.test_command import HEADER, ROW
from tests.splunk_app.test_end_to_end import summary
from tests.splunk_app.test_rest import SAMPLES

pytestmark = [pytest.mark.needs("chromium", "python3.13"), pytest.mark.timeout(180)]

Axe = Callable[[Any], list[str]]
Picture = Callable[[Page, str], None]
ARGS = ("profile=leavers", "output=summary", "wait=60")


@pytest.fixture
def sender(on_3_13: Searches) -> Input:
    """The sender, running beside the pages."""
    python = find_python("3.13")
    assert python is not None
    return Input(python, on_3_13.home, on_3_13.splunkd)


def announced(page: Page, text: str) -> None:
    """The page shows this text in a status region, which screen readers announce."""
    expect(page.get_by_role("status").filter(has_text=text)).to_be_visible()


def test_from_the_first_connector_to_the_receipt(  # noqa: PLR0917 - fixtures come by name
    visit: Open,
    on_3_13: Searches,
    sender: Input,
    splunkd: SplunkdRest,
    emulator: PurviewEmulator,
    axe: Axe,
    picture: Picture,
) -> None:
    """A connector is created, tested and used without editing a file; a new secret replaces the old one."""
    splunkd.state.confs.clear()
    splunkd.state.passwords.clear()
    page = visit("connectors")
    expect(page.get_by_text("There are no connectors yet")).to_be_visible()
    page.get_by_role("button", name="New connector").click()
    for label, value in {
        "Name": "leavers",
        "Job ID": JOB,
        "Tenant ID": TENANT,
        "Application ID": APP_ID,
        "Client secret": "emulator-only-wrong",
    }.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Test with a local emulator").click()
    page.get_by_label("Emulator address").fill(emulator.url)
    page.get_by_label("Emulator CA file").fill(str(emulator.ca_file))
    assert axe(page) == []
    picture(page, "connector-form")
    page.get_by_role("button", name="Save").click()
    announced(page, "leavers was saved")
    expect(page.get_by_role("cell", name="ready")).to_be_visible()
    picture(page, "connectors")
    assert splunkd.state.enabled_inputs == {"irmexport://main"}

    page.get_by_role("button", name="Test leavers").click()
    findings = page.get_by_role("region", name="Test of leavers")
    expect(findings).to_contain_text("Test of leavers: failed")
    expect(findings).to_contain_text("use the secret's value, not its ID")
    assert axe(page) == []

    page.get_by_role("button", name="Edit leavers").click()
    assert page.get_by_label("Client secret").input_value() == ""
    page.get_by_label("Client secret").fill(SECRET)
    page.get_by_role("button", name="Save").click()
    announced(page, "leavers was saved")
    assert set(splunkd.state.passwords) == {"irmexport:leavers:"}
    page.get_by_role("button", name="Test leavers").click()
    expect(findings).to_contain_text("Test of leavers: passed")
    assert SECRET not in page.content()

    with sender:
        replies, _ = on_3_13.run(HEADER + ROW, args=ARGS)
    assert summary(replies[-1].body)["state"] == "sent"
    assert len(emulator.records(JOB)) == 1
    visit("queue")
    expect(page.get_by_role("heading", name="leavers")).to_be_visible()
    expect(page.get_by_text("Nothing queued")).to_be_visible()


def test_a_held_batch_is_resolved(  # noqa: PLR0917 - fixtures come by name
    visit: Open, on_3_13: Searches, sender: Input, emulator: PurviewEmulator, axe: Axe, picture: Picture
) -> None:
    """Reason and next step are shown; a decision needs a reason and is recorded with the user's name."""
    emulator.faults.next(Fault(reset_after_last_byte=True))
    with sender:
        replies, _ = on_3_13.run(HEADER + ROW, args=ARGS)
        assert summary(replies[-1].body)["state"] == "held"
    page = visit("queue")
    table = page.get_by_role("table")
    expect(table).to_contain_text("HELD")
    expect(page.get_by_text("1 batch (1 row) cannot be sent without a decision.")).to_be_visible()
    expect(page.get_by_text("Nothing queued")).to_have_count(0)
    expect(page.get_by_text(f"Search head: {socket.gethostname()}")).to_be_visible()
    expect(table).to_contain_text("Look at the connector's log in the portal")
    expect(table).to_contain_text("then use “Resolve”: “The service has it” or “Send it again”.")
    assert axe(page) == []
    picture(page, "queue")

    history = page.get_by_role("button", name="History")
    history.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("table", name="Events")).to_contain_text("reset-after-commit")
    expect(dialog).to_contain_text("ana")
    assert "sarad" not in dialog.inner_text()
    page.keyboard.press("Escape")
    expect(history).to_be_focused()

    page.get_by_role("button", name="Resolve").click()
    dialog.get_by_role("button", name="Record").click()
    expect(dialog).to_contain_text("Choose one.")
    expect(dialog).to_contain_text("Enter a reason.")
    assert axe(page) == []
    dialog.get_by_role("radio", name="The service has it").check()
    dialog.get_by_label("Reason").fill("RecordsSaved is 1")
    picture(page, "resolve")
    dialog.get_by_role("button", name="Record").click()
    announced(page, "the service has it")
    expect(page.get_by_text("Nothing queued.")).to_be_visible()
    (log,) = on_3_13.home.outbox.glob("*/audit.log")
    record = log.read_text(encoding="utf-8")
    assert '"RecordsSaved is 1"' in record
    assert '"adm"' in record


def test_a_paused_connector_is_resumed_by_keyboard(
    visit: Open, on_3_13: Searches, sender: Input, splunkd: SplunkdRest, emulator: PurviewEmulator
) -> None:
    """With Tab and Enter only; the pause shows its reason."""
    save_secret(splunkd, "emulator-only-wrong")
    with sender:
        replies, _ = on_3_13.run(HEADER + ROW, args=ARGS)
        assert summary(replies[-1].body)["state"] == "paused"
    page = visit("queue")
    expect(page.get_by_text("AADSTS7000215")).to_be_visible()
    expect(page.get_by_text("Then use “Resume” on the page Queue.")).to_be_visible()
    resume = page.get_by_role("button", name="Resume leavers")
    for _ in range(20):
        page.keyboard.press("Tab")
        if resume.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    announced(page, "leavers may send again")


def test_a_connector_is_removed_after_confirmation(visit: Open, splunkd: SplunkdRest, axe: Axe) -> None:
    """Escape keeps it and restores the focus; confirming removes it together with its secret."""
    page = visit("connectors")
    remove = page.get_by_role("button", name="Remove leavers")
    remove.click()
    expect(page.get_by_role("dialog")).to_contain_text("its secret are deleted")
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(remove).to_be_focused()
    assert "leavers" in splunkd.state.confs["irmexport_connectors"]
    remove.click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    announced(page, "were removed")
    assert splunkd.state.confs["irmexport_connectors"] == {}
    assert splunkd.state.passwords == {}


def test_an_invalid_setting_is_reported_with_the_form(
    visit: Open, trouble: list[str], splunkd: SplunkdRest
) -> None:
    """The error is at the field, which has the focus; the form keeps what was typed."""
    page = visit("connectors")
    page.get_by_role("button", name="New connector").click()
    page.get_by_label("Name", exact=True).fill("second")
    page.get_by_label("Job ID").fill("12")
    page.get_by_role("button", name="Save").click()
    field = page.get_by_label("Job ID")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile("`job_id` is not valid"))
    expect(page.get_by_role("alert")).to_have_count(0)
    field.fill(APP_ID)
    page.get_by_role("button", name="Test with a local emulator").click()
    page.get_by_label("Emulator address").fill("https://example.com")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Emulator address")).to_be_focused()
    assert page.get_by_label("Name", exact=True).input_value() == "second"
    assert "second" not in splunkd.state.confs["irmexport_connectors"]
    assert _only_refusals(trouble, 400)


def test_a_secret_that_has_to_be_entered_again_is_reported_at_its_field(
    visit: Open, trouble: list[str], splunkd: SplunkdRest
) -> None:
    """It is bound to where it is sent, so a change of the proxy needs it."""
    page = visit("connectors")
    page.get_by_role("button", name="Edit leavers").click()
    page.get_by_label("Proxy (optional)").fill("http://proxy.example:3128")
    page.get_by_role("button", name="Save").click()
    field = page.get_by_label("Client secret")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile("this changes where the client secret is sent"))
    assert "proxy" not in splunkd.state.confs["irmexport_connectors"]["leavers"]
    assert _only_refusals(trouble, 400)


def test_saving_another_job_says_what_becomes_of_queued_rows(visit: Open, on_3_13: Searches) -> None:
    """They stay with the previous job: the message on the list says what to do."""
    on_3_13.run(HEADER + ROW)
    page = visit("connectors")
    page.get_by_role("button", name="Edit leavers").click()
    page.get_by_label("Job ID").fill(APP_ID)
    page.get_by_role("button", name="Save").click()
    announced(page, "leavers was saved. 1 row is queued for the previous job ID")


def test_rows_that_no_sender_sends_are_named_with_their_search_head(visit: Open, on_3_13: Searches) -> None:
    """The page says what to do, and that nothing is lost."""
    on_3_13.run(HEADER + ROW)
    page = visit("queue")
    expect(page.get_by_text(f"queued on {socket.gethostname()}, sender not running")).to_be_visible()
    expect(page.get_by_text("Queued rows are not lost. ")).to_contain_text("data input")
    expect(page.get_by_text("1 batch queued (1 row), the oldest since ")).to_be_visible()


def test_the_queue_of_a_cluster_shows_its_members(  # noqa: PLR0917 - fixtures come by name
    visit: Open, on_3_13: Searches, sender: Input, splunkd: SplunkdRest, emulator: PurviewEmulator, axe: Axe
) -> None:
    """Which member sends and what each has not shared yet; and what is wrong while KV store is away."""
    splunkd.state.server = {"serverName": "sh1", "guid": "g-1", "server_roles": ["shc_member"]}
    emulator.faults.next(Fault(reset_after_last_byte=True))
    with sender:
        on_3_13.run(HEADER + ROW, args=("profile=leavers", "wait=0"))
        page = visit("queue")  # which asks again every 15 seconds
        expect(page.get_by_text("1 batch (1 row) cannot be sent without a decision.")).to_be_visible()
        expect(page.get_by_text("Sent last: sh1").or_(page.get_by_text("Sending: sh1"))).to_be_visible()
        members = page.get_by_role("table", name="Members of the search head cluster")
        expect(members).to_contain_text("sh1")
        assert axe(page) == []
    splunkd.state.kv.state = "starting"
    on_3_13.run(HEADER + ROW.replace(b"sarad", b"bradh"), args=("profile=leavers", "wait=0"))
    page = visit("queue")
    expect(page.get_by_text("the cluster's outbox cannot be reached")).to_be_visible()
    section = page.get_by_role("region", name="leavers, on this search head alone")
    expect(section).to_contain_text("1 batch queued (1 row)")


def test_a_profile_is_written_previewed_and_saved(
    visit: Open, splunkd: SplunkdRest, web: SplunkWeb, axe: Axe, picture: Picture
) -> None:
    """It is checked while typing, previewed on a sample and saved with its connector; in the dark theme."""
    web.theme = "dark"
    page = visit("profiles")
    thresholds = page.get_by_role("link", name="How many people each threshold")
    assert thresholds.evaluate("link => link.href") == web.view("thresholds")
    page.get_by_label("Connector", exact=True).click()
    page.get_by_role("option", name="leavers").click()
    editor = page.get_by_label("Profile (YAML)")
    expect(editor).to_have_value(shipped_text("leaver-prediction"))
    announced(page, "The profile is valid.")
    text = shipped_text("leaver-prediction")
    editor.fill(text.replace("type: number", "typ: number"))
    announced(page, "profile:")
    save = page.get_by_role("button", name="Save")
    expect(save).to_have_attribute("aria-disabled", "true")
    editor.fill(shipped_text("daily-activities"))
    announced(page, "daily-activities: 10 of at most 10 custom indicators")
    editor.fill(text.replace("employee will leave, as", "employee may leave, as"))
    page.get_by_label("Sample").fill(SAMPLES["csv"])
    announced(page, "2 rows read: 1 shaped, 0 merged, 1 refused")
    expect(page.get_by_role("table", name="Refused rows")).to_contain_text("upn-without-domain")
    for column in COLUMNS:
        expect(page.get_by_role("table", name="Shaped rows")).to_contain_text(column)
    assert axe(page) == []
    page.evaluate("() => window.scrollTo(0, 0)")
    picture(page, "profiles")
    save.click()
    announced(page, "was saved")
    stanza = splunkd.state.confs["irmexport_connectors"]["leavers"]
    assert (stanza["profile"], "may leave" in stanza["profile_yaml"]) == ("", True)


@pytest.mark.parametrize("view", ["queue", "connectors", "profiles"])
def test_without_the_capability_nothing_is_shown_and_the_server_refuses(
    visit: Open, web: SplunkWeb, trouble: list[str], view: str, axe: Axe
) -> None:
    """The page names the missing capability and has no button; a request made by hand gets a 403."""
    page = visit(view, "analyst-session")
    expect(page.get_by_role("alert")).to_contain_text("irmexport_configure")
    assert page.get_by_role("main").get_by_role("button").count() == 0
    assert axe(page) == []
    status = page.evaluate(
        """async (key) => (await fetch('/en-US/splunkd/__raw/services/irmexport/connectors/leavers', {
            method: 'DELETE', headers: {'X-Splunk-Form-Key': key}})).status""",
        web.sign_in("analyst-session")[1]["value"],
    )
    assert status == 403
    assert _only_refusals(trouble, 403)


def test_without_the_form_key_splunk_web_lets_nothing_through(
    visit: Open, trouble: list[str], splunkd: SplunkdRest
) -> None:
    """A request that another site triggers has the cookie but not the form key."""
    page = visit("connectors")
    expect(page.get_by_role("table", name="Connectors")).to_be_visible()
    path = "/en-US/splunkd/__raw/services/irmexport/connectors/leavers"
    assert page.evaluate(f"async () => (await fetch('{path}', {{method: 'DELETE'}})).status") == 401
    assert "leavers" in splunkd.state.confs["irmexport_connectors"]
    assert _only_refusals(trouble, 401)


def test_an_expired_session_is_reported(visit: Open, trouble: list[str]) -> None:
    """The content stays, and the page asks the user to sign in again."""
    page = visit("queue")
    expect(page.get_by_text("Nothing has been exported")).to_be_visible()
    page.context.clear_cookies()
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("alert")).to_contain_text("Sign in to Splunk again")
    assert _only_refusals(trouble, 401)


def test_a_request_that_is_not_answered_yet_is_shown(visit: Open, page: Page) -> None:
    """A spinner stands for a list, and a button whose action is not complete takes no click."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    def answer() -> None:
        while not held:
            page.wait_for_timeout(20)
        held.pop().fallback()

    page.route(re.compile(r"/irmexport/connectors(/leavers/test)?\?"), hold)
    visit("connectors")
    expect(page.get_by_role("status").filter(has_text="Loading…")).to_be_visible()
    expect(page.get_by_text("There are no connectors yet")).to_have_count(0)
    answer()
    test = page.get_by_role("button", name="Test leavers")
    test.click()
    expect(test).to_have_attribute("aria-busy", "true")
    expect(test).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_text("Loading…")).to_have_count(0)
    answer()
    expect(page.get_by_role("region", name="Test of leavers")).to_be_visible()
    expect(test).not_to_have_attribute("aria-busy", "true")


def _only_refusals(trouble: list[str], status: int) -> bool:
    """Whether the console only has the browser's note of the reply that the test provoked."""
    found = [line for line in trouble if f"status of {status}" in line]
    rest = [line for line in trouble if line not in found]
    trouble[:] = rest
    return bool(found) and not rest
