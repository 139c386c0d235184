"""Take each complete file of a folder once: look, process, move it away, wait for the next change."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from irmcore.clock import Clock
from irmcore.errors import ConfigurationError, DamageError, DataError, IrmError, WaitError

from irmcli.exit_codes import FAILED, code_of, known_error, worst
from irmcli.output import Output
from irmcli.settings import Settings
from irmcli.watching.folder import Folder, Found
from irmcli.watching.processed import ProcessedFiles

#: Seconds between looks where the system sends notifications; it sends none for other machines' changes.
LOOK = 30.0
#: Seconds until a file or connector that failed is tried again.
RETRY = 60.0

#: Errors after which a file or the folder is tried again.
_LATER = (WaitError, DamageError, ConfigurationError, OSError)

#: Receives each event as JSON values.
Notify = Callable[[dict[str, Any]], None]


@dataclass
class FolderLoop(ABC):
    """Takes the files of one folder until `end` is called. A subclass says what becomes of a file."""

    output: Output
    settings: Settings
    folder: Folder
    clock: Clock
    notify: Notify
    poll: bool
    stop: threading.Event = field(init=False, default_factory=threading.Event)
    codes: list[int] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._wake = threading.Event()
        self._not_before: dict[str, float] = {}

    @abstractmethod
    def _accept(self, found: Found, content: str) -> None:
        """Process the file whose copy is at ``folder.copy`` and whose SHA-256 is ``content``; move it away.

        Raises DataError if it shall move to errors/, and what else makes it wait.
        """

    def _wanted(self, found: Found) -> bool:
        """Whether the file is one to process."""
        return True

    def _deliver(self) -> bool:
        """Do what is due after a look. Returns whether there is more to do at once."""
        return False

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
            if not self._wanted(found):
                continue
            if self._not_before.get(found.name, 0.0) > self.clock.monotonic():
                continue
            done = self.folder.complete(found) and self._process(found)
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

    def _process(self, found: Found) -> bool:
        """Process one file; on a temporary error, try it again later. Returns whether it was complete."""
        content: str | None = ""
        try:
            try:
                content = self.folder.take(found)
                if content is None:
                    return False
                self._accept(found, content)
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

    def _processed_before(self, processed: ProcessedFiles, found: Found, content: str) -> bool:
        """Whether this content was processed before; then the file is archived."""
        if content not in processed:
            return False
        self._archive(found, content)
        self.output.line(f"{found.name}: processed before, nothing to do")
        self.notify({"event": "taken-before", "file": found.name, "sha256": content})
        return True

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


def with_original_path(error: DataError, copy: Path, found: Found) -> DataError:
    """The error with the name that the file has in the directory, not that of its copy."""
    where = (error.where or "").replace(str(copy), found.name)
    return type(error)(error.what, where=where or None, next_step=error.next_step)
