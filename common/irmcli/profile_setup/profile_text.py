"""A profile as commented YAML text, from what was guessed of a sample and what the administrator said.

Promised: what it writes is a valid profile (the caller parses it before it is kept), and holds headers and
settings only, never a value of the sample.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from irmcore.profile.model import PLACEHOLDER

from irmcli.profile_setup.guesses import Guess

# YAML reads other words as booleans, nulls or numbers; those are quoted.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_. -]*[A-Za-z0-9_]|[A-Za-z]").fullmatch
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


@dataclass(frozen=True)
class Choices:
    """What is not a column's: names, IDs, where the secret is, and how the sample is written."""

    name: str
    description: str
    kind: str = "indicator"
    job_id: str = PLACEHOLDER
    tenant_id: str = PLACEHOLDER
    app_id: str = PLACEHOLDER
    cloud: str = "commercial"
    credential: tuple[str, str] = ("env", "IRMEXPORT_SECRET")
    zone: str | None = None
    join_last: bool = False
    related_values: tuple[str, ...] = ()


def write(choices: Choices, columns: Sequence[Guess], possible_source: str | None) -> str:
    """The profile's text."""
    kind, place = choices.credential
    lines = [
        "# A profile of one Insider Risk Indicators connector, made from a sample by",
        "# `irmexport profile new`. docs/profile.md has every key. Check it with",
        "# `irmexport check FILE --profile THIS`, make the connector with the page that",
        "# `irmexport wizard THIS` writes, and fill in the job ID.",
        "schema: 1",
        f"name: {scalar(choices.name)}",
        f"description: {scalar(choices.description)}",
        f"kind: {choices.kind}   # what policies use it as: indicator or trigger",
        "",
        "connector:",
        f"  job_id: {choices.job_id}      # the wizard's Finish page",
        f"  tenant_id: {choices.tenant_id}   # Entra: Overview",
        f"  app_id: {choices.app_id}      # the app the connector is created with",
        f"  cloud: {choices.cloud}                  # commercial, gcc, gcc-high or dod",
        "  # Where the secret is, never the secret: env, file, keyring, key_vault or certificate.",
        f"  credential: {{{kind}: {scalar(place)}}}",
        "",
    ]
    lines += _input(choices)
    lines.append("columns:")
    for column in columns:
        lines += _column(column, choices, possible_source)
    lines += [
        "",
        "collisions:",
        "  # The connector keeps one row of a user and time. spread moves a time within its second;",
        "  # reject refuses further rows; keep-greatest keeps the one with the greatest threshold.",
        "  policy: spread",
    ]
    return "\n".join(lines) + "\n"


def _input(choices: Choices) -> list[str]:
    lines = []
    if choices.join_last:
        lines += [
            "  # Rows of the sample have more fields than the header: a comma that is not quoted.",
            "  ragged: join-last",
        ]
    if choices.zone is not None:
        lines += ["  # Times of the sample name no offset.", f"  zone: {scalar(choices.zone)}"]
    return ["input:", *lines, ""] if lines else []


def _column(column: Guess, choices: Choices, possible_source: str | None) -> list[str]:
    lines = [f"  # {column.why}", f"  - header: {scalar(column.header)}", f"    type: {column.type}"]
    if column.role in ("threshold", "source"):
        lines.append(f"    role: {column.role}")
    if column.type == "datetime" and column.format != "auto":
        lines.append(f"    format: {column.format}")
    if column.role == "source":
        lines += [
            '    # In the wizard, under "Related values in source column", exactly so:',
            f"    related_values: [{', '.join(map(scalar, choices.related_values))}]",
        ]
    elif column.header == possible_source:
        lines += [
            "    # Few values, and a name that says where a row comes from: for an indicator of each,",
            "    # make it the source column with `role: source` and `related_values: [...]`.",
        ]
    return lines


def scalar(text: str) -> str:
    """``text`` as a YAML scalar."""
    if _PLAIN(text) and text.lower() not in _WORDS and ": " not in text:
        return text
    # What does not print (a line separator, say) is an escape: YAML would fold it into a space.
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
