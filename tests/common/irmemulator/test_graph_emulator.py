"""The emulator of Microsoft Graph follows the published rules of the calls that it has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from irmemulator.announcement import read_announcement
from irmemulator.graph_emulator import RESOURCE, GraphEmulator, GraphOptions
from irmemulator.graph_tenant import GraphTenant
from irmemulator.synthetic_people import APP, TENANT, group_id, people, person_id

from tests.fakes.emulated_faults import graph_fault

DAY = 86_400.0
START = 1_770_000_000.0


@dataclass
class Graph:
    """A client of one emulator, and the emulator's clock."""

    emulator: GraphEmulator
    now: float = START

    def token(self) -> str:
        """A new access token."""
        form = {
            "grant_type": "client_credentials",
            "client_id": APP,
            "client_secret": self.emulator.secret,
            "scope": f"{RESOURCE}/.default",
        }
        url = f"{self.emulator.url}/{TENANT}/oauth2/v2.0/token"
        reply = requests.post(url, form, verify=str(self.emulator.ca_file), timeout=10)
        return str(reply.json()["access_token"])

    def get(self, path: str, *, token: str | None = None, **headers: str) -> requests.Response:
        """The reply to a path, or to a link."""
        url = path if path.startswith("https:") else f"{self.emulator.url}/v1.0{path}"
        given = {"Authorization": f"Bearer {token or self.token()}", **headers}
        return requests.get(
            url, headers=given, verify=str(self.emulator.ca_file), timeout=10, allow_redirects=False
        )

    def round(self, link: str) -> tuple[list[dict[str, Any]], str, int]:
        """All objects of a delta query, its delta link, and the number of pages."""
        found: list[dict[str, Any]] = []
        pages = 0
        while True:
            document = self.get(link).json()
            found += document["value"]
            pages += 1
            if "@odata.deltaLink" in document:
                assert "@odata.nextLink" not in document
                return found, document["@odata.deltaLink"], pages
            link = document["@odata.nextLink"]


MakeGraph = Callable[..., Graph]


@pytest.fixture
def graph_with(tmp_path: Path) -> Iterator[MakeGraph]:
    """Makes emulators with so many synthetic people; other arguments are options."""
    with ExitStack() as stack:
        graphs: list[Graph] = []

        def make(count: int = 5, **options: Any) -> Graph:
            graph: Graph
            tenant = GraphTenant(people(count), now=lambda: graph.now)
            graph = Graph(GraphEmulator(tenant, GraphOptions(TENANT, APP, **options), tmp_path))
            stack.enter_context(graph.emulator)
            graphs.append(graph)
            return graph

        yield make
        assert [graph.emulator.failures for graph in graphs] == [()] * len(graphs)


def error_of(reply: requests.Response) -> tuple[int, str]:
    """Status and code of an error, which has Graph's form."""
    error = reply.json()["error"]
    assert {"code", "message", "innerError"} == error.keys()
    assert {"date", "request-id", "client-request-id"} == error["innerError"].keys()
    return reply.status_code, error["code"]


def test_a_delta_query_has_pages_and_ends_with_a_delta_link(graph_with: MakeGraph) -> None:
    """Everybody once; the delta link then has nothing new."""
    graph = graph_with(5, page_size=2)
    found, link, pages = graph.round("/users/delta")
    assert ([user["id"] for user in found], pages) == ([person_id(number) for number in range(5)], 3)
    assert graph.round(link)[0] == []


@pytest.mark.parametrize("path", ["/users/delta", "/users/delta()", "/users/microsoft.graph.delta()"])
def test_the_function_has_several_spellings(graph_with: MakeGraph, path: str) -> None:
    """The short one, and those of Microsoft's SDKs."""
    assert len(graph_with(2).round(path)[0]) == 2


