"""Why a row is refused: a closed list of reason codes, each with its meaning and advice.

A :class:`Refused` has a code and nothing else, so it cannot carry a value of a row into a message, a log or
a traceback. The reader of the row adds line and column. Codes never change: they are in reject files, and
people filter on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class Refused(Exception):
    """A value or a row cannot go to the connector; ``code`` is a key of :data:`REASONS`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


#: Where a row can be corrected, by the kind of its source; "" if the kind is not known.
_WHERE = {"": "at its source", "file": "in the file", "search": "in the search", "query": "in the query"}


@dataclass(frozen=True)
class Reason:
    """The meaning of a code, and one sentence on what to do, in which {where} is the place to do it."""

    code: str
    meaning: str
    template: str

    def advice(self, source: str = "") -> str:
        """What to do about a row that comes from a ``file``, a ``search`` or a ``query``."""
        return _BY_SOURCE.get((self.code, source), self.template).format(where=_WHERE[source])


_ROWS = (
    Reason(
        "ragged-long",
        "The row has more fields than the header.",
        "Put quotes around every field that contains the delimiter.",
    ),
    Reason(
        "ragged-short",
        "The row has fewer fields than the header.",
        "Write every field of the row, an empty one too, and check that the file is complete.",
    ),
    Reason(
        "malformed-quoting",
        "A quote is not closed, or is in a place where none is allowed.",
        "Quote the whole field and double each quote inside it.",
    ),
    Reason(
        "invalid-json",
        "The line is not JSON.",
        "Write one complete JSON object on each line.",
    ),
    Reason(
        "not-an-object",
        "The line is JSON, but not an object.",
        "Write each row as a JSON object with the column names as keys.",
    ),
    Reason(
        "duplicate-key",
        "The JSON object has the same key twice.",
        "Rename one of the keys, or remove one of the two.",
    ),
    Reason(
        "not-a-scalar",
        "The JSON value is a list or an object.",
        "Expand the list or pick one member of the object {where}.",
    ),
    Reason(
        "multiple-values",
        "The field is a list (multivalue) where the connector takes one value.",
        "Create a row for each value {where}, or join the values into one.",
    ),
    Reason(
        "missing-value",
        "A column that must have a value is empty or absent.",
        "Fill the column {where}, or give it a default or the name of its `field` in the profile.",
    ),
    Reason(
        "value-not-allowed",
        "The value is not one of those that the profile allows for this column.",
        "Correct the value {where}, or add it to the column's allowed values in the profile.",
    ),
    Reason(
        "not-of-scenario",
        "The row has a value in a column that its scenario does not use.",
        "Empty the cell, or move the value to the column of the scenario; docs/connectors.md lists them.",
    ),
    Reason(
        "source-not-related",
        "The value of the Source column is not one of the connector's related values.",
        "Use a value exactly as entered under 'Related values in source column' in Purview, "
        "letter case included.",
    ),
    Reason(
        "collision",
        "Another row has the same user and time; the connector would silently drop one of them.",
        "Aggregate the rows of a user and time into one, or set another `collisions` policy in the profile.",
    ),
    Reason(
        "no-free-slot",
        "The user's other rows around this time leave no free time for this row.",
        "Aggregate the rows of a user and time into fewer rows.",
    ),
    Reason(
        "row-too-large",
        "The row is larger than a whole batch may be.",
        "Shorten the long text columns of the row {where}.",
    ),
)

_TEXTS = (
    Reason(
        "nul-character",
        "The value contains a NUL character.",
        "Remove the NUL characters, and check that the file is saved as UTF-8.",
    ),
    Reason(
        "control-character",
        "The value contains a control character other than TAB, LF and CR LF.",
        "Remove the control characters {where}.",
    ),
    Reason(
        "invalid-utf8",
        "The value contains bytes that are not UTF-8.",
        "Save the file as UTF-8 or set its `encoding` in the profile.",
    ),
)

_LENGTHS = (
    Reason(
        "text-too-long",
        "The text has more characters than the connector's page allows for the column.",
        "Shorten it: remarks have at most 200 characters, ratings at most 25.",
    ),
)

