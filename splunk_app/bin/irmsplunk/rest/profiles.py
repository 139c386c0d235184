"""Profiles through REST, for who writes one: the shipped ones, a check, and what becomes of a sample.

Nothing here is kept or logged: a sample's rows go back to the administrator who pasted them, and
nowhere else. What is saved is saved with its connector.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from irmcore import profile as profiles
from irmcore.errors import ConfigurationError, IrmError
from irmcore.intake import accept as intake
from irmcore.profile import Profile
from irmcore.reasons import REASONS
from irmcore.shaping import readers
from irmcore.shaping.reject_file import Reject

#: What a sample may have, in characters; and how many of its rows are shown, as shaped and as refused.
SAMPLE = 64 * 1024
SHOWN = 50


class ProfileRoutes:
    """Needs no splunkd and no outbox: the answer depends on what was sent alone."""

    def listed(self) -> dict[str, Any]:
        """The shipped profiles, to start from."""
        names = profiles.shipped_names()
        return {"shipped": [{"name": name, "text": profiles.shipped_text(name)} for name in names]}

    def check(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Whether `profile_yaml` is a profile, where not, and what it makes of a CSV or JSON `sample`."""
        for key in form:
            if key not in ("profile_yaml", "sample"):
                raise ConfigurationError(
                    "a check has no such part", where=key[:40], next_step="There are profile_yaml and sample."
                )
        sample = form.get("sample", "")
        if len(sample) > SAMPLE:
            raise ConfigurationError(
                "the sample is too long",
                where="sample",
                next_step=f"Paste at most {SAMPLE // 1024} KiB; for more, end a search with dryrun=t.",
            )
        answer: dict[str, Any] = {"good": False, "columns": [], "preview": None, "trouble": None}
        try:
            profile = profiles.parse(form.get("profile_yaml", ""), "profile")
            answer["columns"] = [
                {"header": column.header, "field": column.field, "type": column.type, "role": column.role}
                for column in profile.columns
            ]
            answer["good"] = True
            if sample.strip():
                answer["preview"] = preview(profile, sample)
        except IrmError as error:
            answer["trouble"] = {"error": error.what, "where": error.where, "next_step": error.next_step}
        return answer


def preview(profile: Profile, sample: str) -> dict[str, Any]:
    """The first rows of a sample as they would go out, and the first refused ones. Raises InputError."""
    shaped: list[list[str]] = []
    refused: list[dict[str, Any]] = []

    def keep(row: tuple[str, ...]) -> None:
        if len(shaped) < SHOWN:
            shaped.append(list(row))

    def refuse(reject: Reject, header: tuple[str, ...]) -> None:
        if len(refused) < SHOWN:
            advice = REASONS[reject.code].advice
            refused.append(
                {"line": reject.line, "column": reject.column, "reason": reject.code, "advice": advice}
            )

    stream: Any = io.BufferedReader(io.BytesIO(sample.encode("utf-8", "surrogateescape")))
    if readers.looks_like_json(stream):
        fields = [column.field for column in profile.columns]
        table = readers.json_lines_table(stream, fields, name="sample")
    else:
        table = readers.csv_table(stream, name="sample", ragged=profile.ragged)
    done = intake.dry_run(table, profile, None, name="sample", on_row=keep, on_reject=refuse)
    return {
        "header": [column.header for column in profile.columns],
        "rows": shaped,
        "refused": refused,
        "counts": done.counts.as_dict(),
    }
