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
_WIDTH, _HEIGHT, _MARGIN = 640, 300, 60
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
    """The lines over the number of rows; µs and MiB have scales of their own."""
    inner_width, inner_height = _WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN
    across = [_MARGIN + inner_width * at / (len(COUNTS) - 1) for at in range(len(COUNTS))]
    micros = 1.2 * max(max(lines[name]) for name in lines if "MiB" not in name)
    mib = 1.2 * max(lines["memory, MiB"])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/><g font-family="sans-serif">',
        f'<text x="{_MARGIN}" y="24">What a row costs: µs of CPU a row; most memory in MiB</text>',
        f'<path d="M{_MARGIN} {_MARGIN}V{_HEIGHT - _MARGIN}H{_WIDTH - _MARGIN}" fill="none" stroke="#444"/>',
    ]
    for x, count in zip(across, COUNTS, strict=True):
        parts.append(f'<text x="{x:.0f}" y="{_HEIGHT - 42}" text-anchor="middle">{count:,} rows</text>')
    for name, values in lines.items():
        scale = mib if "MiB" in name else micros
        up = [_HEIGHT - _MARGIN - inner_height * value / scale for value in values]
        points = " ".join(f"{x:.0f},{y:.0f}" for x, y in zip(across, up, strict=True))
        color = _COLORS[name]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        for x, y, value in zip(across, up, values, strict=True):
            parts.append(
                f'<text x="{x:.0f}" y="{y - 6:.0f}" text-anchor="middle" fill="{color}">{value:.3g}</text>'
            )
    for at, name in enumerate(lines):
        parts.append(f'<text x="{_MARGIN + at * 190}" y="44" fill="{_COLORS[name]}">{name}</text>')
    parts.append(
        f'<text x="{_MARGIN}" y="{_HEIGHT - 14}" fill="#666" font-size="10">{below}</text></g></svg>'
    )
    return "\n".join(parts) + "\n"


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
