"""Which rows on disk would the directory now resolve differently? Rows in batches, and refused rows.

A batch has the user principal name that a row was sent with, not the source's name. So this finds a name that
now belongs to nobody, to several people or to somebody with another name, but not an address that has turned
out to be another person's. For that, run `irmexport send FILE --dry-run` on the source: such rows count as
new.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from irmcore.errors import DamageError
from irmcore.identity.directory import Directory
from irmcore.identity.person import normal
from irmcore.identity.resolver import History, Resolved, Resolver
from irmcore.intake.dry_run import dry_run
from irmcore.outbox import Batch, Outbox
from irmcore.outbox.batch_files import read_manifest, read_payload
from irmcore.outbox.runs import reject_files
from irmcore.profile import Profile
from irmcore.reasons import Refused
from irmcore.shaping import times
from irmcore.shaping.csv_cells import allow_long_fields
from irmcore.shaping.readers import mappings_table
from irmcore.shaping.scenario_rows import ScenarioRows

RENAMED, ACCEPTED = "renamed", "accepted-now"


class Finding(NamedTuple):
    """``rows`` of a batch (its id), or of the refused rows of a run (its id), with the reason.

    ``reason`` is a reason code, ``renamed`` (the person has another user principal name now) or
    ``accepted-now``.
    """

    where: str
    what: str
    rows: int
    reason: str


def recheck(outbox: Outbox, profile: Profile, directory: Path) -> Iterator[Finding]:
    """The findings of a connector's batches, then of its refused rows."""
    if not outbox.exists():
        return
    with Directory(directory) as people:
        resolver = Resolver(people)
        for batch in outbox.all_batches():
            found = _reasons(outbox, batch, resolver, profile)
            for reason, rows in sorted(found.items()):
                yield Finding("batch", batch.id, rows, reason)
    for path in reject_files(outbox):
        rows = _accepted_now(Path(path), outbox, profile)
        if rows:
            yield Finding("rejects", Path(path).stem, rows, ACCEPTED)


def _reasons(outbox: Outbox, batch: Batch, resolver: Resolver, profile: Profile) -> Counter[str]:
    """How many rows of a batch would now resolve differently, by reason; none if its rows were deleted."""
    found: Counter[str] = Counter()
    try:
        text = read_payload(outbox, batch, read_manifest(outbox, batch)).decode("utf-8")
    except (DamageError, UnicodeDecodeError):
        return found  # its rows are deleted or damaged: `irmexport status` lists damage
    allow_long_fields()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    headers = {column.role: column.header for column in profile.columns}
    scenarios = ScenarioRows(profile, outbox.clock.now()) if profile.scenarios else None
    user = headers["user"]
    histories = resolver.histories({row[user] for row in rows if row.get(user)})
    for row in rows:
        name = row.get(user) or ""
        try:
            if scenarios is not None:
                at = scenarios.date([row.get(column.header) or "" for column in profile.columns])[1]
            else:
                at = times.parse(row.get(headers["time"]) or "", zone=None)
        except (Refused, KeyError):
            continue  # of an earlier version of the profile
        reason = _reason(histories.get(normal(name)), name, at / 1_000_000)
        if reason:
            found[reason] += 1
    return found


def _reason(history: History | None, name: str, at: float) -> str:
    """Why the name that was sent would resolve differently at a time; "" if it would not."""
    if history is None or history.has_only_its_owner():
        return ""  # whatever name the source had, nobody else can be meant by the one that was sent
    answer = history.at(at)
    if isinstance(answer, Resolved):
        return "" if normal(answer.upn) == normal(name) else RENAMED
    return answer.code


def _accepted_now(path: Path, outbox: Outbox, profile: Profile) -> int:
    """How many rows of a reject file, refused because of their user, the profile would accept now.

    Those that were sent again in the meantime do not count.
    """
    allow_long_fields(path.stat().st_size)  # a cell holds a whole refused row
    with path.open(encoding="utf-8", newline="") as file:
        rows = [_values(line["row"]) for line in csv.DictReader(file) if _is_of_user(line)]
    known = [row for row in rows if row]
    if not known:
        return 0
    table = mappings_table(known, profile.fields)
    return dry_run(table, profile, outbox, name=str(path)).counts.shaped


def _is_of_user(line: Mapping[str, str]) -> bool:
    return line.get("reason", "").startswith(("user-", "upn-"))


def _values(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}
