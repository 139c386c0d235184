"""Lengths of time as settings files write them: 30m, 6h, 7d."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
_DURATION = re.compile(r"([0-9]{1,4})([mhd])")


def parse_duration(text: str) -> timedelta:
    """The length of time that ``text`` is. Raises ValueError; the schemas of settings have the same form."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("not a duration such as 30m, 6h or 7d")
    return int(match[1]) * _UNITS[match[2]]


def format_duration(length: timedelta) -> str:
    """``length`` in the largest unit that divides it: 7d, 6h, 30m."""
    for unit, size in _UNITS.items():
        if length % size == timedelta(0):
            return f"{length // size}{unit}"
    return str(length)
