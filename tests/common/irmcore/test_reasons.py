"""Reason codes: a closed list, used by the converters and never carrying a value."""

from __future__ import annotations

import ast
import inspect
import re
from functools import partial
from types import ModuleType
from typing import Callable

import pytest
from irmcore.reasons import REASONS, Reason, Refused
from irmcore.shaping import numbers, text, times, upn

CONVERTERS = (times, upn, numbers, text)

# What the modules that read and shape whole rows use; the converters raise `nul-character` and
# `invalid-utf8` too.
OF_ROWS = {
    "collision",
    "duplicate-key",
    "invalid-json",
    "invalid-utf8",
    "malformed-quoting",
    "missing-value",
    "multiple-values",
    "no-free-slot",
    "not-of-scenario",
    "not-a-scalar",
    "not-an-object",
    "nul-character",
    "ragged-long",
    "ragged-short",
    "row-too-large",
    "source-not-related",
    "text-too-long",
    "user-ambiguous",
    "user-unknown",
    "user-validity-unknown",
    "value-not-allowed",
}

utc = partial(times.parse, zone=None)
berlin = partial(times.parse, zone=times.zone_named("Europe/Berlin"))

# converter | input | reason code
SAMPLES: tuple[tuple[Callable[[str], object], str, str], ...] = (
    (utc, "4/24/2023 5:52 AM", "time-malformed"),
    (utc, "2023-04-31T05:52:56Z", "time-no-such-date"),
    (utc, "2023-04-24T05:52:56", "time-without-zone"),
    (berlin, "2023-03-26T02:30:00", "time-in-dst-gap"),
    (berlin, "2023-10-29T02:30:00", "time-ambiguous"),
    (utc, "1682315576962", "time-epoch-milliseconds"),
    (utc, "16823155769626", "time-ambiguous-digits"),
    (utc, "2016-12-31T23:59:60Z", "time-leap-second"),
    (utc, "9999-12-31T00:00:00Z", "time-out-of-range"),
    (upn.canonical, "sara d@contoso.com", "upn-malformed"),
    (upn.canonical, "CONTOSO\\sarad", "upn-down-level-name"),
    (upn.canonical, "sarad", "upn-without-domain"),
    (upn.canonical, "zo\u00eb@contoso.com", "upn-not-ascii"),
    (upn.canonical, "s" * 65 + "@contoso.com", "upn-too-long"),
    (numbers.canonical, "NaN", "number-malformed"),
    (numbers.canonical, "1,000", "number-grouped"),
    (numbers.canonical, "1e309", "number-out-of-range"),
    (numbers.reader("comma"), "1.5", "number-other-sign"),
    (numbers.reader(None, asks=True), "1.250", "number-two-ways"),
    (text.canonical, "a\0b", "nul-character"),
    (text.canonical, "a\x1fb", "control-character"),
    (text.canonical, "a\udcffb", "invalid-utf8"),
)


def raised_in(module: ModuleType) -> set[str]:
    """All codes in a module's source: its kebab-case strings with a hyphen."""
    tree = ast.parse(inspect.getsource(module))
    hazards = set(getattr(module, "HAZARDS", ()))
    found = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {code for code in found if re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)+", code)} - hazards


@pytest.mark.parametrize(("convert", "value", "code"), SAMPLES)
def test_a_refusal_carries_its_code_alone(convert: Callable[[str], object], value: str, code: str) -> None:
    """A refusal has the expected code, and neither the value nor an error that contains it."""
    with pytest.raises(Refused) as caught:
        convert(value)
    assert caught.value.code == code
    assert caught.value.args == (code,)
    assert vars(caught.value) == {"code": code}
    assert caught.value.__context__ is None


def test_each_code_a_converter_raises_is_a_reason_and_has_a_sample() -> None:
    """The converters' sources, the samples and REASONS have the same codes."""
    of_converters = set().union(*map(raised_in, CONVERTERS))
    assert of_converters == {code for _, _, code in SAMPLES}
    assert of_converters | OF_ROWS == set(REASONS)


def test_reasons_cannot_be_changed() -> None:
    """REASONS is read-only."""
    with pytest.raises(TypeError):
        REASONS["other"] = Reason("other", "", "")  # type: ignore[index]


@pytest.mark.parametrize("code", sorted(REASONS))
def test_each_reason_reads_well(code: str) -> None:
    """A code is in kebab-case, and its meaning and its advice are one sentence each."""
    reason = REASONS[code]
    assert reason.code == code
    assert re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)+|collision", code)
    for sentence in (reason.meaning, *map(reason.advice, ("", "file", "search", "query"))):
        assert re.fullmatch(r"[A-Z][^\n]*[^.\s]\.", sentence)
        assert ". " not in sentence
