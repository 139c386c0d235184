"""A run with `identity` and `scope`: users resolved, rows dropped and counted, old directories refused."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from irmcore.counts import Counts
from irmcore.errors import ConfigurationError
from irmcore.identity.directory import Directory
from irmcore.intake.accept import accept
from irmcore.intake.dry_run import dry_run
from irmcore.intake.ledger.recovery import read_ledger
from irmcore.intake.open_users import open_users
from irmcore.intake.pipeline import Pipeline
from irmcore.outbox import Outbox, audit_log
from irmcore.profile import Profile, parse
from irmcore.shaping.readers import csv_table
from irmcore.shaping.reject_file import Reject
from irmcore.shaping.users import UserRefused

from tests.common.irmcore.identity.people import FIRST, day, disabled, person, write
from tests.common.irmcore.intake.test_accept import (
    HEADER,
    ORIGIN,
    WHERE,
    accept_rows,
    outbox_in,
    rows_sent,
    table,
)
from tests.common.irmcore.profiles import TEXT

SARA = replace(
    person(1, "sarad@contoso.com", "sara.davis@contoso.com"),
    account_names=("CONTOSO\\sarad", "sarad"),
    groups=("Staff",),
    country="DE",
)
LEO = replace(person(2, "leo@contoso.com", "l@contoso.com"), groups=("Works council",), country="DE")
MIA = replace(person(3, "mia@contoso.com"), country="FR")
FIRST_SHARER = person(4, "twin@contoso.com", "shared@contoso.com")
SECOND_SHARER = person(5, "other.twin@contoso.com", "shared@contoso.com")
NOON = "2026-11-05T12:06:00Z"


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """An outbox that does not exist yet; its clock says 2026-11-05."""
    found = outbox_in(tmp_path)
    found.clock.sleep(day(5) - found.clock.now())
    return found


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A directory that was read a day before."""
    everybody = [SARA, LEO, MIA, FIRST_SHARER, SECOND_SHARER]
    return write(tmp_path / "identities.sqlite", {FIRST: everybody, day(4): everybody})


def profile(folder: Path, more: str) -> Profile:
    """The small profile with ``more`` keys; relative paths start at ``folder``."""
    return parse(TEXT + more, "demo.yaml", folder=str(folder))


def with_directory(folder: Path, more: str = "") -> Profile:
    """The small profile with the directory of ``people``."""
    return profile(folder, f"identity: {{directory: identities.sqlite}}\n{more}")


def rows(*users: str) -> str:
    """A row for each name."""
    return "".join(f'"{name}",{NOON},{number},\r\n' for number, name in enumerate(users, start=1))


def refused(outbox: Outbox, rejects: str | None) -> list[tuple[str, str, str]]:
    """Line, reason and advice of each refused row."""
    assert rejects is not None
    found = csv.DictReader(io.StringIO(Path(rejects).read_text(), newline=""))
    return [(row["line"], row["reason"], row["advice"]) for row in found]


def test_users_are_resolved(outbox: Outbox, people: Path) -> None:
    """Names become user principal names; what is refused is listed with whom it might mean."""
    names = (*("SARAD@contoso.com", "sara.davis@contoso.com", "contoso\\sarad", LEO.object_id),)
    done = accept_rows(
        outbox,
        rows(*names, "shared@contoso.com", "nobody@contoso.com", "?ambiguous x: a@x.com, b@x.com"),
        with_directory(people.parent),
    )
    assert [row[0] for row in rows_sent(outbox, done)] == ["sarad@contoso.com"] * 3 + ["leo@contoso.com"]
    assert done.counts == Counts(read=7, shaped=4, rejected=3)
    assert done.reasons == {("user", "user-ambiguous"): 2, ("user", "user-unknown"): 1}
    listed = refused(outbox, done.rejects)
    assert [line[:2] for line in listed] == [
        ("6", "user-ambiguous"),
        ("7", "user-unknown"),
        ("8", "user-ambiguous"),
    ]
    assert listed[0][2].endswith("Candidates: other.twin@contoso.com, twin@contoso.com")
    assert listed[2][2].endswith("Candidates: a@x.com, b@x.com")


