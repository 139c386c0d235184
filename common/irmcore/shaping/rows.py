"""Shape input rows by a profile, or say why a row is refused.

A shaped row has canonical texts in the order of the profile's columns, its event time in µs, and a *row key*.
The first part of the key, its *subject*, identifies the detection: BLAKE2b-128, personalized with the job id,
over all canonical fields except the thresholds and the columns with `subject: false`, with the time before
spreading. BLAKE2b-64 over those others, the *details*, follows. U+001F separates the fields. `text.canonical`
refuses that character in values, so different rows never have the same input to the hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import compress
from operator import add
from typing import Any, NamedTuple

from irmcore.errors import InputError
from irmcore.profile.model import Profile
from irmcore.reasons import Refused
from irmcore.settings import nearest
from irmcore.shaping import times
from irmcore.shaping.blocks import Block
from irmcore.shaping.columns import Convert, ConvertAll, Given, Memo, column_converter, converter
from irmcore.shaping.scenario_rows import ScenarioRows
from irmcore.shaping.users import DROPPED, EXCLUDED, EXCLUDED_BEFORE, UserRefused, Users

SEPARATOR = "\x1f"

#: Bytes of a row key's first part, which leaves out the details.
SUBJECT_BYTES = 16

#: Times of a block that are examined for repetitions.
_SAMPLE = 50
_TIME_BYTES = len(times.canonical(0))

_VALUE = re.compile(r" *(?:[^@\s]+@[^@\s]+\.[a-z]|[0-9])", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][\w .-]{0,63}", re.ASCII)


class ShapedRow(NamedTuple):
    """A row that is ready for a batch, except for its time on the wire (see ``spreading``).

    ``fields`` are canonical texts, including the time; ``time`` is in µs since 1970 (UTC), ``precision`` as
    ``times.read`` gives it; ``key`` has 24 bytes, of which the first 16 are the subject.
    """

    fields: tuple[str, ...]
    user: str
    time: int
    key: bytes
    precision: int

    @property
    def subject(self) -> bytes:
        """Identifies the detection, whatever its details."""
        return self.key[:SUBJECT_BYTES]


class ShapedBlock(NamedTuple):
    """Shaped rows, column by column, and the position of each row in its source block.

    ``columns`` are the profile's, with one text per row; that of the event time, at ``time_at``, is as
    ``times.brief`` writes it. Where scenarios date the rows, ``time_at`` is None. No row has more than
    ``largest`` bytes of text. The rest is as in ShapedRow. ``excluded`` and ``out_of_scope`` count rows of
    the source block that are neither shaped nor refused.
    """

    positions: Sequence[int]
    columns: Sequence[Sequence[str]]
    time_at: int | None
    users: Sequence[str]
    times: Sequence[int]
    precisions: bytes
    keys: list[bytes]
    largest: int
    excluded: int = 0
    out_of_scope: int = 0

    def rows(self) -> Iterator[ShapedRow]:
        fields = zip(*self.whole_columns())
        return map(ShapedRow, fields, self.users, self.times, self.keys, self.precisions)

    def whole_columns(self) -> list[Sequence[str]]:
        """The columns with canonical times."""
        columns = list(self.columns)
        if self.time_at is not None:
            columns[self.time_at] = times.whole(columns[self.time_at])
        return columns

    @staticmethod
    def of(rows: Sequence[ShapedRow], time_at: int) -> ShapedBlock:
        """A block of all these rows."""
        fields, users, micros, keys, precisions = zip(*rows)
        columns: list[Sequence[str]] = list(zip(*fields))
        columns[time_at] = list(map(times.brief, micros))
        largest = max(sum(len(text.encode("utf-8")) for text in row.fields) for row in rows)
        positions = range(len(rows))
        return ShapedBlock(positions, columns, time_at, users, micros, bytes(precisions), list(keys), largest)


class RowRefused(Exception):
    """A refused row: ``column`` (its header, or "" for the whole row) and reason ``code``. Holds no value.

    ``candidates`` are the user principal names that a refused name might mean.
    """

    def __init__(self, column: str, code: str, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(f"{column}: {code}" if column else code)
        self.column = column
        self.code = code
        self.candidates = candidates


class _Converted(NamedTuple):
    """Columns of rows, their times (µs, with precisions), and what the two parts of their keys are hashes of.

    ``users`` has one entry for each row before the dropped ones were taken out.
    """

    columns: list[Sequence[str]]
    micros: Sequence[int]
    precisions: bytes
    texts: list[bytes]
    details: Sequence[str]
    users: Sequence[str]


class Shaper:
    """Shapes rows whose values are in the order of ``header``."""

    def __init__(
        self,
        profile: Profile,
        header: Sequence[str],
        *,
        name: str = "input",
        users: Users | None = None,
        asks: bool = False,
        now: float = 0,
    ) -> None:
        """``users`` resolves the user column; None if the profile has neither `identity` nor `scope`.

        ``now`` (seconds since 1970) dates rows that have no date; other rows do not depend on it.
        ``asks``: numbers that can be read in two ways are refused unless the profile names their sign.

        Raises InputError if the header lacks a field that the profile needs.
        """
        if users is None and (profile.identity is not None or profile.scope is not None):
            raise ValueError("this profile needs a resolver of users")
        self._users = users
        columns = profile.columns
        positions = _positions(profile, header, name)
        #: Positions of a date and the time of day of each column that has both.
        self._clocks: list[tuple[int, int]] = []
        for number, column in enumerate(columns):
            if column.time_field is not None:
                self._clocks.append((positions[number], list(header).index(column.time_field)))
                positions[number] = len(header) + len(self._clocks) - 1
        self._headers = [column.header for column in columns]
        given = Given(profile.zone, profile.format.numbers, asks)
        converts = [converter(column, given) for column in columns]
        self._plan: list[tuple[int, Convert]] = list(zip(positions, converts))
        self._plan_of_columns: list[tuple[int, ConvertAll]] = [
            (position, column_converter(column, convert))
            for position, column, convert in zip(positions, columns, converts)
        ]
        roles = [column.role for column in columns]
        self._user_at = roles.index("user")
        self._time_at = roles.index("time") if "time" in roles else None
        self._scenarios = ScenarioRows(profile, now) if profile.scenarios else None
        self._zone = times.zone_named(profile.zone) if profile.zone else None
        self._time_form = columns[self._time_at].format if self._time_at is not None else "auto"
        in_subject = [column.subject and column.role != "threshold" for column in columns]
        self._subject_at = [i for i, inside in enumerate(in_subject) if inside]
        self._details_at = [i for i, inside in enumerate(in_subject) if not inside]
        #: Bytes per character: all details are numbers, or some are text.
        self._details_width = 1 if all(columns[i].type == "number" for i in self._details_at) else 4
        # As personalization, not as a key: a key costs one more block of hashing for each row.
        self._person = blake2b(profile.connector.job_id.encode("ascii"), digest_size=16).digest()
        # Copied for each row, which is faster than a new object.
        self._new = blake2b(digest_size=SUBJECT_BYTES, person=self._person).copy
        self._details: Memo[bytes] = Memo(self._digest_of_details)

    def shape(self, values: Sequence[str]) -> ShapedRow:
        """The shaped row of ``values``. Raises RowRefused."""
        block, refused = self.shape_block(Block([values], [0]))
        if refused:
            raise refused[0][1] from None
        return next(block.rows())

    def shape_block(self, block: Block) -> tuple[ShapedBlock, Sequence[tuple[int, RowRefused]]]:
        """The shaped rows of ``block.rows``, and the refused ones by position."""
        if self._clocks and len(block.lines):
            clocks = [list(map(_together, block.columns[day], block.columns[at])) for day, at in self._clocks]
            block = Block(None, block.lines, columns=[*block.columns, *clocks])
        positions: Sequence[int] = range(len(block.rows))
        refused: list[tuple[int, RowRefused]] = []
        dropped: list[str] = []
        try:
            converted = self._converted(block.columns)
        except (Refused, UnicodeEncodeError):
            good = [self._is_good(row, at, refused, dropped) for at, row in enumerate(block.rows)]
            positions = list(compress(positions, good))
            converted = self._converted(list(zip(*compress(block.rows, good))))
        columns, micros, precisions, texts, details, users = converted
        if len(micros) < len(users):
            positions = [at for at, user in zip(positions, users) if user not in DROPPED]
            dropped = [user for user in users if user in DROPPED]
        subjects = _digests(self._new, texts)
        keys = list(map(add, subjects, map(self._details.__getitem__, details)))
        longest = self._details_width * max(map(len, details), default=0)
        largest = max(map(len, texts), default=0) + longest + _TIME_BYTES  # a brief time lacks its end
        users = columns[self._user_at]
        excluded = dropped.count(EXCLUDED)
        out_of_scope = len(dropped) - excluded
        shaped = ShapedBlock(
            positions,
            columns,
            self._time_at,
            users,
            micros,
            precisions,
            keys,
            largest,
            excluded,
            out_of_scope,
        )
        return shaped, refused

    def _details_of(self, columns: Sequence[Sequence[str]]) -> Sequence[str]:
        """The details of each row, joined."""
        if not self._details_at:
            return [""] * len(columns[self._user_at])
        if len(self._details_at) == 1:  # nearly always: one threshold
            return columns[self._details_at[0]]
        return list(map(SEPARATOR.join, zip(*[columns[at] for at in self._details_at])))

    def _digest_of_details(self, text: str) -> bytes:
        return blake2b(text.encode("utf-8"), digest_size=8, person=self._person).digest()

    def _converted(self, given: Sequence[Sequence[str]]) -> _Converted:
        """The rows whose cells are ``given``, without those that the resolver of users drops.

        Raises Refused or UnicodeEncodeError if any row has to be refused.
        """
        columns: list[Sequence[str]] = []
        micros: Sequence[int] = ()
        precisions = b""
        for number, (at, convert) in enumerate(self._plan_of_columns):
            cells = given[at] if given else ()
            if number == self._time_at:
                micros, texts, precisions = self._times(cells)
                columns.append(texts)
            elif number == self._user_at and self._users is not None:
                columns.append(cells)
            else:
                columns.append(convert(cells))
        moments = micros
        if self._scenarios is not None:
            micros, moments = self._scenarios.dates(columns)
            precisions = bytes(len(micros))  # not known: they are of several columns
        if self._users is not None:
            columns[self._user_at] = self._users.column(columns[self._user_at], moments)
        users = columns[self._user_at]
        if self._users is not None and self._users.may_drop and not DROPPED.isdisjoint(users):
            kept = [user not in DROPPED for user in users]
            columns = [list(compress(column, kept)) for column in columns]
            micros = list(compress(micros, kept))
            precisions = bytes(compress(precisions, kept))
        in_subject = [columns[at] for at in self._subject_at]
        if self._scenarios is not None:
            in_subject.append(self._scenarios.periods(columns, micros))
        subjects = map(SEPARATOR.join, zip(*in_subject))
        encoded = list(map(str.encode, subjects))
        return _Converted(columns, micros, precisions, encoded, self._details_of(columns), users)

    def _times(self, cells: Sequence[str]) -> tuple[Sequence[int], Sequence[str], bytes]:
        """The times of the rows in µs and as brief texts, and their precisions. Raises Refused."""
        some = cells[:_SAMPLE]
        if 2 * len(set(some)) > len(some):
            return times.parse_all(cells, zone=self._zone, form=self._time_form)
        # Aggregated rows share their times, so each time is parsed once per block.
        once = list(dict.fromkeys(cells))
        number_of = dict(zip(once, range(len(once))))
        at = list(map(number_of.__getitem__, cells))
        micros, texts, precisions = times.parse_all(once, zone=self._zone, form=self._time_form)
        return (
            list(map(micros.__getitem__, at)),
            list(map(texts.__getitem__, at)),
            bytes(map(precisions.__getitem__, at)),
        )

    def _is_good(
        self, row: Sequence[str], at: int, refused: list[tuple[int, RowRefused]], dropped: list[str]
    ) -> bool:
        """Whether the row can be shaped. Called only for blocks with a refused or marked row."""
        user: str | None = None
        refusal = None
        if row[self._plan[self._user_at][0]].startswith(EXCLUDED_BEFORE):
            user = EXCLUDED
        elif self._users is not None:
            try:
                user = self._users.user(row[self._plan[self._user_at][0]], self._time_of(row))
            except Refused as found:
                candidates = found.candidates if isinstance(found, UserRefused) else ()
                refusal = RowRefused(self._headers[self._user_at], found.code, candidates)
            except UnicodeEncodeError:
                refusal = RowRefused(self._headers[self._user_at], "invalid-utf8")
        if user in DROPPED:  # whatever else is wrong with the row: it must not get into the reject file
            dropped.append(str(user))
            return False
        refusal = self._refusal(row, refusal)
        if refusal is not None:
            refused.append((at, refusal))
        return refusal is None

    def _time_of(self, row: Sequence[str]) -> int | None:
        """The time at which the row's user is looked up; None if the row has none."""
        try:
            if self._time_at is None:
                fields = [
                    row[at] if n == self._user_at else convert(row[at])
                    for n, (at, convert) in enumerate(self._plan)
                ]
                return self._scenarios.date(fields)[1] if self._scenarios is not None else None
            return times.parse(row[self._plan[self._time_at][0]], zone=self._zone, form=self._time_form)
        except Refused:
            return None

    def _refusal(self, values: Sequence[str], of_user: RowRefused | None) -> RowRefused | None:
        """The first column that refuses the row, or None. ``of_user`` is what the resolver of users says."""
        fields: list[str] = []
        for number, (header, (at, convert)) in enumerate(zip(self._headers, self._plan)):
            if number == self._user_at and self._users is not None:
                if of_user is not None:
                    return of_user
                fields.append(values[at])
                continue
            try:
                fields.append(convert(values[at]))
            except Refused as refused:
                return RowRefused(header, refused.code)
        found = self._scenarios.refusal(fields) if self._scenarios is not None else None
        return RowRefused(self._headers[found[0]], found[1]) if found is not None else None


