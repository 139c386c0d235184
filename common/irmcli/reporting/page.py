"""Format the figures as one HTML page: a summary, charts, and the same numbers as accessible tables."""

import datetime
import html
from collections import Counter
from collections.abc import Mapping, Sequence

from irmcore.delivery import circuit_breaker
from irmcore.reasons import REASONS

from irmcli import html_page
from irmcli.reporting import charts
from irmcli.reporting.figures import ConnectorFigures, duration, quantile

STYLE = """
:root { color-scheme: light dark;
  --ink: #1a1a1a; --soft: #5c5c5c; --line: #d5d5d5; --back: #fff; --card: #f6f6f4; --mark: #1f6fb2;
  --bad: #a61b1b; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececec; --soft: #a8a8a8; --line: #444; --back: #161616;
  --card: #1f1f1f; --mark: #6db3ee; --bad: #ff9a9a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2rem; }
h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
.soft, caption, figcaption, summary { color: var(--soft); } .bad { color: var(--bad); font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .3rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { overflow-wrap: normal; } td.n, th.n { text-align: right; white-space: nowrap; }
.charts { display: flex; flex-wrap: wrap; gap: .5rem 2rem; }
figure { margin: 0; flex: 1 1 25rem; max-width: 29rem; }
svg { width: 100%; height: auto; background: var(--card); border-radius: .3rem; }
svg text { font: 16px system-ui, sans-serif; fill: var(--soft); }
svg .end { text-anchor: end; } svg .day { text-anchor: middle; } svg .grid { stroke: var(--line); }
svg .mark { fill: var(--mark); }
details { margin: .5rem 0; } summary { cursor: pointer; }
@media (max-width: 45rem) { table, caption, tbody, tr, td { display: block; } thead { display: none; }
  tr { padding: .5rem 0; border-bottom: 1px solid var(--line); }
  td, td.n { text-align: left; border: 0; padding: 0; white-space: normal; }
  td::before { content: attr(data-name) ": "; color: var(--soft); } }
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
        named = _by_name(lines)
        body += [
            _summary(named),
            _needs_attention(named),
            _deliveries(named, days),
            _rejects(named),
        ]
    return html_page.document(title, STYLE, "\n".join(body))


def _summary(named: Mapping[str, ConnectorFigures]) -> str:
    columns = (
        "Connector",
        "Now",
        "Rows read",
        "Sent",
        "Refused",
        "Skipped",
        "Queued",
        "Held",
        "Row to receipt",
    )
    rows = []
    for name, line in named.items():
        now = line.now
        state = "ready to send"
        if now.mode != circuit_breaker.CLOSED:
            word = "paused" if now.mode == circuit_breaker.PAUSED else "circuit breaker open"
            state = f"{word}: {now.reason}"
        median, worst = (duration(quantile(line.seconds, share)) for share in (0.5, 0.95))
        needs = len(now.items)
        rows.append(
            (
                name,
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
    return table(caption, columns, rows, numbers=range(2, 8))


def _deliveries(named: Mapping[str, ConnectorFigures], days: Sequence[datetime.date]) -> str:
    parts = ["<h2>Delivered</h2>"]
    for name, line in named.items():
        found = [line.days[day] for day in days]
        delivered = charts.bars(f"Rows delivered by day: {name}", days, [day.rows for day in found], "rows")
        slowest = [quantile(day.seconds, 0.95) for day in found]
        times = charts.dots(f"Time from row to receipt by day: {name}", days, slowest, duration)
        parts += [
            f'<h3>{html.escape(name)}</h3>\n<div class="charts">',
            figure("Rows delivered by day", delivered),
            figure("Time from row to receipt, 95th percentile of uploads", times),
            "</div>",
        ]
    rows = [
        (
            day.isoformat(),
            name,
            f"{of_day.uploads:,}",
            f"{of_day.rows:,}",
            f"{of_day.refused:,}",
            duration(quantile(of_day.seconds, 0.5)),
            duration(quantile(of_day.seconds, 0.95)),
            duration(max(of_day.seconds, default=None)),
        )
        for day in days
        for name, line in named.items()
        if (of_day := line.days[day]).uploads or of_day.refused
    ]
    columns = ("Day", "Connector", "Uploads", "Rows", "Refused", "Median", "95th percentile", "Longest")
    caption = "Deliveries by day and connector, and the time from the acceptance of a row to its receipt"
    as_table = table(caption, columns, rows, numbers=range(2, 8))
    return "\n".join([*parts, f"<details><summary>Deliveries as a table</summary>{as_table}</details>"])


def _rejects(named: Mapping[str, ConnectorFigures]) -> str:
    total: Counter[str] = Counter()
    rows = []
    for name, line in named.items():
        for (reason, column), number in line.reasons.most_common():
            total[reason] += number
            known = REASONS.get(reason)
            advice = known.advice() if known else ""
            rows.append((name, reason, column or "(row)", f"{number:,}", advice))
    if not rows:
        return "<h2>Refused</h2>\n<p>No rows were refused.</p>"
    title = "Refused rows by reason"
    chart = figure(title, charts.ranked(title, total.most_common(12), "rows"))
    columns = ("Connector", "Reason", "Column", "Rows", "What to do")
    return f"<h2>Refused</h2>\n{chart}\n{table(title, columns, rows, numbers=(3,))}"


def _needs_attention(named: Mapping[str, ConnectorFigures]) -> str:
    rows = [
        (name, item.id[:12], item.state, f"{item.rows:,}", item.reason, item.next_step)
        for name, line in named.items()
        for item in line.now.items
    ]
    if not rows:
        return "<h2>Needs attention</h2>\n<p>Nothing.</p>"
    columns = ("Connector", "Batch", "State", "Rows", "Why", "What to do")
    uploads = table("Uploads that need a decision", columns, rows, numbers=(3,))
    return f'<h2 class="bad">Needs attention: {len(rows)}</h2>\n{uploads}'


def _by_name(lines: Sequence[ConnectorFigures]) -> dict[str, ConnectorFigures]:
    """The connectors by their profiles' names; with the connector's own name if several have the same."""
    known = Counter(line.profile for line in lines)
    return {line.profile if known[line.profile] == 1 else line.now.title: line for line in lines}


def figure(caption: str, chart: str) -> str:
    """A chart below its caption."""
    return f"<figure><figcaption>{html.escape(caption)}</figcaption>\n{chart}</figure>"


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> str:
    """A table. ``numbers`` are the positions of the columns with numbers.

    On a narrow page each cell is a line that begins with the name of its column.
    """

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f"<{tag} {more}{' class=n' if i in numbers else ''}>{html.escape(value)}</{tag}>"
            for i, value in enumerate(values)
            for more in ('scope="col"' if tag == "th" else f'data-name="{html.escape(columns[i])}"',)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f"<table><caption>{html.escape(caption)}</caption>\n"
        f"<thead><tr>{cells('th', columns)}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    )
