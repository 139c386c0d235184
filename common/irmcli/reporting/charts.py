"""Bar and dot charts as SVG text. No script; the page's style sets the colours; every mark has a tooltip."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 900, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 104, 12, 12, 34
_ROW = 26
_MAX_LABELS = 12
#: Number of colour classes in the page's style: .s0, .s1 …
COLOURS = 6


@dataclass(frozen=True)
class Series:
    """A name, and one value per label; None means no value."""

    name: str
    values: Sequence[float | None]


def stacked(title: str, labels: Sequence[str], series: Sequence[Series], unit: str) -> str:
    """Stacked bars: one bar per label, one segment per series."""
    totals = [sum(one.values[i] or 0 for one in series) for i in range(len(labels))]
    scale = _Scale(max(totals, default=0))
    step = _step(labels)
    marks = []
    for i, label in enumerate(labels):
        below = 0.0
        for number, one in enumerate(series):
            value = one.values[i] or 0
            if value:
                top = scale.y(below + value)
                tip = f"{label}, {one.name}: {value:,.0f} {unit}"
                left = _LEFT + (i + 0.12) * step
                marks.append(
                    f'<rect class="s{number % COLOURS}" x="{left:.1f}" y="{top:.1f}" '
                    f'width="{step * 0.76:.1f}" height="{scale.y(below) - top:.1f}">'
                    f"<title>{html.escape(tip)}</title></rect>"
                )
                below += value
    return _framed(title, labels, scale, marks, f"{{:,.0f}} {unit}".format)


def dots(title: str, labels: Sequence[str], series: Sequence[Series], text: Callable[[float], str]) -> str:
    """One dot per label and series; ``text`` formats a value."""
    largest = max((value or 0 for one in series for value in one.values), default=0)
    scale = _Scale(largest)
    step = _step(labels)
    marks = []
    for number, one in enumerate(series):
        for i, label in enumerate(labels):
            value = one.values[i]
            if value is not None:
                tip = html.escape(f"{label}, {one.name}: {text(value)}")
                marks.append(
                    f'<circle class="s{number % COLOURS}" r="5" cx="{_LEFT + (i + 0.5) * step:.1f}" '
                    f'cy="{scale.y(value):.1f}"><title>{tip}</title></circle>'
                )
    return _framed(title, labels, scale, marks, text)


def ranked(title: str, rows: Sequence[tuple[str, int]], unit: str) -> str:
    """Horizontal bars with their names and values."""
    largest = max((value for _, value in rows), default=0) or 1
    height = _ROW * len(rows) + 8
    marks = []
    for i, (name, value) in enumerate(rows):
        y = i * _ROW + 4
        width = 420 * value / largest
        marks.append(
            f'<text class="name" x="290" y="{y + 16}">{html.escape(name)}</text>'
            f'<rect class="all" x="300" y="{y}" width="{width:.1f}" height="{_ROW - 6}"></rect>'
            f'<text x="{308 + width:.1f}" y="{y + 16}">{value:,} {unit}</text>'
        )
    return _svg(title, height, marks)


class _Scale:
    """Maps values to heights; the top is a round number."""

    def __init__(self, largest: float) -> None:
        size = 10 ** math.floor(math.log10(largest)) if largest > 0 else 1
        self.top = next((size * n for n in (1, 2, 3, 5, 10) if size * n >= largest), 1) if largest > 0 else 1

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self.top

    def lines(self) -> list[float]:
        return [0, self.top / 2, self.top]


def _step(labels: Sequence[str]) -> float:
    """The width of one label."""
    return (_WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)


def _framed(
    title: str, labels: Sequence[str], scale: _Scale, marks: list[str], text: Callable[[float], str]
) -> str:
    step = _step(labels)
    frame = []
    for value in scale.lines():
        y = scale.y(value)
        frame.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"></line>'
        )
        frame.append(f'<text class="name" x="{_LEFT - 6}" y="{y + 4:.1f}">{html.escape(text(value))}</text>')
    every = math.ceil(len(labels) / _MAX_LABELS) or 1
    for i, label in enumerate(labels):
        if i % every == 0:
            x = _LEFT + (i + 0.5) * step
            frame.append(f'<text class="day" x="{x:.1f}" y="{_HEIGHT - 12}">{html.escape(label)}</text>')
    return _svg(title, _HEIGHT, frame + marks)


def _svg(title: str, height: int, marks: Sequence[str]) -> str:
    name = html.escape(title, quote=True)
    return (
        f'<svg role="img" aria-label="{name}" viewBox="0 0 {_WIDTH} {height}" '
        f'xmlns="http://www.w3.org/2000/svg">\n<title>{html.escape(title)}</title>\n'
        + "\n".join(marks)
        + "\n</svg>"
    )
