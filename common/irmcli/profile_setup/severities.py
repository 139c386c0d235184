"""Proposes how words of severity become one scale: High for `hoch`. Pure.

Only words that are listed here get into a profile, never a value of a sample. For numbers, ranks such as P1
and other words, ``hint`` says what to write: some products call 1 the worst, others the best.
"""

import re
import shlex
from collections.abc import Collection, Mapping

from irmcli.output import clean

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


def hint(header: str, values: Collection[str]) -> tuple[str, ...]:
    """What a person has to decide about other severities: comment lines that name no value of the sample.

    Numbers and `P1` may count up or down, so their map is proposed and never written. Empty without values.
    """
    if not values:
        return ()
    if set(values) <= set("12345"):
        why = "If 5 is the worst, these lines send words. If 1 is the worst, turn the words around."
        return _map(why, {str(number): word for number, word in enumerate(SCALE, start=1)})
    if all(map(_OF_TEN, values)):
        why = "A scale of 0 to 10? CEF's is this one: learn.microsoft.com/azure/sentinel/cef-name-mapping."
        words = (word for word, times in zip(SCALE[1:], (4, 3, 2, 2), strict=True) for _ in range(times))
        return _map(why, {str(number): word for number, word in enumerate(words)})
    ranks = [_RANK(value) for value in values]
    first = next(filter(None, ranks), None)
    if first is not None and all(ranks):
        lowest = min(int(rank[2]) for rank in ranks if rank)
        pairs = {f"{first[1]}{lowest + at}": word for at, word in enumerate(reversed(SCALE))}
        return _map(f"If {first[1]}{lowest} is the worst, these lines send words.", pairs)
    if all(_DECIMAL(value) for value in values):
        name = shlex.quote(clean(header))
        return (
            f"A score, sent as text. For thresholds: `irmexport profile new --from FILE --threshold {name}`",
            "For words instead, let the export write them: in CVSS, 7.0 to 8.9 is High, from 9.0 Critical.",
        )
    why = "Are these severities? Their words are not known. Name each one as it is in the file:"
    return _map(why, {"WORD": "High", "ANOTHER WORD": "Low"})


_OF_TEN = re.compile("[0-9]|10").fullmatch
_RANK = re.compile("([PpSs]|[Ss][Ee][Vv][ -]?)([0-5])").fullmatch
_DECIMAL = re.compile("[0-9]{1,3}(?:[.,][0-9]+)?").fullmatch


def _map(why: str, pairs: Mapping[str, str]) -> tuple[str, ...]:
    written = ", ".join(f'"{value}": {word}' for value, word in pairs.items())
    return why, f"allowed: [{', '.join(SCALE)}]", f"map: {{{written}}}"
