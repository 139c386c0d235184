"""Which log entry belongs to which upload, and the likely cause of a difference."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
from irmcli.reconcile.matching import PayloadCounts, Upload, describe_payload, likely_cause, match
from irmcli.reconcile.portal_log import Entry
from irmcore import profile as profiles

PROFILE = profiles.parse(profiles.shipped_text("salesforce-dropbox"), "p")
ONE = Upload("a" * 64, "c", "job-1", 5, 1000.0, "SENT", "11111111-1111-4111-8111-111111111111")
TWO = replace(ONE, batch="b" * 64, at=2000.0, request_id="-")


def test_entries_are_matched_by_request_time_or_order() -> None:
    """The request id takes precedence over the time; without both, entries match in order."""
    far = Entry(1, 5, 9000.0, frozenset({ONE.request_id}))
    assert match([ONE, TWO], [Entry(2, 3, 2010.0), far], within=60) == (
        [(ONE, far), (TWO, Entry(2, 3, 2010.0))],
        [],
        [],
    )
    early, late = Entry(1, 1, 1001.0), Entry(2, 1, 1999.0)
    assert match([TWO, ONE], [late, early], within=60)[0] == [(ONE, early), (TWO, late)]
    first, second = Entry(1, 1), Entry(2, 2)
    assert match([ONE, TWO], [first, second], within=60)[0] == [(ONE, first), (TWO, second)]


def test_entries_without_times_match_by_size_before_order() -> None:
    """A log may list the newest first: only what no size tells apart matches in order."""
    small, large = replace(ONE, rows=5, request_id="-"), replace(TWO, rows=700)
    third = replace(TWO, batch="d" * 64, rows=30)
    newest_first = [Entry(1, 700), Entry(2, 28), Entry(3, 5)]
    assert match([small, large, third], newest_first, within=60)[0] == [
        (small, Entry(3, 5)),
        (large, Entry(1, 700)),
        (third, Entry(2, 28)),
    ]
    # Of equal sizes the order decides, and an entry that names another connector's job is not this one's.
    other = replace(small, batch="e" * 64, job="job-2")
    named, plain = Entry(1, 5, None, frozenset({"job-2"})), Entry(2, 5)
    assert match([small, other], [named, plain], within=60)[0] == [(small, plain), (other, named)]


def test_uploads_of_one_run_match_by_size_before_time() -> None:
    """A log that is written a minute late has the first upload's entry nearest to the second upload."""
    first, second = replace(ONE, rows=5000, request_id="-"), replace(TWO, rows=37, at=1003.0)
    entries = [Entry(1, 5000, 1060.0), Entry(2, 36, 1063.0)]
    assert match([first, second], entries, within=900)[0] == [(first, entries[0]), (second, entries[1])]


def test_entries_that_do_not_match_are_left_over() -> None:
    """Entries too far apart, too many, or with another connector's job do not match."""
    assert match([ONE], [Entry(1, 5, 5000.0)], within=60) == ([], [ONE], [Entry(1, 5, 5000.0)])
    pairs, lonely, rest = match([ONE], [Entry(1, 5), Entry(2, 5)], within=60)
    assert (pairs, lonely, len(rest)) == ([], [ONE], 2)
    other = replace(ONE, batch="c" * 64, job="job-2", at=1000.0)
    entry = Entry(1, 5, 1000.0, frozenset({"job-2"}))
    assert match([ONE, other], [entry], within=60)[0] == [(other, entry)]


HEADER = b"User_Principal_Name,Aggregation_Date,Source_Workload\r\n"
ROWS = (
    b"a@b.example,2026-11-20T00:00:00.000001+00:00,Dropbox\r\n"
    b"a@b.example,2026-11-20T00:00:00.000002+00:00,Dropbox\r\n"
    b"a@b.example,2026-11-20T00:00:00.500000+00:00,Dropbox\r\n"
    b"b@b.example,2026-11-20T00:00:00.000001+00:00,Salesforce\r\n"
    b"b@b.example,2026-11-20T00:00:01.000001+00:00,Salesforce\r\n"
)


def test_the_counts_of_a_payload() -> None:
    """Distinct (user, time) pairs at each precision, and rows by source."""
    found = describe_payload(HEADER + ROWS, PROFILE)
    assert found == PayloadCounts({"1us": 5, "1ms": 4, "1s": 3}, Counter({"Dropbox": 3, "Salesforce": 2}))
    assert describe_payload(b"other\r\n1\r\n", PROFILE) is None


@pytest.mark.parametrize(
    ("saved", "found", "said"),
    [
        (5, None, "all rows were saved"),
        (6, None, "another sender"),
        (0, None, "no row was saved"),
        (4, describe_payload(HEADER + ROWS, PROFILE), "`collisions.step: 1ms`"),
        (3, describe_payload(HEADER + ROWS, PROFILE), "`collisions.step: 1s`"),
        (2, describe_payload(HEADER + ROWS, PROFILE), "the source value Dropbox"),
        (1, describe_payload(HEADER + ROWS, PROFILE), "for no known cause"),
        (4, PayloadCounts({"1us": 4, "1ms": 4, "1s": 4}, Counter()), "`collisions.policy: spread`"),
        (4, None, "no longer available"),
    ],
)
def test_the_likely_cause(saved: int, found: PayloadCounts | None, said: str) -> None:
    """Each known cause leaves its own number of rows, and the text names its remedy."""
    assert said in likely_cause(ONE, saved, found, PROFILE)


