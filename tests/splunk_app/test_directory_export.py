"""From the directory to Splunk: the app resolves a name as `irmexport send` does with the same people."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from irmcli.identities.splunk_lookup import write_lookup
from irmcore.identity.directory import Directory
from irmcore.identity.person import Person
from irmcore.identity.resolver import Resolved, Resolver

from tests.splunk_app import spl, spl_run
from tests.splunk_app.test_content import APP, DAY, LOOKUPS, lookup_of, macros

DAY_LONG = 86_400
NAMES = ("a@contoso.com", "b@contoso.com", "c@contoso.com", "contoso\\a", "a", "s-1-5-21-1")
SEARCH = spl.expanded("index=t | `irmexport_user(user)` | table user, _time, UserPrincipalName", macros())

people = st.builds(
    Person,
    object_id=st.sampled_from(["00000000-0000-0000-0000-00000000000" + digit for digit in "123"]),
    upn=st.sampled_from(NAMES[:3]),
    mails=st.lists(st.sampled_from(NAMES[:3]), max_size=2, unique=True).map(tuple),
    account_names=st.lists(st.sampled_from(NAMES[3:5]), max_size=1).map(tuple),
    sid=st.sampled_from(["", NAMES[5]]),
    enabled=st.sampled_from([True, True, True, False]),
    created=st.sampled_from([None, float(DAY - 20 * DAY_LONG)]),
)
#: What each reading of the directory saw, some days apart and at any hour.
readings = st.lists(
    st.tuples(
        st.integers(1, 3 * 24), st.lists(people, max_size=3, unique_by=lambda person: person.object_id)
    ),
    min_size=1,
    max_size=4,
)


def filled(path: Path, seen: list[tuple[int, list[Person]]]) -> None:
    """Write a directory by one reading after another."""
    at = float(DAY - 5 * DAY_LONG)
    known: dict[str, Person] = {}
    for hours, those in seen:
        at += hours * 3600
        with Directory(path, writable=True) as directory:
            directory.begin(at)
            for gone in set(known) - {person.object_id for person in those}:
                directory.remove(gone, at)
            for person in those:
                directory.put(person, at)
            directory.commit("", at)
        known = {person.object_id: person for person in those}


def in_splunk(directory: Directory) -> Mapping[tuple[str, int], str]:
    """What the macro makes of each name on each day, with the exported lookup."""
    file = io.StringIO()
    write_lookup(directory, file)
    columns, _, lines = file.getvalue().partition("\n")
    assert columns == (APP / "lookups" / "irmexport_identities.csv").read_text(encoding="utf-8").strip()
    lookups = {**LOOKUPS, "irmexport_identities": lookup_of("irmexport_identities", lines)}
    events = [
        {"index": "t", "user": name, "_time": DAY + day * DAY_LONG} for name in NAMES for day in range(-7, 5)
    ]
    rows = spl_run.run(SEARCH, events, lookups)
    return {(row["user"], row["_time"]): row["UserPrincipalName"] for row in rows}


@given(readings)
@settings(max_examples=150, deadline=None)
def test_splunk_names_nobody_whom_the_resolver_does_not_name(seen: list[tuple[int, list[Person]]]) -> None:
    """What the macro resolves, the resolver resolves to the same person at that day's every moment."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "people.sqlite"
        filled(path, seen)
        with Directory(path) as directory:
            resolver = Resolver(directory)
            if not any(True for _ in directory.people()):
                return
            for (name, day), user in in_splunk(directory).items():
                answer = resolver.resolve(name, day, day + DAY_LONG)
                if not user.startswith("?"):
                    assert isinstance(answer, Resolved), (name, day, user, answer)
                    assert user == answer.upn
                elif isinstance(answer, Resolved):
                    # Only where the day's moments differ, or the next day's first hour does, is it stricter.
                    moments = {resolver.resolve(name, day + hour * 3600) for hour in range(26)}
                    assert len(moments) > 1, (name, day, user, answer)
