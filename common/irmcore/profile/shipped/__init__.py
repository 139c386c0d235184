"""The profiles that ship with irmexport: templates to copy and fill in."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def names() -> tuple[str, ...]:
    """The names of the shipped profiles, in alphabetical order."""
    return tuple(sorted(path.stem for path in _HERE.glob("*.yaml")))


def text(name: str) -> str:
    """The text of the shipped profile ``name``. Raises KeyError if there is none."""
    if name not in names():
        raise KeyError(name)
    return (_HERE / f"{name}.yaml").read_text(encoding="utf-8")
