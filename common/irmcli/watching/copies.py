"""The files that `watch` has moved or written: find them, search them, and delete them after their time.

That is every file in ``archive``, ``rejects`` and ``errors`` of a directory that was watched. `watch` keeps
the folder's path or address in the outbox directory. No link is followed.
"""

import csv
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from irmcore.errors import InputError
from irmcore.operations.person import names as names_person
from irmcore.shaping.csv_cells import allow_long_fields
from irmcore.shaping.readers import decompressed

from irmcli.watching.own_directory import directory

SUBFOLDERS = ("archive", "rejects", "errors")
#: The file that names a watched folder, in the folder's directory in the outbox directory.
NAME = "folder"


class Copy(NamedTuple):
    """A file of ``subfolder``, and when it was moved there, in seconds since 1970."""

    path: Path
    subfolder: str
    moved: float


def watched(outbox: Path) -> list[Path]:
    """The folders that were watched with this outbox directory and still exist."""
    return [Path(name) for name in _names_of(outbox) if Path(name).is_dir()]


def elsewhere(outbox: Path) -> list[str]:
    """The addresses of the folders that were watched and are not on this machine, where nothing is searched
    or deleted.
    """
    return [name for name in _names_of(outbox) if "://" in name]


def _names_of(outbox: Path) -> list[str]:
    return [name.read_text(encoding="utf-8") for name in sorted(outbox.glob(f"watched/folders/*/{NAME}"))]


def copies(root: Path) -> Iterator[tuple[Copy, int, str]]:
    """Each copy below ``root``, with the open directory that has it and its name there.

    Raises ConfigurationError if a directory is not this user's, OSError.
    """
    for subfolder in SUBFOLDERS:
        if not (root / subfolder).is_dir():
            continue
        with directory(root, [subfolder], ours=True) as top:
            for folder, _, names, opened in os.fwalk(".", dir_fd=top):
                for name in names:
                    found = os.stat(name, dir_fd=opened, follow_symlinks=False)
                    if stat.S_ISREG(found.st_mode):
                        path = Path(os.path.normpath(root / subfolder / folder / name))
                        # The writer sets the modification time, and a move the change time.
                        yield Copy(path, subfolder, found.st_ctime), opened, name


def delete_older(root: Path, moment: float) -> int:
    """Delete the copies that were moved before ``moment``; returns how many. Raises OSError."""
    deleted = 0
    for copy, opened, name in copies(root):
        if copy.moved < moment:
            os.unlink(name, dir_fd=opened)
            deleted += 1
    return deleted


def search(copy: Copy, opened: int, name: str, who: re.Pattern[str]) -> list[str]:
    """The lines of a copy that name the person. A file that cannot be read as a text gives none."""
    allow_long_fields()
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=opened)
    try:
        with os.fdopen(descriptor, "rb") as raw:
            stream = decompressed(raw, str(copy.path))
            lines = iter(lambda: stream.readline(_LONGEST), b"")
            return [text for text in map(_text, lines) if _names(who, text)]
    except InputError:
        return []


#: Bytes of a line that are searched at a time.
_LONGEST = 16 * 1024 * 1024


def _text(line: bytes) -> str:
    """A line as text; of UTF-16, its ASCII characters."""
    return line.replace(b"\0", b"").decode("utf-8", "replace").strip()


def _names(who: re.Pattern[str], text: str) -> bool:
    if names_person(who, text):
        return True
    try:
        return any(names_person(who, row) for row in csv.reader([text]))
    except csv.Error:
        return False
