"""A sync brings the directory in line with the tenant, as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from irmcli.identities import sync as syncs
from irmcore.errors import AddressRefused, ConfigurationError, IrmError, WaitError
from irmcore.identity.directory import Directory
from irmcore.identity.resolver import Refusal, Resolved
from irmemulator.faults import Fault

from tests.common.irmcli.identities.tenant_and_directory import DAY, START, TenantAndDirectory, id_of, user
from tests.fakes.emulated_faults import graph_fault, page_fault

MakeTenant = Callable[..., TenantAndDirectory]


def meant(answer: object) -> str:
    """The user principal name of an answer, or its reason code."""
    return answer.upn if isinstance(answer, Resolved) else answer.code if isinstance(answer, Refusal) else "?"


def test_the_first_sync_reads_everybody(tenant_with: MakeTenant) -> None:
    """All names of all people on several pages are in the directory afterwards, with mode 0600."""
    rig = tenant_with(
        user(
            1,
            "ana",
            onPremisesSamAccountName="AnaK",
            onPremisesDomainName="corp.contoso.com",
            onPremisesSecurityIdentifier="S-1-5-21-1-2-3-1001",
            employeeId="10042",
            otherMails=["ana@example.net"],
            proxyAddresses=["SMTP:Ana.Mail@contoso.com", "smtp:ak@contoso.com", "sip:ana@sip.contoso.com"],
            country="DE",
            usageLocation="FR",
        ),
        user(2, "ben", usageLocation="FR", accountEnabled=False),
        user(3, "cleo_fabrikam.com#EXT#", mail="cleo@fabrikam.com", userType="Guest"),
        page_size=2,
    )
    done = rig.sync()
    assert (done.full, done.read, done.pages, done.people) == (True, 3, 2, 3)
    ana = rig.people()["ana@contoso.com"]
    assert ana.object_id == id_of(1)
    assert set(ana.mails) == {"ana.mail@contoso.com", "ak@contoso.com", "ana@example.net"}
    assert set(ana.account_names) == {"AnaK", "corp.contoso.com\\AnaK"}
    assert (ana.sid, ana.employee_id, ana.country) == ("S-1-5-21-1-2-3-1001", "10042", "DE")
    assert ana.created == 1_577_836_800
    assert not rig.people()["ben@contoso.com"].enabled
    assert rig.people()["ben@contoso.com"].country == "FR"
    assert meant(rig.resolve("cleo_fabrikam.com#ext#@contoso.com")) == "cleo_fabrikam.com#EXT#@contoso.com"
    assert meant(rig.resolve("CLEO@fabrikam.com")) == "cleo_fabrikam.com#EXT#@contoso.com"
    assert rig.path.stat().st_mode & 0o777 == 0o600


def test_the_next_sync_reads_only_what_changed(tenant_with: MakeTenant) -> None:
    """A rename is a new version of the same person; nothing else is read."""
    rig = tenant_with(*(user(number, f"person{number}") for number in range(10)))
    rig.sync()
    before = rig.clock.now()
    rig.emulator.tenant.change(id_of(3), userPrincipalName="married@contoso.com")
    done = rig.sync()
    assert (done.full, done.read, done.people) == (False, 1, 10)
    assert meant(rig.resolve("married@contoso.com")) == "married@contoso.com"
    assert meant(rig.resolve("person3@contoso.com", before)) == "married@contoso.com"
    assert rig.sync().read == 0


@pytest.mark.parametrize("changes_only", [False, True])
def test_a_change_may_come_with_or_without_the_other_properties(
    tenant_with: MakeTenant, *, changes_only: bool
) -> None:
    """Microsoft's pages allow both readings; the directory is the same."""
    rig = tenant_with(user(1, "ana", employeeId="7"), changes_only=changes_only)
    rig.sync()
    rig.emulator.tenant.change(id_of(1), employeeId=None, accountEnabled=False)
    rig.sync()
    (ana,) = rig.people().values()
    assert (ana.employee_id, ana.enabled, ana.mails) == ("", False, ("ana.mail@contoso.com",))


def test_many_incomplete_changes_lead_to_a_full_reading(tenant_with: MakeTenant) -> None:
    """Reading each person alone would take too long, so everybody is read again; all pages count together."""
    count = syncs._MOST_SINGLE + 1  # noqa: SLF001 - the limit itself is tested
    rig = tenant_with(*(user(n, f"person{n}") for n in range(count)), changes_only=True, page_size=count - 1)
    rig.sync()
    for number in range(count):
        rig.emulator.tenant.change(id_of(number), employeeId=str(number))
    assert rig.sync().full
    assert rig.people()["person7@contoso.com"].employee_id == "7"


