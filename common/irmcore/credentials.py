"""Reading the client secret from where the profile says. A new place is a new line in ``_READERS``.

The secret is returned as a :class:`Secret`, which shows itself in no repr, message or log.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from typing import Callable

from irmcore.errors import CredentialError


class Secret:
    """A text that does not show itself; ``reveal`` gives it to whoever signs in."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"


def read(kind: str, name: str, environment: Mapping[str, str]) -> Secret:
    """The secret at ``name``. Raises CredentialError if it is not there or others may read it."""
    reader = _READERS.get(kind)
    if reader is None:
        raise CredentialError(
            f"no credential can be read from `{kind}` here",
            next_step=f"Known: {', '.join(_READERS)}.",
        )
    text = reader(name, environment)
    if not text or "\n" in text or "\r" in text:
        raise CredentialError(
            "the credential is empty or has more than one line",
            where=f"{kind} {name}",
            next_step="Put the client secret's value there, and nothing else.",
        )
    return Secret(text)


def _from_environment(name: str, environment: Mapping[str, str]) -> str:
    if name not in environment:
        raise CredentialError(
            f"the environment variable {name} is not set",
            next_step="Set it to the client secret's value, or name a file in the profile's `credential`.",
        )
    return environment[name].strip()


def _from_file(name: str, environment: Mapping[str, str]) -> str:
    try:
        with open(os.path.expanduser(name), encoding="utf-8-sig") as file:
            if sys.platform != "win32":  # there, access lists say who may read; mode bits do not
                _refuse_open_file(name, os.fstat(file.fileno()))
            return file.read(65_536).strip()
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a path with a NUL
        raise CredentialError(
            f"the credential file cannot be read ({getattr(error, 'strerror', None) or 'not text'})",
            where=name,
            next_step="Check the path in the profile's `credential` and that this user may read it.",
        ) from None


def _refuse_open_file(name: str, found: os.stat_result) -> None:
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO) or found.st_uid not in (os.geteuid(), 0):
        raise CredentialError(
            f"the credential file may be read by others (mode {found.st_mode & 0o777:04o})",
            where=name,
            next_step=f"Make it yours alone: chown it to the user who runs this, and chmod 600 {name}",
        )


_READERS: Mapping[str, Callable[[str, Mapping[str, str]], str]] = {
    "env": _from_environment,
    "file": _from_file,
}
