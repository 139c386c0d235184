"""Excel workbooks of the folder, written by XlsxWriter, whose own tests compare its files with Excel's.

They are not in the tree, because nobody could review them there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import xlsxwriter

Rows = Sequence[Sequence[Any]]
ANA, BEN = "ana.k@contoso.com", "ben.h@contoso.com"
#: 08:15:00 and 17:40:05 in UTC, and the same in Berlin. Excel knows no time zones.
UTC = datetime.fromisoformat("2026-11-20T08:15:00"), datetime.fromisoformat("2026-11-20T17:40:05")
BERLIN = datetime.fromisoformat("2026-11-20T09:15:00"), datetime.fromisoformat("2026-11-20T18:40:05")
ENGLISH = ("User", "Event Time (UTC)", "Count")

BOOKS: dict[str, dict[str, Rows]] = {
    "excel-de.xlsx": {
        "Tabelle1": [
            ("Benutzer", "Zeitpunkt", "Volumen MB", "Betreff"),
            (ANA, BERLIN[0], 1250.5, "Prüfung"),
            (BEN, BERLIN[1], 1.125, ""),
        ]
    },
    "excel-us.xlsx": {"Sheet1": [ENGLISH, (ANA, UTC[0], 3), (BEN, UTC[1], 12)]},
    "excel-titles.xlsx": {
        "Sheet1": [
            ("Documents by worker",),
            ("Run by", "it@contoso.com"),
            (),
            ("Worker Email", "Event Time (UTC)", "Documents", "Department"),
            (ANA, UTC[0], 3, "Sales"),
            (BEN, UTC[1], 12, "Legal"),
        ]
    },
    "excel-sheets.xlsx": {
        "About": [("Report", "Owner"), ("Counts", "Security")],
        "Rows": [ENGLISH, (ANA, UTC[0], 3), (BEN, UTC[1], 12)],
    },
}


def write(path: Path, sheets: dict[str, Rows], *, form: str = "dd.mm.yyyy hh:mm") -> None:
    """A workbook with these sheets; ``form`` is how times are shown."""
    with xlsxwriter.Workbook(path) as book:
        times = book.add_format({"num_format": form})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for row, cells in enumerate(rows):
                for column, cell in enumerate(cells):
                    put: Callable[..., Any] = sheet.write
                    put(row, column, cell, *((times,) if isinstance(cell, datetime) else ()))


def write_all(folder: Path) -> None:
    """All workbooks of the index."""
    for name, sheets in BOOKS.items():
        write(folder / name, sheets)
