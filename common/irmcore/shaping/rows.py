"""One input row → one shaped row, or the reason why not.

A shaped row has canonical texts in the order of the profile's columns, its event time in µs and its
*row key*: BLAKE2b-128, keyed with the job id, over all canonical fields with the time before any
spreading. U+001F separates the fields; `text.canonical` refuses it in values, so no two different
rows give the same input to the hash.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Callable, NamedTuple

from irmcore.errors import InputError
from irmcore.profile.model import Profile
from irmcore.reasons import Refused
from irmcore.shaping import times
from irmcore.shaping.columns import Memo, converter

SEPARATOR = "\x1f"

_NAME = re.compile(r"[A-Za-z_][\w .-]{0,63}", re.ASCII)


class ShapedRow(NamedTuple):
    """A row ready for a batch, but for its time on the wire (see ``spreading``).

    ``fields`` are canonical texts, the time among them; ``time`` is µs since 1970 (UTC); ``key`` has
    16 bytes; ``subject`` (8 bytes) is the key without the threshold columns: the same detection.
    """

    fields: tuple[str, ...]
    user: str
    time: int
    key: bytes
    subject: bytes


class RowRefused(Exception):
    """``column`` (the header, or "" for the row as a whole) and a reason ``code``; no value."""

    def __init__(self, column: str, code: str) -> None:
        super().__init__(f"{column}: {code}" if column else code)
        self.column = column
        self.code = code


class Shaper:
    """Shapes rows whose values come in the order of ``header``."""

    def __init__(self, profile: Profile, header: Sequence[str], *, name: str = "input") -> None:
        """Raises InputError if the header lacks a field that the profile needs."""
        columns = profile.columns
        positions = _positions(profile, header, name)
        self._headers = [column.header for column in columns]
        self._plan: list[tuple[int, Callable[[str], str]]] = [
            (position, converter(column, profile.zone)) for position, column in zip(positions, columns)
        ]
        roles = [column.role for column in columns]
        self._user_at = roles.index("user")
        self._time_at = roles.index("time")
        # The canonical text of the time column → µs; its own memory, as the text is already checked.
        self._micros: Memo[int] = Memo(lambda text: times.parse(text, zone=None, form="iso8601"))
        self._subject_at = [i for i, role in enumerate(roles) if role != "threshold"]
        self._whole_is_subject = len(self._subject_at) == len(columns)
        self._job = profile.connector.job_id.encode("ascii")

    def shape(self, values: Sequence[str]) -> ShapedRow:
        """The shaped row of ``values``. Raises RowRefused."""
        try:
            fields = [convert(values[at]) for at, convert in self._plan]
            text = SEPARATOR.join(fields)
            key = blake2b(text.encode("utf-8"), digest_size=16, key=self._job).digest()
        except (Refused, UnicodeEncodeError):
            raise self._refusal(values) from None
        if self._whole_is_subject:
            subject = key[:8]
        else:
            rest = SEPARATOR.join([fields[i] for i in self._subject_at])
            subject = blake2b(rest.encode("utf-8"), digest_size=8, key=self._job).digest()
        time = self._micros[fields[self._time_at]]
        return ShapedRow(tuple(fields), fields[self._user_at], time, key, subject)

    def _refusal(self, values: Sequence[str]) -> RowRefused:
        """Which column refused, found by asking each again: refusals are rare, rows are not."""
        for header, (at, convert) in zip(self._headers, self._plan):
            try:
                convert(values[at]).encode("utf-8")
            except Refused as refused:
                return RowRefused(header, refused.code)
            except UnicodeEncodeError:
                return RowRefused(header, "invalid-utf8")
        raise AssertionError("a row was refused by no column")


def _positions(profile: Profile, header: Sequence[str], name: str) -> list[int]:
    """Where each column's field stands in ``header``."""
    index = {field: i for i, field in enumerate(header)}
    missing = [column.field for column in profile.columns if column.field not in index]
    if missing:
        # A first line that is no header holds values of a row: only what looks like a name is shown.
        names = [field for field in header if _NAME.fullmatch(field)]
        near = difflib.get_close_matches(missing[0], names, n=1)
        hint = f" The nearest one there is `{near[0]}`." if near else ""
        raise InputError(
            f"the header has no {', '.join(f'`{field}`' for field in missing)}",
            where=f"{name}:1",
            next_step="Rename the column in the file, or set the profile column's `field`." + hint,
        )
    return [index[column.field] for column in profile.columns]
