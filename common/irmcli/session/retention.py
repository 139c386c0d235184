"""Retention of the command line: each outbox, and what all of them share in the outbox directory.

Shared are the files of watched folders, which contents `watch` has processed, and the directory of people.
"""

import time
from collections.abc import Callable
from pathlib import Path

from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.errors import IrmError
from irmcore.operations.connectors import Connectors
from irmcore.operations.retention import clean_up_daily, periods_of
from irmcore.outbox import Outbox
from irmcore.outbox.retention import Periods, known_seconds

from irmcli.output import Output
from irmcli.settings import PEOPLE


def clean_up_after(output: Output, outbox: Outbox) -> None:
    """Once a day, delete what is past its time. Raises nothing: what goes wrong is a warning."""
    if clean_up_daily(outbox, output.warn) is not None:
        clean_up_shared(Path(outbox.path).parent, output.warn)


def clean_up_shared(root: Path, warn: Callable[[str], None]) -> int:
    """Delete what is past its time and belongs to no outbox alone; returns the number of files and people.

    No more time counts as passed than an outbox has on record without a gap.
    """
    # Imported here, as they load SQLite: it runs once a day.
    from irmcli.identities.former import forget_former
    from irmcli.watching.copies import delete_older, watched

    if not (root / "watched").exists() and not (root / PEOPLE).exists():
        return 0
    outboxes = Connectors(system_disk(), SystemClock(), str(root)).outboxes()
    deleted = 0
    try:
        known = max(map(known_seconds, outboxes), default=0.0)
        kept = [periods_of(outbox) for outbox in outboxes] or [Periods()]
        refused, records = max(one.refused for one in kept), max(one.records for one in kept)
        if known > refused:
            deleted += sum(delete_older(folder, time.time() - refused) for folder in watched(root))
        if known > records:
            deleted += _forget_contents(root, time.time() - records)
        deleted += forget_former(root / PEOPLE)
    except (IrmError, OSError) as error:
        warn(f"files that are past their retention time may be left: {error}")
    return deleted


def _forget_contents(root: Path, moment: float) -> int:
    """Forget the contents that `watch` processed before; their rows are known by their row keys, or older."""
    old = [path for path in root.glob("watched/*/??/*") if path.stat().st_mtime < moment]
    for path in old:
        path.unlink()
    return len(old)
