"""Splunk's conf and meta files as stanzas, read as splunkd reads them.

A line that ends with a backslash goes on in the next one; the first `=` ends the name of a setting; lines
before the first stanza belong to `default`. Unlike splunkd, a repeated stanza or setting is an error.
"""

from __future__ import annotations

from pathlib import Path


def read_conf(path: Path) -> dict[str, dict[str, str]]:
    """The settings of each stanza. Raises ValueError for a line that is none of these."""
    stanzas: dict[str, dict[str, str]] = {}
    stanza = "default"
    lines = iter(path.read_text(encoding="utf-8").split("\n"))
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("[") and line.rstrip().endswith("]"):
            stanza = line.rstrip()[1:-1]
            if stanza in stanzas:
                raise ValueError(f"{path}: [{stanza}] is repeated")
            stanzas[stanza] = {}
            continue
        whole = line
        while whole.endswith("\\"):
            whole = f"{whole[:-1]}\n{next(lines)}"
        key, equals, value = whole.partition("=")
        settings = stanzas.setdefault(stanza, {})
        if not equals or not key.strip() or key.strip() in settings:
            raise ValueError(f"{path}: [{stanza}] {line}: not a setting, or a repeated one")
        settings[key.strip()] = value.strip()
    return stanzas
