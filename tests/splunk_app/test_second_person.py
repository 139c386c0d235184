"""Release by a second person in Splunk: proposed by a search, seen and released by somebody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from irmcore.profile import shipped_text

from tests.fakes.splunkd_handler import RestHandler
from tests.fakes.splunkd_rest import SplunkdRest
from tests.needs import find_python
from tests.splunk_app.conftest import Searches
from tests.splunk_app.test_command import HEADER, OTHER, ROW
from tests.splunk_app.test_end_to_end import summary

BATCHES = "release_irmexport/batches"


@pytest.fixture
def rest(on_3_13: Searches, splunkd: SplunkdRest) -> Iterator[RestHandler]:
    """The handler."""
    handler = RestHandler(str(find_python("3.13")), on_3_13.home, splunkd)
    yield handler
    assert not handler.end()


def propose(rest: RestHandler, searches: Searches, *rows: bytes) -> None:
    """Make ana's searches propose the rows, a batch for each."""
    text = shipped_text("leaver-prediction") + "\nrelease: approve\npreview: pseudonyms\n"
    changed = rest.request("POST", "connectors/leavers", profile_yaml=text, profile="")
    assert changed.status == 200, changed.document
    for row in rows:
        replies, end = searches.run(HEADER + row, args=("profile=leavers", "wait=0", "output=summary"))
        assert summary(replies[-1].body).get("state") == "proposed", (replies[-1], end)


def test_a_second_person_releases_what_a_search_proposed(
    rest: RestHandler, on_3_13: Searches, splunkd: SplunkdRest
) -> None:
    """Nothing is sent before; the proposer, and whoever lacks the capability, cannot release it."""
    propose(rest, on_3_13, ROW)
    splunkd.sign_in("second-session", "eve", "irmexport_release", roles=("irmexport_releaser",))
    splunkd.sign_in("own-session", "ana", "irmexport_release", roles=("irmexport_releaser",))
    assert rest.request("GET", BATCHES).status == 403
    assert rest.request("GET", "queue", key="second-session").status == 403
    (one,) = rest.request("GET", BATCHES, key="second-session").document["batches"]
    assert (one["by"], one["rows"], one["problem"]) == ("ana", 1, "")
    (owned,) = rest.request("GET", BATCHES, key="own-session", query="pages").document["batches"]
    assert "was proposed by ana, and must be released by somebody else" in owned["problem"]
    assert owned["next_step"].endswith("to use “Release” on the page Queue.")
    assert rest.request("GET", "queue").document["proposed"] == [one]
    at = f"{BATCHES}/{one['batch']}"
    seen = rest.request("GET", at, key="second-session").document
    assert "user-" in str(seen["rows"])
    assert "contoso.com" not in str(seen["rows"])
    form = {"outcome": "release", "why": "checked"}
    own = rest.request("POST", at, key="own-session", **form)
    assert (own.status, "proposed by ana" in own.document["error"]) == (409, True)
    assert rest.request("POST", at, key="second-session", **form).document["state"] == "READY"


def test_a_damaged_proposal_hides_no_other(
    rest: RestHandler, on_3_13: Searches, splunkd: SplunkdRest
) -> None:
    """It is listed with what is wrong with it."""
    propose(rest, on_3_13, ROW, OTHER)
    splunkd.sign_in("second-session", "eve", "irmexport_release", roles=("irmexport_releaser",))
    damaged, intact = on_3_13.batches()
    (damaged / "manifest.json").write_text("{}")
    listed = rest.request("GET", BATCHES, key="second-session").document["batches"]
    problems = {one["batch"]: bool(one["problem"]) for one in listed}
    assert problems == {damaged.name: True, intact.name: False}
    assert len(rest.request("GET", "queue").document["proposed"]) == 2