def test_a_mail_address_that_passes_to_another_person(tenant_with: MakeTenant) -> None:
    """Before the change it is the first person's, after it the second one's; in between it is refused."""
    rig = tenant_with(
        user(1, "ana", mail="sales@contoso.com", proxyAddresses=[]), user(2, "ben", proxyAddresses=[])
    )
    rig.sync()
    known = rig.clock.now() + 5
    rig.sync()
    rig.clock.advance(DAY)
    rig.emulator.tenant.change(id_of(1), mail=None)
    rig.emulator.tenant.change(id_of(2), mail="sales@contoso.com")
    between = rig.clock.now()
    rig.sync()
    assert meant(rig.resolve("sales@contoso.com", known)) == "ana@contoso.com"
    assert meant(rig.resolve("sales@contoso.com", between)) == "user-validity-unknown"
    assert meant(rig.resolve("sales@contoso.com")) == "ben@contoso.com"
    assert meant(rig.resolve("sales@contoso.com", START - DAY)) == "user-validity-unknown"


def test_a_change_during_a_sync_is_not_dated_before_it_was_read(tenant_with: MakeTenant) -> None:
    """The next sync sees the change; its uncertain time begins at the start of the sync that missed it."""
    rig = tenant_with(user(1, "ana"), user(2, "ben"))
    started = rig.clock.now() + 3_600
    rig.sync()
    rig.emulator.tenant.change(id_of(1), userPrincipalName="ana2@contoso.com")
    rig.sync()
    with Directory(rig.path) as directory:
        (version,) = [version for version in directory.versions_of_name(id_of(1)) if version.until is None]
    assert version.after == started
    assert version.since > rig.clock.now()


def test_a_deleted_person_keeps_their_names(tenant_with: MakeTenant) -> None:
    """The user principal name still means the person who had it; an address of a deleted account does not."""
    rig = tenant_with(user(1, "ana"), user(2, "ben"))
    rig.sync()
    rig.emulator.tenant.delete(id_of(1))
    assert rig.sync().removed == 1
    ana = rig.people()["ana@contoso.com"]
    assert (ana.deleted, ana.enabled) == (True, False)
    assert meant(rig.resolve("ana.mail@contoso.com")) != "ana@contoso.com"
    rig.emulator.tenant.restore(id_of(1))
    assert rig.sync().removed == 0
    ana = rig.people()["ana@contoso.com"]
    assert (ana.deleted, ana.enabled) == (False, True)
    assert meant(rig.resolve("ana.mail@contoso.com")) == "ana@contoso.com"


def test_people_deleted_before_the_first_sync_are_known(tenant_with: MakeTenant) -> None:
    """Their names may have passed on, so the deleted users are read, without the prefix of their names."""
    rig = tenant_with(user(1, "ana"), user(2, "ben"))
    rig.emulator.tenant.delete(id_of(1))
    rig.sync()
    assert rig.people()["ana@contoso.com"].deleted


def test_somebody_who_came_and_went_between_two_syncs_is_known(tenant_with: MakeTenant) -> None:
    """The delta query only has the id, so the deleted users are read."""
    rig = tenant_with(user(1, "ana"))
    rig.sync()
    rig.emulator.tenant.add(user(2, "brief"))
    rig.emulator.tenant.delete(id_of(2))
    rig.sync()
    assert rig.people()["brief@contoso.com"].deleted


def test_a_person_deleted_for_good_stays_in_the_directory(tenant_with: MakeTenant) -> None:
    """`@removed` with the reason deleted removes nobody's past."""
    rig = tenant_with(user(1, "ana"), user(2, "ben"))
    rig.sync()
    rig.emulator.tenant.purge(id_of(1))
    rig.sync()
    assert rig.people()["ana@contoso.com"].deleted


def test_a_delta_link_that_is_too_old_leads_to_a_full_reading(tenant_with: MakeTenant) -> None:
    """After 7 days Graph answers syncStateNotFound. Who is missing from the full reading was deleted."""
    rig = tenant_with(user(1, "ana"), user(2, "ben"))
    rig.sync()
    rig.emulator.tenant.purge(id_of(2))
    rig.clock.advance(8 * DAY)
    done = rig.sync()
    assert (done.full, done.removed) == (True, 1)
    assert rig.people()["ben@contoso.com"].deleted