def test_row_keys_are_of_the_resolved_user(outbox: Outbox, people: Path) -> None:
    """The same detection under two names of a person is one row, in one run and in the next."""
    of = with_directory(people.parent)
    line = f",{NOON},1,a\r\n"
    done = accept_rows(outbox, f"sarad@contoso.com{line}CONTOSO\\sarad{line}", of)
    assert done.counts == Counts(read=2, shaped=1, merged=1)
    assert accept_rows(outbox, f"sara.davis@contoso.com{line}", of).counts == Counts(read=1, skipped=1)


def test_the_time_of_the_row_decides(outbox: Outbox, people: Path) -> None:
    """An address that passed on means the one who had it; on the day of the change nobody is certain."""
    write(people, {day(4, 12): [replace(SARA, mails=()), replace(MIA, mails=("sara.davis@contoso.com",))]})
    lines = [
        f"sara.davis@contoso.com,{at},1,\r\n"
        for at in (
            *("2026-11-03T00:00:00Z", "2026-11-03T10:01:00Z", "2026-11-04T12:01:00Z"),
            *("2026-11-04T06:01:00Z", "2026-11-04T00:00:00Z"),
        )
    ]
    done = accept_rows(outbox, "".join(lines), with_directory(people.parent))
    assert [row[0] for row in rows_sent(outbox, done)] == [
        *("sarad@contoso.com", "sarad@contoso.com", "mia@contoso.com"),
    ]
    assert [line[:2] for line in refused(outbox, done.rejects)] == [
        ("5", "user-validity-unknown"),
        ("6", "user-ambiguous"),
    ]


def test_a_local_day_on_which_summer_time_ends_has_25_hours(outbox: Outbox, people: Path) -> None:
    """A change in its last hour makes the day uncertain, unless it starts at midnight UTC."""
    write(people, {day(4, 12): [replace(SARA, mails=()), replace(MIA, mails=("sara.davis@contoso.com",))]})
    lines = (
        "sara.davis@contoso.com,2026-11-03T11:30:00Z,1,\r\nsara.davis@contoso.com,2026-11-03T00:00:00Z,1,\r\n"
    )
    done = accept_rows(outbox, lines, with_directory(people.parent))
    assert [line[:2] for line in refused(outbox, done.rejects)] == [("2", "user-ambiguous")]


def test_without_identity_nothing_changes(outbox: Outbox) -> None:
    """A name with a domain is sent, a name without one is refused, and the marker has its own reasons."""
    done = accept_rows(
        outbox, rows("x@contoso.com", "sarad", "?unknown sarad", "?validity-unknown a: a@x.com", "?other")
    )
    assert done.reasons == {
        ("user", "upn-without-domain"): 2,
        ("user", "user-unknown"): 1,
        ("user", "user-validity-unknown"): 1,
    }
    assert next(event for event in audit_log.read(outbox) if event.get("run") == done.run)["counts"] == {
        "read": 5,
        "shaped": 1,
        "merged": 0,
        "skipped": 0,
        "rejected": 4,
    }


def test_what_a_macro_has_excluded_is_counted_as_excluded(outbox: Outbox, people: Path) -> None:
    """With or without a directory. The row is in no batch and no reject file, whatever is wrong with it."""
    text = rows("x@contoso.com", "?excluded bot", "?excluded", "sarad") + "?excluded a@x.com,no time,x,\r\n"
    done = accept_rows(outbox, text, profile(people.parent, ""))
    assert [row[0] for row in rows_sent(outbox, done)] == ["x@contoso.com"]
    assert done.counts == Counts(read=5, shaped=1, rejected=2, excluded=2)
    assert [line[:2] for line in refused(outbox, done.rejects)] == [
        ("4", "upn-without-domain"),
        ("5", "upn-without-domain"),
    ]
    done = accept_rows(outbox, text, with_directory(people.parent))
    assert [row[0] for row in rows_sent(outbox, done)] == ["sarad@contoso.com"]
    assert done.counts == Counts(read=5, shaped=1, rejected=2, excluded=2)


# -- the map ------------------------------------------------------------------------------------------------

MAP = """\
SearchKey,UserPrincipalName
deploy-bot,
Sara.Private,SaraD@contoso.com
shared@contoso.com,mia@contoso.com
"""


