"""Draw what a row costs, from a thousand rows to a million: `python -m benchmarks.growth FILE.svg`.

Time per row of `irmexport send --dry-run` (without its start) and of csv.reader → csv.writer, and the most
memory. A flat line is what is promised.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.files import csv_copy, dry_run
from benchmarks.rows import write_csv
from benchmarks.table import machine
from benchmarks.timing import Medians, race

COUNTS = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS = 5
_WIDTH, _PANEL, _MARGIN = 640, 206, 60
#: The panels of the picture, one scale each: title, and the lines in it.
_PANELS = {
    "CPU time a row, µs": ("irmexport", "csv.reader → csv.writer"),
    "Most memory of irmexport, MiB": ("memory, MiB",),
}
_COLORS = {"irmexport": "#0b62a4", "csv.reader → csv.writer": "#888888", "memory, MiB": "#b5541c"}


def measure(scratch: Path) -> Mapping[str, Sequence[float]]:
    """CPU time per row of both (µs), and memory (MiB), for each count."""
    found: list[Medians] = []
    for count in (0, *COUNTS):
        file = write_csv(scratch / f"{count}.csv", count)
        contenders = {"ours": partial(dry_run, file, scratch), "csv": partial(csv_copy, file, scratch)}
        found.append(race(contenders, ROUNDS if count < COUNTS[-1] else 3))
        print(count, found[-1].of, file=sys.stderr)
    start, *rest = found

    def a_row(name: str) -> list[float]:
        """CPU time: on a shared machine it says more about the code than wall-clock time."""
        return [
            max(0.0, one.of[name]["cpu"] - start.of[name]["cpu"]) / count * 1e6
            for one, count in zip(rest, COUNTS, strict=True)
        ]

    return {
        "irmexport": a_row("ours"),
        "csv.reader → csv.writer": a_row("csv"),
        "memory, MiB": [one.of["ours"]["rss"] for one in rest],
    }


def picture(lines: Mapping[str, Sequence[float]], below: str) -> str:
    """A panel for each scale, one below the other, over the number of rows."""
    height = _PANEL * len(_PANELS) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/><g font-family="sans-serif">',
    ]
    for number, (title, names) in enumerate(_PANELS.items()):
        parts += _panel(number * _PANEL, title, {name: lines[name] for name in names})
    parts.append(f'<text x="{_MARGIN}" y="{height - 12}" fill="#666" font-size="11">{below}</text></g></svg>')
    return "\n".join(parts) + "\n"


def _panel(top: int, title: str, lines: Mapping[str, Sequence[float]]) -> list[str]:
    """One panel. The values are below the axis, where no line can cross them."""
    left, right, upper, lower = _MARGIN, _WIDTH - _MARGIN, top + 40, top + _PANEL - 66
    across = [left + (right - left) * (at + 0.5) / len(COUNTS) for at in range(len(COUNTS))]
    scale = (lower - upper) / max(value for values in lines.values() for value in values)
    parts = [
        f'<text x="{left}" y="{top + 24}">{title}</text>',
        f'<path d="M{left} {upper}V{lower}H{right}" fill="none" stroke="#444"/>',
    ]
    for x, count in zip(across, COUNTS, strict=True):
        parts.append(f'<text x="{x:.0f}" y="{lower + 18}" text-anchor="middle">{count:,} rows</text>')
    for number, (name, values) in enumerate(lines.items()):
        color = _COLORS[name]
        path = " ".join(f"{x:.0f},{lower - y * scale:.0f}" for x, y in zip(across, values, strict=True))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [
            f'<text x="{x:.0f}" y="{lower + 36 + 18 * number}" text-anchor="middle" fill="{color}">'
            f"{value:.3g}</text>"
            for x, value in zip(across, values, strict=True)
        ]
        if len(lines) > 1:
            parts.append(
                f'<text x="{right - 340 + number * 120}" y="{top + 24}" fill="{color}">{name}</text>'
            )
    return parts


def main(target: Path) -> None:
    """Measure and draw."""
    Path(".cache").mkdir(exist_ok=True)
    on = machine()
    with tempfile.TemporaryDirectory(dir=".cache") as scratch:
        lines = measure(Path(scratch).absolute())
    below = "; ".join(on[name] for name in ("cpu", "python", "irmexport", "at"))
    target.write_text(picture(lines, below), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
