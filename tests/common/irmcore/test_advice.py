"""Advice: a line for every code that replies, the circuit breaker, tokens and the queue can give."""

from __future__ import annotations

import re

import pytest
from irmcore.advice import ADVICE, INGESTION, advice
from irmcore.delivery.replies import Action, decide
from irmcore.http.outcome import Failure, Reply

KINDS = ("dns", "refused", "tls", "proxy", "proxy-auth", "reset", "timeout", "protocol", "crash")


def codes() -> list[str]:
    """Every code of a decision that is not a success."""
    outcomes = [
        Reply(status, committed=committed) for status in range(300, 600) for committed in (True, False)
    ]
    failures = [Failure(kind, committed) for kind in KINDS for committed in (True, False)]
    found = set()
    for outcome in (*outcomes, *failures):
        for in_doubt in ("hold", "resend"):
            decision = decide(outcome, attempt=1, refreshed=True, in_doubt=in_doubt, jitter=0.0)
            assert decision.action is not Action.SENT
            found.add(decision.code)
    return sorted(found)


def test_each_code_has_advice() -> None:
    """Every code of a decision has a next step."""
    assert [code for code in codes() if not advice(code)] == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("http-400", "refuses the file"),
        ("http-401", "app_id"),
        ("http-403", "created with this `app_id`"),
        ("http-404", "job_id"),
        ("http-405", "refuses the file"),
        ("http-407", "proxy"),
        ("http-408", "tries again"),
        ("http-413", "single row"),
        ("http-415", "fault of irmexport"),
        ("http-422", "content"),
        ("http-429", "slow down"),
        ("http-500", "tries again"),
        ("http-501", "not known whether"),
        ("http-502", "not known"),
        ("http-503", "tries again"),
        ("http-504", "not known"),
        ("http-302", "redirect"),
        ("http-399", "redirect"),
        ("dns", "DNS"),
        ("refused", "firewall"),
        ("tls", "ca_file"),
        ("proxy", "CONNECT"),
        ("reset", "cut"),
        ("timeout", "deadline"),
        ("protocol", "HTTP"),
        ("credential", "secret"),
        ("crash", "sent again"),
        ("damaged", "disk"),
        ("unknown-format", "version"),
        ("resolved", "audit"),
        ("requeued", "queue"),
        ("reset-after-commit", "not known whether"),
        ("crash-after-commit", "not known whether"),
        ("protocol-after-commit", "not known whether"),
        ("token-AADSTS7000215", "secret is wrong"),
        ("token-timeout", "doctor"),
        ("http-207 flagged", ""),
        ("http-403 flagged", "created with this `app_id`"),
        ("http-200", ""),
        ("http-204", ""),
        ("", ""),
        ("something new", ""),
    ],
)
def test_the_advice_on_a_code(code: str, words: str) -> None:
    """The advice is about this problem; a success has none."""
    found = advice(code)
    assert words in found
    assert bool(words) == bool(found)


@pytest.mark.parametrize("code", sorted(ADVICE))
def test_an_advice_reads_well(code: str) -> None:
    """Advice is one line that begins with a capital letter and ends with a full stop."""
    assert re.fullmatch(r"[a-z]+(?:-[a-z0-9]+)*", code)
    assert re.fullmatch(r"[A-Z][^\n]*\.", ADVICE[code])


def test_a_table_of_azure_monitor_has_advice_of_its_own() -> None:
    """Job IDs do not exist there; advice that applies everywhere is the same."""
    kind = "azure-monitor-ingestion"
    for code in INGESTION:
        assert advice(code, kind) == INGESTION[code] != advice(code)
        assert "job" not in INGESTION[code]
    assert advice("http-503", kind) == advice("http-503")
