"""The results file that splunkd gives an alert action: gzip-compressed CSV to the spool, and the result ids.

It has Splunk's ``__mv_`` columns, like the rows that the command gets. A file that is missing, truncated or
in another format is an InputError, and none of it is sent.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from irmcore.errors import InputError
from irmcore.shaping.csv_cells import allow_long_fields
from irmcore.shaping.readers import decompressed

from irmsplunk.export.spool import LONGEST_FIELD, Spool

_NAME = "results_file"
_PIECE = 65_536
_BOM = b"\xef\xbb\xbf"
_ZSTD = b"\x28\xb5\x2f\xfd"
#: The folder of an alert that triggers once for each result; the name of a result's file in it has its
#: number.
_PER_RESULT = "per_result_alert"
_PER_RESULT_FILE = "tmp_"
#: The characters of a search id or result id. Other text in such a column is a row value and is not logged.
_ID = re.compile(r"[\w.-]{1,256}", re.ASCII)


class ResultId(NamedTuple):
    """A result as Enterprise Security identifies it: its number, and the result it was made from."""

    rid: str = ""
    orig_sid: str = ""
    orig_rid: str = ""


def dispatch_dir(path: str) -> str:
    """The search's dispatch directory, from the path of a results file."""
    folder = os.path.dirname(path)
    return os.path.dirname(folder) if is_per_result(path) else folder


def is_per_result(path: str) -> bool:
    """Whether the alert triggers once for each result, so that the file has one row."""
    return os.path.basename(os.path.dirname(path)) == _PER_RESULT


def read_into(spool: Spool, path: str) -> None:
    """Append the file's rows, decompressed, to the spool. Raises InputError, OutboxFull."""
    spool.add(_pieces(path))


def _pieces(path: str) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            start = file.read(4)
            file.seek(0)
            if start == _ZSTD:
                raise _unreadable("is compressed with zstd, which irmexport cannot read")
            stream = decompressed(file, _NAME)
            piece = stream.read(_PIECE)
            yield piece.removeprefix(_BOM)
            while piece:
                piece = stream.read(_PIECE)
                yield piece
    except FileNotFoundError:
        raise InputError(
            "the search's results file does not exist",
            where=_NAME,
            next_step="Splunk deletes it with the search's dispatch directory: raise `dispatch.ttl`, or "
            "`ttl` of the action, and run the search again. Nothing was accepted.",
        ) from None
    except OSError as error:
        raise _unreadable(f"cannot be read ({error.strerror})") from None


def _unreadable(what: str) -> InputError:
    return InputError(
        f"the search's results file {what}",
        where=_NAME,
        next_step="See splunkd.log, then run the search again. Nothing was accepted.",
    )


def _id(text: str | None) -> str:
    return text if text and _ID.fullmatch(text) else ""


def result_ids(path: str, most: int) -> list[ResultId]:
    """The first ``most`` results, numbered as Enterprise Security does; empty if the file is unreadable."""
    try:
        allow_long_fields(LONGEST_FIELD)
        with open(path, "rb") as file:
            text = io.TextIOWrapper(
                decompressed(file, _NAME), encoding="utf-8-sig", errors="replace", newline=""
            )
            found = [
                ResultId(
                    _id(row.get("rid")) or str(number), _id(row.get("orig_sid")), _id(row.get("orig_rid"))
                )
                for number, row in enumerate(itertools.islice(csv.DictReader(text), most))
            ]
    except (OSError, InputError, ValueError, csv.Error):  # ValueError: a path with a NUL
        return []
    name = os.path.basename(path)
    if is_per_result(path) and name.startswith(_PER_RESULT_FILE):
        number = name[len(_PER_RESULT_FILE) :].partition(".")[0]
        found = [result._replace(rid=number) for result in found[:1]]
    return found