def test_select_decides_what_comes_and_what_counts_as_a_change(graph_with: MakeGraph) -> None:
    """The id always comes; links keep the selection; a change of another property is no change."""
    graph = graph_with(3, page_size=2)
    found, link, _ = graph.round("/users/delta?$select=mail,employeeId")
    assert [user.keys() for user in found] == [{"mail", "employeeId", "id"}] * 3
    graph.emulator.tenant.change(person_id(0), displayName="Another")
    assert graph.round(link)[0] == []
    graph.emulator.tenant.change(person_id(0), mail=None)
    (changed,), _, _ = graph.round(link)
    assert changed == {"mail": None, "employeeId": "100000", "id": person_id(0)}


def test_a_property_that_was_never_set_is_left_out(graph_with: MakeGraph) -> None:
    """One that was cleared is null."""
    graph = graph_with(1)
    (user,), link, _ = graph.round("/users/delta?$select=city,mail")
    assert user.keys() == {"mail", "id"}
    graph.emulator.tenant.change(person_id(0), city=None)
    assert graph.round(link)[0][0]["city"] is None


def test_a_change_may_come_without_the_other_properties(graph_with: MakeGraph) -> None:
    """An option, because Microsoft's pages differ. A new user always comes with all."""
    graph = graph_with(1, changes_only=True)
    _, link, _ = graph.round("/users/delta?$select=mail,employeeId")
    graph.emulator.tenant.change(person_id(0), mail="new@contoso.com")
    graph.emulator.tenant.add({"id": person_id(9), "mail": "x@contoso.com", "employeeId": "9"})
    first, second = graph.round(link)[0]
    assert first == {"mail": "new@contoso.com", "id": person_id(0)}
    assert second.keys() == {"mail", "employeeId", "id"}


def test_an_unknown_property_is_refused(graph_with: MakeGraph) -> None:
    """As Graph refuses it."""
    assert error_of(graph_with().get("/users/delta?$select=mail,shoeSize")) == (400, "BadRequest")


@pytest.mark.parametrize("option", ["$top=5", "$expand=manager", "$orderby=mail", "$filter=mail eq 'x'"])
def test_options_that_delta_does_not_have_are_refused(graph_with: MakeGraph, option: str) -> None:
    """`$top`, `$expand`, `$orderby`, and `$filter` by anything but ids."""
    assert error_of(graph_with().get(f"/users/delta?{option}")) == (400, "Request_UnsupportedQuery")


def test_a_filter_by_ids_is_kept(graph_with: MakeGraph) -> None:
    """At most 50 ids; the links keep it."""
    graph = graph_with(5)
    text = " or ".join(f"id eq '{person_id(number)}'" for number in (1, 3))
    found, link, _ = graph.round(f"/users/delta?$filter={text}")
    assert [user["id"] for user in found] == [person_id(1), person_id(3)]
    graph.emulator.tenant.change(person_id(0), mail="a@contoso.com")
    graph.emulator.tenant.change(person_id(3), mail="b@contoso.com")
    assert [user["id"] for user in graph.round(link)[0]] == [person_id(3)]
    many = " or ".join(f"id eq '{person_id(number)}'" for number in range(51))
    assert error_of(graph.get(f"/users/delta?$filter={many}"))[0] == 400


def test_removed_users_have_a_reason(graph_with: MakeGraph) -> None:
    """`changed` for those who can be restored for 30 days, `deleted` for the others; only their id comes."""
    graph = graph_with(3)
    _, link, _ = graph.round("/users/delta")
    graph.emulator.tenant.delete(person_id(0))
    graph.emulator.tenant.purge(person_id(1))
    assert graph.round(link)[0] == [
        {"id": person_id(0), "@removed": {"reason": "changed"}},
        {"id": person_id(1), "@removed": {"reason": "deleted"}},
    ]
    graph.emulator.tenant.restore(person_id(0))
    assert "@removed" not in graph.round(link)[0][0]
    assert [user["id"] for user in graph.round("/users/delta")[0]] == [person_id(0), person_id(2)]