def test_a_map_without_a_directory(outbox: Outbox, tmp_path: Path) -> None:
    """The map names users and excludes names; other names are taken as without `identity`."""
    (tmp_path / "accounts.csv").write_text("\ufeff" + MAP, encoding="utf-8")
    of = profile(tmp_path, "identity: {map: accounts.csv}\n")
    done = accept_rows(outbox, rows("sara.private", "DEPLOY-BOT", "x@contoso.com", "sarad"), of)
    assert [row[0] for row in rows_sent(outbox, done)] == ["sarad@contoso.com", "x@contoso.com"]
    assert done.counts == Counts(read=4, shaped=2, rejected=1, excluded=1)
    assert done.reasons == {("user", "upn-without-domain"): 1}
    record = next(event for event in audit_log.read(outbox) if event.get("run") == done.run)
    assert record["counts"]["excluded"] == 1
    assert "out_of_scope" not in record["counts"]


def test_a_map_holds_from_the_first_moment_on(outbox: Outbox, tmp_path: Path) -> None:
    """A name of the map is a user at every time that a row may have, the first one included."""
    (tmp_path / "accounts.csv").write_text("SearchKey,UserPrincipalName\nsvc,sarad@contoso.com\n")
    of = profile(tmp_path, "identity: {map: accounts.csv}\n")
    done = accept_rows(outbox, "svc,1970-01-01T00:00:00Z,1,\r\n", of)
    assert [user for user, *_ in rows_sent(outbox, done)] == ["sarad@contoso.com"]


@pytest.mark.usefixtures("csvs_own_limit")
def test_a_map_with_a_long_comment(tmp_path: Path) -> None:
    """A column that is not used may be longer than csv's own limit of a field."""
    text = "SearchKey,Note,UserPrincipalName\nsara.private," + "x" * 200_000 + ",sarad@contoso.com\n"
    (tmp_path / "accounts.csv").write_text(text, encoding="utf-8")
    with open_users(profile(tmp_path, "identity: {map: accounts.csv}\n"), 0.0) as users:
        assert users is not None


def test_the_map_wins(outbox: Outbox, people: Path) -> None:
    """The map decides where the directory is not certain, and what it excludes is not sent."""
    (people.parent / "accounts.csv").write_text(MAP + "leo@contoso.com,\n", encoding="utf-8")
    of = profile(people.parent, "identity: {directory: identities.sqlite, map: accounts.csv}\n")
    done = accept_rows(outbox, rows("shared@contoso.com", "leo@contoso.com", "sarad"), of)
    assert [row[0] for row in rows_sent(outbox, done)] == ["mia@contoso.com", "sarad@contoso.com"]
    assert done.counts == Counts(read=3, shaped=2, excluded=1)


def mapped(
    outbox: Outbox, folder: Path, lines: str, more: str = "", at: str = NOON
) -> tuple[list[str], Counts]:
    """The users sent, and the counts, of a row at this time for each line of the map."""
    (folder / "accounts.csv").write_text(f"SearchKey,UserPrincipalName\n{lines}", encoding="utf-8")
    of = profile(folder, f"identity: {{directory: identities.sqlite, map: accounts.csv}}\n{more}")
    done = accept_rows(outbox, "".join(f"{line.split(',')[0]},{at},1,\r\n" for line in lines.split()), of)
    return [row[0] for row in rows_sent(outbox, done)] if done.counts.shaped else [], done.counts


RENAMED = replace(SARA, upn="sara.new@contoso.com")


@pytest.mark.parametrize("at", [NOON, "2026-11-03T12:01:00Z", "2026-11-01T12:01:00Z"])
def test_a_mapped_name_that_passed_on(outbox: Outbox, people: Path, at: str) -> None:
    """The map may mean either person, so nobody gets the row; an object id says which."""
    namesake = person(6, "sarad@contoso.com", created=day(4, 1))
    write(people, {day(4, 1): [RENAMED, LEO, MIA], day(4, 2): [RENAMED, LEO, MIA, namesake]})
    sent, counts = mapped(outbox, people.parent, f"sara-gh,sarad@contoso.com\nx,{SARA.object_id}\n", at=at)
    assert sent == ["sara.new@contoso.com"]
    assert counts == Counts(read=2, shaped=1, rejected=1)
    with open_users(
        profile(people.parent, "identity: {directory: identities.sqlite, map: accounts.csv}\n"), day(5)
    ) as users:
        assert users is not None
        for when in (day(3, 12.1), day(5, 12.1)):
            with pytest.raises(UserRefused) as caught:
                users.user("sara-gh", int(when * 1_000_000))
            assert caught.value.code == "user-ambiguous"
            assert caught.value.candidates == ("sara.new@contoso.com", "sarad@contoso.com")


