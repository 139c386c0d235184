"""Open directories below a folder that other users may write to, without following a link.

Each step is taken from the open directory before it, so what another user renames meanwhile changes nothing.
A directory of ours must also belong to this user, and nobody else may write to it. POSIX only.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from irmcore.errors import ConfigurationError
from irmcore.ownership import require_own_stat

_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
#: To pass through a directory, which needs no permission to read it.
_PASS = _FLAGS | getattr(os, "O_PATH", 0) | _NO_LINK


def without_links(root: Path) -> Path:
    """The directory that the absolute path ``root`` leads to now, by a path without links.

    Raises ConfigurationError if another user made a link in ``root``: it could lead to files of our own.
    """
    for path in (*reversed(root.parents), root):
        if path.is_symlink() and path.lstat().st_uid not in (os.geteuid(), 0):
            raise ConfigurationError(
                "another user made this link, which leads to the directory to watch",
                where=str(path),
                next_step=f"If it leads to the right place, name that instead: {root.resolve()}",
            )
    return root.resolve()


@contextmanager
def directory(root: Path, parts: Sequence[str], *, ours: bool) -> Iterator[int]:
    """The descriptor of the directory ``parts`` below ``root``, an absolute path without links.

    ``ours``: it is created if it is missing, and checked: raises ConfigurationError. Raises OSError.
    """
    current = os.open(root.anchor, _PASS)
    try:
        for number, part in enumerate(root.parts[1:], 2):
            inner = os.open(part, _PASS if number < len(root.parts) else _FLAGS | _NO_LINK, dir_fd=current)
            os.close(current)
            current = inner
        for number, part in enumerate(parts, 1):
            path = root.joinpath(*parts[:number])
            inner = _own(current, part, path) if ours else os.open(part, _FLAGS | _NO_LINK, dir_fd=current)
            os.close(current)
            current = inner
        yield current
    finally:
        os.close(current)


def _own(parent: int, name: str, path: Path) -> int:
    """The directory ``name`` in ``parent``, created if it is missing. Raises ConfigurationError, OSError."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
        os.fsync(parent)
    try:
        opened = os.open(name, _FLAGS | _NO_LINK, dir_fd=parent)
    except NotADirectoryError:
        require_own_stat(
            os.stat(name, dir_fd=parent, follow_symlinks=False),
            path,
            "directory of `watch`",
            ConfigurationError,
        )
        raise ConfigurationError(
            "a file has the name of a directory that `watch` needs",
            where=str(path),
            next_step="Move or rename the file.",
        ) from None
    try:
        require_own_stat(os.fstat(opened), path, "directory of `watch`", ConfigurationError)
    except BaseException:
        os.close(opened)
        raise
    return opened
