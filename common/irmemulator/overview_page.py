"""The page at `/`, which shows people what was uploaded and what was kept.

Promised: one self-contained page without scripts or external resources, every value escaped, in the reader's
light or dark colours, with a heading that says it is an emulator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from irmemulator.event_times import format_time
from irmemulator.settings import Job
from irmemulator.upload_store import KeptRecord, Upload, UploadStore

_ROWS_SHOWN = 200
_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:0 auto;padding:1rem;
background:Canvas;color:CanvasText}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}
.note{border-left:4px solid #b45309;padding-left:.75rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.875rem;margin:.75rem 0}
caption{text-align:left;font-weight:600;padding:.25rem 0}
th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;
border-bottom:1px solid color-mix(in srgb,CanvasText 25%,transparent)}
td.n,th.n{text-align:right}
code{font-size:.9em;overflow-wrap:anywhere}
"""


def render(jobs: Sequence[Job], store: UploadStore) -> str:
    """The page as HTML."""
    uploads = store.uploads
    sections = [
        _job_section(
            job,
            [upload for upload in uploads if upload.job_id == job.job_id.lower()],
            store.kept(job.job_id),
            store.saved(job.job_id),
        )
        for job in jobs
    ]
    strays = [upload for upload in uploads if upload.job_id is None]
    if strays:
        sections.append(f"<h2>Uploads without a known job</h2>{_uploads_table(strays)}")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Connector emulator</title><style>{_STYLE}</style></head><body>"
        "<h1>Emulator of the Insider Risk Indicators connector</h1>"
        '<p class="note">This is a local emulator, not Microsoft\'s service. Nothing shown here '
        "was sent to Microsoft. It follows the rules that Microsoft documents; behaviour that is not "
        "documented is an option of the emulator.</p>"
        f"{''.join(sections)}"
        '<p>The same data as JSON: <a href="/records">/records</a>, <a href="/uploads">/uploads</a>.</p>'
        "</body></html>\n"
    )


def _job_section(job: Job, uploads: Sequence[Upload], kept: Sequence[KeptRecord], saved: int) -> str:
    return (
        f"<h2>{escape(job.name)}</h2><p>Job <code>{escape(job.job_id)}</code>: "
        f"{len(uploads)} uploads, RecordsSaved {saved}</p>"
        f"{_uploads_table(uploads)}{_records_table(kept)}"
    )


def _uploads_table(uploads: Sequence[Upload]) -> str:
    if not uploads:
        return "<p>No uploads yet.</p>"
    rows = (
        [
            f"{upload.time:%Y-%m-%d %H:%M:%SZ}",
            "no reply" if upload.status is None else str(upload.status),
            upload.code or "",
            str(upload.records_received),
            str(upload.records_saved),
            ", ".join(f"{count} {reason}" for reason, count in upload.dropped.items()),
            upload.fault or "",
            upload.request_id,
        ]
        for upload in reversed(uploads[-_ROWS_SHOWN:])
    )
    heads = (
        "Time",
        "Status",
        "Code",
        "Received",
        "RecordsSaved",
        "Dropped",
        "Emulated fault",
        "Request id",
    )
    return _table(f"Uploads{_order(len(uploads))}", heads, rows, numbers={3, 4})


def _records_table(kept: Sequence[KeptRecord]) -> str:
    if not kept:
        return ""
    shown = list(reversed(kept[-_ROWS_SHOWN:]))
    # Without mapped columns each file may have columns of its own, so all their names are collected.
    names = list(dict.fromkeys(name for each in shown for name, _ in each.record.fields))
    rows = (
        [format_time(each.record.instant_us)] + [dict(each.record.fields).get(name, "") for name in names]
        for each in shown
    )
    return _table(f"Saved records{_order(len(kept))}", ("Time as saved", *names), rows)


def _order(count: int) -> str:
    return f": the latest {_ROWS_SHOWN} of {count}" if count > _ROWS_SHOWN else ", latest first"


def _table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: frozenset[int] | set[int] = frozenset(),
) -> str:
    classes = [' class="n"' if at in numbers else "" for at in range(len(heads))]
    head = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(heads, classes, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(value)}</td>" for value, kind in zip(row, classes, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )
