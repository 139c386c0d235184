"""The loop of `watch`: look for files, accept the complete ones, deliver, wait for the next change."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from irmcore.clock import Clock, iso
from irmcore.delivery.connection import outbox_name
from irmcore.delivery.report import Report
from irmcore.errors import ConfigurationError, DamageError, DataError, InputError, IrmError, WaitError
from irmcore.shaping import corrections

from irmcli.exit_codes import FAILED, ROWS_REFUSED, code_of, known_error, worst
from irmcli.output import Output
from irmcli.session.connector_session import ConnectorSession
from irmcli.session.delivery_output import delivery_document
from irmcli.session.input_file import open_table
from irmcli.session.shaping_output import shaping_document, show_input
from irmcli.settings import Settings
from irmcli.watching import routes
from irmcli.watching.folder import Folder, Found
from irmcli.watching.processed import ProcessedFiles
from irmcli.watching.routes import Route

#: Seconds between looks where the system sends notifications; it sends none for other machines' changes.
LOOK = 30.0
#: Seconds until a file or connector that failed is tried again.
RETRY = 60.0
#: How often a file may be taken again after the process was killed while it read it.
ATTEMPTS = 3
#: Seconds in which uploads may start before the folder and the stop signal are checked again.
SLICE = 5.0

#: Errors after which a file or the folder is tried again.
_LATER = (WaitError, DamageError, ConfigurationError, OSError)

#: Receives each event as JSON values.
Notify = Callable[[dict[str, Any]], None]


@dataclass
class _Connector:
    """A connector that files go to, and when its next delivery is due (monotonic seconds)."""

    session: ConnectorSession
    name: str
    due: float = 0.0


@dataclass
class Watcher:
    """Watches one folder until `end` is called."""

    output: Output
    settings: Settings
    folder: Folder
    routes: Sequence[Route]
    clock: Clock
    notify: Notify
    max_refused: int | None = None
    poll: bool = False
    send: bool = True
    stop: threading.Event = field(default_factory=threading.Event)
    codes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._wake = threading.Event()
        self._not_before: dict[str, float] = {}
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

    def end(self) -> None:
        """Stop after the current step. Safe to call from a signal handler."""
        self.stop.set()
        self._wake.set()

    def run(self, *, once_for: float | None = None) -> None:
        """Watch until `end`. With ``once_for``, return when there is nothing to do, or these seconds after
        the first look.
        """
        lock = self.folder.hold()
        started: float | None = None
        try:
            with self._notifications() as notified:
                while not self.stop.is_set():
                    self._wake.clear()
                    incomplete = self._look()
                    started = self.clock.monotonic() if started is None else started
                    busy = self._deliver()
                    over = once_for is not None and self.clock.monotonic() - started >= once_for
                    if once_for is not None and not busy and (not incomplete or over):
                        return
                    if not busy:
                        pause = self.folder.soon if incomplete else LOOK if notified else self.folder.poll
                        self._wake.wait(pause)
        finally:
            lock.release()

    def _notifications(self) -> AbstractContextManager[bool]:
        """Wake the loop on changes. Yields whether the system sends notifications."""
        if self.poll:
            return nullcontext(enter_result=False)

        def unavailable(error: OSError) -> None:
            why = f"the system sends no notifications here ({error.strerror})"
            self.output.warn(f"{why}; looking every {self.folder.poll:.0f} s")

        return self.folder.notifications(self._wake.set, unavailable)

    @property
    def code(self) -> int:
        """The exit code of everything that happened."""
        return worst(self.codes)

    # -- files ------------------------------------------------------------------------------

    def _look(self) -> bool:
        """Accept every complete file. Returns whether another may soon be complete."""
        incomplete = False
        for found in self._files():
            if self.stop.is_set():
                return False
            route = routes.choose(self.routes, found.name)
            if route is None:
                self._report_unrouted(found)
                continue
            if self._not_before.get(found.name, 0.0) > self.clock.monotonic():
                continue
            done = self.folder.complete(found) and self._process(found, route)
            incomplete = incomplete or not done
        return incomplete

    def _files(self) -> list[Found]:
        """The files of the folder; none for now if it cannot be read."""
        if self._not_before.get("", 0.0) > self.clock.monotonic():
            return []
        try:
            return self.folder.files()
        except _LATER as raised:
            self._try_later("", raised)
            return []

    def _process(self, found: Found, route: Route) -> bool:
        """Process one file; on a temporary error, try it again later. Returns whether it was complete."""
        content: str | None = ""
        try:
            try:
                content = self.folder.take(found)
                if content is None:
                    return False
                self._accept(found, content, route)
            except DataError as error:
                self._reject(found, content or "", error)
        except _LATER as raised:
            self._try_later(found.name, raised)
        return True

    def _try_later(self, name: str, raised: IrmError | OSError) -> None:
        """Report why a file, or the folder if ``name`` is empty, is tried again later."""
        later = known_error(raised)
        self._not_before[name] = self.clock.monotonic() + RETRY
        self.output.warn(f"{name or self.folder.title}: {later}")
        self.notify({"event": "later", "file": name or None, "error": later.what})
        self.codes.append(FAILED)

    def _accept(self, found: Found, content: str, route: Route) -> None:
        folder, name = self.folder, outbox_name(route.connection)
        connector, session = self._connectors[name], self._sessions[route]
        processed = ProcessedFiles(self.settings.outbox_ready(), name)
        if content in processed:
            self._archive(found, content)
            self.output.line(f"{found.name}: processed before, nothing to do")
            self.notify({"event": "taken-before", "file": found.name, "sha256": content})
            return
        details = {"file": f"{folder.title}/{found.name}", "sha256": content}
        try:
            if processed.begin(content) >= ATTEMPTS:
                raise _takes_all_memory(
                    found, f"the process was killed {ATTEMPTS} times while reading this file"
                )
            with open_table(str(folder.copy), route.profile, "auto") as table:
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
            files = [Path(path).read_bytes() for path in done.rejects.split(", ")]
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

    def _archive(self, found: Found, content: str) -> None:
        if not self.folder.put(found, "archive", self.folder.free(found, "archive", content, found.size)):
            self._report_changed(found)

    def _report_changed(self, found: Found) -> None:
        self.output.warn(f"{found.name} changed while it was read; it will be read again")

    def _reject(self, found: Found, content: str, error: DataError) -> None:
        """Move a file to errors/ from which nothing was accepted, with a file that explains why."""
        what = with_original_path(error, self.folder.copy, found)
        text = f"{what.what}\n{what.where or ''}\n{what.next_step}\n"
        target = self.folder.free(found, "errors", content, found.size)
        self.folder.write(found, "errors", f"{target}.error.txt", text.encode("utf-8", "replace"))
        if not self.folder.put(found, "errors", target):
            self._report_changed(found)
        self.output.warn(f"{found.name} was moved to errors/: {what}")
        self.notify({"event": "error", "file": found.name, "error": what.what, "next_step": what.next_step})
        self.codes.append(code_of(error))

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
                self.notify({"event": "delivery", "profile": connector.name, **delivery_document(report)})
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


def with_original_path(error: DataError, copy: Path, found: Found) -> DataError:
    """The error with the name that the file has in the directory, not that of its copy."""
    where = (error.where or "").replace(str(copy), found.name)
    return type(error)(error.what, where=where or None, next_step=error.next_step)
