"""The limit for a file: csv.reader to csv.writer, row by row. argv: the file, the copy."""

from __future__ import annotations

import csv
import sys


def main(source: str, target: str) -> None:
    """Read and write every row."""
    with (
        open(source, encoding="utf-8", newline="") as read,
        open(target, "w", encoding="utf-8", newline="") as written,
    ):
        write = csv.writer(written).writerow
        for row in csv.reader(read):
            write(row)


if __name__ == "__main__":
    main(*sys.argv[1:])
