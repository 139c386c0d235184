"""Data collection rules (DCR): the stream that accepts rows, and the transformation into the table.

``dcr/TABLE.kql`` is a rule's ``transformKql``. The stream has the table's columns except for those that the
transformation adds. A rule supports less KQL than a workspace, and Microsoft's parser does not know the
difference: ``unsupported`` compares a text with Microsoft's list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from irmsentinel.content import tables
from irmsentinel.content.artefacts import Column
from irmsentinel.content.tables import LITERALS, Table

FOLDER = "dcr"
#: Column names that Azure Monitor reserves in a custom table.
RESERVED = {"id", "title", "type", "tenantid", "uniqueid", "_resourceid", "_subscriptionid"}

#: "Supported KQL features in Azure Monitor transformations" (Microsoft, October 2024).
OPERATORS = {"extend", "project", "where", "parse", "project-away", "project-rename", "columnifexists"}
FUNCTIONS = set(
    """
    binary_and binary_or binary_not binary_shift_left binary_shift_right binary_xor
    tobool todatetime todouble toreal toguid toint tolong tostring totimespan
    ago datetime_add datetime_diff datetime_part dayofmonth dayofweek dayofyear endofday endofmonth endofweek
    endofyear getmonth getyear hourofday make_datetime make_timespan now startofday startofmonth startofweek
    startofyear weekofyear array_concat array_length pack_array pack parse_json parse_xml zip
    abs bin floor ceiling exp exp10 exp2 isfinite isinf isnan log log10 log2 pow round sign
    case iif max_of min_of base64_encodestring base64_decodestring countof extract extract_all indexof isempty
    isnotempty split strcat strcat_delim strlen substring tolower toupper hash_sha256 gettype isnotnull isnull
    parse_cef_dictionary geo_location columnifexists
    """.split()
)
_WORDS = {
    "in",
    "and",
    "or",
    "not",
    "between",
    "with",
    "kind",
}  # words before a parenthesis that are not functions


@dataclass(frozen=True)
class Transform:
    """The path into ``table``: the ``columns`` of the stream, and the transformation ``kql``."""

    table: Table
    columns: tuple[Column, ...]
    kql: str

    @property
    def stream(self) -> str:
        return f"Custom-{self.table.name}"


def load(top: Path) -> tuple[Transform, ...]:
    """All transformations of the content."""
    known = tables.shapes(tables.load(top / "tables"))
    return tuple(_read(file, known[file.stem][""]) for file in sorted((top / FOLDER).glob("*.kql")))


def _read(file: Path, table: Table) -> Transform:
    kql = file.read_text(encoding="utf-8").strip()
    added = set(re.findall(r"(?<=extend )\w+(?= =)", kql))
    return Transform(table, tuple(column for column in table.columns if column.name not in added), kql)


def unsupported(kql: str) -> Iterator[str]:
    """A message for each construct that a data collection rule does not support."""
    text = LITERALS.sub(lambda match: '""' if match[0][0] != "/" else "", kql)
    first, *steps = text.split("|")
    if first.strip() != "source":
        yield "it must begin with `source`"
    for step in steps:
        word = re.match(r"\s*([\w-]*)", step)
        if word is None or word[1] not in OPERATORS:
            yield f"the operator `{word[1] if word else step.strip()}` is not supported"
    for name in re.findall(r"\b([A-Za-z_]\w*)\s*\(", text):
        if name not in FUNCTIONS and name not in _WORDS:
            yield f"the function `{name}` is not supported"
