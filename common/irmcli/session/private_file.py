"""Write files with personal data, which only this user can read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from irmcore.errors import ConfigurationError

#: What to say of a file that a person has asked for.
OWN_FILE = (
    "The file has personal data. Delete it afterwards: neither retention nor `irmexport person find NAME` "
    "finds it."
)


def write_new(file: str, data: bytes) -> None:
    """Create a file that only this user can read. Raises ConfigurationError if it exists."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except FileExistsError:
        raise ConfigurationError(
            "this file exists already", where=file, next_step="Give the name of a new file."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the file cannot be created ({error.strerror})", where=file, next_step="Give another name."
        ) from None
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


@contextmanager
def replacing(file: Path) -> Iterator[TextIO]:
    """A UTF-8 text that takes the place of ``file`` once it is whole. Raises OSError."""
    unfinished = file.with_name(f"{file.name}.part")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as written:
        yield written
    unfinished.replace(file)
