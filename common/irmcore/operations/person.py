"""One person's rows in an outbox: find them, and erase them.

A row is a person's if any value names them. So a row about somebody else that names the person, as
the recipient of a mail, counts too. An erasure that is killed has lost nothing and sends nothing twice; run
again, it erases the rest.

Not promised: to erase what was uploaded, or what is in a backup. Row keys and the audit stay; neither holds a
row value. ``find`` shows the events of the audit that name the person, such as what they did as an analyst.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from irmcore.delivery.recorder import Recorder
from irmcore.delivery.recovery import recover
from irmcore.delivery.report import Report, ignore_events
from irmcore.delivery.service import Splitter
from irmcore.errors import DamageError, OperatorError
from irmcore.operations.adoption import exclusive
from irmcore.operations.audit import audit
from irmcore.outbox import Batch, Outbox, audit_log, runs
from irmcore.outbox.batch_files import read_manifest, read_payload
from irmcore.outbox.erasure import AT_REST, erase_rows
from irmcore.outbox.retention import sweep
from irmcore.outbox.transitions import delete_payload, record_event
from irmcore.shaping.batches import line_writer
from irmcore.shaping.csv_cells import allow_long_fields

#: What was found: rows of a batch, refused rows, or events of the audit.
ROWS, REFUSED, AUDIT = "rows", "refused rows", "audit"


#: Characters of a GUID.
_LONG = 36
#: What may not be before and after a name inside a text, and around one that is a whole value.
_INSIDE = (r"(?<![\w.+-])", r"(?![\w-]|\.\w)")
_WHOLE = (r"\A\s*", r"\s*\Z")


class Found(NamedTuple):
    """What of a person is in one file: ``values`` has the rows, or the events."""

    kind: str
    where: str
    state: str
    values: list[Any]
    batch: Batch | None = None


class Erased(NamedTuple):
    """How many rows were erased unsent, of rows that were sent, and refused; and what is left."""

    unsent: int
    sent: int
    refused: int
    held: int
    left: list[Found]


def pattern(called: Iterable[str]) -> re.Pattern[str]:
    r"""Finds a person's names in a value, regardless of case.

    A name with ``@`` or ``\``, or as long as an object ID, is found inside a text, but not as a part of a
    longer name. Any other name must be the whole value. Digits alone never count: they could be any number.
    """
    parts = set()
    for name in called:
        if not name or name.isdigit():
            continue
        before, after = _INSIDE if "@" in name or "\\" in name or len(name) >= _LONG else _WHOLE
        # The second form is that of the advice in a reject file.
        forms = {name, name.encode("ascii", "backslashreplace").decode("ascii")}
        parts |= {f"{before}{re.escape(form)}{after}" for form in forms}
    return re.compile("|".join(sorted(parts)) or r"(?!)", re.IGNORECASE)


def names(who: re.Pattern[str], value: object) -> bool:
    """Whether a value names the person, at any depth, also in a text that is JSON."""
    if isinstance(value, dict):
        return any(names(who, inner) for pair in value.items() for inner in pair)
    if isinstance(value, (list, tuple)):
        return any(names(who, inner) for inner in value)
    if not isinstance(value, str):
        return False
    if value[:1] in ("{", "[", '"'):
        try:
            return who.search(value) is not None or names(who, json.loads(value))
        except (ValueError, RecursionError):
            return False
    return who.search(value) is not None


class _File(NamedTuple):
    """A file of rows, of either form: each row as text and as values."""

    head: str
    texts: list[str]
    values: list[Any]

    @staticmethod
    def of(data: bytes) -> _File:
        """Raises ValueError for a file that irmexport did not write."""
        if data.startswith(b"["):
            rows = json.loads(data)
            texts = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows]
            return _File("", texts, rows)
        allow_long_fields()
        try:
            header, *rows = csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline=""), strict=True)
        except csv.Error:
            raise ValueError("not CSV") from None
        write = line_writer()
        return _File(write(header), [write(row) for row in rows], [dict(zip(header, row)) for row in rows])

    def joined(self, kept: Sequence[int]) -> bytes:
        """The same file with only these rows."""
        texts = [self.texts[index] for index in kept]
        text = self.head + "".join(texts) if self.head else "[" + ",".join(texts) + "]"
        return text.encode("utf-8")

    def divided(self, who: re.Pattern[str]) -> tuple[list[int], list[Any]]:
        """The indexes of the rows that are not the person's, and the values of those that are."""
        kept = [at for at, value in enumerate(self.values) if not names(who, value)]
        rest = set(range(len(self.values))).difference(kept)
        return kept, [self.values[at] for at in sorted(rest)]