def test_a_change_during_a_round_comes_in_the_next_one(graph_with: MakeGraph) -> None:
    """It may come in both: a replay."""
    graph = graph_with(4, page_size=2)
    first = graph.get("/users/delta?$select=mail").json()
    graph.emulator.tenant.change(person_id(0), mail="new@contoso.com")
    _, link, _ = graph.round(first["@odata.nextLink"])
    assert [user["mail"] for user in graph.round(link)[0]] == ["new@contoso.com"]


def test_users_may_come_again(graph_with: MakeGraph) -> None:
    """Every so many users, one comes again on the next page."""
    found, _, _ = graph_with(6, page_size=3, replay_every=3).round("/users/delta")
    assert [user["id"] for user in found].count(person_id(0)) == 2
    assert {user["id"] for user in found} == {person_id(number) for number in range(6)}


def test_a_delta_token_is_valid_for_seven_days(graph_with: MakeGraph) -> None:
    """Afterwards, and for a made-up token, syncStateNotFound."""
    graph = graph_with(1)
    _, link, _ = graph.round("/users/delta")
    graph.now += 7 * DAY - 1
    assert graph.get(link).status_code == 200
    graph.now += 2
    assert error_of(graph.get(link)) == (400, "syncStateNotFound")
    assert error_of(graph.get("/users/delta?$deltatoken=made-up")) == (400, "syncStateNotFound")


def test_after_a_reset_a_token_is_gone(graph_with: MakeGraph) -> None:
    """410 with the address at which to start again."""
    graph = graph_with(1)
    _, link, _ = graph.round("/users/delta")
    graph.emulator.reset_delta()
    reply = graph.get(link)
    assert error_of(reply) == (410, "syncStateInvalid")
    assert reply.headers["Location"] == f"{graph.emulator.url}/v1.0/users/delta?$deltatoken="
    assert len(graph.round(reply.headers["Location"])[0]) == 1


def test_the_latest_token_comes_without_users(graph_with: MakeGraph) -> None:
    """For those who only want changes from now on."""
    graph = graph_with(3)
    found, link, _ = graph.round("/users/delta?$deltatoken=latest")
    assert found == []
    graph.emulator.tenant.change(person_id(2), mail="new@contoso.com")
    assert [user["id"] for user in graph.round(link)[0]] == [person_id(2)]


def test_one_user_can_be_read(graph_with: MakeGraph) -> None:
    """With the selected properties; 404 for one who is deleted or unknown."""
    graph = graph_with(2)
    assert graph.get(f"/users/{person_id(1)}?$select=employeeId").json() == {
        "employeeId": "100001",
        "id": person_id(1),
    }
    graph.emulator.tenant.delete(person_id(1))
    for number in (1, 7):
        assert error_of(graph.get(f"/users/{person_id(number)}")) == (404, "Request_ResourceNotFound")


def test_deleted_users_are_listed_for_thirty_days(graph_with: MakeGraph) -> None:
    """With the id before their name, on pages of at most `$top`."""
    graph = graph_with(5)
    for number in range(3):
        graph.emulator.tenant.delete(person_id(number))
    path = "/directory/deletedItems/microsoft.graph.user?$select=userPrincipalName,deletedDateTime&$top=2"
    first = graph.get(path).json()
    second = graph.get(first["@odata.nextLink"]).json()
    assert (len(first["value"]), len(second["value"])) == (2, 1)
    (user,) = second["value"]
    assert user["userPrincipalName"].startswith(person_id(2).replace("-", ""))
    assert user["deletedDateTime"] == "2026-02-02T02:40:00Z"
    graph.now += 31 * DAY
    assert graph.get(path).json()["value"] == []
    assert error_of(graph.get(f"{path[:-1]}1000"))[0] == 400


