"""A settings file or text → a checked :class:`Source`."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from irmcore.ownership import require_own_stat
from irmcore.settings.checked import check
from irmcore.settings.kind import KeyPath, Kind
from irmcore.settings.yaml_source import MAX_CHARACTERS, Source


def read(path: str | Path, kind: Kind) -> Source:
    """The settings in a file. Raises ``kind.error`` if it cannot be read or does not match the schema."""
    return parse(read_text(path, kind), str(path), kind)


def read_text(path: str | Path, kind: Kind) -> str:
    """The text of a settings file. Raises ``kind.error``, also if the file is not the user's own.

    Of a file that is too large it returns just enough for :class:`Source` to refuse it.
    """
    try:
        with Path(path).open("rb") as file:
            require_own_stat(os.fstat(file.fileno()), path, kind.name, kind.error)
            utf_16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # PowerShell's > writes it
            file.seek(0)
            text = io.TextIOWrapper(file, "utf-16" if utf_16 else "utf-8-sig")
            return text.read(MAX_CHARACTERS + 1)
    except UnicodeDecodeError:
        raise kind.error(
            f"the {kind.name} is not UTF-8 text", where=str(path), next_step="Save it as UTF-8."
        ) from None
    except OSError as error:
        raise kind.error(
            f"the {kind.name} cannot be read ({error.strerror})",
            where=str(path),
            next_step=f"Check the path and the file's permissions. {kind.start}",
        ) from None


def parse(
    text: str,
    name: str,
    kind: Kind,
    *,
    overrides: Mapping[KeyPath, Any] | None = None,
    origin: str = "",
) -> Source:
    """The settings in ``text``, with the schema's defaults filled in. Raises ``kind.error``.

    ``overrides`` replace values of the text before the check; messages say that they come from ``origin``.
    Defaults are filled in for mappings inside mappings, not for the items of lists.
    """
    source = Source(text, name, kind)
    for path, value in (overrides or {}).items():
        source.override(path, value, origin)
    if kind.empty_is_absent and isinstance(source.value, dict):
        source.value = {key: value for key, value in source.value.items() if value is not None}
    check(source)
    source.value = _with_defaults(source.value, kind.schema, kind)
    return source


def _with_defaults(value: Mapping[str, Any], node: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    filled = dict(value)
    for key, raw in node.get("properties", {}).items():
        inner = kind.resolved(raw)
        if "default" in inner:
            filled.setdefault(key, inner["default"])
        elif "properties" in inner:
            found = _with_defaults(filled.get(key, {}), inner, kind)
            if found:
                filled[key] = found
    return filled