def test_a_mapped_address_that_passed_on(outbox: Outbox, people: Path) -> None:
    """An address has no better claim than a name; one that only one person has had resolves."""
    write(
        people, {day(4, 1): [replace(SARA, mails=()), replace(MIA, mails=("sara.davis@contoso.com",)), LEO]}
    )
    sent, counts = mapped(outbox, people.parent, "x,sara.davis@contoso.com\ny,l@contoso.com\n")
    assert sent == ["leo@contoso.com"]
    assert counts == Counts(read=2, shaped=1, rejected=1)


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        ("", "sara.new@contoso.com"),
        ("scope: {exclude: {list: some.csv}}\n", ""),
        ("scope: {exclude: {countries: [DE]}}\n", ""),
        ("scope: {include: {groups: [Staff]}}\n", "sara.new@contoso.com"),
    ],
)
def test_a_mapped_user_who_was_renamed(outbox: Outbox, people: Path, more: str, sent: str) -> None:
    """While the earlier name is certainly hers, she is sent, or excluded, by the new one."""
    write(people, {day(4, 1): [RENAMED, LEO, MIA]})
    (people.parent / "some.csv").write_text("UserPrincipalName\nsara.new@contoso.com\n")
    for at in ("2026-11-03T12:01:00Z", "2026-11-01T12:01:00Z"):
        found, counts = mapped(outbox, people.parent, "sara-gh,sarad@contoso.com\n", more, at)
        assert found == ([sent] if sent else [])
        assert counts == (Counts(read=1, shaped=1) if sent else Counts(read=1, out_of_scope=1))


def test_a_mapped_user_whom_nobody_is(outbox: Outbox, people: Path) -> None:
    """The row is refused with the directory's reason; without a directory, it is sent as before."""
    lines = "SearchKey,UserPrincipalName\na,nobody@contoso.com\nb,shared@contoso.com\nc,l@contoso.com\n"
    (people.parent / "accounts.csv").write_text(lines, encoding="utf-8")
    early = '"c",2026-11-01T12:06:00Z,4,\r\n'
    of = profile(people.parent, "identity: {directory: identities.sqlite, map: accounts.csv}\n")
    done = accept_rows(outbox, rows("a", "b", "c") + early, of)
    assert [row[0] for row in rows_sent(outbox, done)] == ["leo@contoso.com"]
    assert [line[1] for line in refused(outbox, done.rejects)] == [
        *("user-unknown", "user-ambiguous", "user-validity-unknown"),
    ]
    done = accept_rows(outbox, rows("a", "b"), profile(people.parent, "identity: {map: accounts.csv}\n"))
    assert [row[0] for row in rows_sent(outbox, done)] == ["nobody@contoso.com", "shared@contoso.com"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"SearchKey,UserPrincipalName\na,{SARA.object_id}\n",
            ":2: `UserPrincipalName` is not a user principal name",
        ),
        ("SearchKey,User\n", ":1: the header has no column `UserPrincipalName`"),
        (
            "SearchKey,UserPrincipalName\na,not a user\n",
            ":2: `UserPrincipalName` is not a user principal name",
        ),
        ("SearchKey,UserPrincipalName\n,a@x.com\n", ":2: `SearchKey` is empty"),
        ("SearchKey,UserPrincipalName\na,a@x.com\nA ,b@x.com\n", ":3: the name is mapped to another user"),
        ('SearchKey,UserPrincipalName\n"a"b,a@x.com\n', "is not CSV in UTF-8"),
        # Not the user b@x.com, and not an exclusion.
        ("SearchKey,UserPrincipalName\na, b@x.com,a@x.com\n", ":2: the row has another number of cells"),
        ("SearchKey,UserPrincipalName\na,,a@x.com\n", ":2: the row has another number of cells"),
        ("SearchKey,UserPrincipalName\na\n", ":2: the row has another number of cells"),
        (
            "SearchKey,UserPrincipalName,UserPrincipalName\na,a@x.com,b@x.com\n",
            ":1: two columns of the header have the same name",
        ),
    ],
)
def test_a_map_with_a_mistake(outbox: Outbox, tmp_path: Path, text: str, message: str) -> None:
    """A mistake in the map is an error with its line, before any row is taken."""
    (tmp_path / "accounts.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        accept_rows(outbox, rows("x@contoso.com"), profile(tmp_path, "identity: {map: accounts.csv}\n"))
    assert message in str(caught.value)
    assert "not a user," not in str(caught.value)


def test_a_map_that_is_missing(outbox: Outbox, tmp_path: Path) -> None:
    """A map that cannot be read is an error that names the file."""
    with pytest.raises(ConfigurationError, match=r"accounts\.csv: the file that the profile names cannot"):
        accept_rows(outbox, rows("x@contoso.com"), profile(tmp_path, "identity: {map: accounts.csv}\n"))


# -- scope --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "sent"),
    [
        ("include: {countries: [de]}", ["sarad@contoso.com", "leo@contoso.com"]),
        ("exclude: {countries: [DE]}", ["mia@contoso.com"]),
        ("include: {countries: [DE]}, exclude: {groups: [works council]}", ["sarad@contoso.com"]),
        ("include: {groups: [Staff], countries: [FR]}", ["sarad@contoso.com", "mia@contoso.com"]),
        ("include: {list: some.csv}", ["leo@contoso.com"]),
    ],
)
def test_scope(outbox: Outbox, people: Path, scope: str, sent: list[str]) -> None:
    """Only rows of people in scope leave; the others are counted, and are in no file."""
    (people.parent / "some.csv").write_text("UserPrincipalName,Why\nLeo@contoso.com,asked\n")
    of = with_directory(people.parent, f"scope: {{{scope}}}\n")
    done = accept_rows(outbox, rows("sarad", "leo@contoso.com", "mia@contoso.com"), of)
    assert [row[0] for row in rows_sent(outbox, done)] == sent
    assert done.counts == Counts(read=3, shaped=len(sent), out_of_scope=3 - len(sent))
    assert done.rejects is None
    if sent != ["leo@contoso.com"]:
        assert not done.counts.excluded


