"""A keyring backend that stores its entries in a file, for machines without a keyring.

PYTHON_KEYRING_BACKEND makes `keyring` use it; IRMEXPORT_TEST_KEYRING names the file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import keyring.backend
import keyring.errors


class FileKeyring(keyring.backend.KeyringBackend):
    """Entries in a JSON file. A file whose content is "locked" is a locked keyring."""

    priority = 1

    def _read(self) -> dict[str, str]:
        path = Path(os.environ["IRMEXPORT_TEST_KEYRING"])
        text = path.read_text() if path.exists() else "{}"
        if text == "locked":
            raise keyring.errors.KeyringLocked("the words of a backend")
        found: dict[str, str] = json.loads(text)
        return found

    def get_password(self, service: str, username: str) -> str | None:
        return self._read().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        entries = {**self._read(), f"{service} {username}": password}
        Path(os.environ["IRMEXPORT_TEST_KEYRING"]).write_text(json.dumps(entries))
