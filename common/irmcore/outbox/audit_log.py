"""``audit.log``: everything that happened to a connector and its batches, one event a line.

A line is appended and synced alone, under ``audit.lock``, so only the last one can be cut off by a crash.
``audit_chain`` has the form of a line, and how a change of the log is noticed. After the retention time the
oldest lines are replaced by a ``checkpoint``, from which the chain goes on.

What a person does is durable here before it is done. So an event without its effect means that the action
failed, or that its process was killed; an effect without an event does not occur.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Callable

from irmcore.errors import KeyMissing, OutboxBusy
from irmcore.outbox import audit_chain
from irmcore.outbox.audit_chain import START, Head, Problem
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.outbox import AUDIT_LOCK, AUDIT_LOG, Outbox

#: Bytes that are read first from the end of the log.
_TAIL = 4_096
#: Seconds to wait for another process that appends, and between two tries.
_TIMEOUT, _PAUSE = 60.0, 0.002
#: Seconds by which lines exceed the retention time before they are removed, so that it is done rarely.
_SLACK = 30 * 86_400.0


def append(outbox: Outbox, event: Mapping[str, Any], then: Callable[[], None] = lambda: None) -> None:
    """Append an event durably, then do ``then`` before anybody else appends.

    Raises OutboxBusy, OSError, and StoreAway.
    """
    with _locked(outbox):
        path = f"{outbox.path}/{AUDIT_LOG}"
        new = not outbox.disk.exists(path)
        while True:
            number, line = _next_line(outbox, path, event, new=new)
            if outbox.claim_event(number, line):
                break
        size = 0 if new else outbox.disk.size(path)
        try:
            outbox.disk.append(path, line, sync=True)
        except OSError:
            # After a failed sync, a power loss may take the line but not the next one.
            with suppress(OSError):
                outbox.disk.write_at(path, size, b"#" * (outbox.disk.size(path) - size))
            raise
        if new:
            outbox.disk.sync_dir(outbox.path)
        then()


def _next_line(outbox: Outbox, path: str, event: Mapping[str, Any], *, new: bool) -> tuple[int, bytes]:
    """The number of the next line, and the line, after what ends one that a crash has cut off."""
    head, torn = (START, b"") if new else _last(outbox, path)
    entry = {"at": outbox.clock.now(), **event}
    if head == START:
        entry["after"] = "the log was missing or empty"
    elif any(map(audit_chain.is_foreign, audit_chain.split(torn))):
        entry["after"] = "the line before it was changed"
    # Even if only its end is missing, a line that was cut off must not count as an event.
    end = b"#\n" if torn and not torn.endswith(b"\n") else b""
    return head.number + 1, end + audit_chain.encode(keyring_of(outbox), head, entry, torn + end)


def read(outbox: Outbox) -> Iterator[dict[str, Any]]:
    """The events, oldest first, with the ids that batches have now. Lines that are no events are left out."""
    ring = keyring_of(outbox)
    for line in _lines(outbox):
        found = audit_chain.decode(line)
        if found is not None:
            yield _with_new_ids(found.event, ring)


def newest(outbox: Outbox, names: Collection[str]) -> dict[str, float]:
    """When each of these events happened last (seconds since 1970; 0 if that is not on record)."""
    found = dict.fromkeys(names, 0.0)
    for piece in outbox.log_backwards():
        for line in reversed(audit_chain.split(piece)):
            entry = audit_chain.decode(line)
            if entry is not None and not found.get(entry.event["event"], 1.0):
                found[entry.event["event"]] = entry.event["at"]
                if all(found.values()):
                    return found
    return found


def runs_since(outbox: Outbox, moment: float) -> Iterator[dict[str, Any]]:
    """The events of runs that were recorded at ``moment`` (seconds since 1970) or later, newest first."""
    for piece in outbox.log_backwards():
        for line in reversed(audit_chain.split(piece)):
            entry = audit_chain.decode(line)
            if entry is None:
                continue
            if entry.event["at"] < moment:
                return
            if entry.event["event"] == "run":
                yield entry.event


def newest_by_batch(outbox: Outbox, name: str) -> dict[str, dict[str, Any]]:
    """The last event ``name`` of each batch, by the id that it has now."""
    ring, mark = keyring_of(outbox), f'"{name}"'.encode("ascii")
    found: dict[str, dict[str, Any]] = {}
    for piece in outbox.log_backwards():
        for line in reversed(audit_chain.split(piece)):
            # Few lines have the name: only those are decoded.
            entry = audit_chain.decode(line) if mark in line else None
            if entry is not None and entry.event["event"] == name:
                event = _with_new_ids(entry.event, ring)
                found.setdefault(str(event["batch"]), event)
    return found


def histories(outbox: Outbox) -> dict[str, list[dict[str, Any]]]:
    """The events of each batch by its id, oldest first, with those of a batch whose rows it took over."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in read(outbox):
        if "batch" in event:
            name, before = str(event.pop("batch")), str(event.get("replaces", ""))
            found.setdefault(name, list(found.get(before, ()))).append(event)
        elif event["event"] == "promoted":
            for name in event.pop("batches"):
                found.setdefault(str(name), []).append(event)
    return found