def test_a_held_upload_that_was_saved_names_the_command() -> None:
    """A held upload whose rows were all saved can be resolved as sent."""
    assert likely_cause(replace(ONE, state="HELD"), 5, None, None) == (
        'all rows were saved: irmexport resolve aaaaaaaaaaaa --sent --why "RecordsSaved 5"'
    )


@pytest.mark.usefixtures("csvs_own_limit")
def test_a_payload_with_a_long_field_is_counted() -> None:
    """Csv reads fields of up to 131,072 characters by itself; an upload may have longer ones."""
    names, values = HEADER.rstrip(), (HEADER + ROWS).splitlines()[1]
    found = describe_payload(names + b",More\r\n" + values + b"," + b"x" * 200_000 + b"\r\n", PROFILE)
    assert found is not None
    assert found.pairs["1us"] == 1


def test_missing_hr_rows_are_explained_by_their_scenario() -> None:
    """Rows of one person and time are all saved, so only the identifier column can explain the difference."""
    profile = profiles.parse(profiles.shipped_text("hr"), "hr.yaml")
    header = ",".join(column.header for column in profile.columns)
    row = "Performance review,s@contoso.com,,,2026-11-02T09:00:00.000000+00:00,,,,"
    rows = [row, row, row.replace("Performance review", "Job level change")]
    found = describe_payload("\r\n".join([header, *rows, ""]).encode(), profile)
    assert found is not None
    told = likely_cause(replace(ONE, rows=3), 2, found, profile)
    assert "the scenario value Job level change" in told


def test_an_attempt_that_was_refused_takes_its_entry_of_no_rows() -> None:
    """It had no rows saved, the upload minutes later all of them; without it, the upload would have none."""
    refused = replace(TWO, rows=0, at=1700.0, state="")
    zero = Entry(1, 0, 1702.0)
    assert match([TWO], [zero], within=900) == ([(TWO, zero)], [], [])
    assert match([TWO], [zero], within=900, refused=[refused]) == ([], [TWO], [])
    both = [zero, Entry(2, 0, 2001.0)]
    assert match([TWO], both, within=900, refused=[refused]) == ([(TWO, both[1])], [], [])
    lost = Entry(1, 0, 2001.0)
    assert match([TWO], [lost], within=900, refused=[refused]) == ([(TWO, lost)], [], []), "the log may not"
    named = replace(refused, request_id=ONE.request_id)
    kept = Entry(1, 3, 1702.0, frozenset({ONE.request_id}))
    assert match([TWO], [kept], within=100, refused=[named]) == ([], [TWO], [kept]), "it has rows after all"


def test_pairs_are_those_of_the_rule() -> None:
    """The nearest of all pairs first, of equal sizes before others, as a search of all pairs finds them."""
    draw = random.Random(5)  # noqa: S311 - made-up times
    for _ in range(60):
        sent = [replace(TWO, batch=str(n), rows=draw.randrange(3), at=draw.uniform(0, 99)) for n in range(9)]
        entries = [Entry(n, draw.randrange(3), draw.uniform(0, 99)) for n in range(8)]
        every = sorted(
            (one.rows != entry.saved, abs((entry.at or 0) - one.at), one, entry)
            for one, entry in product(sent, entries)
        )
        expected: dict[str, Entry] = {}
        for _, gap, one, entry in every:
            if gap <= 20 and one.batch not in expected and entry not in expected.values():
                expected[one.batch] = entry
        pairs, without, rest = match(sent, entries, within=20)
        assert {one.batch: entry for one, entry in pairs} == expected
        assert (len(without), len(rest)) == (9 - len(pairs), 8 - len(pairs))


@pytest.mark.parametrize("apart", [0.0, 1.0, 60.0])
@pytest.mark.parametrize("timed", [True, False], ids=["times", "no-times"])
def test_a_log_of_20_000_lines(apart: float, timed: bool) -> None:  # noqa: FBT001
    """Each line finds its upload in the time of a sort, however many are near, or of one minute."""
    sent = [replace(TWO, batch=str(n), rows=n % 7, at=n * apart) for n in range(20_000)]
    entries = [
        Entry(n, one.rows if n % 3 else 9, one.at // 60 * 60 if timed else None) for n, one in enumerate(sent)
    ]
    began = time.process_time()
    pairs, without, rest = match(sent, entries, within=900)
    assert len(pairs) + len(without) == len(pairs) + len(rest) == 20_000
    assert len(pairs) >= 19_900, "the nearest first may leave over a few"
    assert sum(one.rows == entry.saved for one, entry in pairs) == 13_333
    assert time.process_time() - began < 20
