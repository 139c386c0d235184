"""A fake Splunk installation with the built app, as far as the app's processes see one."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SplunkHome:
    """A folder with etc/apps/irmexport, var/log/splunk and a data directory."""

    path: Path

    @staticmethod
    def install(archive: Path, path: Path) -> SplunkHome:
        """Unpack the app as Splunk does."""
        home = SplunkHome(path)
        (path / "etc" / "apps").mkdir(parents=True)
        home.log.parent.mkdir(parents=True)
        with tarfile.open(archive) as tar:
            tar.extractall(path / "etc" / "apps", filter="data")
        return home

    @property
    def bin(self) -> Path:
        return self.path / "etc" / "apps" / "irmexport" / "bin"

    @property
    def log(self) -> Path:
        return self.path / "var" / "log" / "splunk" / "irmexport.log"

    @property
    def outbox(self) -> Path:
        return self.path / "var" / "lib" / "splunk" / "modinputs" / "irmexport"

    def environment(self) -> Mapping[str, str]:
        """The environment that splunkd gives its processes, and nothing of this machine's environment."""
        return {
            "PATH": os.defpath,
            "LANG": "C",
            "SPLUNK_HOME": str(self.path),
            "SPLUNK_DB": str(self.path / "var" / "lib" / "splunk"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_COLOR": "1",
        }

    def everything_written(self) -> bytes:
        """Everything that the app's processes wrote outside the app, for searching."""
        files = [file for file in (self.path / "var").rglob("*") if file.is_file()]
        return b"\0".join(file.read_bytes() for file in files)