def head(outbox: Outbox) -> Head:
    """The newest line. Raises OSError."""
    path = f"{outbox.path}/{AUDIT_LOG}"
    return _last(outbox, path)[0] if outbox.disk.exists(path) else START


def verify(outbox: Outbox, noted: Head | None = None) -> Iterator[Problem]:
    """What is wrong with the log (see ``audit_chain.verify``). Raises KeyMissing, OSError."""
    return audit_chain.verify(outbox.load_keyring(), _lines(outbox), noted)


def settings_on_record(outbox: Outbox) -> tuple[str, ...]:
    """The hashes of ``connector.json`` that agree with the log; none if it was never recorded.

    Two only while a change may not have been completed: nothing has followed its line.
    """
    found: tuple[str, ...] = ()
    for event in read(outbox):
        if event["event"] == "configured":
            found = (str(event["settings"]), str(event["before"]))
        elif event["event"] == "checkpoint" and event["settings"]:
            found = (str(event["settings"]),)
        else:
            found = found[:1]
    return found


def forget_before(outbox: Outbox, moment: float) -> None:
    """Replace the lines before ``moment`` by a checkpoint, unless something is wrong with the log.

    Does nothing while few lines are that old. Raises KeyMissing, OutboxBusy, OSError.
    """
    with _locked(outbox):
        lines = _lines(outbox)
        first = audit_chain.decode(lines[0]) if lines else None
        if first is None or first.event["at"] >= moment - _SLACK or any(verify(outbox)):
            return
        last, kept, settings = first, 0, ""
        for number, text in enumerate(lines):
            found = audit_chain.decode(text)
            if found is None:
                continue  # it goes with the next line, whose MAC covers it
            if found.event["at"] >= moment:
                break
            last, kept = found, number + 1
            settings = str(found.event.get("settings", settings))
        if not last.is_checkpoint:
            entry = {"at": last.event["at"], "event": "checkpoint", "link": last.mac, "settings": settings}
            start = audit_chain.encode(outbox.keyring, Head(last.event["n"] - 1, ""), entry)
            outbox.replace_file(AUDIT_LOG, start + b"".join(lines[kept:]))


def _lines(outbox: Outbox) -> list[bytes]:
    return audit_chain.split(outbox.read_file(AUDIT_LOG) or b"")


@contextmanager
def _locked(outbox: Outbox) -> Iterator[None]:
    """Hold ``audit.lock``, which nobody holds for longer than a few syncs."""
    end = outbox.clock.monotonic() + _TIMEOUT
    while (lock := outbox.disk.try_lock(f"{outbox.path}/{AUDIT_LOCK}")) is None:
        if outbox.clock.monotonic() >= end:
            raise OutboxBusy(
                "another process is writing to the audit log of this connector",
                where=outbox.path,
                next_step="Run this again when the other process has finished.",
            )
        outbox.clock.sleep(_PAUSE)
    try:
        yield
    finally:
        lock.release()


def keyring_of(outbox: Outbox) -> Keyring | None:
    """The key, or None if it is missing: what people do about that is on record too."""
    try:
        return outbox.keyring
    except KeyMissing:
        return None


def _last(outbox: Outbox, path: str) -> tuple[Head, bytes]:
    """The newest line of the log, and what a crash has left after it."""
    size, span = outbox.disk.size(path), _TAIL
    while True:
        start = max(0, size - span)
        lines = audit_chain.split(outbox.disk.read_from(path, start))
        for number in range(len(lines) - 1, 0 if start else -1, -1):  # the first may be the end of a line
            found = audit_chain.decode(lines[number])
            if found is not None:
                return found.head, b"".join(lines[number + 1 :])
        if not start:
            return START, b"".join(lines)
        span *= 8


def _with_new_ids(event: dict[str, Any], ring: Keyring | None) -> dict[str, Any]:
    """The event without its place in the chain, and with the ids that batches have under the newest key."""
    del event["n"]
    generation = event.pop("g")
    if ring is None or generation in (0, ring.newest):
        return event
    for name in {"batch", "replaced_by", "replaces", "rejects_check"} & set(event):
        event[name] = event[name] and ring.keyed(event[name], generation)
    if "batches" in event:
        event["batches"] = [ring.keyed(one, generation) for one in event["batches"]]
    return event
