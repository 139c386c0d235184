"""Match uploads with log entries and find the likely cause of a difference. Pure functions."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from irmcore.profile import Profile
from irmcore.shaping.csv_cells import allow_long_fields

from irmcli.reconcile.portal_log import Entry


@dataclass(frozen=True)
class Upload:
    """An upload of this outbox. ``at`` is when it ended (seconds since 1970), ``state`` SENT or HELD."""

    batch: str
    connector: str
    job: str
    rows: int
    at: float
    state: str
    request_id: str


@dataclass(frozen=True)
class PayloadCounts:
    """Counts over an upload's rows: distinct (user, time) pairs by time precision, and rows by source."""

    pairs: dict[str, int]
    sources: Counter[str]


def match(
    sent: Sequence[Upload], entries: Sequence[Entry], *, within: float
) -> tuple[list[tuple[Upload, Entry]], list[Upload], list[Entry]]:
    """Pairs of upload and log entry, then uploads without an entry, then entries without an upload.

    An entry matches by request id if it has one; otherwise by time, at most ``within`` seconds apart: first
    those of as many rows as the upload, since the service may log a run's uploads late, then the nearest.
    If no remaining entry has a time and there are as many as uploads, entries match uploads of as many rows
    first, then the rest in order. With another number of entries, a size proves nothing: an entry may be that
    of an older upload.
    """
    pairs: list[tuple[Upload, Entry]] = []
    uploads, rest = list(sent), list(entries)

    def pair(upload: Upload, entry: Entry) -> None:
        pairs.append((upload, entry))
        uploads.remove(upload)
        rest.remove(entry)

    for upload in sent:
        for entry in rest:
            if upload.request_id.lower() in entry.ids:
                pair(upload, entry)
                break
    near = sorted(
        (upload.rows != entry.saved, abs(entry.at - upload.at), upload.at, i, j)
        for i, upload in enumerate(sent)
        for j, entry in enumerate(entries)
        if entry.at is not None and abs(entry.at - upload.at) <= within
    )
    for _, _, _, i, j in near:
        if sent[i] in uploads and entries[j] in rest and _possible(sent[i], entries[j], sent):
            pair(sent[i], entries[j])
    if len(uploads) == len(rest) and all(entry.at is None for entry in rest):
        return pairs + _without_times(uploads, rest, sent), [], []
    return pairs, uploads, rest


def _without_times(
    uploads: list[Upload], rest: list[Entry], sent: Sequence[Upload]
) -> list[tuple[Upload, Entry]]:
    """Pairs of as many uploads and entries: first those of equal size, then the others in order."""
    pairs = []
    for upload in list(uploads):
        same = (entry for entry in rest if entry.saved == upload.rows and _possible(upload, entry, sent))
        if entry := next(same, None):
            pairs.append((upload, entry))
            uploads.remove(upload)
            rest.remove(entry)
    return pairs + list(zip(uploads, rest, strict=True))


def _possible(upload: Upload, entry: Entry, sent: Sequence[Upload]) -> bool:
    """False if the entry names the job of another connector."""
    return not entry.ids & {other.job for other in sent if other.job != upload.job}


def describe_payload(payload: bytes, profile: Profile) -> PayloadCounts | None:
    """Count the rows of an upload's CSV; None if its columns are not those of ``profile``."""
    allow_long_fields()
    reader = csv.reader(io.StringIO(payload.decode("utf-8"), newline=""))
    header = next(reader, [])
    named = "scenario" if profile.scenarios else "source"
    wanted = [profile.column(role) for role in ("user", "time", named)]
    user, time, source = (
        header.index(column.header) if column and column.header in header else None for column in wanted
    )
    if user is None or (time is None and not profile.scenarios):
        return None
    seen: dict[str, set[tuple[str, str]]] = {"1us": set(), "1ms": set(), "1s": set()}
    sources: Counter[str] = Counter()
    for row in reader:
        for step, digits in (("1us", 26), ("1ms", 23), ("1s", 19)):
            if time is not None:
                seen[step].add((row[user], row[time][:digits]))  # yyyy-mm-ddThh:mm:ss.nnnnnn
        if source is not None:
            sources[row[source]] += 1
    return PayloadCounts({step: len(pairs) for step, pairs in seen.items()}, sources)


def likely_cause(sent: Upload, saved: int, found: PayloadCounts | None, profile: Profile | None) -> str:
    """The likely cause of a difference and what to do. A guess: the service's rules are not documented."""
    if saved == sent.rows:
        if sent.state == "HELD":
            command = f'irmexport resolve {sent.batch[:12]} --sent --why "RecordsSaved {saved}"'
            return f"all rows were saved: {command}"
        return "all rows were saved"
    if saved > sent.rows:
        return (
            "more were saved than sent: the number may cover several uploads, or another sender uses this "
            "connector"
        )
    if saved == 0:
        return (
            "no row was saved: compare the connector's columns, data types and related values with the "
            "profile (`irmexport wizard PROFILE`), including upper and lower case"
        )
    return _cause_of_missing_rows(sent.rows, saved, found, profile)


def _cause_of_missing_rows(
    rows: int, saved: int, found: PayloadCounts | None, profile: Profile | None
) -> str:
    missing = rows - saved
    if found is None:
        return (
            f"{missing} rows are missing, and the rows or their profile are no longer available. Common "
            "causes: repeated (user, time) pairs, or a source value that the connector does not have"
        )
    if found.pairs["1us"] == saved:
        return "one row was saved per (user, time) pair: set `collisions.policy: spread`"
    for step, unit in (("1ms", "milliseconds"), ("1s", "seconds")):
        if found.pairs[step] == saved:
            return f"one row was saved per (user, time) pair in {unit}: set `collisions.step: {step}`"
    known = profile.column("source") if profile is not None else None
    # Only values that the profile names may be printed: they are configuration, not row values.
    values = known.related_values if known else profile.scenarios.values() if profile is not None else ()
    for value in values:
        if found.sources[value] == missing:
            return (
                f"the missing rows are as many as those with the {'source' if known else 'scenario'} value "
                f"{value}: check its spelling in the connector's {'related values' if known else 'mapping'}"
            )
    return f"{missing} rows are missing for no known cause; compare again in a few hours"
