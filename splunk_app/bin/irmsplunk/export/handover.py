"""Results → outbox, and what became of the batches: the command's work, without its protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Callable

from irmcore.advice import advice
from irmcore.clock import Clock
from irmcore.counts import Counts
from irmcore.delivery import connection as connections
from irmcore.delivery.breaker_store import load_breaker
from irmcore.delivery.circuit_breaker import CLOSED, PAUSED
from irmcore.disk import system_disk
from irmcore.errors import ConfigurationError
from irmcore.intake import accept as intake
from irmcore.outbox import Origin, Outbox, states
from irmcore.outbox.batch_files import read_manifest, read_payload
from irmcore.outbox.manifest import batch_id
from irmcore.profile import Profile
from irmcore.shaping import reject_file as rejects
from irmcore.shaping.batches import halves
from irmcore.shaping.readers import Table
from irmcore.shaping.reject_file import Reject

from irmsplunk.splunk import heartbeat
from irmsplunk.splunk.connectors import Configured
from irmsplunk.splunk.next_steps import in_splunk

#: Seconds between two looks at the batches' states.
_LOOK = 0.25
#: A command waits this long for another run of the same connector.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Handed:
    """What was done with the rows. ``rejects`` is the reject file's bytes, if they are wanted."""

    run: str
    batches: tuple[str, ...]
    sizes: tuple[int, ...]
    counts: Counts
    reasons: Mapping[tuple[str, str], int]
    changed: int
    warning: str
    rejects: bytes = b""


@dataclass(frozen=True)
class Standing:
    """How the batches of a run stand, in rows: one word for all, and why."""

    state: str
    sent: int = 0
    held: int = 0
    dead: int = 0
    waiting: int = 0
    reason: str = ""
    next_step: str = ""


def with_fields(profile: Profile, text: str) -> Profile:
    """The profile with the input fields of ``Header=field, …`` instead. Raises ConfigurationError."""
    wanted: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        header, equals, field = (part.strip() for part in pair.partition("="))
        if not (header and equals and field) or header in wanted:
            raise ConfigurationError(
                "`fields` is not written as it must be",
                where="fields",
                next_step='It is "Header=field, Header=field", each header once.',
            )
        wanted[header] = field
    headers = [column.header for column in profile.columns]
    unknown = [header for header in wanted if header not in headers]
    if unknown:
        raise ConfigurationError(
            f"the profile has no column `{unknown[0]}`",
            where="fields",
            next_step=f"It has: {', '.join(headers)}.",
        )
    columns = tuple(replace(c, field=wanted.get(c.header, c.field)) for c in profile.columns)
    return replace(profile, columns=columns)


class Handover:
    """One connector's outbox, as the search command sees it."""

    def __init__(self, configured: Configured, root: str, clock: Clock) -> None:
        self._connection = configured.connection
        self._root = root
        self._clock = clock
        self._outbox = Outbox(
            system_disk(), clock, f"{root}/{connections.outbox_name(configured.connection)}"
        )

    def dry_run(self, table: Table, profile: Profile, *, name: str, keep_rejects: bool) -> Handed:
        """A dry run: nothing is written."""
        lines = [rejects.header_line()]

        def keep(reject: Reject, header: tuple[str, ...]) -> None:
            lines.append(rejects.line(reject, header))

        known = self._outbox if self._outbox.exists() else None
        done = intake.dry_run(table, profile, known, name=name, on_reject=keep if keep_rejects else None)
        return _handed(done, b"".join(lines) if keep_rejects else b"")

    def accept(
        self,
        table: Table,
        profile: Profile,
        origin: Origin,
        *,
        name: str,
        max_refused: int | None,
        keep_rejects: bool,
    ) -> Handed:
        """Shape and enqueue, all or nothing; raises as intake.accept does."""
        self._outbox.create()
        connections.save(self._outbox, self._connection)
        done = intake.accept(
            table,
            profile,
            self._outbox,
            origin,
            destination=connections.destination(self._connection),
            name=name,
            max_refused=max_refused,
            lock_timeout=_PATIENCE,
        )
        kept = b""
        if keep_rejects and done.rejects:
            try:
                kept = self._outbox.disk.read(done.rejects)
            except OSError as error:
                done = replace(done, warning=f"the refused rows could not be read back ({error.strerror})")
        return _handed(done, kept or (rejects.header_line() if keep_rejects else b""))

    def refused_rows(self, path: str | None) -> bytes:
        """The reject file of a run that was refused as a whole."""
        return self._outbox.disk.read(path) if path and path.startswith(self._outbox.path) else b""

    def sender_alive(self) -> bool:
        return heartbeat.alive(self._root, self._clock.now())

    def wait(self, handed: Handed, seconds: float, on_look: Callable[[], None] = lambda: None) -> Standing:
        """Look until every batch has an end, something needs a person, or the time is over."""
        end = self._clock.monotonic() + seconds
        while True:
            standing = self.look(handed)
            over = self._clock.monotonic() >= end
            if standing.state != "queued" or over or not self.sender_alive():
                return standing
            on_look()
            self._clock.sleep(_LOOK)

    def look(self, handed: Handed) -> Standing:
        """How the batches stand now."""
        rows = {"sent": 0, "held": 0, "dead": 0, "waiting": 0}
        reason = ""
        todo = list(zip(handed.batches, handed.sizes))
        while todo:
            name, size = todo.pop()
            parts = self._halves(name)
            if parts:
                todo.extend(parts)
                continue
            kind, why = self._end_of(name)
            rows[kind] += size
            reason = reason or why
        state = next((kind for kind in ("held", "dead") if rows[kind]), "")
        if not state:
            state = "queued" if rows["waiting"] else "sent"
        if rows["waiting"]:
            breaker, _ = load_breaker(self._outbox)
            if breaker.mode != CLOSED:
                state = state if state != "queued" else ("paused" if breaker.mode == PAUSED else "held back")
                reason = reason or breaker.reason
        return Standing(state, **rows, reason=reason, next_step=in_splunk(advice(reason)) if reason else "")

    def _halves(self, name: str) -> list[tuple[str, int]]:
        """The ids and rows of the halves that a batch was split into; none of any other batch."""
        if self._outbox.folder_of(name) is None:
            return []
        batch = self._outbox.get(name)
        if batch.folder != "done" or batch.state is None or batch.state.name != states.SPLIT:
            return []
        manifest = read_manifest(self._outbox, batch)
        found = halves(read_payload(self._outbox, batch, manifest)) or ()
        return [(batch_id(manifest.destination, manifest.content_type, part), rows) for part, rows in found]

    def _end_of(self, name: str) -> tuple[str, str]:
        """Which end a batch has come to (sent, held, dead, waiting), and the code of why."""
        if self._outbox.folder_of(name) is None:
            return "sent", ""  # past its retention time: accepted and sent long ago
        batch = self._outbox.get(name)
        if batch.folder == "quarantine" or batch.state is None:
            return "dead", "damaged"
        state = batch.state
        if state.name == states.SENT:
            return "sent", ""
        if state.name == states.HELD:
            return "held", state.reason
        if state.name in (states.DEAD, states.WITHDRAWN):
            return "dead", state.reason
        return "waiting", state.reason if state.name == states.RETRY else ""


def _handed(done: intake.RunResult, kept: bytes) -> Handed:
    return Handed(
        run=done.run,
        batches=done.batches,
        sizes=done.sizes,
        counts=done.counts,
        reasons=done.reasons,
        changed=done.changed,
        warning=done.warning,
        rejects=kept,
    )
