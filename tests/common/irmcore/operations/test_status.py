"""How old a connector's last run may be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from irmcore.operations.status import ConnectorStatus, connector_status, too_old

from tests.common.irmcore.outbox.outboxes import make

HOUR = 3600.0
DAY = 24 * HOUR
#: 2026-11-22T08:00:00Z
NOW = 1_795_334_400.0


def status(**values: float) -> ConnectorStatus:
    """The status of a new connector, with these values."""
    return replace(connector_status(make()), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"last_run": NOW - HOUR, "last_receipt": NOW - 9 * DAY}, ""),
        ({"last_run": NOW - 2 * DAY, "last_receipt": NOW}, "the last run was at 2026-11-20T08:00:00.000Z"),
        ({"last_receipt": NOW - HOUR}, ""),
        ({"last_receipt": NOW - 2 * DAY}, "the last receipt was at 2026-11-20T08:00:00.000Z"),
        ({}, "there was no run"),
        (
            {"last_run": NOW, "queued": 1, "oldest": NOW - 2 * DAY},
            "a batch has been queued since 2026-11-20T08:00:00.000Z",
        ),
        ({"last_run": NOW, "queued": 1, "oldest": NOW - HOUR}, ""),
    ],
    ids=["run", "old run", "collector", "old collector", "never", "old queue", "queue"],
)
def test_what_is_too_old(values: dict[str, float], found: str) -> None:
    """A run counts, whatever it sent; a collector has receipts only; and nothing may be queued for longer."""
    assert too_old(status(**values), NOW - 26 * HOUR) == found


def test_without_a_limit_nothing_is_too_old() -> None:
    """`status` without --max-age asks about the year 1970."""
    assert too_old(status(), 0.0) == ""