def find(outbox: Outbox, who: re.Pattern[str]) -> Iterator[Found]:
    """Where the person's rows are: batches, refused rows, the audit. Takes no lock. Raises OSError."""
    for batch in outbox.all_batches():
        path = f"{batch.path}/payload"
        values = _values(outbox, path, who)
        if values:
            state = batch.state.name if batch.state and batch.folder != "quarantine" else "QUARANTINED"
            yield Found(ROWS, path, state, values, batch)
    for path in runs.reject_files(outbox):
        values = _values(outbox, path, who)
        if values:
            yield Found(REFUSED, path, "", values)
    events = [event for event in audit([outbox], 0.0) if names(who, event)]
    if events:
        yield Found(AUDIT, outbox.path, "", events)


def _values(outbox: Outbox, path: str, who: re.Pattern[str]) -> list[Any]:
    try:
        data = outbox.disk.read(path)
    except (FileNotFoundError, NotADirectoryError):
        return []  # deleted after its time, or moved by the sender
    try:
        return _File.of(data).divided(who)[1]
    except (ValueError, RecursionError):
        return [match.group() for match in who.finditer(data.decode("utf-8", "replace"))]


def erase(
    outbox: Outbox, who: re.Pattern[str], splitters: Mapping[str, Splitter], *, by: str, why: str
) -> Erased:
    """Erase the person's rows, and record who did it, why, and how many rows that were.

    Queued batches are replaced by ones without these rows. Payloads that were sent are deleted whole.
    ``splitters`` are those of the outbox's service. Raises OperatorError if ``why`` names the person,
    OutboxBusy while another process sends or accepts rows, OSError, and what ``Outbox.check`` raises.
    """
    if who.search(why):
        raise OperatorError(
            "the reason names the person, and is kept in the audit",
            where="--why",
            next_step="Name the request instead, such as its ticket.",
        )
    with exclusive(outbox):
        outbox.check()
        sweep(outbox)
        outbox.sync_ready()
        # What a crash left half way is brought to rest first; nothing is sent.
        recorder = Recorder(outbox, Report(), ignore_events)
        recover(outbox.ready_by_age(), recorder, splitters, lambda: 0.0)
        found = [one for one in find(outbox, who) if one.kind != AUDIT]
        event = {"event": "erased", "by": by, "why": why}
        if found:
            audit_log.append(outbox, {**event, "rows": _rows(found)})
        for one in found:
            _erase(outbox, one, who, event)
        left = list(find(outbox, who))
    return Erased(
        unsent=_rows(one for one in found if one.batch and one.batch.folder == "ready"),
        sent=_rows(one for one in found if one.state == "SENT"),
        refused=_rows(one for one in found if one.kind == REFUSED),
        held=_rows(one for one in found if one.state == "HELD"),
        left=left,
    )


def _rows(found: Iterable[Found]) -> int:
    return sum(len(one.values) for one in found)


def _erase(outbox: Outbox, found: Found, who: re.Pattern[str], event: Mapping[str, Any]) -> None:
    batch, counted = found.batch, {**event, "rows": len(found.values)}
    if batch is None:
        _erase_refused(outbox, found.where, who, counted)
    elif batch.folder == "done":
        record_event(outbox, batch, {**counted, "event": "payload-erased"})
        delete_payload(outbox, batch.path)
    elif batch.folder == "ready" and batch.state is not None and batch.state.name in AT_REST:
        try:
            manifest = read_manifest(outbox, batch)
            file = _File.of(read_payload(outbox, batch, manifest))
            kept = file.divided(who)[0]
            payload = file.joined(kept)
        except (DamageError, ValueError):
            return  # it is still found afterwards, and a person decides
        erase_rows(outbox, batch, manifest, kept, payload=payload, event=counted)


def _erase_refused(outbox: Outbox, path: str, who: re.Pattern[str], event: Mapping[str, Any]) -> None:
    """Take the person's rows out of a reject file, and record its new check."""
    try:
        file = _File.of(outbox.disk.read(path))
    except ValueError:
        outbox.disk.remove(path)  # damaged: nobody could read the other rows either
        return
    kept = file.divided(who)[0]
    data = file.joined(kept)
    check = outbox.keyring.keyed(hashlib.sha256(data).hexdigest()) if kept else ""
    # First: if it is killed in between, running it again finds the rows still there.
    audit_log.append(outbox, {**event, "rejects": path, "rejects_check": check})
    if kept:
        outbox.replace_file(f"rejects/{path.rsplit('/', 1)[1]}", data)
    else:
        outbox.disk.remove(path)
