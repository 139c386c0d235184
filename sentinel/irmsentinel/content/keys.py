"""YAML of the Sentinel side (aggregations, summary rules, what `sentinel run` does): keys checked one by one.

Promised: an unknown, missing or wrong key is a ConfigurationError with file, line and the nearest right
key; no message holds a value.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from irmcore.errors import ConfigurationError
from irmcore.profile.yaml_source import Path as KeyPath
from irmcore.profile.yaml_source import Source

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_DURATION = re.compile(r"([0-9]{1,4})([mhd])")


class Keys:
    """A mapping of a YAML file."""

    def __init__(
        self, source: Source, path: KeyPath, required: Collection[str], optional: Collection[str] = ()
    ) -> None:
        """Raises ConfigurationError if it is no mapping, or has other keys than these."""
        self.source, self.path = source, path
        value = source.value
        for step in path:
            value = value[step]
        if not isinstance(value, dict):
            raise self.wrong("a mapping of keys was expected", f"Keys: {', '.join((*required, *optional))}.")
        self._value: dict[str, Any] = value
        known = [*required, *optional]
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(known)}."
                raise self.wrong(f"`{key}` is no key here", hint, key)
        for key in required:
            if key not in value:
                raise self.wrong(f"`{key}` is missing", f"Add `{key}: …`.")

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def wrong(self, what: str, next_step: str, *inner: str | int) -> ConfigurationError:
        """An error at the line of a key."""
        return ConfigurationError(what, where=self.source.where((*self.path, *inner)), next_step=next_step)

    def text(self, key: str, default: str = "", *, form: str = r"(?s).+", like: str = "a text") -> str:
        """A text that matches `form` as a whole."""
        if key not in self._value:
            return default
        value = self._value[key]
        if not isinstance(value, str) or not re.fullmatch(form, value):
            raise self.wrong(f"`{key}` is not {like}", f"Write it as {like}.", key)
        return value

    def duration(self, key: str, default: timedelta | None = None) -> timedelta:
        """A length of time: 30m, 6h, 7d."""
        if key not in self._value and default is not None:
            return default
        return duration(self.text(key, form=_DURATION.pattern, like="30m, 6h or 7d"))

    def items(self, key: str) -> int:
        """How many items the list at a key has; 0 without the key."""
        value = self._value.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(f"`{key}` is not a list", "Write each item on a line that begins with -.", key)
        return len(value)

    def texts(self, key: str, *, form: str, like: str) -> tuple[str, ...]:
        """A list of texts."""
        count = self.items(key)
        values = self._value.get(key, [])
        for at in range(count):
            if not isinstance(values[at], str) or not re.fullmatch(form, values[at]):
                raise self.wrong(f"an item of `{key}` is not {like}", f"Write it as {like}.", key, at)
        return tuple(values)

    def line(self, key: str) -> int:
        """The line of a key."""
        return self.source.line((*self.path, key))


def duration(text: str) -> timedelta:
    """A length of time that is known to be well formed."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("no length of time")
    return int(match[1]) * _UNITS[match[2]]


def in_words(length: timedelta) -> str:
    """The same the other way: 7d, 6h, 30m."""
    for unit in ("d", "h", "m"):
        if length % _UNITS[unit] == timedelta(0):
            return f"{length // _UNITS[unit]}{unit}"
    return str(length)


def read(path: Path) -> Source:
    """A YAML file. Raises ConfigurationError with its line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigurationError(
            f"the file cannot be read ({why})",
            where=str(path),
            next_step="Check the path and that this user may read it.",
        ) from None
    return Source(text, str(path))


def names(folder: Path) -> Iterator[Path]:
    """The YAML files of a folder, by name."""
    return iter(sorted(folder.glob("*.yaml")))
