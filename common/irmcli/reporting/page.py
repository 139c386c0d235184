"""Format the figures as one HTML page: a summary, charts, and the same numbers as accessible tables."""

from __future__ import annotations

import datetime
import html
from collections import Counter
from collections.abc import Sequence

from irmcore.delivery import circuit_breaker
from irmcore.reasons import REASONS

from irmcli import html_page
from irmcli.reporting import charts
from irmcli.reporting.charts import Series
from irmcli.reporting.figures import ConnectorFigures, duration, quantile

_STYLE = """
:root { color-scheme: light dark;
  --ink: #1a1a1a; --soft: #5c5c5c; --line: #d5d5d5; --back: #fff; --card: #f6f6f4;
  --c0: #1f6fb2; --c1: #b5561c; --c2: #3b7d3b; --c3: #8a4fa0; --c4: #8c6d00; --c5: #a8325e; --bad: #a61b1b; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececec; --soft: #a8a8a8; --line: #444; --back: #161616;
  --card: #1f1f1f; --c0: #6db3ee; --c1: #f0965a; --c2: #80c580; --c3: #cb9be0; --c4: #dcc05a; --c5: #f08cb0;
  --bad: #ff9a9a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.soft { color: var(--soft); } .bad { color: var(--bad); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding: .3rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
svg { width: 100%; height: auto; background: var(--card); border-radius: .3rem; }
svg text { font: 13px system-ui, sans-serif; fill: var(--soft); }
svg text.name { text-anchor: end; } svg text.day { text-anchor: middle; } svg .grid { stroke: var(--line); }
.all { fill: var(--soft); } .s0 { fill: var(--c0); } .s1 { fill: var(--c1); } .s2 { fill: var(--c2); }
.s3 { fill: var(--c3); } .s4 { fill: var(--c4); } .s5 { fill: var(--c5); }
.key { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; }
.key svg { width: .8rem; height: .8rem; margin-right: .4rem; background: none; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--soft); }
@media print { body { margin: 0; max-width: none; } svg, tr { break-inside: avoid; } }
"""


def page(lines: Sequence[ConnectorFigures], days: Sequence[datetime.date], made: str) -> str:
    """The page. ``made`` is a sentence on when and by which version it was created."""
    first, last = days[0].isoformat(), days[-1].isoformat()
    title = f"Deliveries to Purview, {first} to {last}"
    body = [f"<h1>{html.escape(title)}</h1>", f'<p class="soft">{html.escape(made)} Days are UTC.</p>']
    if not lines:
        body.append("<p>Nothing has been sent from this outbox yet.</p>")
    else:
        body += [
            _summary(lines),
            _needs_attention(lines),
            _deliveries(lines, days),
            _latency(lines, days),
            _rejects(lines),
        ]
    return html_page.document(title, _STYLE, "\n".join(body))


def _summary(lines: Sequence[ConnectorFigures]) -> str:
    columns = (
        "Connector",
        "Now",
        "Rows read",
        "sent",
        "refused",
        "skipped",
        "queued",
        "Held",
        "Row to receipt",
    )
    rows = []
    for line in lines:
        now = line.now
        state = "ready to send"
        if now.mode != circuit_breaker.CLOSED:
            word = "paused" if now.mode == circuit_breaker.PAUSED else "circuit breaker open"
            state = f"{word}: {now.reason}"
        median, worst = (duration(quantile(line.seconds, share)) for share in (0.5, 0.95))
        needs = len(now.items)
        rows.append(
            (
                now.title,
                now.trouble or state,
                f"{line.counts['read']:,}",
                f"{line.rows:,}",
                f"{line.counts['rejected']:,}",
                f"{line.counts['skipped']:,}",
                f"{now.rows_queued:,}",
                f"{needs} of {line.held}" if line.held or needs else "0",
                f"{median}, 95%: {worst}",
            )
        )
    caption = (
        "Skipped rows were accepted before. Held: uploads that need attention now, of all whose outcome was "
        "unknown. Row to receipt: median and 95th percentile of the uploads."
    )
    return _table(caption, columns, rows, numbers=range(2, 8))