def test_a_reset_in_the_middle_leads_to_a_full_reading(tenant_with: MakeTenant) -> None:
    """A 410 on the second page: what was read of the changes is dropped, then everybody is read."""
    rig = tenant_with(*(user(number, f"person{number}") for number in range(6)), page_size=2)
    rig.sync()
    for number in range(6):
        rig.emulator.tenant.change(id_of(number), employeeId=str(number))
    rig.emulator.faults.next(graph_fault("delta", 410, "syncStateInvalid", matching="skiptoken"))
    done = rig.sync()
    assert (done.full, done.read) == (True, 6)


def test_a_reset_of_the_service_leads_to_a_full_reading(tenant_with: MakeTenant) -> None:
    """The service forgot all delta tokens."""
    rig = tenant_with(user(1, "ana"))
    rig.sync()
    rig.emulator.reset_delta()
    assert rig.sync().full


def test_a_reset_during_the_full_reading_changes_nothing(tenant_with: MakeTenant) -> None:
    """Two resets in one sync: it stops, and the directory is as before."""
    rig = tenant_with(user(1, "ana"))
    rig.sync()
    before = rig.state()
    rig.emulator.faults.next(graph_fault("delta", 410), count=2)
    with pytest.raises(WaitError, match="start again"):
        rig.sync()
    assert rig.state() == before


def test_replays_change_nothing(tenant_with: MakeTenant) -> None:
    """Graph may send a user several times."""
    rig = tenant_with(*(user(number, f"person{number}") for number in range(9)), page_size=3, replay_every=2)
    done = rig.sync()
    assert done.read > done.people == 9
    with Directory(rig.path) as directory:
        assert len(directory.versions_of_name(id_of(0))) == 1


def test_a_throttled_sync_waits_as_long_as_it_is_asked_to(tenant_with: MakeTenant) -> None:
    """429 and 503 with Retry-After, then it goes on."""
    rig = tenant_with(user(1, "ana"))
    rig.emulator.faults.next(graph_fault("delta", 429, "TooManyRequests", retry_after=17))
    rig.emulator.faults.next(graph_fault("delta", 503, "ServiceUnavailable", retry_after=40))
    began = rig.clock.now()
    rig.sync()
    assert rig.clock.now() - began == 3_600 + 17 + 40


def test_a_wait_that_is_too_long_ends_the_sync(tenant_with: MakeTenant) -> None:
    """The operator hears that Graph throttles; the next run of the schedule tries again."""
    rig = tenant_with(user(1, "ana"))
    rig.emulator.faults.until_cleared(graph_fault("delta", 429, "TooManyRequests", retry_after=3_000))
    with pytest.raises(WaitError, match="HTTP 429, TooManyRequests"):
        rig.sync()
    assert not rig.path.exists()


def json_fault(document: object, on: str = "delta", matching: str = "") -> Fault:
    """A fault whose reply is 200 with this document, at the time of the tests."""
    body = json.dumps(document).encode()
    headers = (("Content-Type", "application/json"), ("Date", formatdate(START, usegmt=True)))
    return Fault(on, status=200, body=body, headers=headers, matching=matching)


ELSEWHERE = "https://graph.example.com/v1.0/users/delta?$skiptoken=x"
BAD_ANSWERS: dict[str, tuple[Fault, type[IrmError], str]] = {
    "a page that is cut off": (
        Fault("delta", status=200, body=b'{"value": [{"id": "0'),
        WaitError,
        "no list",
    ),
    "a page shorter than its length": (
        Fault("delta", early_status=200, body=b'{"value": []}', headers=(("Content-Length", "9999"),)),
        WaitError,
        "did not answer completely",
    ),
    "a proxy's page": (page_fault("delta"), WaitError, "no list"),
    "a connection that breaks": (Fault("delta", close_without_reply=True), WaitError, "did not answer"),
    "an object without an id": (json_fault({"value": [{"mail": "x"}]}), WaitError, "not a user"),
    "a property of another type": (
        json_fault({"value": [user(1, "x", proxyAddresses="SMTP:x")]}),
        WaitError,
        "not a user",
    ),
    "no link at the end": (json_fault({"value": []}), WaitError, "where the next sync continues"),
    "both links": (
        json_fault({"value": [], "@odata.nextLink": "x", "@odata.deltaLink": "y"}),
        WaitError,
        "a link",
    ),
    "a next page at another host": (
        json_fault({"value": [], "@odata.nextLink": ELSEWHERE}),
        AddressRefused,
        r"graph\.example\.com.*another host",
    ),
    "a redirect": (Fault("delta", status=302, location=ELSEWHERE), ConfigurationError, "HTTP 302"),
    "a missing permission": (
        graph_fault("delta", 403, "Authorization_RequestDenied"),
        ConfigurationError,
        "lacks the application permission User.Read.All",
    ),
    "a refused request": (
        graph_fault("delta", 400, "BadRequest"),
        ConfigurationError,
        "HTTP 400, BadRequest",
    ),
}


