"""The system's notifications of changes in a directory, where it sends any."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Events that change a name or a content. Our own reads cause events too.
_CHANGES = ("created", "modified", "moved", "closed")


@contextmanager
def notifications(
    root: Path, changed: Callable[[], None], unavailable: Callable[[OSError], None]
) -> Iterator[bool]:
    """Call ``changed`` on changes under ``root`` inside the block. Yields False if the system sends none."""
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.event_type in _CHANGES:
                changed()

    observer = Observer()
    observer.schedule(Handler(), str(root), recursive=True)
    try:
        observer.start()
    except OSError as error:
        # Usually fs.inotify.max_user_watches, or a file system without notifications.
        unavailable(error)
        yield False
        return
    try:
        yield True
    finally:
        observer.stop()
        observer.join()