def test_a_list_with_another_name_of_a_person(outbox: Outbox, tmp_path: Path) -> None:
    """Whoever is excepted stays so under a new user principal name; nobody is included in this way."""
    renamed = replace(SARA, upn="sara.new@contoso.com")
    given_away = replace(MIA, upn="mia.new@contoso.com")
    heir = person(6, "mia@contoso.com")
    days = {
        FIRST: [SARA, LEO, MIA],
        day(3): [renamed, LEO, given_away],
        day(4): [renamed, LEO, given_away, heir],
    }
    write(tmp_path / "identities.sqlite", days)
    (tmp_path / "some.csv").write_text(
        "UserPrincipalName\nSaraD@contoso.com\nl@contoso.com\nmia@contoso.com\n"
    )
    users = rows("sarad", "leo@contoso.com", "mia.new@contoso.com", heir.object_id)
    of = with_directory(tmp_path, "scope: {exclude: {list: some.csv}}\n")
    done = accept_rows(outbox, users, of)
    assert [row[0] for row in rows_sent(outbox, done)] == ["mia.new@contoso.com"]
    of = with_directory(tmp_path, "scope: {include: {list: some.csv}}\n")
    done = accept_rows(outbox, users, of)
    assert [row[0] for row in rows_sent(outbox, done)] == ["mia@contoso.com"]


def test_a_group_whose_members_were_not_read(outbox: Outbox, people: Path) -> None:
    """It would seem empty: nobody would be excluded. Nothing is taken until a sync has read it."""
    of = with_directory(people.parent, "scope: {exclude: {groups: [Works council]}}\n")
    for groups, known in (([], False), (["staff", "WORKS council"], True)):
        with Directory(people, writable=True) as directory:
            directory.begin(day(4))
            directory.commit("", day(4), groups)
        if known:
            accept_rows(outbox, rows("leo@contoso.com"), of)
            continue
        with pytest.raises(ConfigurationError, match="does not have the members of the group works council"):
            accept_rows(outbox, rows("leo@contoso.com"), of)
        assert not outbox.ready()


def test_entries_of_a_list_that_nobody_has(outbox: Outbox, people: Path) -> None:
    """A misspelled entry excepts nobody, so the run warns with the line of the first, not with the name."""
    (people.parent / "some.csv").write_text(
        "UserPrincipalName\nleo@contoso.com\nloe@contoso.com\nsahra@contoso.com\n"
    )
    of = with_directory(people.parent, "scope: {exclude: {list: some.csv}}\n")
    done = accept_rows(outbox, rows("sarad"), of)
    assert "some.csv:3: 2 entries are nobody's name in the directory of people" in done.warning
    assert "loe" not in done.warning
    (people.parent / "some.csv").write_text("UserPrincipalName\nleo@contoso.com\n")
    assert "nobody" not in accept_rows(outbox, rows("leo@contoso.com"), of).warning


