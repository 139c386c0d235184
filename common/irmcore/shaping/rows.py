"""One input row → one shaped row, or the reason why not.

A shaped row has canonical texts in the order of the profile's columns, its event time in µs and its
*row key*: BLAKE2b-128, keyed with the job id, over all canonical fields with the time before any
spreading. U+001F separates the fields; `text.canonical` refuses it in values, so no two different
rows give the same input to the hash.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import compress
from typing import Any, NamedTuple

from irmcore.errors import InputError
from irmcore.profile.model import Profile
from irmcore.reasons import Refused
from irmcore.shaping import times
from irmcore.shaping.blocks import Block
from irmcore.shaping.columns import Convert, ConvertAll, column_converter, converter

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


class ShapedBlock(NamedTuple):
    """Shaped rows, column by column, each with the position that it had in the block.

    ``columns`` are the profile's, each with one text a row; ``largest`` is the most bytes of text that
    a row has; the others are as in ShapedRow.
    """

    positions: Sequence[int]
    columns: Sequence[Sequence[str]]
    users: Sequence[str]
    times: Sequence[int]
    keys: list[bytes]
    subjects: list[bytes]
    largest: int

    def rows(self) -> Iterator[ShapedRow]:
        return map(ShapedRow, zip(*self.columns), self.users, self.times, self.keys, self.subjects)

    @staticmethod
    def of(rows: Sequence[ShapedRow]) -> ShapedBlock:
        """The block of these rows, none of which is missing."""
        fields, users, times_, keys, subjects = zip(*rows)
        largest = max(sum(len(text.encode("utf-8")) for text in row.fields) for row in rows)
        return ShapedBlock(
            range(len(rows)), list(zip(*fields)), users, times_, list(keys), list(subjects), largest
        )


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
        converts = [converter(column, profile.zone) for column in columns]
        self._plan: list[tuple[int, Convert]] = list(zip(positions, converts))
        self._plan_of_columns: list[tuple[int, ConvertAll]] = [
            (position, column_converter(column, convert))
            for position, column, convert in zip(positions, columns, converts)
        ]
        roles = [column.role for column in columns]
        self._user_at = roles.index("user")
        self._time_at = roles.index("time")
        self._zone = times.zone_named(profile.zone) if profile.zone else None
        self._time_form = columns[self._time_at].format
        self._subject_at = [i for i, role in enumerate(roles) if role != "threshold"]
        self._whole_is_subject = len(self._subject_at) == len(columns)
        job = profile.connector.job_id.encode("ascii")
        # Copied for each row: a copy costs less than reading the arguments again.
        self._new_key = blake2b(digest_size=16, key=job).copy
        self._new_subject = blake2b(digest_size=8, key=job).copy

    def shape(self, values: Sequence[str]) -> ShapedRow:
        """The shaped row of ``values``. Raises RowRefused."""
        block, refused = self.shape_block(Block([values], [0]))
        if refused:
            raise refused[0][1] from None
        return next(block.rows())

    def shape_block(self, block: Block) -> tuple[ShapedBlock, Sequence[tuple[int, RowRefused]]]:
        """The shaped rows of ``block.rows``, and the others by their position with the reason."""
        positions: Sequence[int] = range(len(block.rows))
        refused: list[tuple[int, RowRefused]] = []
        try:
            columns, micros, texts = self._converted(block.columns)
        except (Refused, UnicodeEncodeError):
            good = [self._is_good(row, at, refused) for at, row in enumerate(block.rows)]
            positions = list(compress(positions, good))
            columns, micros, texts = self._converted(list(zip(*compress(block.rows, good))))
        keys = _digests(self._new_key, texts)
        if self._whole_is_subject:
            subjects = [key[:8] for key in keys]
        else:
            rest = map(SEPARATOR.join, zip(*[columns[at] for at in self._subject_at]))
            subjects = _digests(self._new_subject, map(str.encode, rest))
        users, largest = columns[self._user_at], max(map(len, texts), default=0)
        return ShapedBlock(positions, columns, users, micros, keys, subjects, largest), refused

    def _converted(
        self, given: Sequence[Sequence[str]]
    ) -> tuple[list[Sequence[str]], Sequence[int], list[bytes]]:
        """All columns of the rows, their times, and what their keys are of.

        Raises Refused, UnicodeEncodeError if one of the rows is to be refused.
        """
        columns: list[Sequence[str]] = []
        micros: Sequence[int] = ()
        for number, (at, convert) in enumerate(self._plan_of_columns):
            cells = given[at] if given else ()
            if number == self._time_at:
                micros, texts = self._times(cells)
                columns.append(texts)
            else:
                columns.append(convert(cells))
        return columns, micros, list(map(str.encode, map(SEPARATOR.join, zip(*columns))))

    def _times(self, cells: Sequence[str]) -> tuple[Sequence[int], Sequence[str]]:
        """The times of the rows in µs and as canonical texts. Raises Refused."""
        once = list(dict.fromkeys(cells))
        micros, texts = times.parse_all(once, zone=self._zone, form=self._time_form)
        if len(once) == len(cells):
            return micros, texts
        # Aggregated rows share their times: each is read once a block.
        micros_of, text_of = dict(zip(once, micros)), dict(zip(once, texts))
        return list(map(micros_of.__getitem__, cells)), list(map(text_of.__getitem__, cells))

    def _is_good(self, row: Sequence[str], at: int, refused: list[tuple[int, RowRefused]]) -> bool:
        refusal = self._refusal(row)
        if refusal is not None:
            refused.append((at, refusal))
        return refusal is None

    def _refusal(self, values: Sequence[str]) -> RowRefused | None:
        """Which column refuses the row, if any; asked only where a block has a row that is refused."""
        for header, (at, convert) in zip(self._headers, self._plan):
            try:
                convert(values[at]).encode("utf-8")
            except Refused as refused:
                return RowRefused(header, refused.code)
            except UnicodeEncodeError:
                return RowRefused(header, "invalid-utf8")
        return None


def _digests(new: Any, texts: Iterable[bytes]) -> list[bytes]:
    """The digest of each text by a copy of one hash object."""
    digests: list[bytes] = []
    add = digests.append
    for text in texts:
        digest = new()
        digest.update(text)
        add(digest.digest())
    return digests


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