_TIMES = (
    Reason(
        "time-malformed",
        "The value is not a time in the form the profile expects.",
        "Write the time in ISO 8601 with an offset, for example 2023-04-24T05:52:56Z, or set the column's "
        "`format` in the profile: dmy, mdy, ymd or named.",
    ),
    Reason(
        "time-no-such-date",
        "The calendar has no such day.",
        "Correct the date at its source.",
    ),
    Reason(
        "time-without-zone",
        "The time has no UTC offset, and the profile names no time zone.",
        "Add Z or an offset to the time, or name its time zone in the profile.",
    ),
    Reason(
        "time-in-dst-gap",
        "The local time was skipped when the clocks went forward.",
        "Export the time in UTC or with its offset.",
    ),
    Reason(
        "time-ambiguous",
        "The local time happened twice when the clocks went back.",
        "Export the time in UTC or with its offset.",
    ),
    Reason(
        "time-epoch-milliseconds",
        "The value looks like milliseconds since 1970.",
        "Set the form epoch_ms for this column in the profile.",
    ),
    Reason(
        "time-ambiguous-digits",
        "The value is a series of digits that can be read as more than one time.",
        "Write the time in ISO 8601, or set the column's form in the profile: epoch, epoch_ms or epoch_us.",
    ),
    Reason(
        "time-leap-second",
        "The time has the second 60, which the connector cannot hold.",
        "Write the second as 59 or as 00 of the next minute.",
    ),
    Reason(
        "time-out-of-range",
        "The time is before 1970-01-01 or not before 9999-12-31 in UTC.",
        "Correct the time, or leave out rows that have a placeholder instead of a time.",
    ),
)

_UPNS = (
    Reason(
        "upn-malformed",
        "The value is not a user principal name.",
        "Write one user principal name: a name and a domain joined by @, without a display name.",
    ),
    Reason(
        "upn-down-level-name",
        "The value is a Windows name, a domain and a user joined by a backslash.",
        "Look up the user principal name of the account {where}.",
    ),
    Reason(
        "upn-without-domain",
        "The value is a bare name without @ and a domain.",
        "Look up the user principal name of the account, or append its domain {where}.",
    ),
    Reason(
        "upn-not-ascii",
        "The value contains an accent or another character that user principal names cannot have.",
        "Copy the user principal name from Microsoft Entra; the mail address or display name may differ.",
    ),
    Reason(
        "upn-too-long",
        "The name has more than 64 characters or the domain more than 48.",
        "Copy the user principal name from Microsoft Entra.",
    ),
)

_USERS = (
    Reason(
        "user-ambiguous",
        "Several people have this name, or the user principal name now belongs to somebody else.",
        "Map the name to one user, or use a field that names the user principal name or the object id.",
    ),
    Reason(
        "user-unknown",
        "Nobody has this name, or only an account that is disabled or not a person.",
        "Check the field that the name comes from, or map the name to its user.",
    ),
    Reason(
        "user-validity-unknown",
        "It is not known who had this name at the time of the row, because it may have changed hands.",
        "Map the name to its user if you know who it was.",
    ),
)

_NUMBERS = (
    Reason(
        "number-malformed",
        "The value is not a decimal number.",
        "Write plain digits 0 to 9, with a point before the fraction, or leave the row out.",
    ),
    Reason(
        "number-grouped",
        "The number has a thousands separator or a decimal comma.",
        "Set `numbers` under `input.format` in the profile: point for 1,234.5 or comma for 1.234,5.",
    ),
    Reason(
        "number-two-ways",
        "The number can be read in two ways: 1.250 is one and a quarter, or over a thousand.",
        "Set `numbers` under `input.format` in the profile: point if the point is decimal, otherwise comma.",
    ),
    Reason(
        "number-other-sign",
        "The number does not have the decimal sign that the profile names, or odd groups of digits.",
        "Correct the number, or `numbers` under `input.format` in the profile.",
    ),
    Reason(
        "number-out-of-range",
        "The number has more digits than a double preserves, or is too large or too small for a double.",
        "Round or scale the number {where} to at most 15 significant digits, below 10^15.",
    ),
)

#: What is to be done another way in one kind of source.
_BY_SOURCE = {
    (
        "multiple-values",
        "search",
    ): "Create a row for each value with mvexpand, or join the values with mvjoin.",
    (
        "multiple-values",
        "query",
    ): "Create a row for each value with mv-expand, or join them with strcat_array.",
    ("invalid-utf8", "search"): "Leave out the characters that are not UTF-8, for example with rex mode=sed.",
    ("nul-character", "search"): "Remove the NUL characters, for example with rex mode=sed.",
}

#: All reasons by code.
REASONS: Mapping[str, Reason] = MappingProxyType(
    {
        reason.code: reason
        for group in (_ROWS, _TEXTS, _LENGTHS, _TIMES, _UPNS, _USERS, _NUMBERS)
        for reason in group
    }
)
