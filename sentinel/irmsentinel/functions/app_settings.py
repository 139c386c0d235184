"""The settings of the Function app: app settings (environment variables), and files in a container or folder.

IRMEXPORT_OUTBOX is the outbox. IRMEXPORT_SETTINGS is where the settings files are: ``sentinel.yaml``,
``collector.yaml`` and ``profiles/NAME.yaml``, in an address such as ``az://ACCOUNT/CONTAINER/PREFIX`` or in a
folder. They are copied for each invocation, so that a changed file counts from the next one on. A secret is
an app setting that refers to Key Vault, or is read from there by the credential kind ``key_vault``.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from irmcli.object_store import address
from irmcli.object_store.object_store import ObjectStore
from irmcore.errors import ConfigurationError
from irmcore.http.credentials import check_resolved

OUTBOX, SETTINGS = "IRMEXPORT_OUTBOX", "IRMEXPORT_SETTINGS"
EXPORTS, COLLECTOR, PROFILES = "sentinel.yaml", "collector.yaml", "profiles"


@dataclass(frozen=True)
class AppSettings:
    """One invocation's settings: the directory with the files, and the environment of its commands."""

    files: Path
    environment: Mapping[str, str]

    def file(self, name: str) -> str | None:
        """The path of a settings file; None if there is none."""
        path = self.files / name
        return str(path) if path.is_file() else None

    def words(self, name: str) -> list[str]:
        """The words of an app setting, which may be missing. Raises ConfigurationError."""
        return _words(name, self.environment.get(name, ""))

    def lines(self, name: str) -> list[list[str]]:
        """The words of each line of an app setting. Raises ConfigurationError."""
        return [
            words for line in self.environment.get(name, "").splitlines() if (words := _words(name, line))
        ]


@contextmanager
def read(given: Mapping[str, str]) -> Iterator[AppSettings]:
    """The settings of this invocation. Raises ConfigurationError, StoreAway, StoreRefused."""
    for name in (OUTBOX, SETTINGS):
        if not given.get(name):
            raise ConfigurationError(
                "the app setting is missing", where=name, next_step="Set it: docs/azure.md has all of them."
            )
    for name, value in given.items():
        if name.startswith("IRMEXPORT_"):
            check_resolved(value, f"app setting {name}")
    # What commands keep on this instance. It may be lost with it, and another instance has its own.
    state = Path(tempfile.gettempdir()) / f"irmexport-{os.getuid()}"
    state.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="irmexport-settings-") as copied:
        files = Path(copied)
        if address.is_address(given[SETTINGS]):
            _copy(given[SETTINGS], given, files)
        else:
            files = Path(given[SETTINGS])
        environment = {
            **given,
            "FUNCTIONS_WORKER_RUNTIME": "python",  # tells the commands that this disk may be gone any time
            "HOME": str(state),
            "XDG_STATE_HOME": str(state),
            "XDG_CONFIG_HOME": str(files),
            "IRMEXPORT_PROFILES": str(files / PROFILES),
            # The host adds the app's packages to this process's path, not to PYTHONPATH.
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        yield AppSettings(files, environment)


def _words(name: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigurationError(
            f"the app setting cannot be read as options ({error})",
            where=name,
            next_step='Close each quotation mark, and write a name with an apostrophe as "it\'s".',
        ) from None


def _copy(text: str, environment: Mapping[str, str], into: Path) -> None:
    store = ObjectStore(address.parse(text), environment)
    for key in store.keys(""):
        try:
            value = store.get(key)
        except ValueError:
            raise ConfigurationError(
                "a settings file has a name that irmexport cannot use",
                where=text,
                next_step="Use lower-case letters, digits, . _ and - in names, and remove other files.",
            ) from None
        if value is not None:  # else it was removed meanwhile
            file = into / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(value)