@pytest.mark.parametrize("matching", ["", "skiptoken"], ids=["first page", "second page"])
@pytest.mark.parametrize(("fault", "error", "message"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_bad_answer_changes_nothing(
    tenant_with: MakeTenant, fault: Fault, error: type[IrmError], message: str, matching: str
) -> None:
    """The error says what happened; the directory is as before, and the next sync succeeds."""
    rig = tenant_with(*(user(number, f"person{number}") for number in range(4)), page_size=2)
    rig.sync()
    before = rig.state()
    for number in range(4):
        rig.emulator.tenant.change(id_of(number), employeeId=f"{number}")
    settings: dict[str, Any] = {**vars(fault), "matching": matching}
    rig.emulator.faults.until_cleared(Fault(**settings))
    with pytest.raises(error, match=message):
        rig.sync()
    assert rig.state() == before
    left = {file.name for file in rig.path.parent.glob("people*")}
    assert left == {rig.path.name, f"{rig.path.name}.lock"}
    rig.emulator.faults.clear()
    rig.sync()
    assert rig.people()["person3@contoso.com"].employee_id == "3"


def test_the_token_goes_to_no_other_host(tenant_with: MakeTenant) -> None:
    """A link to another host is not followed, and its message does not contain the link's token."""
    rig, other = tenant_with(user(1, "ana")), tenant_with(user(2, "ben"))
    link = f"{other.emulator.url}/v1.0/users/delta?$skiptoken=secret-state"
    rig.emulator.faults.next(json_fault({"value": [], "@odata.nextLink": link}))
    with pytest.raises(AddressRefused) as refused:
        rig.sync()
    assert other.emulator.requests == []
    assert "secret-state" not in str(refused.value)


def test_a_token_that_expires_in_the_middle_is_renewed(tenant_with: MakeTenant) -> None:
    """A 401 on the second page: one new token, and the sync goes on."""
    rig = tenant_with(*(user(number, f"person{number}") for number in range(6)), page_size=2)
    rig.emulator.faults.next(graph_fault("delta", 401, "InvalidAuthenticationToken", matching="skiptoken"))
    assert rig.sync().people == 6
    assert rig.emulator.entra.token_requests == 2


def test_a_token_that_stays_rejected_changes_nothing(tenant_with: MakeTenant) -> None:
    """Not an endless renewal."""
    rig = tenant_with(user(1, "ana"))
    rig.emulator.faults.until_cleared(graph_fault("delta", 401, "InvalidAuthenticationToken"))
    with pytest.raises(ConfigurationError, match="rejected the token"):
        rig.sync()
    assert not rig.path.exists()


def test_the_service_dates_what_is_read(tenant_with: MakeTenant) -> None:
    """If this machine's clock is wrong, the directory has Graph's times, and the result says by how much."""
    rig = tenant_with(user(1, "ana"))
    rig.sync()
    rig.emulator.tenant.change(id_of(1), employeeId="1")
    rig.emulator.tenant.now = lambda: START + DAY
    done = rig.sync()
    assert done.skew == 7_200 - DAY
    with Directory(rig.path) as directory:
        assert directory.last_sync == START + DAY


def test_a_time_that_is_days_away_is_refused(tenant_with: MakeTenant) -> None:
    """One such answer would date the directory into the future, where no later sync could reach it."""
    rig = tenant_with(user(1, "ana"))
    rig.sync()
    before = rig.state()
    rig.emulator.tenant.now = lambda: START + 3 * DAY
    with pytest.raises(ConfigurationError, match="70 hours away"):
        rig.sync()
    assert rig.state() == before


def test_groups_of_a_scope_are_read_through_other_groups(tenant_with: MakeTenant) -> None:
    """A member of a member counts; who leaves the group loses it, although their account did not change."""
    group, inner = id_of(100), id_of(101)
    rig = tenant_with(user(1, "ana"), user(2, "ben"))
    rig.emulator.tenant.set_group(group, [inner])
    rig.emulator.tenant.set_group(inner, [id_of(1)])
    rig.options["groups"] = [group]
    assert rig.sync().groups == 1
    with Directory(rig.path) as directory:
        assert directory.groups == {group}
    assert rig.people()["ana@contoso.com"].groups == (group,)
    assert rig.people()["ben@contoso.com"].groups == ()
    rig.emulator.tenant.set_group(inner, [id_of(2)])
    rig.sync()
    assert rig.people()["ana@contoso.com"].groups == ()
    assert rig.people()["ben@contoso.com"].groups == (group,)


def test_a_large_group_has_several_pages(tenant_with: MakeTenant) -> None:
    """All of them are read."""
    group, count = id_of(9_999), 1_200
    rig = tenant_with(*(user(number, f"person{number}") for number in range(count)), page_size=1_000)
    rig.emulator.tenant.set_group(group, map(id_of, range(count)))
    rig.sync(groups=[group])
    assert all(person.groups == (group,) for person in rig.people().values())


def test_a_group_that_does_not_exist_is_an_error(tenant_with: MakeTenant) -> None:
    """Otherwise nobody would be in scope, without a word."""
    rig = tenant_with(user(1, "ana"))
    with pytest.raises(ConfigurationError, match=f"there is no group {id_of(100)}"):
        rig.sync(groups=[id_of(100)])
    assert not rig.path.exists()


def test_only_a_scope_with_groups_needs_the_permission_for_members(tenant_with: MakeTenant) -> None:
    """GroupMember.Read.All is named when it is missing, and not needed otherwise."""
    rig = tenant_with(user(1, "ana"), permissions=("User.Read.All",))
    rig.sync()
    rig.emulator.tenant.set_group(id_of(100), [])
    with pytest.raises(ConfigurationError, match=r"lacks the application permission GroupMember\.Read\.All"):
        rig.sync(groups=[id_of(100)])


def test_a_netbios_name_comes_from_the_administrator(tenant_with: MakeTenant) -> None:
    """Graph has the DNS name only. The mapping applies to everybody at once, and can be withdrawn."""
    rig = tenant_with(
        user(1, "ana", onPremisesSamAccountName="AnaK", onPremisesDomainName="corp.contoso.com")
    )
    rig.sync()
    assert meant(rig.resolve("CONTOSO\\anak")) == "user-unknown"
    rig.sync(netbios={"corp.contoso.com": "CONTOSO"})
    assert meant(rig.resolve("contoso\\anak")) == "ana@contoso.com"
    rig.sync()
    (ana,) = rig.people().values()
    assert set(ana.account_names) == {"AnaK", "corp.contoso.com\\AnaK"}


def test_another_tenant_does_not_remove_everybody(tenant_with: MakeTenant) -> None:
    """A full reading without most of the known people is refused unless it is confirmed."""
    rig = tenant_with(*(user(number, f"person{number}") for number in range(30)))
    rig.sync()
    for number in range(25):
        rig.emulator.tenant.purge(id_of(number))
    before = rig.state()
    with pytest.raises(ConfigurationError, match="25 of 30 people are gone"):
        rig.sync(full=True)
    assert rig.state() == before
    assert rig.sync(full=True, accept_removals=True).removed == 25


def test_a_directory_of_another_service_is_left_alone(tenant_with: MakeTenant) -> None:
    """A delta link of one host is not sent to another."""
    rig, other = tenant_with(user(1, "ana")), tenant_with(user(2, "ben"))
    rig.sync()
    other.path = rig.path
    with pytest.raises(ConfigurationError, match="another service"):
        other.sync()


def test_two_syncs_at_once(tenant_with: MakeTenant) -> None:
    """The second one is refused while the first one writes."""
    rig = tenant_with(user(1, "ana"))
    rig.sync()
    with Directory(rig.path, writable=True) as busy:
        busy.begin(rig.clock.now())
        with pytest.raises(WaitError, match="another process"):
            rig.sync()
    rig.sync()