def _digests(new: Any, texts: Iterable[bytes]) -> list[bytes]:
    """The digest of each text, from a copy of one hash object."""
    digests: list[bytes] = []
    add = digests.append
    for text in texts:
        digest = new()
        digest.update(text)
        add(digest.digest())
    return digests


_MIDNIGHT = re.compile(r"[T ]0?0:00(:00([.,]0+)?)?$")


def _together(day: str, clock: str) -> str:
    """A date, perhaps with a midnight that means nothing, and a time of day."""
    return f"{_MIDNIGHT.sub('', day.strip(' '))} {clock.strip(' ')}".strip(" ")


def _positions(profile: Profile, header: Sequence[str], name: str) -> list[int]:
    """Where each column's field stands in ``header``."""
    index = {field: i for i, field in enumerate(header)}
    missing = [field for field in profile.fields if field not in index]
    if missing:
        # If there is no header line, these are values of a row: only what is nearly the name may be shown,
        # and nothing if a cell looks like an address or a number.
        row = any(_VALUE.match(field) for field in header)
        names = [] if row else [field for field in header if _NAME.fullmatch(field)]
        near = nearest(missing[0], names, cutoff=0.75)
        hint = f" The most similar one is `{near}`." if near else ""
        raise InputError(
            f"the header has no {', '.join(f'`{field}`' for field in missing)}",
            where=f"{name}:1",
            next_step="Rename the column in the file, or set the profile column's `field`." + hint,
        )
    return [index[column.field] for column in profile.columns]
