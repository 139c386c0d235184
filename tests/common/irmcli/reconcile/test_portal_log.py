"""RecordsSaved in every format a log may have; unreadable lines are listed."""

from __future__ import annotations

import csv

import pytest
from irmcli.reconcile.portal_log import parse_log
from irmcore.shaping.readers import MAX_FIELD_CHARACTERS

JOB = "b8be4a7d-e338-43eb-a69e-c513cd458eba"
AT = 1_795_248_000.0  # 2026-11-21T08:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"RecordsSaved": 4}', [(1, 4, None)]),
        (
            '[{"RecordsSaved": "4", "Time": "2026-11-21T08:00:00Z"}, {"x": {"recordsSaved": 5}}]',
            [(1, 4, AT), (1, 5, None)],
        ),
        (
            '{"RecordsSaved": 4}\n{"RecordsSaved": 0, "at": "2026-11-21 08:00:00"}\n',
            [(1, 4, None), (2, 0, AT)],
        ),
        (
            'Time,RecordsSaved\n2026-11-21T08:00:00Z,4\n2026-11-21T08:00:00Z,"1,000"\n',
            [(2, 4, AT), (3, 1000, AT)],
        ),
        ("Job;Records Saved\nx;7\n", [(2, 7, None)]),
        ("Upload of 2026-11-21T08:00:00Z\n  RecordsSaved: 4\n", [(2, 4, AT)]),
        ("RecordsSaved=4, RecordsSkipped=1", [(1, 4, None)]),
        ("a log without it", []),
        ("", []),
    ],
)
def test_every_format(text: str, expected: list[tuple[int, int, float | None]]) -> None:
    """One JSON document, JSON lines, delimited text and plain text: the number, its line and its time."""
    log = parse_log(text.encode())
    assert [(entry.line, entry.saved, entry.at) for entry in log.entries] == expected
    assert log.unread == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_every_encoding(encoding: str) -> None:
    """The encodings that Windows and browsers use are read."""
    assert parse_log("Größe RecordsSaved: 4".encode(encoding)).entries[0].saved == 4


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("x\nRecordsSaved: many\n", [2]),
        ("RecordsSaved: 4.5\n", [1]),
        ("T,RecordsSaved\na,n/a\nb,3\n", [2]),
        ('{"RecordsSaved": null}', [1]),
        ('{"RecordsSaved": true}', [1]),
        ('{"RecordsSaved": -1}', [1]),
        ('{"RecordsSaved": "' + "9" * 5000 + '"}', [1]),
        ("RecordsSaved: " + "9" * 5000, [1]),
        ("x\n" + '{"RecordsSaved":' + "[" * 100_000 + "\n", [2]),
        ("T,RecordsSaved,Note\na,3," + "x" * (MAX_FIELD_CHARACTERS + 1) + "\n", [1]),
    ],
)
def test_unreadable_numbers_are_listed(text: str, lines: list[int]) -> None:
    """A RecordsSaved without a number is not an entry; its line is listed."""
    assert parse_log(text.encode()).unread == lines


@pytest.mark.parametrize("limit", [100, 2**31 - 1])
def test_the_field_limit_of_other_readers_has_no_effect(limit: int) -> None:
    """The longest cell is the same, whatever limit other code set in this process."""
    before = csv.field_size_limit(limit)
    try:
        assert [
            entry.saved for entry in parse_log(b"T,RecordsSaved,Note\na,3," + b"x" * 200_000).entries
        ] == [3]
        assert parse_log(b"T,RecordsSaved,Note\na,3," + b"x" * (MAX_FIELD_CHARACTERS + 1)).entries == []
    finally:
        csv.field_size_limit(before)


def test_the_ids_of_an_entry() -> None:
    """GUIDs in the same record or line identify the upload."""
    assert parse_log(f'{{"RecordsSaved": 4, "JobId": "{JOB.upper()}"}}'.encode()).entries[0].ids == {JOB}
    assert parse_log(f"{JOB} RecordsSaved 4".encode()).entries[0].ids == {JOB}
