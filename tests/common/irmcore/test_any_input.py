"""Any bytes: what comes in is rows, rejects or a clean error; what lies on disk is read or called damaged."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from irmcore.counts import Counts
from irmcore.delivery import connection
from irmcore.errors import BatchDamaged, DamageError, InputError, UnknownFormat
from irmcore.intake.accept import accept
from irmcore.intake.dry_run import dry_run
from irmcore.operations.audit import audit
from irmcore.operations.connectors import Connectors, profile_of
from irmcore.outbox import Batch, manifest, rowkeys, state_file
from irmcore.outbox.batch_files import read_history, read_manifest, read_payload
from irmcore.outbox.keyring import Keyring
from irmcore.reasons import REASONS
from irmcore.shaping.readers import Table, csv_table, json_table

from tests.fakes.clock import FakeClock
from tests.fakes.connector import ORIGIN, ROOT, Connector, row, small_profile
from tests.fakes.powerloss import PowerLossDisk

FIELDS = ("User", "When", "Score", "Note")
LONG = [80, pytest.param(3_000, marks=pytest.mark.faults)]

#: What breaks readers: quotes, ends of lines, NUL, BOMs, UTF-16, bidi and zero-width marks, digits of Arabic,
#: numbers that are none, times that are none.
SPICES = [
    *(
        b'"',
        b'""',
        b",",
        b"\n",
        b"\r",
        b"\r\n",
        b"\0",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
    ),
    *("\u202e\u200b\u0663\u00a0\u2028\ufeff\u00e9\U0001f600".encode(), b"=1+1", b"\x1f\x8b", b"\x1a", b"\t"),
    *(b"user@contoso.com", b"USER@CONTOSO.COM", b"a#EXT#@b.onmicrosoft.com", b"@", b"user"),
    *(b"2026-11-20T08:00:00Z", b"2026-11-20", b"1970-01-01T00:00:00Z", b"9999-12-31T23:59:59.9999999Z"),
    *(b"2016-12-31T23:59:60Z", b"2026-11-20T08:00:00+14:00", b"2026-02-30T00:00:00Z", b"1763625600"),
    *(b"1", b"-0", b"1e309", b"NaN", b"1,000", b"0x10", b"1_000", b"00001", b"1.10", b"Infinity"),
    *(
        b'{"User":"a@b.com","When":"2026-11-20T08:00:00Z","Score":1,"Note":"x"}',
        b"{",
        b"}",
        b"[",
        b"null",
        b":",
    ),
]
PIECES = st.one_of(st.sampled_from(SPICES), st.binary(max_size=8))
ROWS = st.lists(st.lists(PIECES, min_size=1, max_size=6).map(b",".join), max_size=8).map(b"\r\n".join)
INPUT = st.one_of(
    st.lists(PIECES, max_size=30).map(b"".join),
    ROWS.map(lambda rows: b"User,When,Score,Note\r\n" + rows),
    ROWS.map(
        lambda rows: b"User,When,Score,Note\n" + row(1).encode() + b"\n" + rows + b"\n" + row(2).encode()
    ),
)


def as_csv(data: bytes) -> Table:
    """The bytes as a CSV file."""
    return csv_table(io.BufferedReader(io.BytesIO(data)), name="in", ragged="refuse")


def as_json(data: bytes) -> Table:
    """The bytes as JSON lines."""
    return json_table(io.BufferedReader(io.BytesIO(data)), FIELDS, name="in")


def accepted(read: Callable[[bytes], Table], data: bytes) -> None:
    """Any bytes through the whole intake: every row has one result, and batches read back the same."""
    disk = PowerLossDisk()
    disk.make_dir(ROOT)
    connector = Connector(disk, FakeClock())
    going: list[tuple[str, ...]] = []
    try:
        dry = dry_run(read(data), small_profile(), None, on_row=going.append)
        done = accept(read(data), small_profile(), connector.outbox, ORIGIN, destination=connector.where)
    except InputError:
        assert disk.names(f"{connector.outbox.path}/ready") == []
        return
    assert isinstance(done.counts, Counts)
    assert done.counts == dry.counts
    assert done.counts.rejected == sum(done.reasons.values())
    assert {code for _, code in done.reasons} <= set(REASONS)
    assert read_back(connector, done.batches) == going
    assert len({(user, when) for user, when, _, _ in going}) == len(going), "the service would drop a pair"
    rejected = disk.read(done.rejects) if done.rejects else b"header"
    reader = csv.reader(io.StringIO(rejected.decode("ascii"), newline=""), strict=True)
    assert sum(1 for _ in reader) == done.counts.rejected + 1


def read_back(connector: Connector, batches: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The rows of the payloads as any CSV reader finds them."""
    found: list[tuple[str, ...]] = []
    for name in batches:
        batch = connector.outbox.get(name)
        text = read_payload(connector.outbox, batch, read_manifest(connector.outbox, batch)).decode("utf-8")
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        assert tuple(header) == FIELDS
        found.extend(map(tuple, rows))
    return found


