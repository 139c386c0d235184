"""Rows of a search → outbox → how they stand: what the command and the alert action do alike.

In this order, so that nothing is written before all is right: who may (on the server's word), the
connector, the rows. Then it waits for the sender, and says in messages what became of the rows.
"""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

from irmcore.clock import Clock
from irmcore.counts import Counts
from irmcore.errors import ConfigurationError, IrmError, TooManyRefused

from irmsplunk.export import messages as telling
from irmsplunk.export.handover import Handed, Handover, Standing, with_fields
from irmsplunk.export.messages import WARN
from irmsplunk.export.search import Search
from irmsplunk.export.spool import Spool
from irmsplunk.splunk import connectors, splunkd
from irmsplunk.splunk.next_steps import in_splunk
from irmsplunk.splunk.paths import Places

CAPABILITY = "irmexport_run"
FINALIZED = (
    "irmexport: the search was finalized before its end, so nothing was queued. "
    "Run it to its end, or set allowpartial=t."
)
_NAME = "search results"

#: Writes an event into the app's log: the event, its level, its fields.
Log = Callable[..., None]


@dataclass(frozen=True)
class Asked:
    """What the search or the alert wants done. ``wait`` in seconds; ``who`` names itself in messages."""

    who: str
    profile: str
    fields: str = ""
    dry: bool = False
    wait: float = 30.0
    max_refused: int | None = None
    keep_rejects: bool = False


@dataclass(frozen=True)
class Done:
    """What was handed over, how it stands, and what to say of it."""

    handed: Handed
    standing: Standing
    messages: list[tuple[str, str]]


class Export:
    """One run, for one search."""

    def __init__(self, asked: Asked, search: Search, places: Places, clock: Clock, log: Log) -> None:
        self._asked = asked
        self._search = search
        self._places = places
        self._clock = clock
        self._log = log
        #: The reject file of a run that was refused as a whole, if it is wanted.
        self.refused = b""

    def run(self, spool: Spool, details: Mapping[str, str]) -> Done:
        """Shape, queue, wait and tell. Raises IrmError, OSError; then nothing was queued."""
        asked = self._asked
        user = self._allowed()
        configured = connectors.fetch(self.splunkd(), asked.profile)
        profile = with_fields(configured.profile, asked.fields)
        table = spool.table([column.field for column in profile.columns], _NAME)
        if not table.header:
            return _nothing(dry=asked.dry)
        handover = Handover(configured, self._places.outbox, self._clock)
        if asked.dry:
            handed = handover.dry_run(table, profile, name=_NAME, keep_rejects=asked.keep_rejects)
            standing = Standing("dry run")
        else:
            _refuse_placeholders(profile)
            self._places.outbox_ready()
            said = {"fields": asked.fields} if asked.fields else {}
            try:
                handed = handover.accept(
                    table,
                    profile,
                    self._search.origin(user, socket.gethostname(), {**said, **details}),
                    name=_NAME,
                    max_refused=asked.max_refused,
                    keep_rejects=asked.keep_rejects,
                )
            except TooManyRefused as error:
                self.refused = handover.refused_rows(error.where) if asked.keep_rejects else b""
                raise
            spread = handed.counts.shaped if profile.collisions.policy == "spread" else 0
            counts = {**handed.counts.as_dict(), "spread": spread}
            self._log("queued", run=handed.run, batches=len(handed.batches), counts=counts)
            for (column, reason), count in handed.reasons.items():
                self._log("refused", run=handed.run, column=column, reason=reason, rows=count)
            standing = self._stood(handover, handed)
        messages = telling.counted(handed, dry=asked.dry)
        if handed.batches:
            alive = handover.sender_alive()
            messages.append(telling.stood(standing, alive=alive, waited=asked.wait))
            self._log("stood", run=handed.run, state=standing.state, reason=standing.reason)
        return Done(handed, standing, messages)

    def splunkd(self) -> splunkd.Splunkd:
        """Asked in the name of whoever runs the search."""
        return splunkd.Splunkd(self._search.splunkd_uri, self._search.session_key)

    def _stood(self, handover: Handover, handed: Handed) -> Standing:
        """How the queued batches stand. What fails from here on does not undo that they are queued."""
        if not handed.batches:
            return Standing("nothing to send")
        try:
            return handover.wait(handed, self._asked.wait)
        except (IrmError, OSError) as error:
            self._log("status-unreadable", level=WARN, error=type(error).__name__)
            return Standing("queued", waiting=handed.counts.shaped, reason="status-unreadable")

    def _allowed(self) -> str:
        """Who runs the search, on the server's word. Raises ConfigurationError without the capability."""
        user, may = splunkd.capabilities(self.splunkd())
        if CAPABILITY not in may:
            raise ConfigurationError(
                f"you do not have the capability {CAPABILITY}, so nothing was queued",
                where=self._asked.who,
                next_step="Ask an administrator to give it to one of your roles.",
            )
        return user


def _nothing(*, dry: bool) -> Done:
    """What a search without a result comes to: splunkd may leave out even the header line."""
    handed = Handed("", (), (), Counts(), {}, 0, "")
    return Done(handed, Standing("dry run" if dry else "nothing to send"), telling.counted(handed, dry=dry))


def why_not(search: Search, *, allow_partial: bool) -> tuple[str, str] | None:
    """Why nothing is queued though the results ended, as a message; silence (no level) in a preview."""
    if search.preview:
        return "", "preview"
    if search.finalized() and not allow_partial:
        return WARN, FINALIZED
    return None


def partial(search: Search, *, allow_partial: bool) -> dict[str, str]:
    """What the audit record says of results that are not complete."""
    return {"partial": "finalized"} if allow_partial and search.finalized() else {}


def said_of(error: BaseException) -> str:
    """An error for the analyst: ours as it is, any other by type and place alone."""
    if isinstance(error, IrmError):
        return in_splunk(f"irmexport: {error}")
    at = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"irmexport: {type(error).__name__} at {os.path.basename(at.filename)}:{at.lineno}: this is a fault "
        "of irmexport. Nothing more was queued; please report it with this line."
    )


def _refuse_placeholders(profile: Any) -> None:
    unfilled = profile.connector.placeholders()
    if unfilled:
        raise ConfigurationError(
            f"{', '.join(f'`{key}`' for key in unfilled)} of this connector still has the placeholder",
            where=profile.name,
            next_step="An administrator fills in the IDs; dryrun=t works without.",
        )
