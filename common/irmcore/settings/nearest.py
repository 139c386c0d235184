"""The known word that is spelled most like an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most similar to ``word``; None if none is similar."""
    return next(iter(difflib.get_close_matches(word, tuple(known), n=1, cutoff=0.5)), None)


def did_you_mean(word: str, known: Iterable[str], *, plural: str = "keys") -> str:
    """A next step: ``Did you mean `name`?``, or else the list of all known ``plural``."""
    candidates = tuple(known)
    near = nearest(word, candidates)
    return f"Did you mean `{near}`?" if near else f"Known {plural}: {', '.join(candidates)}."
