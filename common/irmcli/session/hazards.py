"""Count and report values that are sent unchanged but may mislead a reader or be run by a spreadsheet."""

import csv
import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from irmcore.shaping.csv_cells import allow_long_fields
from irmcore.shaping.text import hazards, may_have_hazards

from irmcli.output import Output

_TEXTS = {
    "bidi-control": "contain characters that change the reading direction",
    "zero-width": "contain zero-width characters",
    "formula-prefix": "start with a character that a spreadsheet reads as a formula",
}


def count_in_payloads(payloads: Iterable[Path]) -> Counter[str]:
    """The hazards in the rows of these files, except those of batches that another process has moved."""
    found: Counter[str] = Counter()
    allow_long_fields()
    for payload in payloads:
        try:
            text = payload.read_bytes().decode()
        except FileNotFoundError:
            continue
        if may_have_hazards(text):
            rows = csv.reader(io.StringIO(text, newline=""))
            next(rows)
            for row in rows:
                for cell in row:
                    found.update(hazards(cell))
    return found


def show_hazards(output: Output, found: Counter[str]) -> None:
    """Print how many values have each hazard."""
    for name, number in sorted(found.items()):
        output.line(f"Note: values that {_TEXTS[name]}, which are sent unchanged: {number:,}")
