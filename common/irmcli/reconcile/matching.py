"""Match uploads with log entries and find the likely cause of a difference. Pure functions."""

import csv
import io
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import product
from operator import itemgetter

from irmcore.profile import Profile
from irmcore.shaping.csv_cells import allow_long_fields

from irmcli.reconcile.portal_log import Entry

#: The time of an upload or an entry, whether it is an entry, and its number.
_Point = tuple[float, bool, int]


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
    sent: Sequence[Upload], entries: Sequence[Entry], *, within: float, refused: Sequence[Upload] = ()
) -> tuple[list[tuple[Upload, Entry]], list[Upload], list[Entry]]:
    """Pairs of upload and log entry, then uploads without an entry, then entries without an upload.

    An entry matches by request id if it has one; otherwise by time, at most ``within`` seconds apart: first
    those of as many rows as the upload, since the service may log a run's uploads late, then the nearest.
    If no remaining entry has a time and there are as many as uploads, entries match uploads of as many rows
    first, then the rest in order. With another number of entries, a size proves nothing: an entry may be that
    of an older upload.

    ``refused`` are attempts that the service refused. Each may have an entry of no rows, which is left out,
    unless it is nearer to an upload that is not matched by its size.
    """
    matching = _Matching([*sent, *(replace(one, rows=0) for one in refused)], entries, len(sent))
    matching.by_request()
    matching.by_time(within)
    return matching.result()


class _Matching:
    """What is matched so far, and what is left, by the numbers of uploads and entries.

    The first ``sent`` uploads are those to match; the others are refused attempts.
    """

    def __init__(self, uploads: Sequence[Upload], entries: Sequence[Entry], sent: int) -> None:
        self._uploads, self._entries, self._sent = uploads, entries, sent
        jobs = {upload.job for upload in uploads}
        #: The jobs that an entry names. It is of an upload of another one only if it names none.
        self._named = [entry.ids & jobs for entry in entries]
        self._jobs = [frozenset({job}) for job in sorted(jobs)]
        self._left = dict.fromkeys(range(len(uploads)))
        self._rest = dict.fromkeys(range(len(entries)))
        self._found: list[tuple[int, int]] = []

    def _pair(self, i: int, j: int) -> None:
        self._found.append((i, j))
        del self._left[i], self._rest[j]

    def by_request(self) -> None:
        """Pair what has the same request id."""
        entries: defaultdict[str, list[int]] = defaultdict(list)
        for j, entry in enumerate(self._entries):
            for name in entry.ids:
                entries[name].append(j)
        for i, upload in enumerate(self._uploads):
            for j in entries.get(upload.request_id.lower(), ()):
                if j in self._rest and (i < self._sent or not self._entries[j].saved):
                    self._pair(i, j)
                    break

    def by_time(self, within: float) -> None:
        """Pair what is near, of equal sizes first; then refused attempts with entries of no rows."""
        steps = ((True, False), (False, True), (False, False), (False, True))
        for (sized, refused), named in product(steps, (*self._jobs, frozenset[str]())):
            groups: defaultdict[int, list[_Point]] = defaultdict(list)
            for i in self._left:
                upload = self._uploads[i]
                if (not named or upload.job in named) and (refused or i < self._sent):
                    groups[upload.rows * sized].append((upload.at, False, i))
            for j in self._rest:
                entry = self._entries[j]
                if entry.at is not None and self._named[j] == named and not (refused and entry.saved):
                    groups[entry.saved * sized].append((entry.at, True, j))
            for group in groups.values():
                for i, j in _nearest(sorted(group), within):
                    if not refused or i >= self._sent:
                        self._pair(i, j)

    def result(self) -> tuple[list[tuple[Upload, Entry]], list[Upload], list[Entry]]:
        """What ``match`` returns. As many uploads as entries without times are matched first."""
        for i in range(self._sent, len(self._uploads)):
            self._left.pop(i, None)
        if len(self._left) == len(self._rest) and all(self._entries[j].at is None for j in self._rest):
            self._by_order()
        pairs = [(self._uploads[i], self._entries[j]) for i, j in self._found if i < self._sent]
        return pairs, [self._uploads[i] for i in self._left], [self._entries[j] for j in self._rest]

    def _by_order(self) -> None:
        """Pair everything: first what has equal sizes, then the others in order."""
        same: defaultdict[tuple[int, frozenset[str]], deque[int]] = defaultdict(deque)
        for j in self._rest:
            same[self._entries[j].saved, self._named[j]].append(j)
        for i in list(self._left):
            upload = self._uploads[i]
            of_size = (same[upload.rows, named] for named in (frozenset({upload.job}), frozenset[str]()))
            if queues := [queue for queue in of_size if queue]:
                self._pair(i, min(queues, key=itemgetter(0)).popleft())
        for pair in list(zip(self._left, self._rest, strict=True)):
            self._pair(*pair)


def _nearest(points: Sequence[_Point], within: float) -> list[tuple[int, int]]:
    """Pairs of upload and entry, the nearest of all first. ``points`` are in the order of their times.

    Only neighbours can be the nearest of all, so n points take n log n steps.
    """
    before, after = list(range(-1, len(points) - 1)), list(range(1, len(points) + 1))
    heap: list[tuple[float, int, int]] = []
    found: list[tuple[_Point, _Point]] = []
    gone: set[int] = set()

    def offer(one: int, other: int) -> None:
        if one < 0 or other == len(points) or points[one][1] == points[other][1]:
            return
        if (gap := points[other][0] - points[one][0]) <= within:
            heappush(heap, (gap, one, other))

    for other in range(1, len(points)):
        offer(other - 1, other)
    while heap:
        _, one, other = heappop(heap)
        if one in gone or other in gone:
            continue
        gone |= {one, other}
        upload, entry = sorted((points[one], points[other]), key=itemgetter(1))
        found.append((upload, entry))
        if before[one] >= 0:
            after[before[one]] = after[other]
        if after[other] < len(points):
            before[after[other]] = before[one]
        offer(before[one], after[other])
    # Entries of one time, such as of one minute, are in the order of the uploads.
    uploads = [upload for entry, upload in sorted((entry[0], upload) for upload, entry in found)]
    return [(u[2], e[2]) for u, e in zip(uploads, sorted(entry for _, entry in found), strict=True)]


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
    are_missing = "1 row is missing" if missing == 1 else f"{missing:,} rows are missing"
    if found is None:
        return (
            f"{are_missing}, and what was sent, or its profile, is no longer available. "
            "Common causes: repeated (user, time) pairs, or a source value that the connector does not have"
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
    return f"{are_missing} for no known cause; compare again in a few hours"
