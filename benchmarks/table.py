"""The results as one table: JSON for programs, Markdown for docs/performance.md."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Line:
    """One line: the ``ratio``, the bounds it must and should meet, and the figures of both sides.

    ``least``: the ratio must be at least ``must``; otherwise at most.
    """

    what: str
    against: str
    ratio: float
    must: float
    goal: float
    ours: str
    theirs: str
    unit: str = "×"
    least: bool = True
    details: dict[str, Any] = field(default_factory=dict)

    def met(self, bound: float) -> bool:
        return self.ratio >= bound if self.least else self.ratio <= bound

    @property
    def verdict(self) -> str:
        if self.met(self.goal):
            return "goal"
        return "must" if self.met(self.must) else "**missed**"

    def cells(self) -> Sequence[str]:
        sign = "≥" if self.least else "≤"
        return (
            self.what,
            self.against,
            f"{self.ratio:.2f}{self.unit}" if self.unit == "×" else f"{self.ratio:.0f}{self.unit}",
            f"{sign} {self.must:g}{self.unit}",
            f"{sign} {self.goal:g}{self.unit}",
            self.verdict,
            self.ours,
            self.theirs,
        )


_HEAD = ("what", "against", "measured", "must", "goal", "reached", "irmexport", "the other")


def machine() -> dict[str, str]:
    """The machine and versions that were measured."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "cpu": f"{os.cpu_count()} × {cpu}",
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "irmexport": f"{version('irmexport')} ({commit})",
        "at": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "load": f"{os.getloadavg()[0]:.1f} before",
    }


def markdown(lines: Sequence[Line], on: dict[str, str], *, judged: bool) -> str:
    """The table and the machine. Without the bounds if not all rows were measured."""
    said = "; ".join(f"{name} {text}" for name, text in on.items())
    body = [_HEAD, ("---",) * len(_HEAD), *(line.cells() for line in lines)]
    if not judged:
        body = [(*cells[:3], *cells[6:]) for cells in body]
    return f"{said}\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in body) + "\n"


def document(lines: Sequence[Line], on: dict[str, str]) -> dict[str, Any]:
    """The same as plain values for JSON."""
    return {"machine": on, "lines": [{**asdict(line), "reached": line.verdict} for line in lines]}
