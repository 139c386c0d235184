"""What `watch` does with the files of a folder: accept their rows, archive them, and deliver what is due."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from irmcore.clock import iso
from irmcore.delivery.connection import outbox_name
from irmcore.delivery.report import Report
from irmcore.errors import InputError, IrmError
from irmcore.shaping import corrections

from irmcli.exit_codes import ROWS_REFUSED, code_of, known_error
from irmcli.session.connector_session import ConnectorSession
from irmcli.session.input_file import open_table
from irmcli.session.shaping_output import shaping_document, show_input
from irmcli.watching import routes
from irmcli.watching.folder import Found
from irmcli.watching.folder_loop import RETRY, FolderLoop
from irmcli.watching.processed import ProcessedFiles
from irmcli.watching.routes import Route

#: How often a file may be taken again after the process was killed while it read it.
ATTEMPTS = 3
#: Seconds in which uploads may start before the folder and the stop signal are checked again.
SLICE = 5.0


@dataclass
class _Connector:
    """A connector that files go to, and when its next delivery is due (monotonic seconds)."""

    session: ConnectorSession
    name: str
    due: float = 0.0


@dataclass
class Watcher(FolderLoop):
    """Watches one folder until `end` is called."""

    routes: Sequence[Route]
    max_refused: int | None = None
    send: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._unrouted: set[str] = set()
        self._connectors: dict[str, _Connector] = {}
        # Several profiles may feed one connector, each with its own rules.
        self._sessions: dict[Route, ConnectorSession] = {}
        for route in self.routes:
            session = ConnectorSession(self.output, self.settings, route.profile, route.connection)
            session.check()
            self._sessions[route] = session
            self._connectors.setdefault(
                outbox_name(route.connection), _Connector(session, route.profile.name)
            )

    # -- files ------------------------------------------------------------------------------

    def _wanted(self, found: Found) -> bool:
        if routes.choose(self.routes, found.name) is not None:
            return True
        self._report_unrouted(found)
        return False

    def _accept(self, found: Found, content: str) -> None:
        route = routes.choose(self.routes, found.name)
        if route is None:  # `_wanted` has reported it
            return
        folder, name = self.folder, outbox_name(route.connection)
        connector, session = self._connectors[name], self._sessions[route]
        processed = ProcessedFiles(self.settings.outbox_ready(), name)
        if self._processed_before(processed, found, content):
            return
        details = {"file": f"{folder.title}/{found.name}", "sha256": content}
        try:
            if processed.begin(content) >= ATTEMPTS:
                raise _takes_all_memory(
                    found, f"the process was killed {ATTEMPTS} times while reading this file"
                )
            with open_table(str(folder.copy), route.profile, "auto", found.name) as table:
                done = session.accept(
                    table, name=str(folder.copy), details=details, max_refused=self.max_refused
                )
        except MemoryError:
            raise _takes_all_memory(found, "the file needs more memory than this process may use") from None
        finally:
            processed.end(content)
        connector.due = 0.0
        if folder.changed(found):
            # The rows read so far are accepted; the ledger skips them when the file is read again.
            self._report_changed(found)
            return
        if done.rejects is not None:
            # After a promotion there may be two, in this outbox, whose path may have commas.
            apart = f", (?={re.escape(str(self.settings.outbox.absolute()))})"
            files = [Path(path).read_bytes() for path in re.split(apart, done.rejects)]
            rejects = corrections.file_of(files, table.delimiter)
            target = folder.free(found, "rejects", hashlib.sha256(rejects).hexdigest(), len(rejects))
            folder.write(found, "rejects", target, rejects)
            self.codes.append(ROWS_REFUSED)
        record = {
            "at": iso(self.clock.now()),
            "file": found.name,
            "run": done.run,
            "counts": done.counts.as_dict(),
        }
        processed.add(content, record)
        self._archive(found, content)
        self.output.line(f"{found.name} ({route.profile.name})", "bold")
        show_input(self.output, table)
        session.show(done, dry=False)
        event = {"event": "taken", "file": found.name, "profile": route.profile.name}
        self.notify({**event, **shaping_document(done)})

    def _report_unrouted(self, found: Found) -> None:
        """Warn once about a file that matches no route."""
        if found.name not in self._unrouted:
            self._unrouted.add(found.name)
            self.output.warn(f"{found.name} matches no route and is left in place")
            self.notify({"event": "no-route", "file": found.name})

    # -- delivery ---------------------------------------------------------------------------

    def _deliver(self) -> bool:
        """Send what is due, for one time slice. Returns whether there is more to send at once."""
        busy = False
        for connector in self._connectors.values() if self.send else ():
            outbox = connector.session.outbox
            if self.stop.is_set() or self.clock.monotonic() < connector.due or not outbox.exists():
                continue
            try:
                report, code = connector.session.deliver(until=self.clock.monotonic() + SLICE)
            except (IrmError, OSError) as raised:
                error = known_error(raised)
                self.output.warn(f"{connector.name}: {error}")
                connector.due = self.clock.monotonic() + RETRY
                self.codes.append(code_of(error))
                continue
            connector.due = self._next_delivery(report)
            more = report.sent > 0 and report.queued > 0 and connector.due <= self.clock.monotonic()
            busy = busy or more
            if not more:
                self.codes.append(code)
            if report != Report():
                self.notify({"event": "delivery", "profile": connector.name, **report.as_dict()})
        return busy

    def _next_delivery(self, report: Report) -> float:
        """When the next delivery is due: at once, or when the report says (monotonic seconds)."""
        now = self.clock.monotonic()
        if report.queued == 0:
            return now + RETRY  # another process may add batches: Splunk, `send --queue-only`
        if report.due is not None:
            return now + min(max(report.due - self.clock.now(), 0.0), RETRY)
        return now


def _takes_all_memory(found: Found, what: str) -> InputError:
    step = "Check the file's origin and size; raise MemoryMax= of the service if both are right."
    return InputError(what, where=found.name, next_step=step)
