"""People who have left: forgotten by the directory of people once no row of theirs can come any more.

Until then their names must be known: a name that passed to somebody else would resolve to the wrong person.
"""

import time
from collections.abc import Iterable
from pathlib import Path

from irmcore.identity.directory import Directory
from irmcore.outbox.retention import DAY, believed_since

#: Seconds for which a deleted person stays known: as long as a row key.
KEPT = 400 * DAY


def forget_former(path: Path) -> int:
    """Forget who was deleted more than 400 days ago, if the file's own records cover that time.

    Returns how many. Raises PeopleError, WaitError, OSError.
    """
    if not path.exists():
        return 0
    with Directory(path) as directory:
        now = time.time()
        if now - believed_since(directory.times(), now) <= KEPT:
            return 0
        gone = directory.former(now - KEPT)
    if gone:
        forget(path, gone)
    return len(gone)


def forget(path: Path, object_ids: Iterable[str]) -> None:
    """Remove people from the directory at ``path``. Raises PeopleError, WaitError, OSError."""
    with Directory(path, writable=True) as directory:
        at = directory.last_sync or 0.0
        link = directory.delta_link
        directory.begin(at)
        directory.forget(object_ids)
        directory.commit(link, at)
