"""The page at `/`: what was uploaded and what was kept, for people.

Promised: one self-contained page without scripts or requests to anywhere, every value escaped, in
the reader's light or dark colours, and a heading that says it is a stand-in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from irmemulator.event_times import iso_of
from irmemulator.settings import Job
from irmemulator.upload_store import Kept, Store, Upload

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


def render(jobs: Sequence[Job], store: Store) -> str:
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
        sections.append(f"<h2>Uploads that named no known job</h2>{_uploads_table(strays)}")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Stand-in of the connector</title><style>{_STYLE}</style></head><body>"
        "<h1>Stand-in of the Insider Risk Indicators connector</h1>"
        '<p class="note">This is a local emulator, not Microsoft\'s service: nothing shown here '
        "was sent to Microsoft. It follows the rules of Microsoft's page; what no document says "
        "is a labelled option of the emulator.</p>"
        f"{''.join(sections)}"
        '<p>The same as JSON: <a href="/records">/records</a>, <a href="/uploads">/uploads</a>.</p>'
        "</body></html>\n"
    )


def _job_section(job: Job, uploads: Sequence[Upload], kept: Sequence[Kept], saved: int) -> str:
    return (
        f"<h2>{escape(job.name)}</h2><p>Job <code>{escape(job.job_id)}</code>: "
        f"{len(uploads)} uploads, RecordsSaved {saved}</p>"
        f"{_uploads_table(uploads)}{_records_table(kept)}"
    )


def _uploads_table(uploads: Sequence[Upload]) -> str:
    if not uploads:
        return "<p>No upload yet.</p>"
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
        "Not saved",
        "Emulated fault",
        "Request id",
    )
    return _table(f"Uploads{_share(len(uploads))}", heads, rows, numbers={3, 4})


def _records_table(kept: Sequence[Kept]) -> str:
    if not kept:
        return ""
    shown = list(reversed(kept[-_ROWS_SHOWN:]))
    # Without mapped columns each file may have its own, so the heads are gathered.
    names = list(dict.fromkeys(name for each in shown for name, _ in each.record.fields))
    rows = (
        [iso_of(each.record.instant_us)] + [dict(each.record.fields).get(name, "") for name in names]
        for each in shown
    )
    return _table(f"Kept records{_share(len(kept))}", ("Time as kept", *names), rows)


def _share(count: int) -> str:
    return f", the last {_ROWS_SHOWN} of {count}" if count > _ROWS_SHOWN else ", the last first"


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
