"""Aggregate audit events into figures by connector and UTC day. Pure functions."""

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from irmcore.operations.status import ConnectorStatus

_COUNTS = ("read", "shaped", "merged", "skipped", "rejected")
#: Events that confirm an upload: a receipt, or a person who resolved an unknown outcome as sent.
_SENT = ("sent", "resolved-sent")


@dataclass
class Day:
    """One connector's day: confirmed rows and uploads, refused rows, seconds from acceptance to receipt."""

    rows: int = 0
    uploads: int = 0
    refused: int = 0
    seconds: list[float] = field(default_factory=list)


@dataclass
class ConnectorFigures:
    """One connector over the whole period. ``now`` is its current status."""

    now: ConnectorStatus
    runs: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    days: defaultdict[datetime.date, Day] = field(default_factory=lambda: defaultdict(Day))
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    held: int = 0
    dead: int = 0

    @property
    def profile(self) -> str:
        """The profile that last sent rows, or the connector's name if that is unknown."""
        return self.now.title.removesuffix(f" ({self.now.name})")

    @property
    def rows(self) -> int:
        return sum(day.rows for day in self.days.values())

    @property
    def uploads(self) -> int:
        return sum(day.uploads for day in self.days.values())

    @property
    def seconds(self) -> list[float]:
        return [one for day in self.days.values() for one in day.seconds]


def figures(
    events: Iterable[Mapping[str, Any]], statuses: Sequence[ConnectorStatus]
) -> list[ConnectorFigures]:
    """The figures of each connector, in the order of ``statuses``."""
    connectors = {now.name: ConnectorFigures(now) for now in statuses}
    accepted: dict[str, datetime.datetime] = {}
    for event in events:
        found = connectors.get(str(event.get("connector")))
        if found is not None:
            _count(found, event, accepted)
    return list(connectors.values())


def _count(total: ConnectorFigures, event: Mapping[str, Any], accepted: dict[str, datetime.datetime]) -> None:
    kind, at = event.get("event"), datetime.datetime.fromisoformat(str(event["at"]))
    batch, day = str(event.get("batch")), total.days[at.date()]
    rows = int(event.get("rows") or 0)
    if kind == "run":
        total.runs += 1
        counts = event.get("counts") or {}
        total.counts.update({name: int(counts.get(name, 0)) for name in _COUNTS})
        day.refused += int(counts.get("rejected", 0))
        for found in event.get("reasons") or ():
            total.reasons[str(found["reason"]), str(found["column"])] += int(found["rows"])
    elif kind == "accepted":
        accepted[batch] = at
    elif kind in _SENT:
        day.rows, day.uploads = day.rows + rows, day.uploads + 1
        if batch in accepted:
            day.seconds.append((at - accepted[batch]).total_seconds())
    elif kind == "hold":
        total.held += 1
    elif kind == "dead":
        total.dead += 1


def days(first: datetime.date, last: datetime.date) -> list[datetime.date]:
    """Every day from ``first`` to ``last``, both included."""
    return [first + datetime.timedelta(days=n) for n in range((last - first).days + 1)]


def quantile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank quantile; None if there are no values."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else None


_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def duration(seconds: float | None) -> str:
    """``45 s``, ``2 min 5 s``, ``3 h``, ``2 d 4 h``; a dash for None."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    for number, (name, size) in enumerate(_UNITS):
        if whole >= size:
            rest = [f"{whole % size // part} {small}" for small, part in _UNITS[number + 1 : number + 2]]
            return " ".join([f"{whole // size} {name}", *(text for text in rest if text[0] != "0")])
    return "under 1 s"
