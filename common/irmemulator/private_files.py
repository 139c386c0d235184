"""Write a file that only its owner may read: keys, secrets, and the addresses of running emulators."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

#: irmcore.http.credentials.EMULATOR_SECRET, which this package does not import.
_MADE_UP = "emulator-only-"


def made_up_secret() -> str:
    """A client secret that says whose it is: irmexport sends an emulator no other secret."""
    return f"{_MADE_UP}{secrets.token_urlsafe(24)}"


def is_made_up(secret: str) -> bool:
    """Whether a secret is one of ``made_up_secret``; earlier versions made others."""
    return secret.startswith(_MADE_UP)


def write_private(path: Path, content: bytes) -> None:
    """Write ``content`` with mode 0600, replacing what was there. Raises OSError."""
    # O_NOFOLLOW: in a directory that others can write to, a symbolic link must not choose the target.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        if hasattr(os, "fchmod"):  # not on Windows
            os.fchmod(file.fileno(), 0o600)  # an existing file keeps its mode, which may be open to others
        file.write(content)
