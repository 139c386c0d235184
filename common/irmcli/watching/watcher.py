"""The loop: look, take what is whole, deliver what is due, wait for the next event or the next look."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from irmcore.clock import Clock, iso
from irmcore.delivery.connection import outbox_name
from irmcore.delivery.report import Report
from irmcore.errors import DamageError, DataError, IrmError, WaitError

from irmcli.exit_codes import FAILED, ROWS_REFUSED, code_of, disk_trouble, worst
from irmcli.output import Output
from irmcli.session import delivery_output as delivered
from irmcli.session import input_file as source
from irmcli.session import shaping_output as shaped
from irmcli.session.connector_session import ConnectorSession
from irmcli.settings import Settings
from irmcli.watching import routes
from irmcli.watching.folder import Folder, Found, digest
from irmcli.watching.processed import ProcessedFiles
from irmcli.watching.routes import Route

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds between looks where the system tells of changes; it does not tell of those on other machines.
LOOK = 30.0
#: Seconds between looks where nothing tells.
POLL = 5.0
#: Seconds after which a file is tried again that could not be taken for want of disk, lock or rights.
AGAIN = 60.0
#: Seconds in which uploads may begin before the folder is looked at again, and the end of the process heard.
SLICE = 5.0

#: Told each event, as plain values.
Tell = Callable[[dict[str, Any]], None]


@dataclass
class _Line:
    """A connector that files go to, and when it is to be drained next (monotonic seconds)."""

    session: ConnectorSession
    name: str
    due: float = 0.0


@dataclass
class Watcher:
    """Watches one folder. ``stop`` ends it, between two steps."""

    output: Output
    settings: Settings
    folder: Folder
    routes: Sequence[Route]
    clock: Clock
    tell: Tell
    max_refused: int | None = None
    poll: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    codes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._wake = threading.Event()
        self._not_before: dict[str, float] = {}
        self._strange: set[str] = set()
        self._lines: dict[str, _Line] = {}
        # Several profiles may feed one connector, each with its own rules.
        self._sessions: dict[Route, ConnectorSession] = {}
        for route in self.routes:
            session = ConnectorSession(self.output, self.settings, route.profile, route.connection)
            session.check()
            self._sessions[route] = session
            self._lines.setdefault(outbox_name(route.connection), _Line(session, route.profile.name))

    def end(self) -> None:
        """End after the step that is being done. Safe in a signal handler."""
        self.stop.set()
        self._wake.set()

    def run(self, *, once_for: float | None = None) -> None:
        """Watch until ``stop``; with ``once_for`` seconds, end when nothing is left to wait for by then."""
        lock = self.folder.hold()
        started = self.clock.monotonic()
        try:
            with self._events() as told:
                while not self.stop.is_set():
                    self._wake.clear()
                    unsettled = self._look()
                    busy = self._deliver()
                    over = once_for is not None and self.clock.monotonic() - started >= once_for
                    if once_for is not None and not busy and (not unsettled or over):
                        return
                    if not busy:
                        self._wake.wait(1.0 if unsettled else LOOK if told else POLL)
        finally:
            lock.release()

    @contextmanager
    def _events(self) -> Iterator[bool]:
        """Wake the loop on changes; gives whether anything will."""
        if self.poll:
            yield False
            return
        from watchdog.events import FileSystemEvent, FileSystemEventHandler
        from watchdog.observers import Observer

        wake = self._wake

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                # Our own reading is an event too; only what changes a name or a content counts.
                if event.event_type in ("created", "modified", "moved", "closed"):
                    wake.set()

        observer = Observer()
        observer.schedule(Handler(), str(self.folder.root), recursive=True)
        try:
            observer.start()
        except OSError as error:
            # Most often fs.inotify.max_user_watches, or a file system that tells nothing.
            self.output.warn(f"changes are not told here ({error.strerror}): looking every {POLL:.0f} s")
            yield False
            return
        try:
            yield True
        finally:
            observer.stop()
            observer.join()

    # -- files ------------------------------------------------------------------------------

    def _look(self) -> bool:
        """Take what is whole. Gives whether a file is there that may soon be."""
        unsettled = False
        for found in self.folder.waiting():
            if self.stop.is_set():
                return False
            route = routes.choose(self.routes, found.name)
            if route is None:
                self._tell_once(found)
                continue
            if self._not_before.get(found.name, 0.0) > self.clock.monotonic():
                continue
            unsettled = not (self.folder.whole(found) and self._hand_over(found, route)) or unsettled
        return unsettled

    def _hand_over(self, found: Found, route: Route) -> bool:
        """One file, to its end. What cannot be done now is left for later. Gives whether it was whole."""
        try:
            taken = self.folder.take(found)
            if taken is None:
                return False
            try:
                self._accept(taken, route)
            except DataError as error:
                self._refuse(taken, error)
        except (WaitError, DamageError, OSError) as trouble:
            later = trouble if isinstance(trouble, IrmError) else disk_trouble(trouble)
            self._not_before[found.name] = self.clock.monotonic() + AGAIN
            self.output.warn(f"{found.name}: {later}")
            self.tell({"event": "later", "file": found.name, "error": later.what})
            self.codes.append(FAILED)
        return True

    def _accept(self, found: Found, route: Route) -> None:
        name = outbox_name(route.connection)
        line, session, content = self._lines[name], self._sessions[route], digest(found.path)
        taken = ProcessedFiles(self.settings.outbox_ready(), name)
        if taken.has(content):
            self.folder.put(found, self.folder.free(found.name, "archive", content))
            self.output.line(f"{found.name}: taken before, nothing to do")
            self.tell({"event": "taken-before", "file": found.name, "sha256": content})
            return
        details = {"file": str(self.folder.root / found.name), "sha256": content}
        with source.table(str(found.path), route.profile, "auto") as table:
            done = session.accept(table, name=str(found.path), details=details, max_refused=self.max_refused)
        line.due = 0.0
        if self.folder.changed(found):
            # Written to while it was read: its rows so far are kept, the rest comes when it is whole.
            self.output.warn(f"{found.name}: it was written to while it was read; it will be read again")
            return
        if done.rejects is not None:
            rejects = Path(done.rejects)
            place = self.folder.free(found.name, "rejects", digest(rejects))
            self.folder.write(place, rejects.read_bytes())
            self.codes.append(ROWS_REFUSED)
        record = {
            "at": iso(self.clock.now()),
            "file": found.name,
            "run": done.run,
            "counts": done.counts.as_dict(),
        }
        taken.add(content, record)
        self.folder.put(found, self.folder.free(found.name, "archive", content))
        self.output.line(f"{found.name} ({route.profile.name})", "bold")
        shaped.show(self.output, done, dry=False)
        self.tell(
            {"event": "taken", "file": found.name, "profile": route.profile.name, **shaped.document(done)}
        )

    def _refuse(self, found: Found, error: DataError) -> None:
        """A file of which nothing was accepted goes to errors/, with what is wrong and the next step."""
        what = replace_path(error, found)
        text = f"{what.what}\n{what.where or ''}\n{what.next_step}\n"
        place = self.folder.free(found.name, "errors", digest(found.path))
        self.folder.write(place.with_name(f"{place.name}.error.txt"), text.encode("utf-8", "replace"))
        self.folder.put(found, place)
        self.output.warn(f"{found.name} is in errors/: {what}")
        self.tell({"event": "error", "file": found.name, "error": what.what, "next_step": what.next_step})
        self.codes.append(code_of(error))

    def _tell_once(self, found: Found) -> None:
        if found.name not in self._strange:
            self._strange.add(found.name)
            self.output.warn(f"{found.name} fits no route and is left where it is")
            self.tell({"event": "no-route", "file": found.name})

    # -- delivery ---------------------------------------------------------------------------

    def _deliver(self) -> bool:
        """Send what is due, for a slice of time. Gives whether there is more to send at once."""
        busy = False
        for line in self._lines.values():
            if self.stop.is_set() or self.clock.monotonic() < line.due or not line.session.outbox.exists():
                continue
            try:
                report, code = line.session.deliver(until=self.clock.monotonic() + SLICE)
            except (IrmError, OSError) as trouble:
                error = trouble if isinstance(trouble, IrmError) else disk_trouble(trouble)
                self.output.warn(f"{line.name}: {error}")
                line.due = self.clock.monotonic() + AGAIN
                self.codes.append(code_of(error))
                continue
            self._after(line, report)
            more = report.sent > 0 and report.queued > 0 and line.due <= self.clock.monotonic()
            busy = busy or more
            if not more:
                self.codes.append(code)
            if report != Report():
                self.tell({"event": "delivery", "profile": line.name, **delivered.document(report)})
        return busy

    def _after(self, line: _Line, report: Report) -> None:
        """When the connector is drained next: at once, at the time the report says, or on the next file."""
        now = self.clock.monotonic()
        if report.queued == 0:
            line.due = now + AGAIN  # others may have queued: Splunk, `send --queue-only`
        elif report.due is not None:
            line.due = now + min(max(report.due - self.clock.now(), 0.0), AGAIN)
        else:
            line.due = now

    @property
    def code(self) -> int:
        """The exit code of all that happened."""
        return worst(self.codes)


def replace_path(error: DataError, found: Found) -> DataError:
    """The same error with the name that the file had, not the one it has while it is worked on."""
    where = (error.where or "").replace(str(found.path), found.name)
    return type(error)(error.what, where=where or None, next_step=error.next_step)
