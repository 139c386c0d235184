"""Compare the portal's logs that somebody puts into a folder with the uploads, each content once.

Nobody is there to say which uploads a log covers. So an entry counts only by its request id or its time, a
log that may be of several connectors is not compared, and no batch changes its state: what the log says is
recorded, and a difference needs a person. Not promised: to notice that a log has lost its beginning or end,
since the format is not documented. Uploads outside the times of its entries are left to another log.
"""

import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from irmcore.clock import iso
from irmcore.errors import DataError, InputError
from irmcore.operations import reconciliation
from irmcore.operations.connectors import Connectors, profile_of, title_of
from irmcore.outbox import Outbox, audit_log, states

from irmcli.exit_codes import NEEDS_PERSON
from irmcli.reconcile.matching import Upload, match
from irmcli.reconcile.portal_log import NOT_A_LOG, Entry, Log, parse_log
from irmcli.reconcile.uploads import GUID, cause_of, refused_by, uploads_of
from irmcli.watching.folder import Found
from irmcli.watching.folder_loop import FolderLoop
from irmcli.watching.processed import ProcessedFiles

#: The largest log that is read: a year of ten uploads an hour, with room to spare. It is parsed in memory.
_MAX_BYTES = 16 * 1024**2
#: How many lines a message names.
_LINES = 10
#: Columns of the tables.
_DAY = ("day", "uploads", "rows", "saved", "difference")
_UPLOAD = ("batch", "sent at", "rows", "saved", "likely cause")

#: An upload and what the log has of it: None if it has no entry.
_Result = tuple[Upload, int | None]


