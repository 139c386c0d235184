"""Writes a profile as commented YAML, from the guesses about a sample and the administrator's choices.

The text contains only headers and settings, never a value of the sample. The caller parses it before saving
it, because an option or a header may not be valid in a profile.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from irmcore.profile.model import DELIMITERS, PLACEHOLDER, Format

from irmcli.profile_setup.column_names import names_upn
from irmcli.profile_setup.guesses import Guess
from irmcli.profile_setup.severities import SCALE

# Everything else is quoted, such as words that YAML reads as booleans, nulls or numbers.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_. -]*[A-Za-z0-9_]|[A-Za-z]").fullmatch
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


@dataclass(frozen=True)
class Choices:
    """The settings outside of the columns: names, IDs, the reference to the secret, the input's form."""

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
    format: Format = Format()  # noqa: RUF009 - it is frozen
    people: str = ""  # the path of the directory of people, if there is one

    def looks_up(self, user: str | None) -> bool:
        """Whether the names in this column are looked up: they may be other names than principal names."""
        return bool(self.people and user and not names_upn(user))


def write(choices: Choices, columns: Sequence[Guess], possible_source: str | None) -> str:
    """The profile as YAML. ``possible_source`` gets a comment on how to make it the source column."""
    lines = [
        *head(choices, "Insider Risk Indicators"),
        *identity_lines(choices, next((c.header for c in columns if c.role == "user"), None)),
        *input_lines(choices, choices.zone),
        "columns:",
    ]
    for column in columns:
        lines += _column(column, choices, possible_source)
    lines += [
        "",
        "collisions:",
        "  # The service keeps one row per user and time. spread moves times below their precision;",
        "  # reject refuses further rows; keep-greatest keeps the row with the greatest threshold.",
        "  policy: spread",
    ]
    return "\n".join(lines) + "\n"


def head(choices: Choices, title: str, kind: str = "") -> list[str]:
    """The lines before the input. ``title`` is the connector's in the portal, ``kind`` its name here."""
    credential, reference = choices.credential
    return [
        f"# The profile of one {title} connector, made from a sample file by",
        "# irmexport. docs/profile.md describes every key. Test it with",
        "# `irmexport check FILE --profile THIS`, create the connector with the instructions that",
        "# `irmexport wizard THIS` writes, and fill in the job ID.",
        "schema: 2",
        f"name: {scalar(choices.name)}",
        f"description: {scalar(choices.description)}",
        *([] if kind else [f"kind: {choices.kind}   # how policies use it: indicator or trigger"]),
        "",
        "connector:",
        *([f"  kind: {kind}"] if kind else []),
        f"  job_id: {choices.job_id}      # the wizard's Finish page",
        f"  tenant_id: {choices.tenant_id}   # Entra: Overview",
        f"  app_id: {choices.app_id}      # the Entra app the connector is created with",
        f"  cloud: {choices.cloud}                  # commercial, gcc, gcc-high or dod",
        "  # Where to read the secret, never the secret: env, file, keyring, key_vault, certificate,",
        "  # managed_identity or workload_identity.",
        f"  credential: {{{credential}: {scalar(reference)}}}",
        "",
    ]


def identity_lines(choices: Choices, user: str | None) -> list[str]:
    """The directory of people, if there is one and the names may be other names than principal names."""
    if not choices.looks_up(user):
        return []
    return [
        "# Account names, mail addresses and employee numbers are looked up (docs/identity.md). Without",
        "# this, only user principal names are taken, and a mail address counts as one.",
        "identity:",
        "  directory: default   # what `irmexport identities sync` writes",
        "",
    ]


def input_lines(choices: Choices, zone: str | None) -> list[str]:
    """How the input is written; none if there is nothing to say."""
    lines = []
    if choices.join_last:
        lines += [
            "  # Some rows of the sample have more fields than the header: unquoted commas.",
            "  ragged: join-last",
        ]
    if zone is not None:
        lines += ["  # The times in the sample have no offset.", f"  zone: {scalar(zone)}"]
    form = choices.format
    names = {sign: name for name, sign in DELIMITERS.items()}
    said = {
        "delimiter": names.get(form.delimiter or ""),
        "encoding": form.encoding,
        "spaces": "true" if form.spaces else None,
        "skip": str(form.skip) if form.skip else None,
        "sheet": scalar(form.sheet) if form.sheet else None,
        "records": scalar(form.records) if form.records else None,
        "numbers": f"{form.numbers}   # the decimal sign" if form.numbers else None,
    }
    written = [f"    {key}: {value}" for key, value in said.items() if value is not None]
    lines += ["  # How the sample is written.", "  format:", *written] if written else []
    return ["input:", *lines, ""] if lines else []


def _column(column: Guess, choices: Choices, possible_source: str | None) -> list[str]:
    lines = [f"  # {column.why}", f"  - header: {scalar(column.header)}", f"    type: {column.type}"]
    if column.role in ("threshold", "source"):
        lines.append(f"    role: {column.role}")
    if column.time_field is not None:
        lines.append(f"    time_field: {scalar(column.time_field)}")
    if column.type == "datetime" and column.format != "auto":
        lines.append(f"    format: {column.format}")
    if column.severities is not None:
        lines.append(f"    allowed: [{', '.join(SCALE)}]")
        if column.severities:
            pairs = ", ".join(f"{scalar(word)}: {scale}" for word, scale in column.severities.items())
            lines.append(f"    map: {{{pairs}}}")
    lines += [f"    # {line}" for line in column.hint]
    if column.gaps and column.role in ("threshold", "source"):
        what = '`default: "0"`' if column.role == "threshold" else "a `default`"
        lines.append(
            f"    # Some cells are empty. {what} is sent in their place; without it, their rows are refused."
        )
    if column.role == "source":
        lines += [
            '    # Enter exactly these in the wizard, under "Related values in source column":',
            f"    related_values: [{', '.join(map(scalar, choices.related_values))}]",
        ]
    elif column.header == possible_source:
        lines += [
            "    # Few values, and a name that suggests where rows come from. For one indicator per value,",
            "    # make it the source column with `role: source` and `related_values: [...]`.",
        ]
    return lines


def scalar(text: str) -> str:
    """``text`` as a YAML scalar."""
    if _PLAIN(text) and text.lower() not in _WORDS and ": " not in text:
        return text
    # Escape what is not printable: YAML would fold a line separator into a space.
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
