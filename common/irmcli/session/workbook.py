"""Read a sheet of an Excel workbook (.xlsx, .xls) into rows of text, with python-calamine.

A cell keeps its type as far as text can: a number gets a decimal point, a time ISO 8601 without an offset,
because Excel knows no time zones. A formula gives its last value, an error of Excel an empty cell. A whole
sheet is in memory, at most ``MOST_BYTES`` of the workbook unpacked. Decision record 9 has the alternatives.
"""

import datetime
import io
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from irmcore.errors import ConfigurationError, InputError
from irmcore.profile.model import Format
from irmcore.shaping.blocks import SourceRow
from irmcore.shaping.json_records import Number
from irmcore.shaping.numbers import typed
from irmcore.shaping.readers import Table, named_columns
from irmcore.shaping.text_form import header_row

#: What a workbook may have unpacked, in bytes: over a million rows of four short columns.
MOST_BYTES = 256 * 1024 * 1024
#: How .xlsx (a zip file) and .xls begin.
_STARTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
_WHOLE = 1e15


def is_workbook(stream: io.BufferedReader) -> bool:
    """Whether a stream begins like a workbook. Nothing is consumed."""
    return stream.peek(8)[:8].startswith(_STARTS)


def workbook_table(
    stream: io.BufferedReader,
    *,
    name: str,
    told: Format,
    fields: Collection[str] = (),
    numbers: Collection[str] = (),
) -> Table:
    """The rows of the sheet that the profile names, or of the only one with rows; blank rows are left out.

    ``fields`` are those that the header should have, ``numbers`` those that hold numbers. Raises InputError,
    and ConfigurationError without python-calamine.
    """
    sheet, rows = _sheet(_opened(stream, name), name, told, fields)
    texts = [list(map(_text, cells)) for _, cells in rows[:_SEARCHED]]
    above = header_row(texts, fields) if told.skip is None else told.skip
    if above >= len(rows):
        raise InputError(
            "the sheet has no row below the header", where=f"{name} ({sheet})", next_step="Check the file."
        )
    line, _ = rows[above]
    all_names = texts[above] if above < len(texts) else list(map(_text, rows[above][1]))
    header = named_columns(tuple(cell.strip(" ") for cell in all_names), f"{name} ({sheet}):{line}")
    decimals = [told.numbers if field in numbers else "" for field in header]

    def read() -> Iterator[SourceRow]:
        for number, cells in rows[above + 1 :]:
            values = [_typed(cell, decimal) for cell, decimal in zip(cells, decimals, strict=False)]
            values += [""] * (len(header) - len(values))
            rest = [_text(cell) for cell in cells[len(header) :]]
            if any(rest):
                yield SourceRow(number, (*values, *rest), "ragged-long")
            else:
                yield SourceRow(number, tuple(values))

    # Of a file of refused rows: where the comma is decimal, Excel divides a CSV at semicolons.
    delimiter = ";" if told.numbers == "comma" else ","
    return Table(header, read(), asks=True, form=f"the sheet {sheet} of a workbook", delimiter=delimiter)


#: Rows in which the header is looked for.
_SEARCHED = 50


def _opened(stream: io.BufferedReader, name: str) -> Any:
    try:
        import python_calamine
    except ImportError:
        raise ConfigurationError(
            "reading an Excel workbook needs python-calamine",
            where=name,
            next_step="pip install 'irmexport[excel]', or save the sheet as CSV UTF-8.",
        ) from None
    data = io.BytesIO(stream.read(MOST_BYTES + 1))
    try:
        if data.getvalue().startswith(_STARTS[0]):
            with zipfile.ZipFile(data) as packed:
                unpacked = sum(each.file_size for each in packed.infolist())
        else:
            unpacked = len(data.getvalue())
        if unpacked > MOST_BYTES:
            raise InputError(
                "the workbook has more than 256 MiB", where=name, next_step="Save the sheet as CSV UTF-8."
            )
        data.seek(0)
        return python_calamine.CalamineWorkbook.from_filelike(data)
    except (python_calamine.CalamineError, zipfile.BadZipFile):
        raise InputError(
            "the workbook is damaged, protected by a password, or not an Excel workbook",
            where=name,
            next_step="Open it in Excel, and save the sheet as CSV UTF-8.",
        ) from None


_Row = tuple[int, Sequence[Any]]


def _sheet(book: Any, name: str, told: Format, fields: Collection[str]) -> tuple[str, list[_Row]]:
    """The sheet's name, and its rows that are not blank, with their numbers from 1."""
    if told.sheet is not None and told.sheet not in book.sheet_names:
        names = ", ".join(book.sheet_names)
        raise InputError(f"the workbook has no sheet {told.sheet}", where=name, next_step=f"Sheets: {names}.")
    sheets = {
        sheet: rows
        for sheet in ([told.sheet] if told.sheet else book.sheet_names)
        if len(rows := _rows(book.get_sheet_by_name(sheet))) > 1
    }
    if len(sheets) > 1 and fields:
        has = {sheet: rows for sheet, rows in sheets.items() if _has(rows, fields)}
        sheets = has or sheets
    if len(sheets) != 1:
        step = "Name one with `sheet` under `input.format` in the profile (for `profile new`: --sheet): "
        step += ", ".join(sheets)
        raise InputError(
            f"the workbook has {len(sheets) or 'no'} sheets with rows",
            where=name,
            next_step=step if sheets else "Check the file.",
        )
    return next(iter(sheets.items()))


def _rows(sheet: Any) -> list[_Row]:
    rows = sheet.to_python(skip_empty_area=False)
    return [(number, row) for number, row in enumerate(rows, start=1) if any(cell != "" for cell in row)]


def _has(rows: Sequence[_Row], fields: Collection[str]) -> bool:
    return any(set(fields) <= set(map(_text, cells)) for _, cells in rows[:_SEARCHED])


def _typed(cell: Any, decimal: str | None) -> str:
    """The text of a cell; ``decimal`` is "" in columns that hold no numbers."""
    text = _text(cell)
    return Number(typed(text, decimal)) if decimal != "" and isinstance(text, Number) else text


def _text(cell: Any) -> str:
    put: Callable[[Any], str] = _BY_TYPE.get(type(cell), str)
    return put(cell)


def _number(cell: float) -> str:
    return Number(int(cell) if cell.is_integer() and abs(cell) < _WHOLE else repr(cell))


def _duration(cell: datetime.timedelta) -> str:
    minutes, seconds = divmod(int(cell.total_seconds()), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


_BY_TYPE: dict[type, Callable[[Any], str]] = {
    float: _number,
    int: Number,
    bool: lambda cell: "true" if cell else "false",
    datetime.datetime: lambda cell: str(cell.isoformat(" ")),
    datetime.date: lambda cell: str(cell.isoformat()),
    datetime.time: lambda cell: str(cell.isoformat()),
    datetime.timedelta: _duration,
}