@pytest.mark.parametrize("name", ["identities.sqlite", "some.csv", "map.csv"])
def test_people_that_others_may_change_are_refused(outbox: Outbox, people: Path, name: str) -> None:
    """Whoever changes the directory, a list or the map decides to whom rows are attributed."""
    (people.parent / "some.csv").write_text("UserPrincipalName\nleo@contoso.com\n")
    (people.parent / "map.csv").write_text("SearchKey,UserPrincipalName\nx,leo@contoso.com\n")
    text = f"identity: {{directory: {people.name}, map: map.csv}}\nscope: {{exclude: {{list: some.csv}}}}\n"
    accept_rows(outbox, rows("sarad"), profile(people.parent, text))
    (people.parent / name).chmod(0o666)
    with pytest.raises(ConfigurationError, match=r"other users may change the .*\(mode 0666\)"):
        accept_rows(outbox, rows("sarad"), profile(people.parent, text))


def test_scope_by_a_list_alone(outbox: Outbox, tmp_path: Path) -> None:
    """A list needs no directory."""
    (tmp_path / "some.csv").write_text("UserPrincipalName\nleo@contoso.com\n")
    done = accept_rows(
        outbox,
        rows("LEO@contoso.com", "x@contoso.com"),
        profile(tmp_path, "scope: {exclude: {list: some.csv}}\n"),
    )
    assert [row[0] for row in rows_sent(outbox, done)] == ["x@contoso.com"]
    assert done.counts == Counts(read=2, shaped=1, out_of_scope=1)


def test_a_bad_row_out_of_scope_is_not_listed(outbox: Outbox, people: Path) -> None:
    """The reject file has no row of a person out of scope, whatever is wrong with it."""
    of = with_directory(people.parent, "scope: {exclude: {groups: [Works council]}}\n")
    text = f"leo@contoso.com,{NOON},many,\r\nleo@contoso.com,yesterday,1,\r\nmia@contoso.com,{NOON},many,\r\n"
    done = accept_rows(outbox, text, of)
    assert done.counts == Counts(read=3, rejected=1, out_of_scope=2)
    assert [line[:2] for line in refused(outbox, done.rejects)] == [("4", "number-malformed")]


def test_a_mapped_user_whose_scope_is_not_known(outbox: Outbox, people: Path) -> None:
    """Where groups or countries decide and the directory does not know the user, the row is refused."""
    (people.parent / "accounts.csv").write_text(
        "SearchKey,UserPrincipalName\nx,x@contoso.com\ny,leo@contoso.com\n"
    )
    of = profile(
        people.parent,
        "identity: {directory: identities.sqlite, map: accounts.csv}\nscope: {include: {countries: [DE]}}\n",
    )
    done = accept_rows(outbox, rows("x", "y"), of)
    assert done.counts == Counts(read=2, shaped=1, rejected=1)
    assert done.reasons == {("user", "user-unknown"): 1}


# -- age ----------------------------------------------------------------------------------------------------


def test_no_directory(outbox: Outbox, tmp_path: Path) -> None:
    """Without the directory no row is taken, in a dry run neither."""
    of = with_directory(tmp_path)
    with pytest.raises(ConfigurationError, match="there is no directory of people") as caught:
        accept_rows(outbox, rows("sarad"), of)
    assert "irmexport identities sync" in str(caught.value)
    with pytest.raises(ConfigurationError, match="there is no directory of people"):
        dry_run(table(HEADER + rows("sarad")), of, None)
    of = profile(tmp_path, "identity: {}\n")
    with pytest.raises(ConfigurationError, match="this host has no default directory of people"):
        accept_rows(outbox, rows("sarad"), of)
    with pytest.raises(ConfigurationError, match="there is no directory of people"):
        accept_rows(outbox, rows("sarad"), of.with_directory(str(tmp_path / "identities.sqlite")))
    assert not list(Path(outbox.path).glob("ready/*"))


