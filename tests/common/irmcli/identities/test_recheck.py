"""`identities recheck` lists rows on disk that would now resolve differently."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest
from irmcli.identities.recheck import Finding, recheck
from irmcore.clock import SystemClock
from irmcore.delivery import connection as connections
from irmcore.delivery.connection import Connection
from irmcore.disk import system_disk
from irmcore.identity.directory import Directory
from irmcore.identity.person import Person
from irmcore.intake.accept import accept
from irmcore.outbox import Origin, Outbox
from irmcore.profile import Profile, parse, shipped_text
from irmcore.profile.model import PLACEHOLDER
from irmcore.shaping.readers import mappings_table

DAY = 86_400.0
#: 2023-04-20T00:00:00Z, the day of the rows.
ROWS_DAY = 1_681_948_800.0
JOB = "b8be4a7d-e338-43eb-a69e-c513cd458eba"


@pytest.fixture
def profile() -> Profile:
    """A profile without a directory: names with a domain are taken as they are."""
    return parse(shipped_text("leaver-prediction").replace(PLACEHOLDER, JOB), "leavers.yaml")


@pytest.fixture
def outbox(tmp_path: Path, profile: Profile) -> Outbox:
    """An outbox with one batch of three rows and one refused row."""
    connection = Connection(profile.name, profile.connector)
    found = Outbox(system_disk(), SystemClock(), f"{tmp_path}/{connections.outbox_name(connection)}")
    found.create()
    send(found, profile, "ana@contoso.com", "ben@contoso.com", "cleo@contoso.com", "CONTOSO\\dora")
    return found


def send(outbox: Outbox, profile: Profile, *users: str) -> None:
    """Accept a row of each user."""
    rows = [
        {
            "UserPrincipalName": user,
            "PredictionTime": f"2023-04-20T05:{number:02}:56Z",
            "PredictionScore": "6",
            "ModelInfo": "x",
        }
        for number, user in enumerate(users)
    ]
    table = mappings_table(rows, list(rows[0]))
    destination = connections.destination(Connection(profile.name, profile.connector))
    accept(table, profile, outbox, Origin("u", "h", "cli", {}), destination=destination, name="rows")


def directory(path: Path, *people: Person) -> Path:
    """A directory that was read ten days before the rows."""
    with Directory(path, writable=True) as written:
        written.begin(ROWS_DAY - 10 * DAY)
        for person in people:
            written.put(person, ROWS_DAY - 10 * DAY)
        written.commit("", ROWS_DAY - 10 * DAY)
    return path


def test_rows_of_batches_are_counted_by_reason(tmp_path: Path, outbox: Outbox, profile: Profile) -> None:
    """Ana is who she was, Ben has another name now, and nobody was ever called Cleo."""
    path = directory(
        tmp_path / "people.sqlite", Person("id-1", "ana@contoso.com"), Person("id-2", "ben@contoso.com")
    )
    with Directory(path, writable=True) as written:
        written.begin(ROWS_DAY + DAY)
        written.put(Person("id-2", "benjamin@contoso.com"), ROWS_DAY + DAY)
        written.commit("", ROWS_DAY + DAY)
    (batch,) = outbox.ready()
    assert list(recheck(outbox, profile, path)) == [
        Finding("batch", batch.id, 1, "renamed"),
        Finding("batch", batch.id, 1, "user-unknown"),
    ]


def test_hr_rows_are_looked_up_by_the_date_of_their_scenario(tmp_path: Path) -> None:
    """On one day the name was Ben's, who has another now; five days later it was nobody's for certain."""
    text = shipped_text("hr").replace(PLACEHOLDER, JOB)
    profile = parse(text, "hr.yaml")
    connection = Connection(profile.name, profile.connector)
    outbox = Outbox(system_disk(), SystemClock(), f"{tmp_path}/{connections.outbox_name(connection)}")
    outbox.create()
    rows = [
        {
            "HRScenario": "Performance review",
            "EmailAddress": "ben@contoso.com",
            "EffectiveDate": f"2023-04-{day}T00:00:00Z",
            **dict.fromkeys(("ResignationDate", "LastWorkingDate", "Remarks", "Rating"), ""),
            **dict.fromkeys(("OldLevel", "NewLevel"), ""),
        }
        for day in (20, 25)
    ]
    table = mappings_table(rows, list(rows[0]))
    where = connections.destination(connection)
    accept(table, profile, outbox, Origin("u", "h", "cli", {}), destination=where, name="rows")
    path = directory(tmp_path / "people.sqlite", Person("id-2", "ben@contoso.com", created=1.0))
    with Directory(path, writable=True) as written:
        for days, person in (
            (2, Person("id-2", "ben@contoso.com", created=1.0)),
            (3, Person("id-2", "benjamin@contoso.com", created=1.0)),
            (9, Person("id-3", "ben@contoso.com", created=ROWS_DAY + 9 * DAY)),
        ):
            written.begin(ROWS_DAY + days * DAY)
            written.put(person, ROWS_DAY + days * DAY)
            written.commit("", ROWS_DAY + days * DAY)
    found = [one[2:] for one in recheck(outbox, profile, path)]
    assert found == [(1, "renamed"), (1, "user-validity-unknown")]


def test_a_row_of_before_a_renaming(tmp_path: Path, outbox: Outbox, profile: Profile) -> None:
    """A row sent under the name that its person has today is no finding, also if the name is newer."""
    path = directory(
        tmp_path / "people.sqlite",
        Person("id-1", "ana.old@contoso.com"),
        Person("id-2", "ben@contoso.com"),
        Person("id-3", "cleo@contoso.com"),
    )
    with Directory(path, writable=True) as written:
        written.begin(ROWS_DAY + DAY)
        written.put(Person("id-1", "ana@contoso.com"), ROWS_DAY + DAY)
        written.commit("", ROWS_DAY + DAY)
    assert list(recheck(outbox, profile, path)) == []


def test_refused_rows_that_would_be_accepted_now(tmp_path: Path, outbox: Outbox) -> None:
    r"""With a directory in the profile, DOMAIN\name resolves."""
    people = [Person(f"id-{name}", f"{name}@contoso.com") for name in ("ana", "ben", "cleo")]
    dora = Person("id-dora", "dora@contoso.com", account_names=("CONTOSO\\dora",))
    path = directory(tmp_path / "people.sqlite", *people, dora)
    now = time.time()
    with Directory(path, writable=True) as written:  # a directory that is too old is not used
        written.begin(now)
        written.commit("", now)
    text = shipped_text("leaver-prediction").replace(PLACEHOLDER, JOB)
    profile = parse(f"{text}\nidentity: {{directory: {path}}}\n", "leavers.yaml", folder="/")
    (finding,) = recheck(outbox, profile, path)
    assert (finding.where, finding.rows, finding.reason) == ("rejects", 1, "accepted-now")
    send(outbox, profile, "ana@contoso.com", "ben@contoso.com", "cleo@contoso.com", "CONTOSO\\dora")
    assert list(recheck(outbox, profile, path)) == []


def test_an_outbox_that_does_not_exist_has_nothing_to_check(tmp_path: Path, profile: Profile) -> None:
    """Also without a directory."""
    nothing = Outbox(system_disk(), SystemClock(), f"{tmp_path}/purview-none")
    assert list(recheck(nothing, profile, tmp_path / "none.sqlite")) == []


@pytest.mark.usefixtures("csvs_own_limit")
def test_a_refused_row_may_be_long(tmp_path: Path, outbox: Outbox, profile: Profile) -> None:
    """A cell of a reject file holds a whole row, more than csv reads by itself."""
    people = directory(tmp_path / "people.sqlite", *(Person(f"id-{n}", f"{n}@contoso.com") for n in "ab"))
    (file,) = Path(outbox.path, "rejects").glob("*.csv")
    text = file.read_text() + '9,user,upn-x,,"{""a"": ""' + "x" * 200_000 + '""}"\n'
    file.write_text(text)
    csv.field_size_limit(131_072)  # filling the outbox raised it
    assert [found.where for found in recheck(outbox, profile, people)]
