"""Profiles through REST, for authors of profiles: the shipped profiles, a check, and a preview of a sample.

Nothing is saved or logged here. A sample's rows are returned to the administrator who pasted them and go
nowhere else. A profile is saved with its connector.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from irmcore import profile as profiles
from irmcore.errors import ConfigurationError, IrmError
from irmcore.intake.dry_run import dry_run
from irmcore.profile import Profile
from irmcore.profile.published_limits import counted_twice, of_profiles, twice_text
from irmcore.reasons import REASONS
from irmcore.shaping import readers
from irmcore.shaping.reject_file import Reject

from irmsplunk.splunk.connectors import parsed

#: The most characters of a sample, and the most rows of a preview, shaped and refused each.
MAX_SAMPLE = 64 * 1024
MAX_ROWS = 50


def list_all() -> dict[str, Any]:
    """The shipped profiles, as starting points."""
    names = profiles.shipped_names()
    return {"shipped": [{"name": name, "text": profiles.shipped_text(name)} for name in names]}


def check(form: Mapping[str, str]) -> dict[str, Any]:
    """Whether `profile_yaml` is a valid profile, and what it makes of a `sample` in CSV or JSON lines."""
    for key in form:
        if key not in ("profile_yaml", "sample"):
            raise ConfigurationError(
                "unknown form field", where=key[:40], next_step="Send profile_yaml, and sample if wanted."
            )
    sample = form.get("sample", "")
    if len(sample) > MAX_SAMPLE:
        raise ConfigurationError(
            "the sample is too long",
            where="sample",
            next_step=f"Paste at most {MAX_SAMPLE // 1024} KiB; for more, run a search with dryrun=t.",
        )
    answer: dict[str, Any] = {"good": False, "columns": [], "preview": None, "trouble": None, "limits": []}
    try:
        profile = parsed(form.get("profile_yaml", ""), "profile")
        answer["columns"] = [
            {"header": column.header, "field": column.field, "type": column.type, "role": column.role}
            for column in profile.columns
        ]
        answer["good"] = True
        answer["limits"] = limits([profile])
        if sample.strip():
            answer["preview"] = preview(profile, sample)
    except IrmError as error:
        answer["trouble"] = {"error": error.what, "where": error.where, "next_step": error.next_step}
    return answer


def limits(chosen: Sequence[Profile]) -> list[dict[str, Any]]:
    """What these profiles come near to or pass of the published limits, and what may be counted twice."""
    found = [{"text": one.text, "passed": one.passed} for one in of_profiles(chosen)]
    products = tuple(dict.fromkeys(name for profile in chosen for name in counted_twice(profile)))
    return [*found, {"text": twice_text(products), "passed": False}] if products else found


def preview(profile: Profile, sample: str) -> dict[str, Any]:
    """The first rows of a sample as they would be sent, and the first refused ones. Raises InputError."""
    shaped: list[list[str]] = []
    refused: list[dict[str, Any]] = []

    def keep(row: tuple[str, ...]) -> None:
        if len(shaped) < MAX_ROWS:
            shaped.append(list(row))

    def refuse(reject: Reject, header: tuple[str, ...]) -> None:
        if len(refused) < MAX_ROWS:
            advice = REASONS[reject.code].advice("search")
            refused.append(
                {"line": reject.line, "column": reject.column, "reason": reject.code, "advice": advice}
            )

    stream: Any = io.BufferedReader(io.BytesIO(sample.encode("utf-8", "surrogateescape")))
    table = readers.file_table(stream, profile, name="sample")
    result = dry_run(table, profile, None, name="sample", on_row=keep, on_reject=refuse)
    return {
        "header": [column.header for column in profile.columns],
        "rows": shaped,
        "refused": refused,
        "counts": result.counts.as_dict(),
    }
