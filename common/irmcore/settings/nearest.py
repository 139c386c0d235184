"""The known word that is spelled most like an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.5) -> str | None:
    """The known word most similar to ``word``; None if none is similar enough (0: not at all, 1: equal)."""
    return next(iter(difflib.get_close_matches(word, tuple(known), n=1, cutoff=cutoff)), None)


def did_you_mean(word: str, known: Iterable[str], *, plural: str = "keys") -> str:
    """A next step: ``Did you mean `name`?``, or else the list of all known ``plural``."""
    candidates = tuple(known)
    near = nearest(word, candidates)
    return f"Did you mean `{near}`?" if near else f"Known {plural}: {', '.join(candidates)}."
