"""Small charts of one connector as SVG text: bars and dots by day, and a ranking. No script.

A chart is as wide as a phone and needs no key. The page's style sets the colours; every mark has a tooltip.
The ends of an axis and its middle are numbers that a person would have chosen.
"""

import datetime
import html
import math
from collections.abc import Callable, Sequence

WIDTH = 400
_HEIGHT = 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 30, 16, 38
_ROW = 44
_MAX_LABELS = 5
#: Ends of an axis of seconds: each has a half that is as easy to read.
_SECONDS = (2, 10, 20, 60, 120, 600, 1_200, 3_600, 7_200, 21_600, 43_200, 86_400, 172_800, 864_000, 3_456_000)


def bars(title: str, days: Sequence[datetime.date], values: Sequence[float], unit: str) -> str:
    """One bar a day."""
    top, step = _round_up(max(values, default=0)), _step(days)
    marks = [
        f'<rect class="mark" x="{_LEFT + (i + 0.12) * step:.1f}" y="{_y(value, top):.1f}" '
        f'width="{step * 0.76:.1f}" height="{_y(0, top) - _y(value, top):.1f}">'
        f"<title>{day}: {value:,.0f} {html.escape(unit)}</title></rect>"
        for i, (day, value) in enumerate(zip(days, values, strict=True))
        if value
    ]
    return _framed(title, days, top, "{:,.0f}".format, marks)


def dots(
    title: str, days: Sequence[datetime.date], seconds: Sequence[float | None], text: Callable[[float], str]
) -> str:
    """One dot for each day that has a duration in ``seconds``; ``text`` formats one."""
    largest = max((value or 0 for value in seconds), default=0)
    top = next((end for end in _SECONDS if end >= largest), _round_up(largest))
    marks = [
        f'<circle class="mark" r="4" cx="{_LEFT + (i + 0.5) * _step(days):.1f}" cy="{_y(value, top):.1f}">'
        f"<title>{day}: {html.escape(text(value))}</title></circle>"
        for i, (day, value) in enumerate(zip(days, seconds, strict=True))
        if value is not None
    ]
    return _framed(title, days, top, text, marks)


def ranked(title: str, rows: Sequence[tuple[str, int]], unit: str) -> str:
    """Horizontal bars, each below its name and value."""
    largest = max((value for _, value in rows), default=0) or 1
    marks = []
    for i, (name, value) in enumerate(rows):
        y = i * _ROW
        marks.append(
            f'<text x="8" y="{y + 18}">{html.escape(name)}</text>'
            f'<text class="end" x="{WIDTH - 8}" y="{y + 18}">{value:,} {html.escape(unit)}</text>'
            f'<rect class="mark" x="8" y="{y + 25}" width="{(WIDTH - 16) * value / largest:.1f}" height="10">'
            "</rect>"
        )
    return _svg(title, _ROW * len(rows), marks)


def _round_up(largest: float) -> float:
    """The least of 2, 4, 6, 10, 20 … that is not below ``largest``: its half is a whole number, too."""
    size = 10 ** max(0, math.ceil(math.log10(largest)) - 1) if largest > 0 else 1
    return next(size * n for n in (2, 4, 6, 10) if size * n >= largest)


def _y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top


def _step(days: Sequence[datetime.date]) -> float:
    """The width of one day."""
    return (WIDTH - _LEFT - _RIGHT) / max(len(days), 1)


def _framed(
    title: str, days: Sequence[datetime.date], top: float, text: Callable[[float], str], marks: list[str]
) -> str:
    frame = []
    for value in (0, top / 2, top):
        y = _y(value, top)
        frame.append(
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"></line>'
        )
        label = html.escape(text(value)) if value else "0"
        frame.append(f'<text class="end" x="{_LEFT - 6}" y="{y + 4:.1f}">{label}</text>')
    every = math.ceil(len(days) / _MAX_LABELS) or 1
    for i in range(0, len(days), every):
        x = _LEFT + (i + 0.5) * _step(days)
        frame.append(f'<text class="day" x="{x:.1f}" y="{_HEIGHT - 9}">{days[i]:%b} {days[i].day}</text>')
    return _svg(title, _HEIGHT, frame + marks)


def _svg(title: str, height: int, marks: Sequence[str]) -> str:
    return (
        f'<svg role="img" aria-label="{html.escape(title, quote=True)}" viewBox="0 0 {WIDTH} {height}" '
        'xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(marks) + "\n</svg>"
    )
