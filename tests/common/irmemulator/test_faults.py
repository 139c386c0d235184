"""Which faults can be set, and the reply of each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from irmemulator.fault_queue import Faults
from irmemulator.faults import Fault


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "nothing would go wrong"),
        ({"on": "records", "status": 500}, "on must be one of"),
        ({"status": 199}, "from 200 to 599"),
        ({"status": 0}, "from 200 to 599"),
        ({"early_status": 600}, "from 200 to 599"),
        ({"status": 500, "reset_after_last_byte": True}, "only one of"),
        ({"status": 500, "early_status": 500}, "only one of"),
        ({"delay": -1}, "delay must be"),
        ({"delay": float("nan")}, "delay must be"),
        ({"drip": 4000}, "drip must be"),
        ({"drip": 1, "close_without_reply": True}, "drip needs a reply"),
        ({"drip": 1, "reset_after_bytes": 0}, "drip needs a reply"),
        ({"reset_after_bytes": -1}, "must not be negative"),
        ({"body": "x", "delay": 1}, "need status or early_status"),
        ({"retry_after": 1, "close_without_reply": True}, "need status or early_status"),
        ({"location": "https://x", "delay": 1}, "need status or early_status"),
        ({"status": 429, "retry_after": datetime(2026, 1, 1)}, "aware"),  # noqa: DTZ001 - the case
        ({"status": 302, "location": "https://x\r\nSet-Cookie: a"}, "printable"),
        ({"status": 500, "headers": (("A: b", "c"),)}, "printable"),
        ({"status": 500, "headers": (("", "c"),)}, "printable"),
        ({"status": 500, "headers": (("A", "ä"),)}, "printable"),
        ({"status": 500, "body": "\ud800"}, "surrogates"),
        ({"delay": 1, "keep": True}, "keep goes with"),
        ({"reset_before_last_byte": True, "keep": True}, "keep goes with"),
        ({"status": 500, "matching": "("}, "regular expression"),
    ],
)
def test_faults_refused(fields: dict[str, Any], words: str) -> None:
    """A fault that cannot be carried out cannot be set."""
    with pytest.raises(ValueError, match=words):
        Faults().next(Fault(**fields))


@pytest.mark.parametrize(
    ("fields", "keeps"),
    [
        ({"status": 504}, False),
        ({"status": 504, "keep": True}, True),
        ({"reset_after_last_byte": True}, True),
        ({"reset_after_last_byte": True, "keep": False}, False),
        ({"close_without_reply": True}, False),
        ({"close_without_reply": True, "keep": True}, True),
        ({"reset_before_last_byte": True}, False),
        ({"early_status": 401}, False),
        ({"status": 200, "body": "<html></html>"}, False),
        ({"delay": 1}, True),
        ({"drip": 1}, True),
    ],
)
def test_what_a_fault_keeps(fields: dict[str, Any], keeps: bool) -> None:  # noqa: FBT001 - expected
    """Records are kept with the true reply, with a reset after the last byte, or if `keep` says so."""
    assert Fault(**fields).takes_effect is keeps


@pytest.mark.parametrize(
    ("fields", "length", "stops"),
    [
        ({"reset_after_bytes": 0}, 100, 0),
        ({"reset_after_bytes": 10}, 100, 10),
        ({"reset_after_bytes": 200}, 100, 100),
        ({"reset_before_last_byte": True}, 100, 99),
        ({"reset_before_last_byte": True}, 0, 0),
        ({"reset_after_last_byte": True}, 100, None),
    ],
)
def test_where_a_fault_stops(fields: dict[str, Any], length: int, stops: int | None) -> None:
    """A reset within the body comes after the number of bytes that was set."""
    assert Fault(**fields).stops_after(length) == stops


@pytest.mark.parametrize(
    ("retry_after", "header"),
    [
        (30, "30"),
        (-1, "-1"),
        ("soon", "soon"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "Fri, 02 Jan 2026 03:04:05 GMT"),
        (
            datetime(2026, 1, 2, 4, 4, 5, tzinfo=timezone(timedelta(hours=1))),
            "Fri, 02 Jan 2026 03:04:05 GMT",
        ),
    ],
)
def test_retry_after(retry_after: Any, header: str) -> None:
    """Retry-After is seconds, an HTTP-date, or any text."""
    reply = Fault(status=429, retry_after=retry_after).reply()
    assert reply is not None
    assert dict(reply.headers)["Retry-After"] == header


def test_a_faults_headers_replace_others() -> None:
    """A header of the fault replaces the reply's own header of that name."""
    reply = Fault(status=503, body="<p>", headers=(("content-type", "text/html"),)).reply()
    assert reply is not None
    assert reply.headers == (("content-type", "text/html"),)
    assert reply.body == b"<p>"
