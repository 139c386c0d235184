"""Which account of an incident a row names: the one chosen, and never a guess."""

from __future__ import annotations

import json
from typing import Any

import pytest
from irmsentinel.functions.incident_rows import EACH, ONE, IncidentRefused, rows

from tests.sentinel.irmsentinel.functions.incidents import NAME, alert_account, api_account, incident

ACTOR, TARGET = "helpdesk@contoso.com", "sarad@contoso.com"
OBJECT = "0aaaaaaa-0000-4000-8000-000000000001"
HOST = {"kind": "Host", "properties": {"hostName": "pc1"}}


def people(*entities: Any, accounts: str = ONE, given: Any = None) -> list[str]:
    """The users of the rows."""
    found = rows(incident() if given is None else given, list(entities), accounts)
    return [row["UserPrincipalName"] for row in found]


def test_a_row_of_an_incident() -> None:
    """Every field, from literal input to literal output."""
    entities = [HOST, api_account("SaraD", aadUserId=OBJECT)]
    assert rows(incident(), entities, ONE) == [
        {
            "UserPrincipalName": "sarad@contoso.com",
            "EventTime": "2026-11-20T10:00:00.1234567Z",
            "SourceWorkload": "SentinelIncident",
            "Incident": NAME.lower(),
            "Title": "A password was reset by an unusual account",
            "Severity": "Medium",
            "AlertCount": "2",
        }
    ]


@pytest.mark.parametrize("form", [api_account, alert_account])
def test_who_acted_and_who_was_acted_upon_are_not_told_apart(form: Any) -> None:
    """An account reset another's password: the alert has both, without a role, so nobody is named."""
    both = [form(ACTOR.split("@", maxsplit=1)[0]), form(TARGET.split("@", maxsplit=1)[0])]
    for given in (both, both[::-1], json.dumps(both)):
        with pytest.raises(IncidentRefused, match="2 accounts, and nothing shows which one acted") as refused:
            rows(incident(), given, ONE)
        assert "playbook for entities" in refused.value.next_step
        assert "sarad" not in str(refused.value)
    assert people(both[0]) == [ACTOR]
    assert people(*both, accounts=EACH) == [ACTOR, TARGET]


@pytest.mark.parametrize(
    ("entity", "name"),
    [
        (alert_account("Sara.D@contoso.com", ""), "sara.d@contoso.com"),
        (alert_account("Sara.D@contoso.com", "contoso.com"), "sara.d@contoso.com"),
        (alert_account("", "", AadUserId=OBJECT.upper()), OBJECT),
        (alert_account("sarad", "", NTDomain="CONTOSO"), r"CONTOSO\sarad"),
        (alert_account("sarad", "", NTDomain="CONTOSO", AadUserId=OBJECT), OBJECT),
        (alert_account("", "", Sid="s-1-5-21-1"), "S-1-5-21-1"),
        (alert_account("sarad", "", Sid="S-1-5-21-1"), "sarad"),
        (api_account("sarad", ""), "sarad"),
    ],
    ids=["upn in the name", "with suffix", "object id", "domain", "object id first", "sid", "name", "api"],
)
def test_the_strongest_name_of_an_account(entity: dict[str, Any], name: str) -> None:
    """The profile resolves it, or refuses it, as in any other row."""
    assert people(entity) == [name]


def test_one_account_with_several_names_is_one() -> None:
    """Two alerts of an incident name the same account by its UPN and by its object ID."""
    whole = api_account("sarad", aadUserId=OBJECT)
    by_id = api_account("", "", aadUserId=OBJECT)
    by_name = api_account("SARAD")
    for given in ([by_id, whole, by_name], [by_name, whole, by_id], [whole, whole]):
        assert people(*given) == [TARGET]


def test_a_shared_name_does_not_join_two_accounts() -> None:
    """The same UPN with another object ID is another account: names are reassigned."""
    with pytest.raises(IncidentRefused, match="2 accounts"):
        people(api_account("sarad", aadUserId=OBJECT), api_account("sarad", aadUserId=OBJECT[:-1] + "2"))


@pytest.mark.parametrize("accounts", [ONE, EACH])
def test_an_account_without_a_name_is_still_an_account(accounts: str) -> None:
    """If the actor's name is hidden, the other account is not sent in its place."""
    hidden = alert_account("x8f2", IsAnonymized=True)
    with pytest.raises(IncidentRefused, match="no name"):
        people(hidden, alert_account("sarad"), accounts=accounts)
    with pytest.raises(IncidentRefused, match="no name"):
        people(alert_account("", ""), accounts=accounts)


@pytest.mark.parametrize("given", [[], [HOST], "", "{", None, [None, 5, "x"], {"a": 1}], ids=repr)
def test_no_account_is_refused(given: Any) -> None:
    """Whatever the playbook sends, there is a message with a next step."""
    with pytest.raises(IncidentRefused, match="no account"):
        rows(incident(), given, ONE)


@pytest.mark.parametrize("given", [None, [], {}, {"properties": None}, "x"], ids=repr)
def test_what_is_no_incident_is_refused(given: Any) -> None:
    """An entity that is not in an incident has no event to report."""
    with pytest.raises(IncidentRefused, match="no incident"):
        rows(given, [api_account("sarad")], ONE)


@pytest.mark.parametrize(
    "change",
    [
        {"additionalData": {"alertProductNames": ["Microsoft 365 Insider Risk Management"]}},
        {"title": "IRM: score of a user rose"},
        {"title": "Data theft (Insider Risk)"},
    ],
    ids=["product", "our rule", "title"],
)
def test_nothing_of_insider_risk_management_goes_back_to_it(change: dict[str, Any]) -> None:
    """Its own alert would raise the same user's score again."""
    with pytest.raises(IncidentRefused, match="comes from Insider Risk Management"):
        people(api_account("sarad"), given=incident(**change))


def test_a_later_press_has_the_same_subject() -> None:
    """What changes while an incident is open is not in the fields that identify the row."""
    later = incident(
        title="Renamed", severity="High", status="Active", lastModifiedTimeUtc="2026-11-21T00:00:00Z",
        additionalData={"alertsCount": 5},
    )  # fmt: skip
    first, second = (rows(one, [api_account("sarad")], ONE)[0] for one in (incident(), later))
    same = {"UserPrincipalName", "EventTime", "SourceWorkload", "Incident"}
    assert {name for name in first if first[name] == second[name]} == same
