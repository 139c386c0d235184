"""Print what comes near to or passes a published limit, and what may be counted twice."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from irmcore.errors import IrmError
from irmcore.outbox import Outbox, audit_log
from irmcore.profile import Profile
from irmcore.profile.published_limits import Finding, counted_twice, of_rows, twice_text

from irmcli.output import Output

_DAY = 86_400


def show_limits(output: Output, found: Iterable[Finding], profiles: Iterable[Profile] = ()) -> None:
    """Print findings: a warning for a limit that is passed, a note for one that is near.

    ``profiles`` are those whose products may be counted twice.
    """
    for finding in found:
        if finding.passed:
            output.warn(finding.text)
        else:
            output.line(f"Limit: {finding.text}", "dim")
    products = tuple(dict.fromkeys(name for profile in profiles for name in counted_twice(profile)))
    if products:
        output.line(f"Counted twice? {twice_text(products)}", "dim")


def limits_document(found: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as JSON values."""
    return [
        {
            "limit": one.limit.name,
            "count": one.number,
            "most": one.limit.most,
            "about": one.about,
            "passed": one.passed,
            "source": one.limit.source,
            "read": one.limit.read,
        }
        for one in found
    ]


def of_today(connectors: Sequence[tuple[Profile, Outbox]]) -> list[Finding]:
    """What the rows that were accepted today (UTC) for these connectors come near to or pass.

    A connector whose audit log cannot be read counts as none: other commands report it.
    """
    rows = []
    for profile, outbox in connectors:
        now = outbox.clock.now()
        with suppress(IrmError, OSError):
            runs = audit_log.runs_since(outbox, now - now % _DAY)
            rows.append((profile, sum(run["counts"]["shaped"] for run in runs)))
    return of_rows(rows)
