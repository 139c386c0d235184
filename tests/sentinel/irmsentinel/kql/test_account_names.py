"""IRMAccountNames and irmcore's resolver apply one rule: on random directories they give the same answers."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from irmcore.identity.directory import Directory
from irmcore.identity.person import Person
from irmcore.identity.resolver import Refusal, Resolver
from irmsentinel.content import artefacts as content
from irmsentinel.content import tables
from irmsentinel.kql.engine import Engine

START = datetime(2026, 11, 19, tzinfo=UTC)
DAYS = 4
#: How late IdentityInfo may show a change.
LATE = timedelta(minutes=30)
MAILS = tuple(f"m{number}@contoso.com" for number in range(4))
UPNS = (*(f"u{number}@contoso.com" for number in range(4)), *MAILS[:2])
ACCOUNTS = ("sam0", "sam1", "sam2")
SIDS = ("s-1-5-21-0", "s-1-5-21-1")
IDS = tuple(f"id-{number}" for number in range(5))
NAMES = (*UPNS, *MAILS[2:], *ACCOUNTS, *(rf"corp\{name}" for name in ACCOUNTS), *SIDS, *IDS, "7", "nobody")


@dataclass(frozen=True)
class Change:
    """What IdentityInfo and the directory say of a person from a time on."""

    at: datetime
    person: Person


def changes(chance: random.Random) -> list[Change]:
    """A few people, each with up to three versions, in the order of time."""
    found = []
    # No two changes in one hour: the directory is read half an hour before each of them, and then.
    hours = chance.sample(range(-48, 24 * (DAYS + 1), 2), 3 * len(IDS))
    for object_id in IDS:
        created = chance.choice([None, START - timedelta(days=900), START + timedelta(days=1)])
        person = some_person(object_id, created, chance)
        for hour in sorted(hours.pop() for _ in range(chance.randint(1, 3))):
            at = START + timedelta(hours=hour, minutes=chance.choice([0, 10, 45]))
            found.append(Change(at, person))
            person = some_person(object_id, created, chance, before=person)
    return sorted(found, key=lambda change: change.at)


def some_person(
    object_id: str, created: datetime | None, chance: random.Random, before: Person | None = None
) -> Person:
    """A person with random names; `before`: mostly the names of the version before."""
    account = chance.choice(["", *ACCOUNTS])
    deleted = before is not None and chance.random() < 0.2
    person = Person(
        object_id=object_id,
        upn=chance.choice(UPNS),
        mails=tuple({chance.choice(MAILS) for _ in range(chance.randint(0, 2))}),
        account_names=(account, rf"corp\{account}") if account else (),
        sid=chance.choice(["", *SIDS]),
        employee_id=chance.choice(["", "7"]),
        enabled=not deleted and chance.random() < 0.8,
        deleted=deleted,
        created=created.timestamp() if created else None,
    )
    if before is not None and chance.random() < 0.5:
        return replace(person, upn=before.upn, sid=before.sid, account_names=before.account_names)
    return person


def row_of(change: Change) -> dict[str, Any]:
    """The change as IdentityInfo has it."""
    person = change.person
    created = datetime.fromtimestamp(person.created, UTC).isoformat() if person.created is not None else None
    return {
        "TimeGenerated": change.at.isoformat(),
        "AccountObjectId": person.object_id.upper(),
        "AccountUPN": person.upn.title(),
        "MailAddress": person.mails[0] if person.mails else "",
        "AdditionalMailAddresses": [f"smtp:{mail}" for mail in person.mails[1:]],
        "AccountSID": person.sid.upper(),
        "AccountDomain": "CORP",
        "SAMAccountName": person.account_names[0] if person.account_names else "",
        "EmployeeId": person.employee_id,
        "IsAccountEnabled": person.enabled,
        "AccountCreationTime": created,
        "DeletedDateTime": change.at.isoformat() if person.deleted else None,
    }


def by_kql(told: Sequence[Change]) -> dict[tuple[str, datetime], str]:
    """The answers of IRMAccountNames: a user, or the marker without the candidates."""
    end = START + timedelta(days=DAYS)
    names = json.dumps(list(NAMES))
    call = f"IRMAccountNames(datetime({START:%Y-%m-%d}), datetime({end:%Y-%m-%d}), dynamic({names}))"
    loaded = content.load()
    shape = tables.shapes(tables.load(loaded.root / "tables"))["IdentityInfo"][""]
    with Engine(loaded.local_functions()) as engine:
        engine.insert(shape, [row_of(change) for change in told])
        result = engine.run(call, now=end + timedelta(days=2))
    return {(name, day): user.partition(":")[0] for name, day, user, _ in result.rows}


def by_resolver(told: Sequence[Change], path: Path) -> dict[tuple[str, datetime], str]:
    """The answers of irmcore's resolver, in the same form."""
    with Directory(path, writable=True) as directory:
        for change in told:
            for at in (change.at - LATE, change.at):
                directory.begin(at.timestamp())
                if at == change.at:
                    directory.put(change.person, at.timestamp())
                directory.commit("", at.timestamp())
    answers = {}
    with Directory(path) as directory:
        resolver = Resolver(directory)
        for name in NAMES:
            for number in range(DAYS):
                day = START + timedelta(days=number)
                answer = resolver.resolve(name, day.timestamp(), (day + timedelta(days=1)).timestamp())
                code = answer.code.removeprefix("user-") if isinstance(answer, Refusal) else ""
                answers[name, day] = f"?{code} {name}" if isinstance(answer, Refusal) else answer.upn
    return answers


@pytest.mark.parametrize("seed", range(12))
def test_kql_and_the_resolver_give_the_same_answers(seed: int, tmp_path: Path) -> None:
    """No name of any day is somebody else's in one path than in the other, or refused for another reason."""
    told = changes(random.Random(seed))  # noqa: S311 - repeatable test data
    expected = by_resolver(told, tmp_path / "people.sqlite")
    assert by_kql(told) == expected
    assert any(not answer.startswith("?") for answer in expected.values())
