"""What was sent against what was saved, upload by upload, with the likely reason of a difference. Pure."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from irmcore.profile import Profile

from irmcli.reconcile.portal_log import Entry


@dataclass(frozen=True)
class Sent:
    """An upload as this side knows it: ``at`` its end in seconds since 1970; ``state`` SENT or HELD."""

    batch: str
    connector: str
    job: str
    rows: int
    at: float
    state: str
    request_id: str


@dataclass(frozen=True)
class Payload:
    """What the rows of an upload have in common, counted: distinct (user, time) pairs by precision."""

    pairs: dict[str, int]
    sources: Counter[str]


def match(
    sent: Sequence[Sent], entries: Sequence[Entry], *, within: float
) -> tuple[list[tuple[Sent, Entry]], list[Sent], list[Entry]]:
    """Pairs of upload and log entry; the uploads without an entry, and the entries without an upload.

    By request id where the log has it; else by time, the nearest first; else, if no entry has a time and
    there are as many as uploads, by their order.
    """
    pairs: list[tuple[Sent, Entry]] = []
    uploads, rest = list(sent), list(entries)

    def pair(upload: Sent, entry: Entry) -> None:
        pairs.append((upload, entry))
        uploads.remove(upload)
        rest.remove(entry)

    for upload in sent:
        for entry in rest:
            if upload.request_id.lower() in entry.ids:
                pair(upload, entry)
                break
    near = sorted(
        (abs(entry.at - upload.at), upload.rows != entry.saved, upload.at, i, j)
        for i, upload in enumerate(sent)
        for j, entry in enumerate(entries)
        if entry.at is not None and abs(entry.at - upload.at) <= within
    )
    for _, _, _, i, j in near:
        if sent[i] in uploads and entries[j] in rest and _may_be(sent[i], entries[j], sent):
            pair(sent[i], entries[j])
    if len(uploads) == len(rest) and all(entry.at is None for entry in rest):
        for upload, entry in zip(list(uploads), list(rest), strict=True):
            pair(upload, entry)
    return pairs, uploads, rest


def _may_be(upload: Sent, entry: Entry, sent: Sequence[Sent]) -> bool:
    """Whether nothing speaks against it: an entry that names another connector's job is not this one's."""
    return not entry.ids & {other.job for other in sent if other.job != upload.job}


def facts(payload: bytes, profile: Profile) -> Payload | None:
    """What is counted of an upload's CSV; None if its columns are not those of ``profile``."""
    reader = csv.reader(io.StringIO(payload.decode("utf-8"), newline=""))
    header = next(reader, [])
    wanted = [profile.column(role) for role in ("user", "time", "source")]
    user, time, source = (
        header.index(column.header) if column and column.header in header else None for column in wanted
    )
    if user is None or time is None:
        return None
    seen: dict[str, set[tuple[str, str]]] = {"1us": set(), "1ms": set(), "1s": set()}
    sources: Counter[str] = Counter()
    for row in reader:
        for step, digits in (("1us", 26), ("1ms", 23), ("1s", 19)):
            seen[step].add((row[user], row[time][:digits]))  # yyyy-mm-ddThh:mm:ss.nnnnnn
        if source is not None:
            sources[row[source]] += 1
    return Payload({step: len(pairs) for step, pairs in seen.items()}, sources)


def reason(sent: Sent, saved: int, found: Payload | None, profile: Profile | None) -> str:
    """The likely reason of a difference, and what to do; no document says what the service does."""
    if saved == sent.rows:
        if sent.state == "HELD":
            command = f'irmexport resolve {sent.batch[:12]} --sent --why "RecordsSaved {saved}"'
            return f"all rows were saved: {command}"
        return "all rows were saved"
    if saved > sent.rows:
        return "more than were sent: does it sum several uploads, or does another sender use this connector?"
    if saved == 0:
        return (
            "no row was saved: compare the connector's columns, data types and related values with the "
            "profile (irmexport wizard), upper and lower case too"
        )
    return _of_a_part(sent.rows, saved, found, profile)


def _of_a_part(rows: int, saved: int, found: Payload | None, profile: Profile | None) -> str:
    missing = rows - saved
    if found is None:
        return (
            f"{missing} rows are missing: the rows or their profile are not at hand any more, so only guess: "
            "repeated (user, time) pairs, or a source value that the connector does not have"
        )
    if found.pairs["1us"] == saved:
        return "as many as there are (user, time) pairs: set `collisions.policy: spread`"
    for step, unit in (("1ms", "milliseconds"), ("1s", "seconds")):
        if found.pairs[step] == saved:
            return f"as many as there are (user, time) pairs in {unit}: set `collisions.step: {step}`"
    known = profile.column("source") if profile is not None else None
    if known is not None:
        # Only values that the profile itself names: they are settings, not somebody's data.
        for value in known.related_values:
            if found.sources[value] == missing:
                return f"as many are missing as have the source value {value}: has the connector it so?"
    return f"{missing} rows are missing and nothing they have in common explains it; look again in some hours"
