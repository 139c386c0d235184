"""The reader of all settings files: YAML → values that match a published JSON Schema, or one clear error.

``read`` and ``parse`` return a :class:`Source`: the values, and the file and line of each. An error names the
file, the line, the key, the nearest known key and the next step; it never contains a value from the file,
because a value may be a secret written there by mistake. What a schema cannot express (a rule across several
keys) is checked by the owner of the settings, with ``Source.error``.
"""

from __future__ import annotations

from irmcore.settings.kind import KeyPath, Kind
from irmcore.settings.nearest import did_you_mean, nearest
from irmcore.settings.reading import parse, read, read_text
from irmcore.settings.yaml_source import Source

__all__ = ["KeyPath", "Kind", "Source", "did_you_mean", "nearest", "parse", "read", "read_text"]