def _deliveries(lines: Sequence[ConnectorFigures], days: Sequence[datetime.date]) -> str:
    labels = [day.isoformat() for day in days]
    sent = [Series(line.now.title, [line.days[day].rows for day in days]) for line in lines]
    chart = charts.stacked("Rows delivered by day and connector", _short(labels), sent, "rows")
    rows = [
        (day.isoformat(), line.now.title, f"{found.uploads:,}", f"{found.rows:,}", f"{found.refused:,}")
        for day in days
        for line in lines
        if (found := line.days[day]).uploads or found.refused
    ]
    columns = ("Day", "Connector", "Uploads", "Rows", "Refused")
    table = _table("Deliveries by day and connector", columns, rows, numbers=range(2, 5))
    return f"<h2>Delivered</h2>\n{chart}\n{_key(lines)}\n{_more('Deliveries as a table', table)}"


def _latency(lines: Sequence[ConnectorFigures], days: Sequence[datetime.date]) -> str:
    labels = [day.isoformat() for day in days]
    series = [
        Series(f"{line.now.title}, 95%", [quantile(line.days[day].seconds, 0.95) for day in days])
        for line in lines
    ]
    chart = charts.dots(
        "Time from row to receipt by day, 95th percentile of uploads", _short(labels), series, duration
    )
    rows = [
        (
            day.isoformat(),
            line.now.title,
            duration(quantile(found.seconds, 0.5)),
            duration(quantile(found.seconds, 0.95)),
            duration(max(found.seconds)),
        )
        for day in days
        for line in lines
        if (found := line.days[day]).seconds
    ]
    columns = ("Day", "Connector", "median", "95th percentile", "longest")
    table = _table("Time from the acceptance of a row to its receipt", columns, rows, numbers=range(2, 5))
    return f"<h2>From row to receipt</h2>\n{chart}\n{_key(lines)}\n{_more('Times as a table', table)}"


def _rejects(lines: Sequence[ConnectorFigures]) -> str:
    total: Counter[str] = Counter()
    rows = []
    for line in lines:
        for (reason, column), number in line.reasons.most_common():
            total[reason] += number
            known = REASONS.get(reason)
            advice = known.advice if known else ""
            rows.append((line.now.title, reason, column or "(row)", f"{number:,}", advice))
    if not rows:
        return "<h2>Refused</h2>\n<p>No rows were refused.</p>"
    chart = charts.ranked("Refused rows by reason", total.most_common(12), "rows")
    columns = ("Connector", "Reason", "Column", "Rows", "What to do")
    return f"<h2>Refused</h2>\n{chart}\n{_table('Refused rows by reason', columns, rows, numbers=(3,))}"


def _needs_attention(lines: Sequence[ConnectorFigures]) -> str:
    rows = [
        (line.now.title, item.id[:12], item.state, f"{item.rows:,}", item.reason, item.next_step)
        for line in lines
        for item in line.now.items
    ]
    if not rows:
        return "<h2>Needs attention</h2>\n<p>Nothing.</p>"
    columns = ("Connector", "Batch", "State", "Rows", "Why", "What to do")
    table = _table("Uploads that need a decision", columns, rows, numbers=(3,))
    return f'<h2 class="bad">Needs attention: {len(rows)}</h2>\n{table}'


def _short(labels: Sequence[str]) -> list[str]:
    return [label[5:] for label in labels]


def _key(lines: Sequence[ConnectorFigures]) -> str:
    items = (
        f'<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="s{n % charts.COLOURS}" width="10" '
        f'height="10"></rect></svg>{html.escape(line.now.title)}</li>'
        for n, line in enumerate(lines)
    )
    return f'<ul class="key">{"".join(items)}</ul>'


def _more(title: str, inner: str) -> str:
    return f"<details><summary>{html.escape(title)}</summary>{inner}</details>"


def _table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]
) -> str:
    def cells(tag: str, values: Sequence[str]) -> str:
        more = ' scope="col"' if tag == "th" else ""
        return "".join(
            f"<{tag}{more}{' class=n' if i in numbers else ''}>{html.escape(value)}</{tag}>"
            for i, value in enumerate(values)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><caption>{html.escape(caption)}</caption>\n'
        f"<thead><tr>{cells('th', columns)}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )
