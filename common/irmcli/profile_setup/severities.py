"""Proposes how words of severity become one scale: High for `hoch`. Pure.

Only words that are listed here get into a profile, never a value of a sample. Numbers are not mapped: some
products call 1 the worst, others the best.
"""

from __future__ import annotations

from collections.abc import Collection

#: The scale of Microsoft's alerts.
SCALE = ("Informational", "Low", "Medium", "High", "Critical")
_FAMILIES = (
    {
        "informational": 0,
        "info": 0,
        "information": 0,
        "low": 1,
        "medium": 2,
        "moderate": 2,
        "high": 3,
        "critical": 4,
    },
    {"information": 0, "niedrig": 1, "gering": 1, "mittel": 2, "hoch": 3, "kritisch": 4},
    {"information": 0, "faible": 1, "moyen": 2, "moyenne": 2, "élevé": 3, "élevée": 3, "critique": 4},
    {"información": 0, "bajo": 1, "baja": 1, "medio": 2, "media": 2, "alto": 3, "alta": 3, "crítico": 4},
)


def severity_map(values: Collection[str]) -> dict[str, str] | None:
    """The words of the values' language, as the values spell them, and the severities they mean.

    None if a value is none of the words of one language.
    """
    for family in _FAMILIES:
        if values and {value.casefold() for value in values} <= family.keys():
            spell = next(
                (style for style in (str.lower, str.upper) if all(style(v) == v for v in values)),
                str.capitalize,
            )
            words = {spell(word): SCALE[at] for word, at in family.items()}
            words.update({value: SCALE[family[value.casefold()]] for value in values})
            return {word: meaning for word, meaning in words.items() if word != meaning}
    return None


def is_number_scale(values: Collection[str]) -> bool:
    """Whether the values are from a scale of 1 to 5."""
    return bool(values) and set(values) <= set("12345")