@pytest.mark.parametrize(
    ("age", "days", "warns", "refuses"),
    [
        ("", 3.5, False, False),
        ("", 3.500_02, True, False),
        ("", 7, True, False),
        ("", 7.000_02, True, True),
        (", max_age: 36h", 0.75, False, False),
        (", max_age: 36h", 0.750_02, True, False),
        (", max_age: 36h", 1.5, True, False),
        (", max_age: 36h", 1.500_02, True, True),
    ],
)
def test_an_old_directory(
    outbox: Outbox, people: Path, age: str, days: float, *, warns: bool, refuses: bool
) -> None:
    """At half of `max_age` a run warns, and after it no row is taken; both name the command to run."""
    of = profile(people.parent, f"identity: {{directory: identities.sqlite{age}}}\n")
    outbox.clock.sleep(day(4) + days * 86_400 - outbox.clock.now())
    if refuses:
        said = f"was last read at 2026-11-04.*`identity.max_age` is {'36h' if age else '7d'}"
        with pytest.raises(ConfigurationError, match=said) as caught:
            accept_rows(outbox, rows("sarad"), of)
        assert "Run: irmexport identities sync" in str(caught.value)
        return
    done = accept_rows(outbox, rows("sarad"), of)
    assert done.counts == Counts(read=1, shaped=1)
    assert ("irmexport identities sync" in done.warning) is warns


def test_a_directory_from_the_future(outbox: Outbox, people: Path) -> None:
    """With a wrong clock nobody knows how old the directory is; less than a day is only another clock."""
    everybody = [SARA, LEO, MIA, FIRST_SHARER, SECOND_SHARER]
    write(people, {outbox.clock.now() + 86_400: everybody})
    assert accept_rows(outbox, rows("sarad"), with_directory(people.parent)).counts.shaped == 1
    write(people, {outbox.clock.now() + 86_401: everybody})
    with pytest.raises(ConfigurationError, match=r"which is in the future.*Check the system clock"):
        accept_rows(outbox, rows("sarad"), with_directory(people.parent))


# -- the ways of a row --------------------------------------------------------------------------------------


def test_all_ways_give_the_same(outbox: Outbox, people: Path) -> None:
    """Worker processes, one process, keep-greatest and a dry run resolve, drop and refuse alike."""
    write(people, {day(4, 1): [SARA, disabled(LEO), MIA, FIRST_SHARER, SECOND_SHARER]})
    (people.parent / "accounts.csv").write_text("SearchKey,UserPrincipalName\nbot,\n")
    names = ["sarad", "leo@contoso.com", "MIA@contoso.com", "shared@contoso.com", "bot", "l@contoso.com", "x"]
    file = people.parent / "in.csv"
    lines = [
        f"{names[n % 7]},2026-11-0{2 + n % 3}T{n % 24:02}:{n % 60:02}:{n % 59:02}Z,{n},note {n}"
        for n in range(9_000)
    ]
    file.write_text("\r\n".join([HEADER.strip(), *lines, ""]))
    more = (
        "identity: {directory: identities.sqlite, map: accounts.csv}\nscope: {exclude: {countries: [FR]}}\n"
    )
    of = profile(people.parent, more)
    greatest = profile(people.parent, f"{more}collisions: {{policy: keep-greatest}}\n")
    found = [run(of, file, 0), run(of, file, 3), run(greatest, file, 0)]
    assert found[0] == found[1]
    counts = found[0][0]
    assert (counts.excluded, counts.out_of_scope) == (1_286, 1_286)
    assert counts.shaped + counts.rejected + counts.excluded + counts.out_of_scope == 9_000
    assert (found[2][0].excluded, found[2][0].out_of_scope) == (counts.excluded, counts.out_of_scope)
    assert found[2][0].rejected == counts.rejected
    with file.open("rb") as stream:
        done = accept(csv_table(stream, name="in.csv"), of, outbox, ORIGIN, destination=WHERE)
    assert done.counts == counts
    assert read_ledger(outbox) is not None


def run(of: Profile, file: Path, workers: int) -> tuple[Counts, bytes, list[Reject]]:
    """The counts, payloads and refused rows of a file that is shaped in so many worker processes."""
    rejects: list[Reject] = []
    with file.open("rb") as stream, open_users(of, day(4, 12)) as users:
        pipeline = Pipeline(of, None, workers, users)
        batches = pipeline.batches(
            csv_table(stream, name="in.csv"), "in.csv", None, lambda reject, _: rejects.append(reject)
        )
        sent = b"".join(batch.payload for batch in batches)
    return pipeline.counts(), sent, rejects