@dataclass
class LogFolder(FolderLoop):
    """A directory of logs. Uploads since ``since`` (seconds since 1970) are compared, of all connectors or of
    ``connector``; ``within``: the most seconds between an upload and its entry.
    """

    connectors: Connectors
    connector: str
    since: float
    within: float
    profile_name: str | None
    #: The days of entries of no upload that the current log's error names.
    _reporting: list[tuple[ProcessedFiles, str]] = field(init=False, default_factory=list)

    def _accept(self, found: Found, content: str) -> None:
        self._reporting.clear()
        if found.size > _MAX_BYTES:
            what = f"the log has more than {_MAX_BYTES:,} bytes"
            raise InputError(what, where=found.name, next_step="Download a log of fewer days, or split it.")
        log = parse_log(self.folder.copy.read_bytes())
        if not log.entries and not log.unread:
            raise InputError(NOT_A_LOG[0], where=found.name, next_step=NOT_A_LOG[1])
        outbox = self._outbox_of(found, log)
        processed = ProcessedFiles(self.settings.outbox_ready(), outbox.name)
        if self._processed_before(processed, found, content):
            return
        results, unmatched = self._compare(found, outbox, log.entries)
        self._record(outbox, [one for one in results if one[1] is not None or one[0].state == states.SENT])
        self._show(found, outbox, results, unmatched)
        self._raise_rest(found, log, self._unreported(processed, unmatched))
        processed.add(content, {"at": iso(self.clock.now()), "file": found.name, "uploads": len(results)})
        self._archive(found, content)

    def _outbox_of(self, found: Found, log: Log) -> Outbox:
        """The connector of a log, by --connector, the file's directory and the jobs that the log names.

        Raises InputError if that is none, or several.
        """
        known, chosen = self.connectors.outboxes(), self.connectors.choose(self.connector)
        if found.folders:
            chosen = [one for one in chosen if found.folders[0] in (one.name, profile_of(one))]
        ids = frozenset[str]().union(*(entry.ids for entry in log.entries))
        named = [one.name for one in known if one.name[-GUID:].lower() in ids]  # it ends with the job ID
        possible = [one for one in chosen if not named or one.name in named]
        if len(possible) == 1 and len(named) <= 1:
            return possible[0]
        what = "the log does not say which connector it belongs to"
        if named:
            what = f"the log names the job of {' and '.join(named)}"
        elif found.folders:
            what = f"{found.folders[0]} is not the name of one connector"
        raise InputError(
            what,
            where=found.name,
            next_step=f"Put the log of each connector into a directory of the connector's name in "
            f"{self.folder.title}. Known connectors: {', '.join(map(title_of, known)) or 'none'}.",
        )

    def _compare(
        self, found: Found, outbox: Outbox, entries: Sequence[Entry]
    ) -> tuple[list[_Result], list[Entry]]:
        """What the log has of each upload that it covers, and the entries of rows that are of no upload.

        Raises InputError if it covers no upload.
        """
        uploads = [one for one in uploads_of(outbox) if one.at >= self.since]
        requests = {one.request_id.lower() for one in uploads}
        # An entry at the very beginning may be that of an upload before it.
        young = [one for one in entries if one.at is None or one.at >= self.since + self.within]
        certain = [one for one in young if one.at is not None or one.ids & requests]
        pairs, without, unmatched = match(uploads, certain, within=self.within, refused=refused_by(outbox))
        of_refused = len(certain) - len(pairs) - len(unmatched)
        times = [one.at for one in certain if one.at is not None]
        first, last = min(times, default=0.0) + self.within, max(times, default=0.0) - self.within
        results: list[_Result] = [(upload, entry.saved) for upload, entry in pairs]
        results += [(upload, None) for upload in without if first < upload.at < last]
        unmatched += [one for one in young if one.at is None and not one.ids & requests]
        if results or of_refused or not entries:
            return sorted(results, key=lambda one: one[0].at), [one for one in unmatched if one.saved]
        what = f"no entry of the log is near an upload of {title_of(outbox)}"
        if not young:
            what = f"every entry of the log is older than {iso(self.since + self.within)}"
        elif not certain:
            what = "the entries of the log have no time, so it is not known which uploads they are of"
        raise InputError(
            what,
            where=found.name,
            next_step="If it is the right log, compare it by hand: irmexport reconcile "
            f"{shlex.quote(f'{self.folder.title}/errors/{found.name}')} --since 30d",
        )

    def _record(self, outbox: Outbox, results: Sequence[_Result]) -> None:
        """Record what is not on record yet: a log may repeat what an earlier one has said."""
        events, who = audit_log.newest_by_batch(outbox, "reconciled"), self.settings.origin({}).user
        for upload, saved in results:
            known = events.get(upload.batch, {"at": 0.0})
            if known["at"] < upload.at or (known["saved"], known.get("rows")) != (saved, upload.rows):
                reconciliation.record(outbox, upload.batch, saved, rows=upload.rows, who=who)

    def _show(self, found: Found, outbox: Outbox, results: Sequence[_Result], unmatched: list[Entry]) -> None:
        """Print the days of a log, and its differences with their likely cause."""
        self.output.line(f"{found.name}: {title_of(outbox)}", "bold")
        days: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for upload, saved in results:
            for number, more in enumerate((1, upload.rows, saved or 0)):
                days[_day(upload.at)][number] += more
        for entry in unmatched:
            if entry.at is not None:
                days[_day(entry.at)][2] += entry.saved
        rows = [(day, *numbers, numbers[2] - numbers[1]) for day, numbers in sorted(days.items())]
        self.output.table("Sent and saved", _DAY, rows)
        listed = []
        for upload, saved in results:
            if saved != upload.rows or upload.state == states.HELD:
                cause = "the log has no entry for this upload, but later ones"
                if saved is not None:
                    cause = cause_of(self.connectors, self.settings, upload, saved, self.profile_name)
                shown = "-" if saved is None else saved
                listed.append((upload.batch[:12], iso(upload.at), upload.rows, shown, cause))
        self.output.table("Look at these", _UPLOAD, listed)
        if any(saved != upload.rows for upload, saved in results):
            self.codes.append(NEEDS_PERSON)
        self.notify(
            {
                "event": "compared",
                "file": found.name,
                "connector": outbox.name,
                "days": [dict(zip(_DAY, row, strict=True)) for row in rows],
                "uploads": [dict(zip(_UPLOAD, row, strict=True)) for row in listed],
            }
        )

    def _unreported(self, processed: ProcessedFiles, unmatched: Sequence[Entry]) -> list[Entry]:
        """The entries of no upload, without days of which the same ones were reported: logs repeat them.

        They count as reported once their log has moved to errors/.
        """
        days: dict[str, list[Entry]] = defaultdict(list)
        for entry in unmatched:
            days[_day(entry.at) if entry.at is not None else ""].append(entry)
        found = []
        for day, entries in days.items():
            texts = sorted(f"{one.at} {one.saved} {sorted(one.ids)}" for one in entries)
            digest = sha256(f"{day} {texts}".encode()).hexdigest()
            if digest not in processed:
                found += entries
                self._reporting.append((processed, digest))
        return found

    def _reject(self, found: Found, content: str, error: DataError) -> None:
        super()._reject(found, content, error)
        for processed, digest in self._reporting:
            processed.add(digest, {"at": iso(self.clock.now()), "file": found.name, "uploads": 0})

    def _raise_rest(self, found: Found, log: Log, unmatched: Sequence[Entry]) -> None:
        """Raise InputError for what of a log could not be compared: then it is kept for a person."""
        texts = [f"line {line} names RecordsSaved without a readable number" for line in log.unread]
        for entry in unmatched:
            when = f" of {iso(entry.at)}" if entry.at is not None else " without a time"
            texts.append(f"line {entry.line}: RecordsSaved {entry.saved}{when} matches no upload here")
        if texts:
            more = f"; and {len(texts) - _LINES:,} more" if len(texts) > _LINES else ""
            raise InputError(
                f"the rest of the log was compared. {'; '.join(texts[:_LINES])}{more}",
                where=found.name,
                next_step="Download it again if it was cut off. If it is whole, find out who else "
                "sends to this connector. A later log that repeats the same entries is archived.",
            )


def _day(at: float) -> str:
    """The day in UTC."""
    return iso(at)[:10]
