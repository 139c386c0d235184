"""All connectors under one outbox directory: find them, name them, and find a batch among them."""

from __future__ import annotations

from irmcore.clock import Clock
from irmcore.delivery.connection import settings_of
from irmcore.disk import Disk
from irmcore.errors import OperatorError
from irmcore.outbox import Batch, Outbox


class Connectors:
    """The outboxes in the directory ``root``."""

    def __init__(self, disk: Disk, clock: Clock, root: str) -> None:
        self._disk = disk
        self._clock = clock
        self._root = root.rstrip("/")

    def outbox(self, name: str) -> Outbox:
        """The outbox of this name, which need not exist."""
        return Outbox(self._disk, self._clock, f"{self._root}/{name}")

    def outboxes(self) -> list[Outbox]:
        """The outboxes that exist, by name. Other directories are skipped."""
        found = [self.outbox(name) for name in self._disk.names(self._root)]
        return [outbox for outbox in found if outbox.exists()]

    def choose(self, prefix: str) -> list[Outbox]:
        """The outboxes of the profile ``prefix``, or whose name begins with it; all of them for "".

        Raises OperatorError if there is none.
        """
        known = self.outboxes()
        if not prefix:
            return known
        exact = [outbox for outbox in known if prefix in (outbox.name, profile_of(outbox))]
        found = exact or [outbox for outbox in known if outbox.name.startswith(prefix)]
        if not found:
            names = ", ".join(map(title_of, known)) or "none"
            raise OperatorError(
                f"there is no connector `{prefix}` in this outbox",
                where=self._root,
                next_step=f"Known connectors: {names}.",
            )
        return found

    def find_batch(self, prefix: str) -> tuple[Outbox, Batch]:
        """The one batch whose id begins with ``prefix``. Raises OperatorError."""
        found = [(outbox, name) for outbox in self.outboxes() for name in outbox.match(prefix)]
        if len(found) != 1:
            what = "no batch begins" if not found else f"{len(found)} batches begin"
            raise OperatorError(
                f"{what} with this id",
                where=self._root,
                next_step="Give the id as `irmexport status` shows it (at least 4 characters).",
            )
        outbox, name = found[0]
        return outbox, outbox.get(name)


def profile_of(outbox: Outbox) -> str:
    """The name of the profile in the connector's settings, or "" if it cannot be read."""
    return str((settings_of(outbox) or {}).get("profile", ""))


def title_of(outbox: Outbox) -> str:
    """How people know a connector: the profile that last sent rows to it, and the outbox's name."""
    profile = profile_of(outbox)
    return f"{profile} ({outbox.name})" if profile else outbox.name