def test_members_come_through_other_groups(graph_with: MakeGraph) -> None:
    """A flat list with the type of each member, also if groups contain each other."""
    graph = graph_with(4)
    outer, inner = group_id("outer"), group_id("inner")
    graph.emulator.tenant.set_group(outer, [person_id(0), inner])
    graph.emulator.tenant.set_group(inner, [person_id(1), person_id(0), outer])
    graph.emulator.tenant.delete(person_id(1))
    found = graph.get(f"/groups/{outer}/transitiveMembers?$select=id").json()["value"]
    assert found == [
        {"@odata.type": "#microsoft.graph.user", "id": person_id(0)},
        {"@odata.type": "#microsoft.graph.group", "id": inner},
    ]
    assert error_of(graph.get(f"/groups/{group_id('x')}/transitiveMembers")) == (
        404,
        "Request_ResourceNotFound",
    )


def test_permissions_are_checked(graph_with: MakeGraph) -> None:
    """401 without a valid token; 403 without the application permission."""
    graph = graph_with(1, permissions=("GroupMember.Read.All",))
    token = graph.token()
    assert error_of(graph.get("/users/delta", token="made-up")) == (401, "InvalidAuthenticationToken")
    assert error_of(graph.get("/users/delta", token=token)) == (403, "Authorization_RequestDenied")
    graph.emulator.tenant.set_group(group_id("g"), [])
    assert graph.get(f"/groups/{group_id('g')}/transitiveMembers", token=token).status_code == 200
    graph.emulator.entra.revoke_tokens()
    assert error_of(graph.get("/users/delta", token=token))[0] == 401


def test_too_many_requests_are_throttled(graph_with: MakeGraph) -> None:
    """429 with the seconds to wait."""
    graph = graph_with(1, per_10_seconds=2)
    token = graph.token()
    replies = [graph.get("/users/delta", token=token) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert 1 <= int(replies[2].headers["Retry-After"]) <= 10


def test_faults_come_on_demand(graph_with: MakeGraph) -> None:
    """For one endpoint, in Graph's form."""
    graph = graph_with(1)
    graph.emulator.faults.next(graph_fault("delta", 503, "ServiceUnavailable", retry_after=5))
    reply = graph.get("/users/delta")
    assert (error_of(reply), reply.headers["Retry-After"]) == ((503, "ServiceUnavailable"), "5")
    assert graph.get("/users/delta").status_code == 200


def test_other_paths_and_methods_are_refused(graph_with: MakeGraph) -> None:
    """Only the calls that it emulates."""
    graph = graph_with(1)
    assert error_of(graph.get("/me")) == (404, "ResourceNotFound")
    url = f"{graph.emulator.url}/v1.0/users/delta"
    assert requests.post(url, verify=str(graph.emulator.ca_file), timeout=10).status_code == 405


def test_replies_have_the_tenants_time(graph_with: MakeGraph) -> None:
    """The Date header follows the emulator's clock."""
    assert graph_with(1).get("/users/delta").headers["Date"] == "Mon, 02 Feb 2026 02:40:00 GMT"


def test_an_announcement_leads_other_processes_here(graph_with: MakeGraph) -> None:
    """Address, CA and the file with the secret, which only its owner may read."""
    graph = graph_with(1)
    graph.emulator.announce()
    at = read_announcement(graph.emulator.directory / GraphEmulator.announcement)
    assert at["url"] == graph.emulator.url
    assert Path(at["secret_file"]).read_text() == graph.emulator.secret
    assert Path(at["secret_file"]).stat().st_mode & 0o777 == 0o600
    assert graph.emulator.secret not in json.dumps(at)


def test_the_synthetic_people_are_always_the_same() -> None:
    """Guests, disabled and cloud-only accounts among them; ids and names are unique."""
    made = list(people(200))
    assert made == list(people(200))
    assert len({user["id"] for user in made}) == len({user["userPrincipalName"] for user in made}) == 200
    assert sum("#EXT#" in user["userPrincipalName"] for user in made) == 4
    assert any(not user["accountEnabled"] for user in made)
    assert any("onPremisesSamAccountName" not in user for user in made)
