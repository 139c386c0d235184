"""The results file that splunkd gives an alert action: gzip CSV → the spool, and the results' identities.

It has Splunk's ``__mv_`` columns, like the bodies that the command gets. A file that is missing, cut off
or of another kind is an InputError: nothing of it is sent.
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
from irmcore.shaping.readers import decompressed

from irmsplunk.export.spool import Spool

_PIECE = 65_536
_BOM = b"\xef\xbb\xbf"
_ZSTD = b"\x28\xb5\x2f\xfd"
#: The folder of an alert that is triggered once for each result, and the name of a result's file in it.
_PER_RESULT = "per_result_alert"


class Identity(NamedTuple):
    """A result as Enterprise Security knows it: its number, and the result it was made from."""

    rid: str = ""
    orig_sid: str = ""
    orig_rid: str = ""


def dispatch_dir(path: str) -> str:
    """The search's dispatch directory, of the path of a results file."""
    folder = os.path.dirname(path)
    return os.path.dirname(folder) if is_per_result(path) else folder


def is_per_result(path: str) -> bool:
    """Whether the alert is triggered once for each result, and the file has one."""
    return os.path.basename(os.path.dirname(path)) == _PER_RESULT


def read_into(spool: Spool, path: str) -> None:
    """Append the file's rows, unpacked, to the spool. Raises InputError, OutboxFull."""
    spool.add(_pieces(path))


def _pieces(path: str) -> Iterator[bytes]:
    try:
        with open(path, "rb") as packed:
            start = packed.read(4)
            packed.seek(0)
            if start == _ZSTD:
                raise _unreadable("is compressed in a way that irmexport does not know (zstd)")
            stream = decompressed(packed, _NAME)
            piece = stream.read(_PIECE)
            yield piece.removeprefix(_BOM)
            while piece:
                piece = stream.read(_PIECE)
                yield piece
    except FileNotFoundError:
        raise InputError(
            "the search's results file is not there (any more)",
            where=_NAME,
            next_step="It is kept as long as the search's dispatch directory (`dispatch.ttl`, `ttl` of the "
            "action): raise that, and run the search again. Nothing was accepted.",
        ) from None
    except OSError as error:
        raise _unreadable(f"cannot be read ({error.strerror})") from None


_NAME = "results_file"


def _unreadable(what: str) -> InputError:
    return InputError(
        f"the search's results file {what}",
        where=_NAME,
        next_step="See splunkd.log, and run the search again. Nothing was accepted.",
    )


#: What a search's or a result's ID is made of. Anything else in such a column is a value, which no log has.
_ID = re.compile(r"[\w.-]{1,256}", re.ASCII)


def _id(text: str | None) -> str:
    return text if text and _ID.fullmatch(text) else ""


def identities(path: str, most: int) -> list[Identity]:
    """The first ``most`` results, numbered as Enterprise Security does; none if the file cannot be read."""
    try:
        with open(path, "rb") as packed:
            text = io.TextIOWrapper(
                decompressed(packed, _NAME), encoding="utf-8-sig", errors="replace", newline=""
            )
            rows = enumerate(itertools.islice(csv.DictReader(text), most))
            found = [
                Identity(
                    _id(row.get("rid")) or str(number), _id(row.get("orig_sid")), _id(row.get("orig_rid"))
                )
                for number, row in rows
            ]
    except (OSError, InputError, ValueError, csv.Error):  # ValueError: a path with a NUL
        return []
    name = os.path.basename(path)
    if is_per_result(path) and name.startswith("tmp_"):
        number = name[len("tmp_") :].partition(".")[0]
        found = [identity._replace(rid=number) for identity in found[:1]]
    return found
