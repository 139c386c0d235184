"""Which file contents were processed, by connector: ``<outbox>/watched/<connector>/<aa>/<sha256>``.

A file with that name means: all rows of this content are in the connector's outbox or were refused.
``<sha256>.attempts`` has a byte for each time that reading this content began and did not come to an end: the
process was killed meanwhile, perhaps because the content takes all memory.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from irmcore.disk import make_dirs, system_disk


class ProcessedFiles:
    """The file contents that a connector's outbox has accepted."""

    def __init__(self, outbox: str, connector: str) -> None:
        self._root = f"{outbox}/watched/{connector}"
        self._disk = system_disk()

    def __contains__(self, digest: str) -> bool:
        return Path(self._path(digest)).exists()

    def add(self, digest: str, record: Mapping[str, object]) -> None:
        """Record a content durably. ``record`` holds the time, the file's name and the counts."""
        path = self._path(digest)
        make_dirs(self._disk, str(Path(path).parent))
        if digest not in self:
            self._disk.create(path, json.dumps(record, sort_keys=True).encode("ascii") + b"\n")
        self._disk.sync(path)
        self._disk.sync_dir(str(Path(path).parent))

    def begin(self, digest: str) -> int:
        """Record that reading a content begins. Returns how often that was not followed by `end`."""
        path = Path(self._path(digest) + ".attempts")
        make_dirs(self._disk, str(path.parent))
        before = path.stat().st_size if path.exists() else 0
        self._disk.append(str(path), b".")  # not synced: a killed process loses no write
        return before

    def end(self, digest: str) -> None:
        """Forget the attempts to read a content: this one ended, well or with an error."""
        Path(self._path(digest) + ".attempts").unlink(missing_ok=True)

    def _path(self, digest: str) -> str:
        return f"{self._root}/{digest[:2]}/{digest}"