@pytest.mark.parametrize("examples", LONG)
@pytest.mark.parametrize("read", [as_csv, as_json])
def test_any_bytes_are_rows_rejects_or_a_clean_error(read: Callable[[bytes], Table], examples: int) -> None:
    """Only rows of the input go out, counts add up, and rows read back unchanged."""
    settings(max_examples=examples)(given(st.just(read), INPUT)(accepted))()


# -- what lies on disk ------------------------------------------------------------------------------

DEEP = b"[" * 100_000
ON_DISK = st.one_of(
    st.binary(max_size=200),
    st.binary(min_size=4096, max_size=4096),
    st.sampled_from([DEEP, b"", b"null", b"[]", b"{}", b"7", b'"x"', b'{"format": 1}', b"\0" * 4096]),
)


def read_states(data: bytes) -> None:
    """A state file of any bytes has no record, or one with the right CRC."""
    try:
        found = state_file.decode(data, "state")
    except UnknownFormat:
        return
    if found.record is not None:
        assert (
            state_file.encode({k: v for k, v in found.record.items() if k not in ("v", "n")}, found.number)
            in data
        )


def read_ledger(data: bytes) -> None:
    """A ledger file of any bytes has the rows that were written, or is damaged."""
    try:
        records = rowkeys.unseal(Keyring("an outbox", (b"s" * 32,)), data)
    except rowkeys.Damaged:
        return
    assert rowkeys.pack(rowkeys.unpack(records)) == records


#: What a manifest's MAC is made with.
RING = Keyring("an outbox", (b"s" * 32,))


def decode_manifest(data: bytes) -> None:
    """A manifest of any bytes is valid, damaged, or of a later version."""
    try:
        found = manifest.decode(data, "manifest.json", None)
    except (BatchDamaged, UnknownFormat):
        return
    mac = json.loads(data)["mac"]
    assert manifest.encode(found, RING).count(b"\n") == data.count(b"\n"), mac


def read_beside(data: bytes) -> None:
    """An audit log, announcement or settings file of any bytes is read or ignored."""
    disk = PowerLossDisk()
    disk.make_dir(ROOT)
    connector = Connector(disk, FakeClock())
    (name,) = connector.accept([row(1)]).batches
    outbox = connector.outbox
    for path in ("audit.log", "ledger/pending/run-1", "connector.json"):
        disk.remove_tree(f"{outbox.path}/{path}")
        disk.create(f"{outbox.path}/{path}", data)
    batch: Batch = outbox.get(name)
    assert all(isinstance(event, dict) for event in read_history(outbox, batch))
    assert isinstance(profile_of(outbox), str)
    assert list(audit(Connectors(disk, connector.clock, ROOT).outboxes(), 0.0))
    try:
        connection.load(outbox)
    except DamageError as error:
        told = error
    else:
        told = None
    assert told is None or told.next_step
    assert connector.accept([row(1)]).counts.skipped == 1


@pytest.mark.parametrize("examples", LONG)
@pytest.mark.parametrize("reader", [read_states, read_ledger, decode_manifest, read_beside])
def test_any_bytes_on_disk_are_read_or_called_damaged(reader: Callable[[bytes], None], examples: int) -> None:
    """No contents of any outbox file cause an unexpected error."""
    settings(max_examples=examples)(given(ON_DISK)(reader))()


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["batches", "at", "counts", "run", "profile", "x"]), JSON))
def test_any_json_on_disk_is_read_or_called_damaged(found: dict[str, Any]) -> None:
    """The same for JSON that is not what was written."""
    read_beside(json.dumps(found).encode())
    read_beside(json.dumps(list(found.values())).encode())
