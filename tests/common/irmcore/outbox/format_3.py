"""The outbox of format 3 in ``format_3.json``, which the last version before format 4 has written."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from irmcore.disk import Disk

from tests.fakes.connector import ROOT

_FILE = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="ascii"))
#: The states by old batch id, and the notes of the rows by state; "sent" are those of sent batches.
STATES: Mapping[str, str] = _FILE["states"]
NOTES: Mapping[str, list[str]] = _FILE["notes"]


def lay(disk: Disk, root: str = ROOT) -> None:
    """Write it to ``root``, an existing directory."""
    files: Mapping[str, Any] = _FILE["files"]
    for name in sorted(files):
        if files[name] is None:
            disk.make_dir(f"{root}/{name}")
        else:
            disk.create(f"{root}/{name}", zlib.decompress(base64.b64decode(files[name])))
