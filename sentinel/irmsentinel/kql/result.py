"""The result of a query, wherever it ran, and its values as text."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from irmsentinel.content.artefacts import Column


@dataclass(frozen=True)
class Result:
    """Columns with Kusto's types, and rows in order. Values are Python's, or those of Azure's JSON.

    The rows can be iterated any number of times.
    """

    columns: tuple[Column, ...]
    rows: Collection[Sequence[Any]]


def cell(value: Any, kind: str) -> Any:
    """A value as in Azure's JSON."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return _timespan_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if kind == "dynamic" and value is not None and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value


def _timespan_text(value: timedelta) -> str:
    sign = "-" if value < timedelta(0) else ""
    size = abs(value)
    clock = f"{size.seconds // 3600:02}:{size.seconds // 60 % 60:02}:{size.seconds % 60:02}"
    days = f"{size.days}." if size.days else ""
    fraction = f".{size.microseconds * 10:07}" if size.microseconds else ""
    return f"{sign}{days}{clock}{fraction}"
